"""The documentation's discovery asks a service in the format of Consul."""

from __future__ import annotations

import json
import os
import re
import runpy
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Condition
from time import monotonic
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.internet.threads import blockingCallFromThread
from zope.interface import directlyProvides, implementer, providedBy
from zope.interface.verify import verifyObject

import lbproxy
from lbproxy import IDiscovery, IDiscoveryObserver

from .conftest import StartTwistd, StartWith
from .daemon import Daemon, eventually, freePort, run, steady
from .inside import besideReactor
from .load import Load
from .peers import Backend, Pages, Web, answers

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"

Misbehaviour = Callable[["Answers"], object]


def instance(name: str, port: int, address: str = "", **more: object) -> object:
    """A part of an answer of Consul, with what it has besides cut short."""
    return {
        "Node": {"ID": f"id-{name}", "Node": "rack", "Address": FIRST},
        "Service": {"ID": name, "Address": address, "Port": port, "Tags": [], **more},
        "Checks": [{"CheckID": "serfHealth", "Status": "passing"}],
    }


class Answers(Pages):
    """Answers as Consul does, or as a test says."""

    timeout = 5.0

    def do_GET(self) -> None:
        """Answer."""
        assert isinstance(self.server, Catalogue)
        where = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(where.query).items()}
        assert where.path == "/v1/health/service/web"
        assert query["passing"] == "true"
        self.server.answerTo(self, int(query["index"]), query["wait"])

    def send(self, body: bytes, status: int = 200, index: object = None) -> None:
        """Send one whole answer."""
        assert isinstance(self.server, Catalogue)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if index is not None:
            self.send_header("X-Consul-Index", str(index))
        if self.server.closed:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


