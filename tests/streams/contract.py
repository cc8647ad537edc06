"""
The contract of L{lbproxy.streams.stream.Stream}, as tests: whatever carries a
stream, it does what its facts declare.

A test that asks for a fact which the stream at hand does not declare is skipped,
and for no other reason.  It is in one module, however long, since it is one
contract.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import ModuleType

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.error import ConnectionDone

from lbproxy.streams.kinds import lowest
from lbproxy.streams.stream import (
    HOLD_LIMIT,
    OVERRUN_LIMIT,
    GivenUp,
    Mode,
    Overrun,
    Truncated,
)

from .bench import Bench

SHORT = b"a short message"
LARGE = b"x" * 100_000
"""So much at once is not held back by any layer."""

READ = 65536
"""Bytes that one read brings, at most."""

arriving = pytest.mark.parametrize("dribbles", [False, True], ids=["whole", "split"])
"""How what the far end says arrives: in one piece, and split at every byte."""


def content(length: int) -> bytes:
    """Bytes of which no two stretches look alike."""
    return b"".join(b"%07d." % number for number in range(length // 8 + 1))[:length]


def needs(bench: Bench, fact: str) -> None:
    """Skip the test if the stream does not declare a fact."""
    if not getattr(bench.stream.facts, fact):
        pytest.skip(f"not declared: {fact}")


def reachable(root: object) -> set[int]:
    """The identities of all that an object refers to, directly or not."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType):
            seen.add(id(each))
            waiting.extend(gc.get_referents(each))
    return seen


