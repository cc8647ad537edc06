"""The members of a pool follow real answers, while clients send requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from .conftest import StartTwistd, StartWith
from .daemon import eventually, freePort
from .load import Load
from .nameserver import NameServer, garbage
from .peers import Backend, answers

FIRST, SECOND = "127.0.0.1", "127.0.0.2"


def until(load: Load, name: bytes, alone: bool = False) -> None:
    """Wait until a backend answers; perhaps no other does any more."""

    def does() -> bool:
        last = load.answers[-20:]
        return len(last) == 20 and (set(last) == {name} if alone else name in last)

    eventually(does, f"{name!r} does not answer")


def untilAsked(nameserver: NameServer, name: str, before: int) -> None:
    """Wait until a name has been looked up more often than so many times."""
    eventually(lambda: nameserver.asked(name, "A") > before, "it is not asked again")


def test_dns(
    startWith: StartWith, serve: Callable[..., Backend], nameserver: NameServer
) -> None:
    """Addresses change with the TTL, and no request fails of it."""
    port = freePort()
    serve(answers(b"first"), FIRST, port)
    serve(answers(b"second"), SECOND, port)
    nameserver.answer("web.internal", "A", FIRST, ttl=1)
    discovery = f"""
        [pool.web.discovery]
        name = "web.internal"
        port = {port}
        resolver = "{nameserver.resolver}"
    """
    daemon = startWith(pool=discovery)
    daemon.says(f"tcp:{FIRST}:{port} came")
    with Load(daemon, pause=0.05) as load:
        until(load, b"first", alone=True)
        nameserver.answer("web.internal", "A", FIRST, SECOND, ttl=1)
        until(load, b"second")
        nameserver.answer("web.internal", "A", SECOND, ttl=1)
        until(load, b"second", alone=True)
        nameserver.answer("web.internal", "A", FIRST, ttl=1)
        until(load, b"first", alone=True)
    assert not load.failures
    assert set(load.answers) == {b"first", b"second"}


POOL = """
[[listener]]
name = "{name}"
listen = "tcp:0:interface=127.0.0.1"
pool = "{name}"

