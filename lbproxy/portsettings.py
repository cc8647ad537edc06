"""Sets what a configuration may set of a socket that clients connect to."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Self

from attrs import evolve, frozen
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from .causes import cause
from .words.endpoints import ServerDescription

_log = Logger()

_MODE = "666"
"""Twisted's default for the permissions of a UNIX socket, in octal."""


class SettingRefused(Exception):
    """
    A socket could not be set to something.

    C{str} of it says in a few words what, and why.
    """


@frozen
class PortSettings:
    """
    What a listening socket is set to.

    @ivar backlog: How many connections the kernel holds; L{None} for a kind of endpoint
        that has no such argument.
    @ivar mode: The permissions of a UNIX socket; L{None} for any other.
    @ivar owner: The number of the user who owns a UNIX socket; L{None} for the user who
        owned it when it was opened.
    @ivar group: The number of the group of a UNIX socket; L{None} for the group that it
        had when it was opened.
    """

    backlog: int | None = None
    mode: int | None = None
    owner: int | None = None
    group: int | None = None

    @classmethod
    def of(cls, description: ServerDescription, backlog: int) -> Self:
        """
        The settings that a server endpoint is opened with.

        @param description: One that an endpoint was made from.
        @param backlog: The backlog, unless the description gives one.
        """
        described = description.withDefault("backlog", backlog).withDefault(
            "mode", _MODE
        )

        def argument(name: str) -> str | None:
            return described.argument(name) if described.takes(name) else None

        held, mode = argument("backlog"), argument("mode")
        return cls(
            None if held is None else int(held), None if mode is None else int(mode, 8)
        )

    def ownedBy(self, owner: int | None, group: int | None) -> Self:
        """The same settings with an owner and a group."""
        return evolve(self, owner=owner, group=group)


class SettingsInForce:
    """What the socket of one port is set to."""

    def __init__(self, settings: PortSettings) -> None:
        """
        @param settings: What it is opened with.
        """
        self._settings = settings
        self._opened: tuple[int, int] | None = None

    def replace(
        self, port: IListeningPort, settings: PortSettings, undo: ExitStack
    ) -> None:
        """
        Set the socket to what differs from what it is set to.

        @param port: The port, which listens.
        @param undo: Gets what sets it back.
        @raise SettingRefused: If that is not permitted.
        """
        before, self._settings = self._settings, settings
        undo.callback(setattr, self, "_settings", before)
        path = _path(port)
        if path is not None:
            # First what may not be permitted.
            if (settings.owner, settings.group) != (before.owner, before.group):
                self._own(path, settings.owner, settings.group, undo)
            if settings.mode is not None and settings.mode != before.mode:
                _permit(path, settings.mode, undo)
        if settings.backlog is not None and settings.backlog != before.backlog:
            _hold(port, settings.backlog, before.backlog, undo)

    def _own(
        self, path: str, owner: int | None, group: int | None, undo: ExitStack
    ) -> None:
        """
        Set the owner and the group of a UNIX socket, and of the lock beside it.

        Twisted keeps the lock.  The user who owns both can remove them.
        """
        with _refusing("owner"):
            if self._opened is None:
                self._opened = _ownership(path)
            user, users = self._opened
            wanted = (
                user if owner is None else owner,
                users if group is None else group,
            )
            _give(path, wanted, undo)
            with suppress(FileNotFoundError):
                _give(f"{path}.lock", wanted, undo)


def _permit(path: str, mode: int, undo: ExitStack) -> None:
    with _refusing("mode"):
        now = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        _setBack(undo, path, "mode", partial(os.chmod, path, now))


def _hold(
    port: IListeningPort, backlog: int, before: int | None, undo: ExitStack
) -> None:
    # On a socket that listens, listen(2) sets the backlog, and nothing else.
    listen = getattr(getattr(port, "socket", None), "listen", None)
    if listen is not None:
        with _refusing("backlog"):
            listen(backlog)
            undo.callback(listen, before)


class _refusing:
    """Raises L{SettingRefused} for what the system refuses in a C{with} statement."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError | OverflowError):
            why = getattr(error, "strerror", None) or cause(error)
            raise SettingRefused(f"its {self._what} cannot be set: {why}") from None


def _ownership(path: str) -> tuple[int, int]:
    there = os.lstat(path)
    return there.st_uid, there.st_gid


def _give(path: str, wanted: tuple[int, int], undo: ExitStack) -> None:
    now = _ownership(path)
    if wanted != now:
        os.lchown(path, *wanted)
        _setBack(undo, path, "owner", partial(os.lchown, path, *now))


def _setBack(
    undo: ExitStack, path: str, what: str, change: Callable[[], object]
) -> None:
    def safely() -> None:
        try:
            change()
        except OSError as error:
            # It had a group that this process is not in, and no privileges are left.
            _log.error(
                "The {what} of {path} was changed, and cannot be set back: {why}",
                what=what,
                path=path,
                why=error.strerror,
            )

    undo.callback(safely)


def _path(port: IListeningPort) -> str | None:
    """The path of a UNIX socket that has a file."""
    address = port.getHost()
    if not isinstance(address, UNIXAddress) or not address.name:
        return None
    path = os.fsdecode(address.name)
    return None if path.startswith("\0") or not hasattr(port, "socket") else path
