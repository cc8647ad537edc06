"""Errors that may come from dropped privileges say so."""

from __future__ import annotations

import errno
import os

import pytest

from lbproxy import CannotStart, ConfigurationError
from lbproxy.privileges import Privileges

DENIED = f"lb.toml: cannot be read: {os.strerror(errno.EACCES)}"
NOT_PERMITTED = f"its owner cannot be set: {os.strerror(errno.EPERM)}"


@pytest.mark.parametrize("kind", [CannotStart, ConfigurationError])
@pytest.mark.parametrize(
    ("said", "users", "note"),
    [
        (DENIED, (0, 99), " (privileges were dropped)"),
        (NOT_PERMITTED, (0, 99), " (privileges were dropped)"),
        (DENIED, (0, 0), ""),
        (DENIED, (99, 99), ""),
        ("tcp:80: Address already in use", (0, 99), ""),
    ],
)
def test_explained(
    kind: type[Exception], said: str, users: tuple[int, int], note: str
) -> None:
    """Only somebody who was another user before is told that this may be why."""
    privileges = Privileges(iter(users).__next__)
    with pytest.raises(kind) as raised, privileges.explaining():
        raise kind(said)
    assert str(raised.value) == said + note


def test_otherErrors() -> None:
    """An error of another kind stays as it is, and so does what works."""
    privileges = Privileges(iter((0,)).__next__)
    error = PermissionError(errno.EACCES, "")
    with pytest.raises(PermissionError) as raised, privileges.explaining():
        raise error
    assert raised.value is error
    with privileges.explaining():
        pass
