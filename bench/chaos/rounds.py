"""Rounds of chaos: a balancer is started, upset, stopped and accounted for."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, globalLogBeginner, textFileLogObserver
from twisted.python.failure import Failure

from lbproxy import LoadBalancer
from lbproxy.config.file import configurationFromText
from lbproxy.ports import CannotStart

from . import accounts
from .accounts import Fault, Holdings, Pair, Records
from .crowd import Crowd, Target
from .plugins import Mischief, Observer, Picker, Router
from .worlds import Certificates, World

_STILL = 0.5
"""Seconds for which it is looked whether anything is done when nothing is asked."""

_BUSY = 0.5
"""The share of a core that is too much then."""


class Chaos:
    """All rounds of one seed."""

    def __init__(
        self,
        reactor: Any,
        seed: int,
        until: float,
        only: int | None,
        without: frozenset[str],
        verbose: bool,
    ) -> None:
        """
        @param until: The monotonic time after which no round begins.
        @param only: The one round to go through.
        """
        self._reactor = reactor
        self._seed = seed
        self._until = until
        self._only = only
        self._without = without
        self._faults: list[Fault] = []
        self._round: Round | None = None
        self._connections = self._matched = self._rounds = 0
        self.events: list[LogEvent] = []
        observers: list[Callable[[LogEvent], object]] = [self.events.append]
        if verbose:
            observers.append(textFileLogObserver(sys.stderr))
        globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)

    async def run(self) -> None:
        """Go through the rounds."""
        directory = Path(tempfile.mkdtemp(prefix="lbchaos"))
        try:
            certificates = Certificates.make(directory)
            numbers = count() if self._only is None else iter([self._only])
            for number in numbers:
                if self._faults or (number and time.monotonic() >= self._until):
                    break
                place = directory / str(number)
                place.mkdir()
                rng = Random(f"{self._seed}-{number}")
                world = World(rng, certificates, place, self._without)
                self.events.clear()
                self._round = Round(self._reactor, number, rng, world, self)
                await self._round.run(certificates)
                self._connections += len(self._round.records.opens)
                self._matched += self._round.matched
                self._rounds += 1
                self._faults += self._round.faults
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def without(self, what: str) -> bool:
        """Whether something is not to be done."""
        return what in self._without

    def broke(self, failure: Failure) -> None:
        """The bench itself has failed."""
        if self._round is not None:
            self._faults += self._round.faults
        self._faults.append(("the bench", failure.getTraceback()))

    def report(self, command: str) -> int:
        """
        Print what was found.

        @param command: How to run this again.
        @return: The exit status.
        """
        if self._round is not None and self._faults:
            print(f"round {self._round.number}:\n{self._round}")
            print(f"again: {command} --round {self._round.number}")
        for kind, text in self._faults[:20]:
            print(f"FAULT {kind}: {text}")
        print(
            f"{self._connections} connections in {self._rounds} rounds, "
            f"{self._matched} of them followed from end to end, "
            f"{len(self._faults)} faults"
        )
        return 1 if self._faults else 0


class Round:
    """
    One balancer and its crowd.

    @ivar number: Of the round.
    @ivar records: What observers were told.
    @ivar faults: What was found.
    @ivar matched: How many connections could be followed from end to end.
    """

    matched = 0

    def __init__(
        self, reactor: Any, number: int, rng: Random, world: World, chaos: Chaos
    ) -> None:
        self.number = number
        self.records = Records()
        self.faults: list[Fault] = []
        self._reactor = reactor
        self._rng = rng
        self._world = world
        self._chaos = chaos
        self._history: list[str] = []
        self._stopping: dict[Deferred[Any], float] = {}
        self._running = False
        self._began = time.monotonic()
        badly = rng.choice((0.0, 0.05, 0.3))
        where = [*world.pools, *world.singles] if badly else [*world.pools]
        self._pickers = {name: Picker(reactor, rng, badly) for name in world.pools}
        routed = [each for each in world.halfClose if rng.random() < 0.4]
        self._routers = {
            name: Router(reactor, rng, badly, list(where)) for name in routed
        }
        observer = Observer(rng, badly)
        self._balancer = LoadBalancer(
            reactor,
            configurationFromText(world.text, "chaos"),
            pickers=self._pickers,
            routers=self._routers,
            observers=[self.records, observer],
        )
        for each in (*self._pickers.values(), *self._routers.values(), observer):
            each.interrupt = self._interrupt

    def __str__(self) -> str:
        places = [f"{each.connect} {each.manner}" for each in self._world.places]
        return f"{self._world.text}\nplaces: {places}\nhistory: {self._history}"

    async def run(self, certificates: Certificates) -> None:
        """Go through it."""
        before = Holdings.of(self._reactor)
        self._crowd = Crowd(
            Random(self._rng.random()),
            self._world.places,
            certificates.forClients,
            certificates.forBackends,
            rate=self._rng.choice((20, 60, 200)),
            budget=(4 if self._world.rough else 1024) << 20,
        )
        self._crowd.start()
        await self._start()
        await self._upset(self._rng.uniform(2, 4))
        await self._beStill()
        # What is never told that it is gone lingers for half a minute.
        if self._rng.random() < 0.5 and "rough:deaf" not in self._world.text:
            await self._calm()
        await self._end()
        await self._restored(before)
        self.faults += self._accounts()

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds, lambda: None)

    async def _until(self, question: Callable[[], bool], within: float) -> bool:
        """Wait until something is so; whether it has become so in time."""
        deadline = time.monotonic() + within
        while not question():
            if time.monotonic() > deadline:
                return False
            await self._sleep(0.02)
        return True

    def _note(self, what: str) -> None:
        self._history.append(f"{time.monotonic() - self._began:.2f} {what}")

    # Starting and stopping.

    async def _start(self) -> None:
        """Start; what still stops may be in the way of that, but not for long."""
        for last in (False, True):
            try:
                self._note("start")
                self._balancer.startService()
            except (CannotStart, Mischief) as error:
                if last:
                    self.faults.append(("cannot start", str(error)))
                    return
                self._note(str(error))
                await self._stopped()
                for picker in self._pickers.values():
                    picker.calm()
            else:
                break
        self._running = True
        addresses = self._balancer.addresses
        self._crowd.targets = [
            Target(kind, each.host if each.port is None else (each.host, each.port))
            for kind, each in zip(self._world.kinds, addresses, strict=True)
        ]

    def _stop(self, why: str) -> None:
        """Stop without waiting."""
        self._note(why)
        self._running = False
        self._crowd.targets = []
        stopped: Deferred[Any] = self._balancer.stopService()
        began = self._stopping[stopped] = time.monotonic()

        def over(result: object) -> None:
            del self._stopping[stopped]
            took = time.monotonic() - began
            self._note(f"stopped after {took:.2f}")
            if isinstance(result, Failure):
                self.faults.append(("stopService failed", result.getTraceback()))
            elif took > self._world.closeTimeout + 1:
                self.faults.append(("stopService took long", f"{took:.2f} s"))

        stopped.addBoth(over)

    def _interrupt(self) -> None:
        """A plugin has the service stopped."""
        if self._running and not self._chaos.without("interrupt"):
            self._stop("stop by a plugin")

    async def _stopped(self) -> None:
        """Wait until all that was stopped is."""
        within = self._world.closeTimeout + 3
        if not await self._until(lambda: not self._stopping, within):
            self.faults.append(("never stopped", f"{self._world.closeTimeout}"))
            self._stopping.clear()

    async def _upset(self, seconds: float) -> None:
        """Let things happen, and stop and start now and then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.faults:
            await self._sleep(self._rng.uniform(0.2, 1))
            what = self._rng.choice(("", "", "", "agitate", "wait", "hasty", "twice"))
            if what == "agitate":
                for picker in self._pickers.values():
                    picker.agitate()
            elif what and self._running and not self._chaos.without("restart"):
                self._stop(f"stop, {what}")
                if what == "twice":
                    self._stop("and again")
                if what != "hasty" or self._chaos.without("hasty"):
                    await self._stopped()
            if not self._running:
                await self._start()

    async def _beStill(self) -> None:
        """While nobody does anything the balancer does nothing either."""
        self._crowd.frozen.set()
        await self._until(self._crowd.still.is_set, 5)
        await self._sleep(0.3)
        before = time.thread_time()
        await self._sleep(_STILL)
        spent = time.thread_time() - before
        if spent > _BUSY * _STILL:
            self.faults.append(("busy", f"{spent:.2f} s of {_STILL} s"))
        self._crowd.frozen.clear()

    async def _calm(self) -> None:
        """All peers leave, and all connections end by themselves."""
        self._note("calm")
        self._crowd.targets = []
        self._crowd.leave.set()
        records = self.records
        if not await self._until(
            lambda: len(records.opens) == len(records.closes), 10 + self._longest()
        ):
            self.faults.append(("sessions stay", f"{len(records.opens)}"))
            self.faults += accounts.records(records)
        # The pace of discarding may take one more slice to notice.
        await self._sleep(0.2)
        self.faults += [*accounts.leases(), *accounts.entries()]

    def _longest(self) -> float:
        return 3 * self._world.closeTimeout

    async def _end(self) -> None:
        """Stop for good, and have the crowd leave."""
        if self._running:
            self._stop("stop at the end")
        await self._stopped()
        self._crowd.leave.set()
        self._crowd.ends.set()
        if not await self._until(lambda: not self._crowd.is_alive(), 10):
            self.faults.append(("the bench", "the crowd does not leave"))

    async def _restored(self, before: Holdings) -> None:
        """All is as it was; plugins may have timers of their own for a while."""

        def restored() -> bool:
            return not list(before.faults(Holdings.of(self._reactor)))

        if not await self._until(restored, 4):
            self.faults += before.faults(Holdings.of(self._reactor))

    # The accounts.

    def _accounts(self) -> Iterator[Fault]:
        pairs = self._pairs()
        self.matched = sum(each.backend is not None for each in pairs)
        peers = self._crowd.peers
        seconds = time.monotonic() - self._began
        for error in self._crowd.errors:
            yield "the bench", Failure(error).getTraceback()
        yield from accounts.records(self.records)
        yield from list(accounts.logged(self._chaos.events))
        # Failures in the log refer to what they passed through.
        self._chaos.events.clear()
        yield from accounts.objects()
        yield from accounts.heard(peers)
        yield from accounts.volumes(pairs, seconds)
        yield from accounts.wholes(pairs)

    def _pairs(self) -> list[Pair]:
        """Each client with its record, and its backend if that is known."""
        clients: dict[object, Any] = {}
        peers = self._crowd.peers
        for peer in peers.values():
            name = peer.name
            if not name:
                continue  # A backend, or a client that never connected.
            if isinstance(name, bytes):
                name = (name.decode().replace("\0", "@"), None)
            clients[name] = None if name in clients else peer
        pairs = []
        for record in self.records.closes:
            client = clients.get((record.client.host, record.client.port))
            if client is None:
                continue
            key = client.ear.key
            serving = [each for each in peers.values() if each.ear.key == client.key]
            backend = peers.get(key) if key is not None else next(iter(serving), None)
            named = "" if record.backend is None else record.backend.name
            told = [
                f"{type(each).__name__}: {each.told[record.id]}"
                for each in (*self._routers.values(), *self._pickers.values())
                if record.id in each.told
            ]
            pairs.append(
                Pair(
                    client,
                    record,
                    backend,
                    halfClose=self._world.halfClose[record.listener],
                    exact="rough" not in named and client.kind in ("tcp", "tls"),
                    told=told,
                )
            )
        return pairs
