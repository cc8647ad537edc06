"""
One connection of a check: connect, perhaps say something, perhaps listen, and close.

It is closed whatever happens.  After the outcome it closes in good order: what was sent
is delivered first.  A peer that does not take it is cut off after L{CLOSING} seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ..proxy.attempts import Attempt, Way
from ..proxy.pluginerrors import nameOf
from ..streams.witness import Witness
from .headers import headerFor

ANSWER_LIMIT = 65536
"""Bytes of an answer that are read; what comes after them is not looked at."""

AT_ONCE = 1024
"""Bytes of an answer that are looked at as they come, each piece by itself."""

GATHERING = 0.01
"""
Seconds for which later pieces are gathered, unless there are as many bytes as before.

Some dialogues look at the whole answer again.  With 65,536 pieces of one byte these
would be 2 GiB, which took an expression 11 s of CPU time; so it is less than 1 MiB, and
6 MiB more for each second that the pieces are spread over.
"""

CLOSING = 1.0
"""Seconds that a connection may take to close when the check is over."""


class CheckFailed(Exception):
    """
    A health check did not pass.  Its text says why, in a few words for the log.

    A probe raises it, or fails its Deferred with it.
    """


class Dialogue(Protocol):
    """
    What is said and expected on one connection.

    @ivar opening: What is sent first; may be empty.
    @ivar listens: Whether an answer is expected.
    """

    opening: bytes
    listens: bool

    def hear(self, data: bytes) -> bool:
        """
        Take the next bytes of the answer, however they are split.

        @return: Whether the check has passed; if not, more is needed.
        @raise CheckFailed: If the check has failed.
        """

    def lacking(self) -> str:
        """Say what is missing when no more of the answer comes."""


class Silence:
    """The dialogue of a check that passes once the backend is connected."""

    opening = b""
    listens = False

    def hear(self, data: bytes) -> bool:
        """Pass."""
        return True

    def lacking(self) -> str:
        """Say nothing, for nothing is expected."""
        return ""


class CancelTroubles:
    """Logs what an endpoint raises when its connecting is cancelled."""

    _log = Logger()

    def tell(self, plugin: object, failure: Failure, doing: str) -> None:
        """Log it with its traceback."""
        self._log.failure(
            "{plugin}.{doing} failed", failure, plugin=nameOf(plugin), doing=doing
        )


class Contact(Attempt):
    """
    One check: the factory of its one protocol.

    @ivar done: Fires with L{None} when the check has passed, or with the failure.
        Cancelling it cuts the connection off.
    """

    def __init__(self, reactor: Any, dialogue: Dialogue, header: str = "off") -> None:
        """
        @param header: The version of the PROXY header that the connection begins with,
            C{"v1"} or C{"v2"}, before TLS if that is spoken; C{"off"} for none.
        """
        self._reactor = reactor
        self._dialogue = dialogue
        self._header = header
        self._stop: Callable[[], object] | None = None
        self._protocol: _Conversation | None = None
        self._over = False
        self.done: Deferred[None] = Deferred(lambda _: self._cancel())

    def begin(self, way: Way) -> Deferred[None]:
        """Begin to connect, and return C{done}."""
        try:
            stop = way(self)
        except BaseException:
            # A plugin's endpoint may raise anything.
            self.failed(Failure())
        else:
            if not self._over:
                self._stop = stop
        return self.done

    def buildProtocol(self, addr: IAddress | None) -> _Conversation | None:
        """Make the one protocol; L{None} if the check was cancelled."""
        if self._over:
            return None
        self._protocol = _Conversation(
            self, self._dialogue, self._header, self._reactor
        )
        return self._protocol

    def preface(self, transport: Any) -> bytes:
        """The PROXY header of a check over TLS."""
        return headerFor(transport, self._header)

    def failed(self, reason: Failure) -> None:
        """The backend could not be connected to."""
        if self._protocol is None or not self._protocol.connected:
            self.conclude(reason)

    def conclude(self, outcome: Failure | None) -> None:
        """Fire C{done}, unless it has fired or was cancelled."""
        if not self._over:
            self._over = True
            self._stop = self._protocol = None
            self.done.callback(outcome)

    def _cancel(self) -> None:
        self._over = True
        stop, self._stop = self._stop, None
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.leave()
        if stop is not None and (protocol is None or not protocol.connected):
            stop()


@implementer(IHandshakeListener)
class _Conversation(BaseProtocol):
    """The protocol of a L{Contact}."""

    def __init__(
        self, contact: Contact, dialogue: Dialogue, header: str, reactor: Any
    ) -> None:
        self._contact: Contact | None = contact
        self._dialogue = dialogue
        self._header = header
        self._reactor = reactor
        self._received = 0
        self._unheard = bytearray()
        self._shaking = False
        self._witness = Witness()
        self._gathering: Any = None
        self._closing: Any = None

    def connectionMade(self) -> None:
        """Begin, or wait until the TLS handshake is complete."""
        self._shaking = isinstance(self.transport, TLSMemoryBIOProtocol)
        self._witness.watch(self.transport)
        if self._contact is None:
            self._abort()
        elif not self._shaking:
            header = headerFor(self.transport, self._header)
            if header:
                assert self.transport is not None
                self.transport.write(header)
            self._begin()

    def handshakeCompleted(self) -> None:
        """The TLS handshake is complete."""
        if self._shaking:
            self._shaking = False
            self._begin()

    def dataReceived(self, data: bytes) -> None:
        """Pass on the bytes, as far as the limit allows, at once or gathered."""
        if self._contact is None or not self._dialogue.listens:
            return
        heard = self._received - len(self._unheard)
        data = data[: ANSWER_LIMIT - self._received]
        self._received += len(data)
        self._unheard += data
        if self._received <= AT_ONCE or self._received >= min(2 * heard, ANSWER_LIMIT):
            self._hear()
        elif self._gathering is None:
            self._gathering = self._reactor.callLater(GATHERING, self._hear)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Conclude, if the check is not over; what has come may be enough for that."""
        self._cancelCalls()
        contact, self._contact = self._contact, None
        if contact is not None:
            contact.conclude(self._lastOutcome(reason))

    def leave(self) -> None:
        """Cut the connection off, or do so once it is made: the check was cancelled."""
        self._contact = None
        if self.connected:
            self._abort()

    def _abort(self) -> None:
        transport: Any = self.transport
        if hasattr(transport, "abortConnection"):
            transport.abortConnection()
        else:
            transport.loseConnection()

    def _begin(self) -> None:
        transport: Any = self.transport
        if self._dialogue.opening:
            transport.write(self._dialogue.opening)
        if not self._dialogue.listens:
            self._finish(None)

    def _hear(self) -> None:
        """Pass on what was gathered, and finish if that decides the check."""
        self._cancelCalls()
        try:
            passed = self._passes()
        except Exception:
            self._finish(Failure())
        else:
            if passed:
                self._finish(None)

    def _passes(self) -> bool:
        data, self._unheard = bytes(self._unheard), bytearray()
        passed = self._dialogue.hear(data)
        if not passed and self._received >= ANSWER_LIMIT:
            raise CheckFailed(f"{self._dialogue.lacking()} in its first 64 KiB")
        return passed

    def _lastOutcome(self, reason: Failure) -> Failure | None:
        """What has come of the check, now that the connection is lost."""
        try:
            if self._unheard and self._passes():
                return None
        except Exception:
            return Failure()
        if self._shaking:
            return self._witness.explained(reason)
        if reason.check(ConnectionDone):
            said = self._dialogue.lacking() if self._received else "no answer"
            return Failure(CheckFailed(f"{said} before it closed"))
        if reason.check(ConnectionLost):
            return Failure(CheckFailed("it reset the connection"))
        return reason

    def _cancelCalls(self) -> None:
        for call in (self._gathering, self._closing):
            if call is not None and call.active():
                call.cancel()
        self._gathering = self._closing = None

    def _finish(self, outcome: Failure | None) -> None:
        """Close in good order, and conclude."""
        contact, self._contact = self._contact, None
        transport: Any = self.transport
        self._closing = self._reactor.callLater(CLOSING, self._cutOff)
        transport.loseConnection()
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            # It would wait for the peer's close_notify, for ever; RFC 8446, section
            # 6.1 lets one close without it.
            transport.transport.loseConnection()
        if contact is not None:
            contact.conclude(outcome)

    def _cutOff(self) -> None:
        self._closing = None
        self._abort()