class Catalogue(Web):
    """
    A service in the format of Consul.

    @ivar asked: When it was asked, and for what is later than which index.
    @ivar closed: Whether it is gone, or goes.
    """

    def __init__(self, port: int = 0) -> None:
        self.asked: list[tuple[float, int]] = []
        self._instances: tuple[object, ...] = ()
        self._index = 100
        self._misbehaviour: Misbehaviour | None = None
        self.closed = False
        self._changed = Condition()
        super().__init__("consul", Answers, port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def indexes(self) -> list[int]:
        """The index of each question so far."""
        return [index for _, index in self.asked]

    def have(self, *instances: object, index: int | None = None) -> None:
        """These are the instances now; perhaps it counts from another index."""
        with self._changed:
            self._instances = instances
            self._index = self._index + 1 if index is None else index
            self._misbehaviour = None
            self._changed.notify_all()

    def misbehave(self, misbehaviour: Misbehaviour) -> None:
        """Answer every question so; one that waits is answered at once."""
        with self._changed:
            self._misbehaviour = misbehaviour
            self._index += 1
            self._changed.notify_all()

    def answerTo(self, answers: Answers, index: int, wait: str) -> None:
        """Answer a question, once there is something later than an index."""

        def isDue() -> bool:
            return self.closed or self._index > index

        with self._changed:
            self.asked.append((monotonic(), index))
            if index > 0 and self._misbehaviour is None:
                self._changed.wait_for(isDue, float(wait.removesuffix("s")))
            misbehaviour, now = self._misbehaviour, self._index
            body = json.dumps(self._instances).encode()
        if misbehaviour is None:
            answers.send(body, index=now)
        else:
            misbehaviour(answers)

    def rest(self) -> None:
        """Wait until it does not misbehave any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._misbehaviour is None or self.closed)

    def close(self) -> None:
        """Be gone, with all questions that wait."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        super().close()


@pytest.fixture
def catalogue() -> Iterator[Callable[..., Catalogue]]:
    """Start a service in the format of Consul."""
    with ExitStack() as stack:

        def start(port: int = 0) -> Catalogue:
            started = Catalogue(port)
            stack.callback(started.close)
            return started

        yield start


def environment() -> dict[str, str]:
    """One in which the example can be imported."""
    return {**os.environ, "PYTHONPATH": str(EXAMPLES)}


def balancer(startWith: StartWith, url: str) -> Daemon:
    """One whose pool has what is found."""
    discovery = f"""
        [pool.web.discovery]
        kind = "python:consul_discovery.Consul"
        service = "web"
        url = "{url}"
    """
    return startWith(pool=discovery, environment=environment())


def until(load: Load, *names: bytes) -> None:
    """Wait until these backends answer, and no others do."""
    eventually(
        lambda: len(load.answers) > 30 and set(load.answers[-30:]) == set(names),
        f"it is not {names!r} that answer",
    )


def test_instances(
    startWith: StartWith,
    serve: Callable[..., Backend],
    catalogue: Callable[..., Catalogue],
) -> None:
    """Instances come, change their weight and go, and no request fails of it."""
    consul, port = catalogue(), freePort()
    serve(answers(b"first"), FIRST, port)
    serve(answers(b"second"), SECOND, port)
    first = instance("a", port)
    consul.have(first)
    daemon = balancer(startWith, consul.url)
    daemon.says("pool web: a@rack came: Consul says so")
    with Load(daemon) as load:
        until(load, b"first")
        consul.have(first, instance("b", port, SECOND))
        daemon.says("pool web: b@rack came: Consul says so")
        until(load, b"first", b"second")
        weights = {"Passing": 9, "Warning": 1}
        consul.have(first, instance("b", port, SECOND, Weights=weights))
        eventually(
            lambda: load.answers[-40:].count(b"second") == 36, "no weight counts"
        )
        consul.have(instance("b", port, SECOND, Weights=weights))
        daemon.says("pool web: a@rack went: Consul says so")
        until(load, b"second")
    assert not load.failures
    assert set(load.answers) == {b"first", b"second"}
    eventually(lambda: consul.indexes == [0, 101, 102, 103, 104], "too many questions")
    assert daemon.log.count(" came") == 2
    times = [at for at, _ in consul.asked]
    pauses = [later - at for at, later in pairwise(times)]
    assert min(pauses) > 0.9


def test_anotherFamily(
    startWith: StartWith,
    serve: Callable[..., Backend],
    catalogue: Callable[..., Catalogue],
) -> None:
    """An instance may be at an address of IPv6."""
    consul = catalogue()
    consul.have(instance("six", serve(answers(b"six"), "::1").port, "::1"))
    daemon = balancer(startWith, consul.url)
    daemon.says("six@rack came")
    with Load(daemon) as load:
        until(load, b"six")
    assert not load.failures


def silent(answers: Answers) -> None:
    """Say nothing, as long as that is what it shall do; then close."""
    assert isinstance(answers.server, Catalogue)
    answers.server.rest()
    answers.close_connection = True


def tooLarge(answers: Answers) -> None:
    """Begin an answer that never ends."""
    answers.send_response(200)
    answers.send_header("Content-Length", str(1 << 40))
    answers.end_headers()
    while True:
        answers.wfile.write(b" " * 65536)


def short(answers: Answers) -> None:
    """Close before the whole answer is sent."""
    answers.send_response(200)
    answers.send_header("Content-Length", "100")
    answers.end_headers()
    answers.wfile.write(b"[]")
    answers.close_connection = True


def sends(body: str, **more: int) -> Misbehaviour:
    """Answer with something."""
    return lambda answers: answers.send(body.encode(), **more)


TROUBLES: list[tuple[Misbehaviour, str]] = [
    (sends("No cluster leader", status=500), "the status is 500"),
    (sends("<html>"), "the answer is not JSON: Expecting value: line 1 column 1"),
    (sends("null"), "the answer is not a list"),
    (sends("[" * 99999), "the answer is not JSON: "),
    (sends("{}"), "the answer is not a list"),
    (sends("[7]"), "an instance is not right: TypeError"),
    (sends(json.dumps([{"Service": {}}])), "an instance is not right: KeyError('Node"),
    (sends(json.dumps([instance("a", 0)])), "whole number from 1 to 65535"),
    (sends(json.dumps([instance("a\n", 1)])), "expected a name: 1 to 255 printable"),
    (tooLarge, "the answer has more than 4194304 bytes"),
    (short, "no whole answer came: "),
    (lambda answers: answers.wfile.write(b"?\r\n" * 9), "no whole answer came: "),
]


def untilTroubled(daemon: Daemon, before: int, said: str, pool: str = "web") -> str:
    """Wait for the log to say what is wrong, after so much of it; the line."""
    pattern = re.compile(
        f"pool {pool}: python:consul_discovery.Consul: "
        f".*{re.escape(said)}.*; what was found before stays\n"
    )
    found = eventually(
        lambda: pattern.findall(daemon.log[before:]), f"{said!r} is never logged"
    )
    return found[0]


def untilFoundAgain(daemon: Daemon, count: int) -> None:
    """Wait for the log to say so for so many times."""
    eventually(
        lambda: daemon.log.count("is found again") == count, "it is not found again"
    )


POOL = """
[[listener]]
name = "{name}"
listen = "tcp:0:interface=127.0.0.1"
pool = "{name}"

[pool.{name}.discovery]
kind = "python:consul_discovery.Consul"
service = "web"
url = "{url}"
"""


def test_troubles(
    startTwistd: StartTwistd,
    serve: Callable[..., Backend],
    catalogue: Callable[..., Catalogue],
    tmp_path: Path,
) -> None:
    """What is no answer takes no instance away, has one line, and is got over."""
    backend = serve(answers(b"first"))
    consuls = {f"of{at}": catalogue() for at in range(len(TROUBLES))}
    for consul in consuls.values():
        consul.have(instance("a", backend.port))
    config = tmp_path / "troubles.toml"
    config.write_text(
        "".join(POOL.format(name=name, url=each.url) for name, each in consuls.items())
    )
    daemon = startTwistd(
        "lbproxy",
        f"--config={config}",
        listeners=len(consuls),
        environment=environment(),
    )
    for name in consuls:
        daemon.says(f"pool {name}: a@rack came")
    with ExitStack() as stack:
        loads = [
            stack.enter_context(Load(daemon, 1, pause=0.05, listener=each))
            for each in range(len(consuls))
        ]
        before = len(daemon.log)
        for consul, (trouble, _) in zip(consuls.values(), TROUBLES, strict=True):
            consul.misbehave(trouble)
        for (name, consul), (_, said) in zip(consuls.items(), TROUBLES, strict=True):
            assert len(untilTroubled(daemon, before, said, name)) < 250
            consul.have(instance("a", backend.port))
        untilFoundAgain(daemon, len(consuls))
        for load in loads:
            until(load, b"first")
    for load in loads:
        assert not load.failures
        assert set(load.answers) == {b"first"}
    assert " went" not in daemon.log
    for name in consuls:
        assert re.search(f"pool {name}: .* is found again", daemon.log)


def test_unreachable(
    startWith: StartWith,
    serve: Callable[..., Backend],
    catalogue: Callable[..., Catalogue],
) -> None:
    """It is asked until it is there, and while it is gone its instances are used."""
    port, backend = freePort(), serve(answers(b"first"))
    daemon = balancer(startWith, f"http://127.0.0.1:{port}")
    daemon.says("Connection refused")
    consul = catalogue(port)
    consul.have(instance("a", backend.port))
    daemon.says("a@rack came")
    with Load(daemon, pause=0.02) as load:
        until(load, b"first")
        before = len(daemon.log)
        consul.close()
        untilTroubled(daemon, before, "Connection refused")
        until(load, b"first")
        catalogue(port).have(instance("a", backend.port))
        untilFoundAgain(daemon, 2)
        until(load, b"first")
    assert not load.failures
    assert " went" not in daemon.log


@pytest.mark.parametrize("waits", ["for Consul", "for a while"])
def test_stop(
    startWith: StartWith, catalogue: Callable[..., Catalogue], waits: str
) -> None:
    """The process ends at once, whether it waits for an answer or for the next one."""
    consul = catalogue()
    if waits == "for a while":
        consul.misbehave(sends("", status=500))
    daemon = balancer(startWith, consul.url)
    eventually(lambda: len(consul.asked) == 2)
    before = monotonic()
    assert daemon.stop() == 0
    assert monotonic() - before < 5


def between(answers: Answers) -> None:
    """Send some of an answer, and no more of it."""
    answers.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
    silent(answers)


@implementer(IDiscoveryObserver)
class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def untilTold(self, count: int) -> None:
        """Wait until it was told so many times."""
        eventually(lambda: len(self.all) == count, "nothing is told")

    def found(self, backends: Iterable[lbproxy.Backend], why: str = "") -> None:
        """These are all."""
        self.all.append(list(backends))

    def failed(self, reason: str) -> None:
        """It is not known which there are."""
        self.all.append(reason)


class ByClock:
    """The reactor, but for the time, which passes when a test says so."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.callLater = self._clock.callLater
        self.seconds = self._clock.seconds
        self.getDelayedCalls = self._clock.getDelayedCalls
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)

    def passes(self, seconds: float) -> None:
        """So much time passes."""
        blockingCallFromThread(cast(Any, reactor), self._clock.advance, seconds)


@contextmanager
def asking(consul: Catalogue, **options: object) -> Iterator[tuple[ByClock, Heard]]:
    """The example asks a service, in this process; its time, and what it tells."""
    on, observer, clock = cast(Any, reactor), Heard(), ByClock()
    make = runpy.run_path(str(EXAMPLES / "consul_discovery.py"))["Consul"]
    discovery = make(clock, "web", consul.url, **options)
    blockingCallFromThread(on, discovery.start, observer)
    try:
        yield clock, observer
    finally:
        blockingCallFromThread(on, discovery.stop)


def untilAsked(consul: Catalogue, clock: ByClock, pause: float, count: int) -> None:
    """It is asked for the n-th time after a pause, and not before."""
    clock.passes(pause - 1 / 64)
    steady(lambda: len(consul.asked), 0.1)
    assert len(consul.asked) == count - 1
    clock.passes(1 / 64)
    eventually(lambda: len(consul.asked) == count, "it is not asked again")


@besideReactor
def test_startsAgain(catalogue: Callable[..., Catalogue]) -> None:
    """A service that counts from a smaller index is asked for all, and waited for."""
    consul = catalogue()
    consul.have(instance("a", 1), index=5000)
    with asking(consul, wait="1s") as (clock, observer):
        for count, indexes in enumerate(([5000], [0], [7], [7]), 1):
            observer.untilTold(count)
            untilAsked(consul, clock, 1, count + 1)
            assert consul.indexes[count:] == indexes
            if count == 1:
                consul.have(instance("b", 2), index=7)
    names = [[each.name for each in cast(Any, found)] for found in observer.all]
    assert names == [["a@rack"], *[["b@rack"]] * 3]


@besideReactor
def test_silent(catalogue: Callable[..., Catalogue]) -> None:
    """One that takes a question and says nothing is given up, and asked again."""
    consul = catalogue()
    consul.misbehave(silent)
    with asking(consul, wait="1s") as (clock, observer):
        eventually(lambda: len(consul.asked) == 1)
        # A sixteenth of a second more than it says.
        clock.passes(6.0625 - 1 / 64)
        assert observer.all == []
        clock.passes(1 / 64)
        assert observer.all == ["no whole answer came within 6 s"]
        consul.have()
        untilAsked(consul, clock, 2, 2)
        observer.untilTold(2)
    assert observer.all[1] == []


@besideReactor
def test_pauses(catalogue: Callable[..., Catalogue]) -> None:
    """Each question that fails is followed by a longer pause, until one is answered."""
    consul = catalogue()
    consul.misbehave(sends("No cluster leader", status=500))
    with asking(consul) as (clock, observer):
        for count, pause in enumerate([2, 4, 8, 16, 30, 30, 1], 1):
            observer.untilTold(count)
            if count == 6:
                consul.have()
            untilAsked(consul, clock, pause, count + 1)
    assert observer.all == ["the status is 500"] * 6 + [[]]
    assert consul.indexes[:7] == [0] * 7


@pytest.mark.parametrize(
    ("misbehaviour", "heard"),
    [
        (None, 1),
        (sends("", status=500), 1),
        (silent, 0),
        (between, 0),
    ],
)
@besideReactor
def test_leavesNothing(
    catalogue: Callable[..., Catalogue],
    misbehaviour: Misbehaviour | None,
    heard: int,
) -> None:
    """After C{stop} nothing is under way, and nothing is told."""
    consul, observer = catalogue(), Heard()
    if misbehaviour is not None:
        consul.misbehave(misbehaviour)
    on = cast(Any, reactor)
    make = runpy.run_path(str(EXAMPLES / "consul_discovery.py"))["Consul"]
    discovery = make(on, "web", consul.url)
    assert verifyObject(IDiscovery, discovery)

    def underWay() -> set[object]:
        return {*on.getDelayedCalls(), *on.getReaders(), *on.getWriters()}

    before = blockingCallFromThread(on, underWay)
    blockingCallFromThread(on, discovery.start, observer)
    eventually(lambda: len(consul.asked) == 1 and len(observer.all) == heard)
    blockingCallFromThread(on, discovery.stop)
    eventually(lambda: blockingCallFromThread(on, underWay) <= before, within=5)
    consul.have()
    assert len(observer.all) == heard


def blocks(language: str) -> list[str]:
    """The code of one language beside the example."""
    page = (DOCS / "discovery.rst").read_text()
    shown = page[page.index("consul_discovery.py") :]
    found = re.findall(
        rf"^\.\. code-block:: {language}\n((?:\n|[ ]+.*\n)+)", shown, re.MULTILINE
    )
    return [re.sub("^ {3}", "", each, flags=re.MULTILINE) for each in found]


def test_configurations(
    startTwistd: StartTwistd, catalogue: Callable[..., Catalogue], tmp_path: Path
) -> None:
    """Both ways to configure it that are shown work, and errors name the key."""
    consul = catalogue()
    consul.have(instance("a", 9001))
    plugins = tmp_path / "path" / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "consul_plugin.py").write_text(*blocks("python"))
    path = f"{EXAMPLES}{os.pathsep}{plugins.parents[1]}"
    known = {**os.environ, "PYTHONPATH": path}
    config = tmp_path / "consul.toml"
    named, plugin = blocks("toml")
    assert 'kind = "python:consul_discovery.Consul"' in named
    assert 'kind = "consul"' in plugin
    for text in named, plugin:
        here = text.replace("http://127.0.0.1:8500", consul.url)
        here = here.replace("tcp:8080", "tcp:0:interface=127.0.0.1")
        assert here.count("127.0.0.1") == 2
        config.write_text(here)
        daemon = startTwistd("lbproxy", f"--config={config}", environment=known)
        daemon.says("pool web: a@rack came: Consul says so")
        daemon.stop()
    for wrong, said in (
        (plugin.replace('service = "web"', ""), "expected service"),
        (plugin.replace("wait", "weight"), 'unknown option "weight"'),
        (plugin.replace('"5s"', '"never"'), 'wait = "never": option "wait": expected'),
    ):
        config.write_text(wrong)
        ended = run(
            "lbproxy",
            f"--config={config}",
            "--check",
            directory=tmp_path,
            environment=known,
        )
        assert ended.returncode == 1
        assert said in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
