"""The members of a pool follow what names, files and plugins say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy import (
    Backend,
    IDiscovery,
    IDiscoveryObserver,
    LoadBalancer,
    configurationFromMapping,
)
from lbproxy.testing import MemoryNetwork

DNS = {"kind": "dns", "name": "web.internal", "port": 80}


class Named:
    """A balancer of one pool in memory, with names that change."""

    def __init__(self, logged: list, **pool: object) -> None:
        self.network = MemoryNetwork()
        self.logged = logged
        self.balancer = LoadBalancer(
            self.network,
            configurationFromMapping(
                {"listener": [{"listen": "tcp:80"}], "pool": {"web": pool}}
            ),
        )

    def start(self) -> Named:
        self.balancer.startService()
        self.network.settle(0.5)
        return self

    @property
    def members(self) -> list[str]:
        return [each.name for each in self.balancer.pool("web").members]

    def ends(self) -> list[dict]:
        """The connections that did not end normally, as the log has them."""
        return [each for each in self.logged if "connection" in each]

    def after(self, seconds: float) -> list[str]:
        self.network.settle(seconds)
        return self.members

    def said(self, words: str) -> int:
        """How many lines of the log have these words."""
        lines = (each["log_format"].format(**each) for each in self.logged)
        return sum(words in line for line in lines if line)


def test_eachAddressIsAMember(logged: list) -> None:
    """A backend with a name has a member for each address, and follows it."""
    named = Named(logged, backends=["tcp:web.internal:80"])
    named.network.alias("web.internal", "10.0.0.1", "10.0.0.2", "fd00::1")
    named.start()
    first = "tcp:web.internal:80@"
    assert named.members == [
        first + each for each in ("10.0.0.1", "10.0.0.2", "fd00::1")
    ]
    named.network.alias("web.internal", "10.0.0.2", "10.0.0.3", "fd00::1")
    assert named.after(11.0) == [
        first + each for each in ("10.0.0.2", "10.0.0.3", "fd00::1")
    ]
    assert named.said(f"{first}10.0.0.3 came, {first}10.0.0.1 went") == 1
    named.balancer.stopService()


def test_aNameThatIsGone(logged: list) -> None:
    """Its members stay for half a minute, and the log says why they go."""
    named = Named(logged, discovery=DNS)
    named.network.alias("web.internal", "10.0.0.1")
    named.start()
    named.network.alias("web.internal")
    assert named.after(35.0) == ["tcp:10.0.0.1:80"]
    assert named.after(20.0) == []
    assert named.said("web.internal: no such name; what was found before stays") == 1
    named.network.alias("web.internal", "10.0.0.9")
    assert named.after(2.0) == ["tcp:10.0.0.9:80"]
    named.balancer.stopService()
    assert not named.network.calls


def test_notThereYet(logged: list) -> None:
    """A pool without members refuses, and has them a second after they are there."""
    named = Named(logged, discovery=DNS).start()
    client = named.network.client(80)
    named.network.settle(1.0)
    assert client.hasEnd
    named.network.alias("web.internal", "10.0.0.1")
    assert named.after(2.0) == ["tcp:10.0.0.1:80"]
    named.balancer.stopService()


def test_firstLookup(logged: list) -> None:
    """Clients that come while a name is looked up for the first time wait for it."""
    for pool in ({"backends": ["tcp:web.internal:80"]}, {"discovery": DNS}):
        named = Named(logged, **pool)
        named.network.hold("web.internal")
        backend = named.network.backend("10.0.0.1", 80)
        named.start()
        clients = [named.network.client(80) for _ in range(3)]
        gone = named.network.client(80)
        named.network.settle(1.0)
        gone.reset()
        assert not any(each.hasEnd or each.closed for each in clients)
        named.network.alias("web.internal", "10.0.0.1")
        named.after(0.2)
        assert len(backend.accepted) == len(clients)
        named.balancer.stopService()
        named.network.settle()
        assert not named.network.calls


@pytest.mark.parametrize("kind", ["backends", "discovery", "plugin"])
def test_firstLookupThatNeverEnds(logged: list, kind: str) -> None:
    """Clients wait for it 10 s at most; then they are refused at once."""
    pools: dict[str, dict[str, object]] = {
        "backends": {"backends": ["tcp:web.internal:80"]},
        "discovery": {"discovery": DNS},
        "plugin": {"discovery": TOLD},
    }
    named = Named(logged, **pools[kind])
    named.network.hold("web.internal")
    named.start()
    client = named.network.client(80)
    named.network.settle(9.0)
    assert not client.hasEnd
    named.network.settle(2.0)
    assert client.hasEnd
    assert named.said("no answer in 10s; what was found before stays") == 1
    late = named.network.client(80)
    named.network.settle()
    assert late.hasEnd
    client.end()
    late.end()
    named.network.settle()
    assert [each["end"] for each in named.ends()] == ["no-backend"] * 2
    assert all("no answer in 10s" in each["detail"] for each in named.ends())
    named.balancer.stopService()


def test_dialDeadlineOfTheFirstLookup(logged: list) -> None:
    """The time for all tries bounds the wait for the first lookup too."""
    named = Named(
        logged, **{"backends": ["tcp:web.internal:80"], "dial-deadline": "3s"}
    )
    named.network.hold("web.internal")
    named.start()
    client = named.network.client(80)
    named.network.settle(4.0)
    client.end()
    named.network.settle()
    (ended,) = named.ends()
    assert (ended["end"], ended["detail"]) == (
        "dial-deadline",
        "no member was found yet",
    )
    named.balancer.stopService()


def test_whatIsFoundIsCompleted(logged: list) -> None:
    """The table C{member} says what an answer does not."""
    named = Named(
        logged,
        backends=["tcp:10.0.0.9:80"],
        discovery={**DNS, "member": {"weight": 3, "max-connections": 7}},
    )
    named.network.alias("web.internal", "10.0.0.1")
    named.start()
    listed, found = (each.backend for each in named.balancer.pool("web").members)
    assert (listed.weight, listed.maxConnections) == (1, 0)
    assert (found.weight, found.maxConnections) == (3, 7)
    named.balancer.stopService()


def test_connectionsAreKept(logged: list) -> None:
    """A member whose address is gone keeps its connection, and revives with it."""
    named = Named(logged, discovery=DNS)
    named.network.alias("web.internal", "10.0.0.1")
    first = named.network.backend("10.0.0.1", 80)
    named.start()
    client = named.network.client(80)
    client.send(b"hello")
    named.network.settle()
    (member,) = named.balancer.pool("web").members
    named.network.alias("web.internal", "10.0.0.2")
    assert named.after(11.0) == ["tcp:10.0.0.2:80"]
    first.accepted[0].send(b"still here")
    named.network.settle()
    assert client.received == b"still here"
    named.network.alias("web.internal", "10.0.0.1")
    named.after(11.0)
    assert named.balancer.pool("web").members == (member,)
    assert member.active == 1
    named.balancer.stopService()


def test_byHand(logged: list) -> None:
    """A program adds and removes a backend with a name, with all its members."""
    named = Named(logged, backends=["tcp:10.0.0.9:80"]).start()
    named.network.alias("more.internal", "10.0.0.1", "10.0.0.2")
    pool = named.balancer.pool("web")
    added = pool.add(Backend("tcp:more.internal:80", "more"))
    assert added is not None
    assert named.members == ["tcp:10.0.0.9:80", "more@10.0.0.1", "more@10.0.0.2"]
    pool.remove("more")
    assert named.members == ["tcp:10.0.0.9:80"]
    with pytest.raises(LookupError):
        pool.remove("more")
    named.balancer.stopService()
    assert not named.network.calls


def test_file(logged: list, tmp_path: Path) -> None:
    """A file that was replaced is read; one that is wrong changes nothing."""
    path, new = tmp_path / "web.toml", tmp_path / "new"

    def replace(text: str) -> None:
        new.write_text(text)
        new.replace(path)

    named = Named(logged, discovery={"kind": "file", "path": str(path)}).start()
    assert named.members == []
    assert named.said("No such file or directory") == 1
    replace(
        'backends = ["tcp:10.0.0.1:80", { connect = "tcp:10.0.0.2:80", weight = 2 }]'
    )
    assert named.after(2.0) == ["tcp:10.0.0.1:80", "tcp:10.0.0.2:80"]
    for wrong in ("", "backends = [", "backends = [1]", 'backend = ["tcp:a:1"]'):
        replace(wrong)
        assert named.after(2.0) == ["tcp:10.0.0.1:80", "tcp:10.0.0.2:80"]
    for said in (
        "web.toml: is empty",
        "web.toml: backends[0] = 1: ",
        "web.toml: backend = ",
    ):
        assert named.said(said) == 1
    replace('backends = ["tcp:10.0.0.2:80"]')
    assert named.after(2.0) == ["tcp:10.0.0.2:80"]
    named.balancer.stopService()
    assert not named.network.calls


def test_json(logged: list, tmp_path: Path) -> None:
    """A file in JSON holds a list."""
    path = tmp_path / "web.json"
    path.write_text('["tcp:10.0.0.1:80", {"connect": "tcp:10.0.0.2:80"}]')
    named = Named(logged, discovery={"kind": "file", "path": str(path)}).start()
    assert named.members == ["tcp:10.0.0.1:80", "tcp:10.0.0.2:80"]
    named.balancer.stopService()


@implementer(IDiscovery)
class Told:
    """Finds what a test tells it."""

    last: Told

    def __init__(self, reactor: object, fails: bool = False) -> None:
        self.fails = fails
        self.stopped = False

    def start(self, observer: IDiscoveryObserver) -> None:
        if self.fails:
            raise RuntimeError("it cannot")
        self.observer = observer
        Told.last = self

    def stop(self) -> None:
        self.stopped = True

    def finds(self, *connects: str) -> None:
        found: Iterable[Backend] = map(Backend, connects)
        self.observer.found(found, "the test says so")


TOLD = {"kind": f"python:{__name__}.Told"}


def test_plugin(logged: list) -> None:
    """A plugin's answers in a burst are applied as one; its silence changes nothing."""
    named = Named(logged, discovery=TOLD).start()
    verifyObject(IDiscovery, Told.last)
    for last in range(5):
        Told.last.finds("tcp:10.0.0.1:80", f"tcp:10.0.0.{last}:81")
    assert named.after(0.2) == ["tcp:10.0.0.1:80", "tcp:10.0.0.4:81"]
    assert named.said("came: the test says so") == 1
    Told.last.observer.found([Backend("tcp:10.0.0.1:80", weight=3)], "more for one")
    assert named.after(0.2) == ["tcp:10.0.0.1:80"]
    assert (
        named.said("tcp:10.0.0.4:81 went, tcp:10.0.0.1:80 changed: more for one") == 1
    )
    Told.last.finds("tcp:10.0.0.1:80", "tcp:10.0.0.4:81")
    Told.last.observer.failed("the catalogue is closed")
    assert named.after(99.0) == ["tcp:10.0.0.1:80", "tcp:10.0.0.4:81"]
    assert named.said("the catalogue is closed") == 1
    named.balancer.stopService()
    assert Told.last.stopped
    Told.last.finds("tcp:10.0.0.7:80")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Backend("tcp:a\\"), "a backslash at the end takes nothing literally"),
        (Backend("tls:a:443:endpoint=tcp\\"), "a backslash at the end"),
        (Backend("tcp:10.0.0.2:80", "a\nb"), "expected a name: 1 to 255 printable"),
        (
            Backend("tcp:10.0.0.2:80"),
            "found two backends with the name tcp:10.0.0.2:80",
        ),
        ("tcp:10.0.0.2:80", 'found "tcp:10.0.0.2:80", which is no Backend'),
        (None, "which is no Backend"),
    ],
)
def test_pluginThatFindsNonsense(logged: list, wrong: object, said: str) -> None:
    """What is no backend at all changes nothing, and is logged in one line."""
    named = Named(logged, backends=["tcp:10.0.0.9:80"], discovery=TOLD).start()
    Told.last.finds("tcp:10.0.0.1:80")
    assert named.after(0.2) == ["tcp:10.0.0.9:80", "tcp:10.0.0.1:80"]
    Told.last.observer.found([Backend("tcp:10.0.0.2:80"), wrong])  # type: ignore[list-item]
    assert named.after(0.2) == ["tcp:10.0.0.9:80", "tcp:10.0.0.1:80"]
    assert named.said(said) == 1
    Told.last.observer.failed("two\nlines")
    named.after(0.2)
    assert named.said(r"two\nlines") == 1
    Told.last.finds("tcp:10.0.0.3:80")
    assert named.after(0.2) == ["tcp:10.0.0.9:80", "tcp:10.0.0.3:80"]
    named.balancer.stopService()


def test_pluginThatFails(logged: list) -> None:
    """It is logged, and the pool has what is listed."""
    named = Named(
        logged, backends=["tcp:10.0.0.9:80"], discovery={**TOLD, "fails": True}
    ).start()
    assert named.members == ["tcp:10.0.0.9:80"]
    assert any("it cannot" in str(each.get("log_failure", "")) for each in logged)
    named.balancer.stopService()