[pool.{name}.discovery]
name = "{name}.internal"
port = {port}
resolver = "{resolver}"
resolve-interval = "1s"
"""

TROUBLES: dict[str, Callable[[NameServer, str], None]] = {
    "fails": NameServer.fail,
    "nonsense": lambda nameserver, name: nameserver.misbehave(name, garbage),
    "no-name": NameServer.forget,
    "no-address": lambda nameserver, name: nameserver.answer(name, "A"),
    "silent": NameServer.silent,
}


def test_dnsTroubles(
    startTwistd: StartTwistd,
    serve: Callable[..., Backend],
    nameserver: NameServer,
    tmp_path: Path,
) -> None:
    """
    No request fails while the name server fails, says nonsense, that there is no such
    name or no address, or nothing at all; what it says afterwards is used.
    """
    port = freePort()
    serve(answers(b"first"), FIRST, port)
    serve(answers(b"second"), SECOND, port)
    config = tmp_path / "troubles.toml"
    pools = (
        POOL.format(name=each, port=port, resolver=nameserver.resolver)
        for each in TROUBLES
    )
    config.write_text("".join(pools))
    names = {trouble: f"{trouble}.internal" for trouble in TROUBLES}
    for name in names.values():
        nameserver.answer(name, "A", FIRST, ttl=1)
    daemon = startTwistd("lbproxy", f"--config={config}", listeners=len(names))
    for trouble in TROUBLES:
        daemon.says(f"pool {trouble}: tcp:{FIRST}:{port} came")
    with ExitStack() as stack:
        loads = [
            stack.enter_context(Load(daemon, 1, pause=0.02, listener=each))
            for each in range(len(names))
        ]
        for load in loads:
            until(load, b"first", alone=True)
        for trouble, name in names.items():
            TROUBLES[trouble](nameserver, name)
        before = {name: nameserver.asked(name, "A") for name in names.values()}
        for load, name in zip(loads, names.values(), strict=True):
            untilAsked(nameserver, name, before[name])
            until(load, b"first", alone=True)
        for name in names.values():
            nameserver.answer(name, "A", SECOND, ttl=1)
        for load in loads:
            until(load, b"second", alone=True)
    for load in loads:
        assert not load.failures
        assert set(load.answers) == {b"first", b"second"}


def test_manyAddresses(
    startWith: StartWith, serve: Callable[..., Backend], nameserver: NameServer
) -> None:
    """An answer that is too long for a datagram is asked for by TCP; all serve."""
    port = freePort()
    hosts = [f"127.0.1.{each}" for each in range(1, 81)]
    for host in hosts:
        serve(answers(host.encode()), host, port)
    nameserver.answer("web.internal", "A", *hosts[:40], ttl=1)
    daemon = startWith(
        pool=f"""
        [pool.web.discovery]
        name = "web.internal"
        port = {port}
        resolver = "{nameserver.resolver}"
    """
    )
    daemon.says("and 30 more came")
    with Load(daemon) as load:
        eventually(lambda: len(set(load.answers)) == 40)
        nameserver.answer("web.internal", "A", *hosts[40:], ttl=1)
        eventually(lambda: len(set(load.answers)) == 80)
    assert not load.failures
    assert b"" not in load.answers
    assert nameserver.asked("web.internal", "A", over="tcp")


def test_services(
    startWith: StartWith, serve: Callable[..., Backend], nameserver: NameServer
) -> None:
    """The first priority of a service is used, and the next one when it is gone."""
    port = freePort()
    serve(answers(b"first"), FIRST, port)
    serve(answers(b"second"), SECOND, port)
    nameserver.answer("a.internal", "A", FIRST, ttl=1)
    nameserver.answer("b.internal", "A", SECOND, ttl=1)
    nameserver.answer(
        "_web._tcp.internal",
        "SRV",
        (1, 5, port, "a.internal"),
        (2, 5, port, "b.internal"),
        ttl=1,
    )
    discovery = f"""
        [pool.web.discovery]
        kind = "srv"
        name = "_web._tcp.internal"
        resolver = "{nameserver.resolver}"
    """
    daemon = startWith(pool=discovery)
    daemon.says(f"tcp:{FIRST}:{port}, tcp:{SECOND}:{port} came")
    with Load(daemon) as load:
        until(load, b"first", alone=True)
        nameserver.answer(
            "_web._tcp.internal", "SRV", (2, 5, port, "b.internal"), ttl=1
        )
        until(load, b"second", alone=True)
    assert not load.failures


def test_oneAddressIsDead(
    startWith: StartWith, serve: Callable[..., Backend], nameserver: NameServer
) -> None:
    """A name of which one address refuses works for every client."""
    port = freePort()
    serve(answers(b"second"), SECOND, port)
    nameserver.answer("web.internal", "A", FIRST, SECOND)
    discovery = f"""
        [pool.web.discovery]
        name = "web.internal"
        port = {port}
        resolver = "{nameserver.resolver}"
    """
    daemon = startWith(pool=discovery)
    daemon.says("came")
    with Load(daemon) as load:
        until(load, b"second", alone=True)
    assert not load.failures
    assert set(load.answers) == {b"second"}


def test_thousandReplacements(
    startWith: StartWith, serve: Callable[..., Backend], tmp_path: Path
) -> None:
    """A file that is replaced a thousand times under load costs no request."""
    port = freePort()
    serve(answers(b"first"), FIRST, port)
    serve(answers(b"second"), SECOND, port)
    path, new = tmp_path / "web.json", tmp_path / "new"

    def replace(*hosts: str) -> None:
        new.write_text(json.dumps([f"tcp:{host}:{port}" for host in hosts]))
        new.replace(path)

    replace(FIRST)
    discovery = f"""
        [pool.web.discovery]
        kind = "file"
        path = "{path}"
    """
    daemon = startWith(pool=discovery)
    daemon.says("came")
    pause = Event()
    with Load(daemon, pause=0.02) as load:
        until(load, b"first", alone=True)
        for number in range(1000):
            replace(*((FIRST, SECOND), (SECOND,), (FIRST,))[number % 3])
            # For a few looks at the file to fall between them.
            pause.wait(0.004)
        replace(SECOND)
        until(load, b"second", alone=True)
        for wrong, said in (("[", "is not JSON"), ("", "is empty"), ("{}", "required")):
            path.write_text(wrong)
            daemon.says(said)
            until(load, b"second", alone=True)
    assert not load.failures
