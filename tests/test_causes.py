"""Causes from elsewhere are told in words that fit a configuration file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from OpenSSL.crypto import Error as CertificateError
from OpenSSL.SSL import Error as TLSError
from twisted.python.filepath import FilePath, UnlistableError

from lbproxy.causes import cause


def wants(*, port: int, host: str = "") -> None:
    """Something with parameters."""


def takes(port: int) -> None:
    """Something with a parameter."""


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: wants(), 'it lacks "port"'),
        (lambda: wants(prot=1), '"prot" is not known to it'),
        (lambda: takes(1, port=2), '"port" is given twice'),
        (lambda: takes(1, 2), "it has too many parts"),
        (lambda: int("a"), '"a" is not a whole number'),
        (lambda: int("9", 8), '"9" is not an octal number'),
        (lambda: Path("/nowhere").read_text(), "No such file or directory: /nowhere"),
        (
            lambda: Path("/nowhere/x.lock").symlink_to("26033"),
            "No such file or directory: /nowhere",
        ),
        (
            lambda: os.symlink(b"26033", b"/nowhere/x.lock"),
            "No such file or directory: /nowhere",
        ),
        (lambda: Path("/dev/null").symlink_to("26033"), "File exists: /dev/null"),
        (lambda: json.nothing, 'json has no "nothing"'),
        (lambda: {}["a"], "KeyError: 'a'"),
        (lambda: [].pop(), "IndexError: pop from empty list"),
    ],
)
def test_whatPythonRaises(attempt: Callable[[], object], said: str) -> None:
    """The common slips are put plainly."""
    with pytest.raises(Exception) as raised:
        attempt()
    assert cause(raised.value) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("the host is odd"), "the host is odd"),
        (ValueError(), "ValueError"),
        (TypeError("odd"), "TypeError: odd"),
        (OSError("odd"), "OSError: odd"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (
            TLSError("no start line"),
            "the certificate or the key cannot be read: no start line",
        ),
        (
            CertificateError([("x509", "", "no start line")]),
            "the certificate or the key cannot be read: it is not PEM",
        ),
        (
            TLSError([("x509", "", "key values mismatch")]),
            "the certificate or the key cannot be read: key values mismatch",
        ),
        (SystemExit(2), "SystemExit: 2"),
    ],
    ids=repr,
)
def test_whatElseIsRaised(error: BaseException, said: str) -> None:
    """Only what explains itself goes without its type."""
    assert cause(error) == said


def test_anEmptyErrorHasACauseOfItsOwn() -> None:
    """Twisted raises an error without words while another is handled."""
    with pytest.raises(UnlistableError) as raised:
        FilePath("/nowhere").children()
    assert cause(raised.value) == "No such file or directory: /nowhere"