class FeedsOn:
    """A producer that always has more, while it is not paused."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None: ...

    def feed(self) -> bool:
        """Write a piece, if it may; whether it may not."""
        if not self.paused:
            self._bench.stream.write(b"x" * 16384)
        assert self._bench.stream.accepted < 32 << 20, "it was never paused"
        return self.paused


def holds(bench: Bench, length: int) -> Callable[[], bool]:
    """Whether so much has arrived and can be looked at."""
    return lambda: len(bench.stream.peek(1 << 20)) == length


class Reading:
    """What arrives and is held, flows, or waits."""

    @ensureDeferred
    async def test_facts(self, bench: Bench) -> None:
        """It declares what is known of its transport, no more and no less."""
        assert bench.stream.facts == bench.facts
        assert bench.owner.told == ["ready"]
        assert bench.stream.mode is Mode.OPEN

    @arriving
    @ensureDeferred
    async def test_held(self, bench: Bench, dribbles: bool) -> None:
        """What arrives before anybody asks for it can be looked at and taken."""
        stream = bench.stream
        bench.far.dribbles = dribbles
        bench.far.send(SHORT)
        await bench.until(holds(bench, len(SHORT)))
        assert stream.peek(4) == SHORT[:4]
        assert stream.peek(1000) == SHORT
        assert stream.take(2) == SHORT[:2]
        assert stream.peek(1000) == SHORT[2:]
        assert stream.take(len(SHORT) - 2) == SHORT[2:]
        assert stream.peek(1000) == b""
        assert stream.received == len(SHORT)
        assert bench.owner.told == ["ready"]

    @arriving
    @ensureDeferred
    async def test_flow(self, bench: Bench, dribbles: bool) -> None:
        """What was held comes first, then all that arrives, in order."""
        stream = bench.stream
        bench.far.dribbles = dribbles
        bench.far.send(SHORT)
        await bench.until(holds(bench, len(SHORT)))
        bench.flow()
        await bench.until(lambda: bench.owner.heard == SHORT)
        assert stream.received == len(SHORT)
        bench.far.send(SHORT)
        await bench.until(lambda: stream.received == 2 * len(SHORT))
        assert bench.owner.heard == SHORT * 2
        assert all(bench.owner.pieces)
        assert stream.peek(1) == b""

    @arriving
    @ensureDeferred
    async def test_returned(self, bench: Bench, dribbles: bool) -> None:
        """What a receiver did not want is held before all that comes later."""
        stream, wanted = bench.stream, bytearray()
        bench.far.dribbles = dribbles

        def receive(data: bytes) -> None:
            missing = 3 - len(wanted)
            wanted.extend(data[:missing])
            if len(wanted) == 3:
                stream.hold(data[missing:])

        stream.flow(receive)
        bench.far.send(SHORT)
        await bench.until(holds(bench, len(SHORT) - 3))
        bench.far.send(SHORT)
        await bench.until(holds(bench, 2 * len(SHORT) - 3))
        assert wanted == SHORT[:3]
        assert stream.peek(1000) == (SHORT * 2)[3:]
        bench.flow()
        await bench.until(lambda: bench.owner.heard == (SHORT * 2)[3:])

    @ensureDeferred
    async def test_returnedLate(self, bench: Bench) -> None:
        """Also if more has come in the meantime."""
        bench.flow()
        bench.far.send(SHORT)
        await bench.until(lambda: bench.owner.heard == SHORT)
        bench.stream.hold()
        bench.far.send(b"and more")
        await bench.until(lambda: bench.stream.peek(1000) == b"and more")
        bench.stream.hold(SHORT)
        assert bench.stream.peek(1000) == SHORT + b"and more"

    @ensureDeferred
    async def test_holdsAgain(self, bench: Bench) -> None:
        """A receiver may ask to hold the rest with each piece of what was held."""
        stream, heard = bench.stream, []
        for number in range(1, 4):
            bench.far.send(SHORT)
            await bench.until(holds(bench, number * len(SHORT)))

        def receive(data: bytes) -> None:
            heard.append(data)
            stream.hold()

        while stream.peek(1):
            before = len(heard)
            stream.flow(receive)
            await bench.until(lambda n=before: len(heard) > n)
            assert len(heard) == before + 1
        assert b"".join(heard) == SHORT * 3

    @arriving
    @ensureDeferred
    async def test_tellsHeld(self, bench: Bench, dribbles: bool) -> None:
        """
        An owner that has asked for it is told of all that arrives, and can take a part;
        after that it is told of nothing any more.
        """
        stream, owner = bench.stream, bench.owner
        stream.tellsHeld = True
        bench.far.dribbles = dribbles
        bench.far.send(SHORT)
        await bench.until(lambda: owner.looks[-1:] == [SHORT])
        told = len(owner.looks)
        assert owner.looks == sorted(owner.looks)
        assert stream.take(2) == SHORT[:2]
        bench.far.send(b"more")
        await bench.until(lambda: owner.looks[-1] == SHORT[2:] + b"more")
        assert len(owner.looks) > told
        stream.tellsHeld = False
        told = len(owner.looks)
        bench.far.send(SHORT)
        await bench.until(holds(bench, 2 * len(SHORT) + 2))
        bench.flow()
        await bench.until(lambda: owner.heard == SHORT[2:] + b"more" + SHORT)
        assert len(owner.looks) == told
        assert owner.told == ["ready"]

    @ensureDeferred
    async def test_tellsHeldBeforeTheEnd(self, bench: Bench) -> None:
        """What came with an end, in one piece, can be looked at before it."""
        needs(bench, "halfCloses")
        bench.stream.tellsHeld = True
        bench.far.send(SHORT)
        bench.far.end()
        await bench.until(lambda: "ended" in bench.owner.told)
        assert bench.owner.looks[-1] == SHORT
        assert bench.stream.peek(1000) == SHORT

    @ensureDeferred
    async def test_holdIsBounded(self, bench: Bench) -> None:
        """So much is held and no more; nothing of it is lost."""
        needs(bench, "pauses")
        said = content(1 << 20)
        bench.far.send(said)
        await bench.settle()
        assert bench.stream.peek(HOLD_LIMIT) == said[:HOLD_LIMIT]
        assert bench.stream.received <= HOLD_LIMIT + READ
        bench.flow()
        bench.stream.resumeProducing()
        await bench.until(lambda: len(bench.owner.heard) == len(said))
        assert bench.owner.heard == said

    @ensureDeferred
    async def test_overrun(self, bench: Bench) -> None:
        """A transport that brings too much while it is paused is cut off."""
        if bench.stream.facts.pauses:
            pytest.skip("declared: pauses")
        bench.flow()
        bench.stream.pauseProducing()
        bench.far.send(content(8 << 20))
        reason = await bench.lost()
        assert reason.check(Overrun)
        assert OVERRUN_LIMIT <= bench.stream.received <= OVERRUN_LIMIT + 8 * READ
        assert bench.owner.heard == b""

    @arriving
    @ensureDeferred
    async def test_paused(self, bench: Bench, dribbles: bool) -> None:
        """Nothing is handed on while it is paused, and nothing lost by it."""
        stream = bench.stream
        bench.far.dribbles = dribbles
        bench.flow()
        stream.pauseProducing()
        stream.pauseProducing()
        bench.far.send(SHORT)
        await bench.settle()
        assert bench.owner.heard == b""
        if stream.facts.pauses:
            assert stream.received == 0
        stream.resumeProducing()
        stream.resumeProducing()
        await bench.until(lambda: bench.owner.heard == SHORT)

    @ensureDeferred
    async def test_pausedWithEachPiece(self, bench: Bench) -> None:
        """A receiver that pauses with each piece gets all of it in the end."""
        stream, said = bench.stream, content(300_000)

        def receive(data: bytes) -> None:
            bench.owner.pieces.append(data)
            stream.pauseProducing()

        def allOfIt() -> bool:
            stream.resumeProducing()
            return len(bench.owner.heard) == len(said)

        stream.flow(receive)
        bench.far.send(said)
        await bench.until(allOfIt)
        assert bench.owner.heard == said


class Writing:
    """What is written, counted and held back."""

    @ensureDeferred
    async def test_counts(self, bench: Bench) -> None:
        """What was written is accepted at once, and delivered in the end."""
        stream = bench.stream
        for number in range(1, 11):
            stream.write(SHORT)
            assert stream.accepted == number * len(SHORT)
        await bench.until(lambda: bench.far.received == SHORT * 10)
        await bench.until(lambda: stream.delivered() == stream.accepted)
        waiting, taken = stream.transit()
        assert waiting == 0
        assert taken >= stream.accepted

    @ensureDeferred
    async def test_delivered(self, bench: Bench) -> None:
        """What a far end that does not read has not got is not delivered."""
        needs(bench, "tellsDelivery")
        stream, said, counted = bench.stream, content(4 << 20), [(0, 0)]

        def grows() -> None:
            now = (stream.delivered(), stream.transit()[1])
            assert now[0] >= counted[-1][0]
            assert now[1] >= counted[-1][1]
            assert now[0] <= stream.accepted
            counted.append(now)

        def read(length: int) -> Callable[[], bool]:
            def has() -> bool:
                grows()
                return len(bench.far.received) >= length

            return has

        bench.far.stall()
        stream.write(said)
        await bench.settle()
        grows()
        assert stream.transit()[0] > 0
        assert stream.delivered() < stream.accepted
        bench.far.read(500_000)
        await bench.until(read(500_000))
        assert stream.transit()[0] > 0
        bench.far.read()
        await bench.until(read(len(said)))
        assert bench.far.received == said
        await bench.until(lambda: stream.delivered() == stream.accepted)
        grows()
        assert stream.transit()[0] == 0

    @ensureDeferred
    async def test_deliveryUntold(self, bench: Bench) -> None:
        """One that cannot tell says that all was delivered."""
        if bench.stream.facts.tellsDelivery:
            pytest.skip("declared: tellsDelivery")
        bench.far.stall()
        bench.stream.write(content(4 << 20))
        assert bench.stream.transit() == (0, 4 << 20)
        assert bench.stream.delivered() == 4 << 20

    @ensureDeferred
    async def test_producer(self, bench: Bench) -> None:
        """A producer is paused while the far end does not read, and goes on then."""
        needs(bench, "pauses")
        stream, producer = bench.stream, FeedsOn(bench)
        bench.far.stall()
        stream.registerProducer(producer, True)
        quiet = 0
        while quiet < 10:
            quiet = quiet + 1 if producer.feed() else 0
            await bench.tick()
        bench.far.read()
        await bench.until(lambda: not producer.paused)
        stream.unregisterProducer()
        stream.unregisterProducer()
        await bench.until(lambda: len(bench.far.received) == stream.accepted)

    @ensureDeferred
    async def test_end(self, bench: Bench) -> None:
        """The end comes behind all that was written, with a producer or without."""
        stream, said = bench.stream, content(300_000)
        producer = FeedsOn(bench)
        stream.registerProducer(producer, True)
        bench.far.stall()
        stream.write(said)
        await bench.settle()
        stream.end()
        stream.end()
        assert stream.endAsked
        await bench.settle()
        assert not bench.far.sawEnd
        bench.far.read()
        await bench.until(lambda: bench.far.sawEnd)
        assert bench.far.received == said
        assert not bench.far.sawReset

    @arriving
    @ensureDeferred
    async def test_halfClosed(self, bench: Bench, dribbles: bool) -> None:
        """After an end the far end may go on, and is heard."""
        needs(bench, "halfCloses")
        stream = bench.stream
        bench.far.dribbles = dribbles
        bench.flow()
        stream.end()
        await bench.until(lambda: bench.far.sawEnd)
        bench.far.send(SHORT)
        await bench.until(lambda: bench.owner.heard == SHORT)
        bench.far.end()
        await bench.until(lambda: stream.readEnded)
        assert bench.owner.told == ["ready", "ended"]
        assert stream.mode is Mode.OPEN


class Ends:
    """What the far end does last."""

    @arriving
    @ensureDeferred
    async def test_ended(self, bench: Bench, dribbles: bool) -> None:
        """Its end, in one piece with the last bytes, comes behind them, and once."""
        stream = bench.stream
        bench.far.dribbles = dribbles
        bench.flow()
        bench.far.send(SHORT)
        bench.far.end()
        if not stream.facts.halfCloses:
            reason = await bench.lost()
            assert reason.check(ConnectionDone)
            assert bench.owner.told == ["ready", "lost"]
            assert bench.owner.heard == SHORT
            return
        await bench.until(lambda: stream.readEnded)
        assert bench.owner.heard == SHORT
        stream.pauseProducing()
        stream.resumeProducing()
        stream.write(SHORT)
        await bench.until(lambda: bench.far.received == SHORT)
        await bench.settle()
        assert bench.owner.told == ["ready", "ended"]
        assert stream.mode is Mode.OPEN

    @ensureDeferred
    async def test_endedWhilePaused(self, bench: Bench) -> None:
        """An end that came while it was paused comes when it goes on."""
        needs(bench, "pauses")
        stream = bench.stream
        bench.flow()
        stream.pauseProducing()
        bench.far.send(SHORT)
        bench.far.end()
        await bench.settle()
        assert bench.owner.told == ["ready"]
        stream.resumeProducing()
        end = "ended" if stream.facts.halfCloses else "lost"
        await bench.until(lambda: end in bench.owner.told)
        assert bench.owner.heard == SHORT

    @ensureDeferred
    async def test_endedWhileHeld(self, bench: Bench) -> None:
        """An end behind what is held takes nothing of it away."""
        needs(bench, "halfCloses")
        bench.far.send(SHORT)
        bench.far.end()
        await bench.until(lambda: bench.stream.readEnded)
        assert bench.stream.peek(1000) == SHORT
        bench.flow()
        assert bench.owner.heard == SHORT

    @arriving
    @ensureDeferred
    async def test_wasReset(self, bench: Bench, dribbles: bool) -> None:
        """A reset, in one piece with the last bytes, comes behind them."""
        bench.far.stall()
        bench.stream.write(SHORT)
        await bench.settle()
        bench.far.dribbles = dribbles
        bench.flow()
        bench.far.send(SHORT)
        await bench.until(lambda: bench.far.delivered)
        bench.far.reset()
        reason = await bench.lost()
        assert bench.owner.heard == SHORT
        assert not reason.check(ConnectionDone)
        assert bench.owner.told[-1] == "lost"
        assert bench.owner.told.count("lost") == 1

    @pytest.mark.parametrize("waiting", [100, 8 << 20])
    @ensureDeferred
    async def test_resetWhilePaused(self, bench: Bench, waiting: int) -> None:
        """
        Paused, and with something to send, it loses nothing of what arrived
        before the reset: such as why the far end wants no more.
        """
        needs(bench, "pauses")
        stream = bench.stream
        bench.flow()
        bench.far.stall()
        stream.pauseProducing()
        stream.write(b"x" * waiting)
        await bench.settle()
        bench.far.send(SHORT)
        await bench.until(lambda: bench.far.delivered)
        bench.far.reset()
        stream.write(b"x" * 100)
        await bench.settle()
        stream.resumeProducing()
        reason = await bench.lost()
        assert not reason.check(ConnectionDone)
        assert bench.owner.heard == SHORT

    @ensureDeferred
    async def test_resetAfterEnds(self, bench: Bench) -> None:
        """A reset while the end is still on its way is a reset."""
        bench.far.stall()
        bench.stream.write(b"x" * (8 << 20))
        bench.stream.end()
        await bench.settle()
        bench.far.reset()
        reason = await bench.lost()
        assert not reason.check(ConnectionDone)


class Deaf:
    """A stream that can be sent nothing any more."""

    @pytest.mark.parametrize("ended", [False, True])
    @pytest.mark.parametrize("paused", [False, True])
    @ensureDeferred
    async def test_deaf(self, bench: Bench, ended: bool, paused: bool) -> None:
        """
        A send that failed is told at most once, nothing is sent after it, and
        what the far end had said is read to its end.
        """
        needs(bench, "tellsDeaf")
        stream = bench.stream
        said = content(20_000)
        bench.flow()
        stream.pauseProducing()
        bench.far.send(said)
        if ended:
            bench.far.end()
        await bench.until(lambda: bench.far.delivered)
        bench.far.refuse()
        stream.write(LARGE)
        if not paused:
            stream.resumeProducing()
        over = {"deaf", "lost"}
        await bench.until(lambda: bool(over & {*bench.owner.told}))
        accepted = stream.accepted
        stream.write(SHORT)
        if stream.deaf:
            assert stream.accepted == accepted
            assert stream.transit()[0] == 0
        stream.resumeProducing()
        bench.far.end()
        await bench.until(lambda: bool({"ended", "lost"} & {*bench.owner.told}))
        await bench.settle()
        assert bench.owner.heard == said
        assert bench.owner.told.count("deaf") <= 1
        assert bench.far.received == b""
        if ended:
            assert "ended" in bench.owner.told or bench.owner.reason.check(
                ConnectionDone
            )
        elif "ended" not in bench.owner.told:
            assert not bench.owner.reason.check(ConnectionDone, Truncated)

    @ensureDeferred
    async def test_isDeaf(self, bench: Bench) -> None:
        """It is told so while it is still open."""
        needs(bench, "tellsDeaf")
        await self._deafen(bench)
        assert bench.owner.deafIn is Mode.OPEN
        assert bench.stream.deaf

    @ensureDeferred
    async def test_endsDeaf(self, bench: Bench) -> None:
        """No end is sent behind what was dropped."""
        needs(bench, "tellsDeaf")
        await self._deafen(bench)
        bench.stream.end()
        bench.stream.unregisterProducer()
        await bench.settle()
        assert not bench.far.sawEnd

    @ensureDeferred
    async def test_finishedDeaf(self, bench: Bench) -> None:
        """To finish it is to reset it: what it has got must not look whole."""
        needs(bench, "tellsDeaf")
        await self._deafen(bench)
        bench.stream.finish(bench.closer)
        reason = await bench.lost()
        assert not reason.check(ConnectionDone)
        assert not bench.far.sawEnd

    @ensureDeferred
    async def test_endLost(self, bench: Bench) -> None:
        """An end whose last bytes failed is not sent."""
        needs(bench, "tellsDeaf")
        bench.stream.pauseProducing()
        bench.far.send(SHORT)
        await bench.until(lambda: bench.far.delivered)
        bench.far.refuse()
        bench.stream.write(SHORT)
        bench.stream.end()
        bench.stream.resumeProducing()
        await bench.until(lambda: bool({"deaf", "lost"} & {*bench.owner.told}))
        await bench.settle()
        assert not bench.far.sawEnd

    async def _deafen(self, bench: Bench) -> None:
        bench.stream.pauseProducing()
        bench.far.send(SHORT)
        await bench.until(lambda: bench.far.delivered)
        bench.far.refuse()
        bench.stream.write(LARGE)
        bench.stream.resumeProducing()
        await bench.until(lambda: "deaf" in bench.owner.told)


class Closing:
    """How it is told to close."""

    @ensureDeferred
    async def test_finish(self, bench: Bench) -> None:
        """All is delivered, then the end; what still comes is discarded."""
        stream, said = bench.stream, content(300_000)
        bench.flow()
        bench.far.stall()
        stream.pauseProducing()
        stream.write(said)
        stream.finish(bench.closer)
        assert stream.mode is Mode.FINISHING
        await bench.settle()
        bench.far.read()
        await bench.until(lambda: bench.far.sawEnd)
        assert bench.far.received == said
        if stream.facts.halfCloses:
            bench.far.send(SHORT)
            await bench.until(lambda: stream.received == len(SHORT))
        if stream.mode is not Mode.LOST:
            bench.far.end()
        reason = await bench.lost()
        assert reason.check(ConnectionDone)
        assert bench.owner.told == ["ready", "lost"]
        assert bench.owner.heard == b""
        assert not bench.far.sawReset

    @ensureDeferred
    async def test_finishWhileTheFarEndSends(self, bench: Bench) -> None:
        """A far end in the middle of a large upload gets its answer whole."""
        needs(bench, "pauses")
        stream, upload = bench.stream, 3 << 20
        bench.flow()
        bench.far.send(b"x" * upload)
        stream.write(SHORT)
        stream.finish(bench.closer)
        await bench.until(lambda: bench.far.sawEnd)
        assert bench.far.received == SHORT
        await bench.until(lambda: stream.received == upload)
        bench.far.end()
        reason = await bench.lost()
        assert reason.check(ConnectionDone)
        assert not bench.far.sawReset

    @ensureDeferred
    async def test_finishLast(self, bench: Bench) -> None:
        """Once the far end has ended there is only delivery to wait for."""
        needs(bench, "halfCloses")
        said = content(300_000)
        bench.far.end()
        await bench.until(lambda: bench.stream.readEnded)
        bench.far.stall()
        bench.stream.write(said)
        bench.stream.finish(bench.closer)
        await bench.settle()
        assert bench.stream.mode is Mode.FINISHING
        bench.far.read()
        reason = await bench.lost()
        assert reason.check(ConnectionDone)
        await bench.until(lambda: bench.far.sawEnd)
        assert bench.far.received == said

    @ensureDeferred
    async def test_finishThrough(self, bench: Bench) -> None:
        """
        When both ends have ended and all is delivered, it may be lost at once; its
        owner is told of that in one way, and not in both.
        """
        needs(bench, "halfCloses")
        bench.flow()
        bench.far.end()
        await bench.until(lambda: bench.stream.readEnded)
        bench.stream.write(SHORT)
        await bench.until(lambda: bench.far.received == SHORT)
        isLost = bench.stream.finish(bench.closer)
        assert isLost is (bench.stream.mode is Mode.LOST)
        await bench.until(lambda: bench.far.sawEnd)
        if not isLost:
            await bench.lost()
        await bench.settle()
        assert bench.owner.told.count("lost") is (0 if isLost else 1)
        assert bench.stream.mode is Mode.LOST
        assert not bench.far.sawReset
        assert not bench.stream.finish(bench.closer)

    @ensureDeferred
    async def test_finishedAndReset(self, bench: Bench) -> None:
        """A far end that resets while it is delivered to is gone."""
        bench.far.stall()
        bench.stream.write(b"x" * (8 << 20))
        bench.stream.finish(bench.closer)
        await bench.settle()
        bench.far.reset()
        reason = await bench.lost()
        assert not reason.check(ConnectionDone)

    @ensureDeferred
    async def test_reset(self, bench: Bench) -> None:
        """The far end gets all that was written, and no end that looks whole."""
        stream, said = bench.stream, content(300_000)
        bench.flow()
        bench.far.stall()
        stream.write(said)
        stream.reset(bench.closer)
        if stream.facts.tellsDelivery:
            bench.far.send(SHORT)
            await bench.settle()
            assert stream.mode is Mode.RESETTING
            assert stream.received == 0
            stream.resumeProducing()
        bench.far.read()
        await bench.lost()
        await bench.until(lambda: bench.far.sawReset or bench.far.sawEnd)
        assert bench.far.received == said
        assert bench.far.sawReset or not stream.facts.resets
        assert bench.owner.told == ["ready", "lost"]
        assert bench.owner.heard == b""

    @pytest.mark.parametrize("waiting", [300_000, 8 << 20])
    @ensureDeferred
    async def test_bothReset(self, bench: Bench, waiting: int) -> None:
        """While it is reset, it finds out that the far end is gone."""
        bench.far.stall()
        bench.stream.write(b"x" * waiting)
        bench.stream.reset(bench.closer)
        await bench.settle()
        bench.far.reset()
        await bench.lost()
        assert bench.owner.told == ["ready", "lost"]

    @ensureDeferred
    async def test_abort(self, bench: Bench) -> None:
        """Cut off at once; what was not sent is dropped."""
        stream = bench.stream
        bench.far.stall()
        stream.write(b"x" * (8 << 20))
        stream.abort()
        stream.abort()
        assert stream.mode is Mode.ABORTED
        if not stream.facts.resets:
            bench.far.read()
        reason = await bench.lost()
        assert not stream.facts.resets or not reason.check(ConnectionDone)
        bench.far.read()
        await bench.until(lambda: bench.far.sawReset or bench.far.sawEnd)
        assert bench.far.sawReset or not stream.facts.resets
        assert bench.owner.told == ["ready", "lost"]

    @ensureDeferred
    async def test_givenUp(self, bench: Bench) -> None:
        """One that does not say that it is gone is lost all the same, and once."""
        bench.stream.abort()
        bench.stream.giveUp()
        assert bench.owner.told == ["ready", "lost"]
        assert bench.owner.reason.check(GivenUp)
        await bench.settle()
        assert bench.owner.told == ["ready", "lost"]

    @ensureDeferred
    async def test_requestsAfterLost(self, bench: Bench) -> None:
        """Whatever is asked of one that is lost does no harm."""
        stream = bench.stream
        bench.far.send(SHORT)
        await bench.until(holds(bench, len(SHORT)))
        stream.abort()
        await bench.lost()
        stream.write(SHORT)
        assert stream.accepted == 0
        assert stream.peek(5) == b""
        assert stream.take(0) == b""
        stream.hold()
        bench.flow()
        producer = FeedsOn(bench)
        stream.registerProducer(producer, True)
        stream.unregisterProducer()
        for ask in ("pauseProducing", "resumeProducing", "stopProducing"):
            getattr(stream, ask)()
        stream.end()
        stream.finish(bench.closer)
        stream.reset(bench.closer)
        stream.abort()
        stream.giveUp()
        assert not stream.closeIfThrough()
        assert stream.transit()[0] == 0
        assert stream.delivered() == 0
        assert stream.mode is Mode.LOST
        assert bench.owner.told == ["ready", "lost"]

    @ensureDeferred
    async def test_nothingLeft(self, bench: Bench) -> None:
        """A lost stream refers to no transport, and to no owner."""
        stream = bench.stream
        below = lowest(bench.transport)
        bench.flow()
        bench.far.send(SHORT)
        stream.write(SHORT)
        await bench.until(lambda: bench.owner.heard == SHORT == bench.far.received)
        stream.finish(bench.closer)
        bench.far.end()
        await bench.lost()
        await bench.settle()
        assert stream.transport is None
        assert stream.owner is None
        kept = reachable(stream)
        assert id(stream) in kept
        assert not {id(bench.transport), id(below), id(bench.owner)} & kept


class StreamContract(Reading, Writing, Ends, Deaf, Closing):
    """All of it."""


class SecureContract:
    """What only streams over TLS can tell."""

    @ensureDeferred
    async def test_truncated(self, bench: Bench) -> None:
        """A far end that leaves without its close_notify was not heard out."""
        bench.flow()
        bench.far.send(SHORT)
        bench.far.cut()
        reason = await bench.lost()
        assert bench.owner.heard == SHORT
        assert reason.check(Truncated)

    @ensureDeferred
    async def test_wasReset(self, bench: Bench) -> None:
        """A far end that is reset is no such case."""
        bench.far.send(SHORT)
        bench.far.reset()
        reason = await bench.lost()
        assert not reason.check(Truncated)

    @ensureDeferred
    async def test_endIsNoCut(self, bench: Bench) -> None:
        """What it ends itself, the far end finds whole."""
        bench.stream.write(SHORT)
        bench.stream.end()
        await bench.until(lambda: bench.far.sawEnd)
        assert not bench.far.truncated
        assert bench.far.received == SHORT

    @ensureDeferred
    async def test_resetIsACut(self, bench: Bench) -> None:
        """What is reset, the far end does not; no close_notify comes with it."""
        bench.stream.write(SHORT)
        bench.stream.reset(bench.closer)
        await bench.until(lambda: bench.far.sawReset)
        assert not bench.far.sawEnd
        assert bench.far.received == SHORT
