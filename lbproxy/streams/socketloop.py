"""
One epoll descriptor of lbproxy's own, inside whichever reactor runs.

An epoll descriptor can be polled itself.  So the reactor watches one descriptor, and
what it spends on an event is spent once for a batch of them.  Sockets are registered
once, edge-triggered, for all that may happen to them: no further system call says what
is of interest.  What that asks of a L{Target} is to go on after each event until there
is nothing more to do, or else to ask for another L{turn<SocketLoop.goOn>}.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from .pipes import Pipes

if TYPE_CHECKING:
    import socket

IN: int = select.EPOLLIN
OUT: int = select.EPOLLOUT
ERR: int = select.EPOLLERR
ENDS: int = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
"""Events after which a read finds an end or an error, once all has been read."""

READABLE: int = IN | select.EPOLLPRI | ENDS
"""Events after which there is something to read."""

UNCERTAIN: int = select.EPOLLPRI | select.EPOLLHUP | select.EPOLLERR
"""
Events after which a read that does not fill its buffer may not have been the last one
before the end of the stream.
"""

# Urgent data splits what a read finds, so that its arrival is an edge of its own.
EDGES: int = READABLE | OUT | select.EPOLLET
"""What a connected socket is registered for."""

_MOST_EVENTS = 256
"""The most events that are taken from the kernel at a time."""

_TURN = 0.002
"""Seconds after which the reactor gets its turn, even if there are further events."""


class Target(Protocol):
    """Something that has a socket, and is called when anything happens to it."""

    def socketEvent(self, events: int) -> None:
        """
        Something has happened to the socket.  It is not called once that is closed.

        @param events: As C{epoll_wait(2)} has them.
        """

    def socketTurn(self) -> None:
        """It has the turn that it has asked for, which may be after it was closed."""

    def socketBroke(self, reason: Failure) -> None:
        """
        Close, since L{socketEvent} or L{socketTurn} has raised an exception, or the
        reactor has stopped.
        """


class SocketLoop:
    """
    Calls the targets of sockets with their events.

    It is a reader of the reactor as long as it has sockets.

    @ivar pipes: Pipes for what is moved between its sockets.
    """

    _log = Logger()

    def __init__(self, reactor: Any, clock: Callable[[], float] = monotonic) -> None:
        """
        @param reactor: Provides L{twisted.internet.interfaces.IReactorFDSet}.
        @param clock: Returns monotonic seconds.
        """
        self._reactor = reactor
        self._clock = clock
        self._epoll: select.epoll | None = None
        self._targets: dict[int, Target] = {}
        # Events that were taken from the kernel and not handled yet, the last first.
        self._events: list[tuple[int, int]] = []
        self._waiting: dict[Target, None] = {}
        # Those that go on after all others, with the events that have come since.
        self._behind: dict[Target, int] = {}
        self._soon: list[Target] = []
        self._closing: list[socket.SocketType] = []
        self._inTurn = False
        self._call: Any = None
        self.pipes = Pipes()

    def add(self, descriptor: int, target: Target, events: int = EDGES) -> None:
        """
        Watch a socket; an edge that has come before is an event too.

        @param events: What for.
        """
        if self._epoll is None:
            self._epoll = select.epoll()
            self._reactor.addReader(self)
        self._epoll.register(descriptor, events)
        self._targets[descriptor] = target

    def modify(self, descriptor: int, events: int) -> None:
        """Watch a socket for something else."""
        assert self._epoll is not None
        self._epoll.modify(descriptor, events)

    def replace(self, descriptor: int, target: Target) -> None:
        """Call another target with the events of a socket from now on."""
        before, self._targets[descriptor] = self._targets[descriptor], target
        self._waiting.pop(before, None)
        if before in self._behind:
            self._behind[target] = self._behind.pop(before)

    def close(self, opened: socket.SocketType, target: Target) -> None:
        """
        Watch a socket no longer, and close it.

        During a turn it is closed at its end: until then, no other socket can have its
        number, for which there may be an event in the same batch.
        """
        self._waiting.pop(target, None)
        self._behind.pop(target, None)
        descriptor = opened.fileno()
        if self._targets.get(descriptor) is target:
            del self._targets[descriptor]
        if self._inTurn or self._events:
            self._closing.append(opened)
        else:
            opened.close()
            self._restIfIdle()

    def goOn(self, target: Target) -> None:
        """Call a target that has done much again, after all others."""
        self._behind.setdefault(target, 0)
        if not self._inTurn:
            self._wakeSoon()

    def again(self, target: Target) -> None:
        """Call a target again, after the reactor has had its turn."""
        self._waiting[target] = None
        if not self._inTurn:
            self._wakeSoon()

    def next(self, target: Target) -> None:
        """Call a target again, in this turn if there is one, before anything else."""
        if self._inTurn:
            self._soon.append(target)
        else:
            self.again(target)

    # Called by the reactor.

    def fileno(self) -> int:
        """The descriptor that the reactor watches."""
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """Its name in the reactor's log."""
        return "sockets"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped: close all that is still open."""
        for target in tuple(self._targets.values()):
            self._end(target, reason)

    def doRead(self) -> None:
        """Handle events for a while."""
        if self._inTurn:
            return  # A target runs the reactor itself.
        self._inTurn = True
        until = self._clock() + _TURN
        try:
            waiting, self._waiting = self._waiting, {}
            for target in waiting:
                self._giveTurn(target)
            while self._soon:
                self._giveTurn(self._soon.pop())
            if not self._events and self._epoll is not None:
                self._events = self._epoll.poll(0, _MOST_EVENTS)[::-1]
            self._handle(until)
            self._handleBehind(until)
        finally:
            self._inTurn = False
            self._afterTurn()

    def _handle(self, until: float) -> None:
        events, soon, behind = self._events, self._soon, self._behind
        targets, clock = self._targets, self._clock
        while events:
            descriptor, event = events.pop()
            target = targets.get(descriptor)
            if behind and target in behind:
                behind[target] |= event
            elif target is not None:
                try:
                    target.socketEvent(event)
                except BaseException:
                    self._broke(target)
            while soon:
                self._giveTurn(soon.pop())
            if clock() >= until:
                return

    def _handleBehind(self, until: float) -> None:
        """Call at least one of those that go on, and each of them once at most."""
        behind = self._behind
        for _ in range(len(behind)):
            if not behind:
                return
            target = next(iter(behind))
            self._giveTurn(target, behind.pop(target))
            while self._soon:
                self._giveTurn(self._soon.pop())
            if self._clock() >= until:
                return

    def _giveTurn(self, target: Target, events: int = 0) -> None:
        try:
            if events:
                target.socketEvent(events)
            else:
                target.socketTurn()
        except BaseException:
            # If it escaped, the reactor would no longer watch any of the sockets.
            self._broke(target)

    def _broke(self, target: Target) -> None:
        reason = Failure()
        self._log.failure("A connection has broken off on an exception", reason)
        self._end(target, reason)

    def _end(self, target: Target, reason: Failure) -> None:
        try:
            target.socketBroke(reason)
        except BaseException:
            self._log.failure("A connection could not be aborted")

    def _afterTurn(self) -> None:
        if self._closing and not self._events:
            closing, self._closing = self._closing, []
            for each in closing:
                each.close()
        if self._events or self._waiting or self._behind:
            self._wakeSoon()
        elif self._call is not None or not self._targets:
            self._restIfIdle()

    def _wakeSoon(self) -> None:
        if self._call is None:
            self._call = self._reactor.callLater(0, self._wake)

    def _wake(self) -> None:
        self._call = None
        self.doRead()

    def _restIfIdle(self) -> None:
        """Let go of the reactor when there is no socket any more."""
        if self._epoll is not None and not self._targets and not self._inTurn:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
            self.pipes.close()
        if self._call is not None and not (
            self._waiting or self._behind or self._events
        ):
            self._call.cancel()
            self._call = None
