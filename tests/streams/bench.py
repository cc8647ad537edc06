"""
What the contract of streams is tested on: one stream with an owner that takes
notes, and its far end in the test's hands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.pace import Pace
from lbproxy.streams.stream import Facts, Mode, Stream
from lbproxy.streams.wheel import Wheel


class Notes:
    """
    The owner of a stream; also whoever it hands on to.

    @ivar told: The events of the stream, in the order in which they came.
    @ivar reason: Why it was lost.
    @ivar deafIn: In which mode it was deaf.
    @ivar pieces: What was handed on.
    @ivar looks: What could be looked at each time it was told that more is held.
    @ivar stream: The one that is ready.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reason: Failure | None = None
        self.deafIn: Mode | None = None
        self.pieces: list[bytes] = []
        self.looks: list[bytes] = []
        self.stream: Stream | None = None

    @property
    def heard(self) -> bytes:
        return b"".join(self.pieces)

    def streamShakes(self, stream: Stream) -> None:
        """Nothing that the contract speaks of."""

    def streamReady(self, stream: Stream) -> None:
        self.told.append("ready")
        self.stream = stream

    def streamHeld(self, stream: Stream) -> None:
        """Told apart, for it comes as often as something arrives."""
        self.looks.append(stream.peek(1 << 20))

    def streamEnded(self, stream: Stream) -> None:
        self.told.append("ended")

    def streamDeaf(self, stream: Stream) -> None:
        self.told.append("deaf")
        self.deafIn = stream.mode

    def streamLost(self, stream: Stream, reason: Failure) -> None:
        self.told.append("lost")
        self.reason = reason


class Looker:
    """
    Looks at a stream that closes, as its watch would: while it is reset, and
    once the stream has asked for it.
    """

    def __init__(self) -> None:
        self._clock = Clock()
        self._asked = False
        self.pace = Pace(Wheel(ClockAlarm(self._clock)))

    def lookSoon(self) -> None:
        self._asked = True

    def look(self, stream: Stream) -> None:
        """What happens in one slice of time."""
        self._clock.advance(1 / 16)
        if stream.mode is Mode.RESETTING or (
            stream.mode is Mode.FINISHING and self._asked
        ):
            stream.closeIfThrough()

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do once time has passed."""
        self._clock.advance(1)
        return not self._clock.getDelayedCalls()


class Far(ABC):
    """
    The far end of a stream; what it is told to do, it does as time passes.

    @ivar dribbles: Whether all it says goes out in pieces of a single byte.
    """

    dribbles = False

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Say something."""

    @abstractmethod
    def end(self) -> None:
        """End its stream, after what it says."""

    @abstractmethod
    def reset(self) -> None:
        """Cut the connection off at once; it has not read all that was sent to it."""

    @abstractmethod
    def refuse(self) -> None:
        """Let what is sent to it fail from now on; all it said has arrived."""

    @abstractmethod
    def stall(self) -> None:
        """Read nothing from now on."""

    @abstractmethod
    def read(self, length: int | None = None) -> None:
        """Read so many bytes, or whatever comes."""

    @property
    @abstractmethod
    def delivered(self) -> bool:
        """Whether all it says has arrived at the near side's kernel."""

    @property
    @abstractmethod
    def received(self) -> bytes:
        """What it has read."""

    @property
    @abstractmethod
    def sawEnd(self) -> bool:
        """Whether the stream towards it has ended in good order."""

    @property
    @abstractmethod
    def sawReset(self) -> bool:
        """Whether it was cut off."""


class Bench(ABC):
    """
    A kind of transport, and one stream over it.

    @cvar facts: What the stream has to declare.
    @ivar transport: What the stream was given.
    """

    facts: Facts
    stream: Stream
    far: Far
    transport: object

    def __init__(self) -> None:
        self.owner = Notes()
        self.closer = Looker()

    @abstractmethod
    async def open(self) -> None:
        """Connect, and wait until the stream is ready."""

    @abstractmethod
    async def tick(self) -> bool:
        """Let a moment pass; whether anything has happened in it, as far as known."""

    @abstractmethod
    async def close(self) -> None:
        """
        Put away what is left.

        @raise AssertionError: If the stream has left something behind.
        """

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        for _ in range(2000):
            if predicate():
                return
            await self.tick()
            self.closer.look(self.stream)
        raise AssertionError(f"it never came to that: {self}")

    async def settle(self) -> None:
        """Let time pass until nothing happens any more."""
        quiet = 0
        while quiet < 8:
            before = self._state()
            moved = await self.tick()
            self.closer.look(self.stream)
            quiet = 0 if moved or before != self._state() else quiet + 1

    async def lost(self) -> Failure:
        """Wait until the stream is lost; why it is."""
        await self.until(lambda: "lost" in self.owner.told)
        assert self.owner.reason is not None
        return self.owner.reason

    def flow(self) -> None:
        """Let the owner have what arrives."""
        self.stream.flow(self.owner.pieces.append)

    def _state(self) -> tuple[object, ...]:
        stream, far = self.stream, self.far
        return (stream.received, stream.transit(), len(far.received), stream.mode)

    def __repr__(self) -> str:
        stream, far = self.stream, self.far
        return (
            f"{type(self).__name__}: {self.owner.told}, {stream.mode}, "
            f"received {stream.received}, accepted {stream.accepted}, "
            f"transit {stream.transit()}, far has read {len(far.received)}, "
            f"saw end {far.sawEnd}, saw reset {far.sawReset}"
        )
