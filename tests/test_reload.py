"""Reload: another configuration, and no connection that notices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, formatEvent

from lbproxy import CannotStart, ConfigurationError, LoadBalancer, Standing
from lbproxy.config.file import configurationFromText
from lbproxy.words.backend import Backend
from lbproxy.words.connection import End

from .configured import configured  # type: ignore[import-not-found]
from .stories import A, B, C, Story  # type: ignore[import-not-found]


def reload(story: Story, *backends: str, members: str = "", **more: str) -> None:
    text = configured(*backends, **more) + members
    story.balancer.reload(configurationFromText(text, "story"))
    story.settle()


def table(connect: str, name: str, keys: str = "") -> str:
    return f'\n[[pool.web.backends]]\nname = "{name}"\nconnect = "{connect}"\n{keys}\n'


def test_anotherBackend() -> None:
    """New clients go to the new member; an old one stays where it is."""
    story = Story(A)
    story.network.backend("10.0.0.2", 80)
    old = story.client(b"old")
    reload(story, B)
    new = story.client(b"new")
    old.send(b" one")
    story.settle()
    assert story.backends[0].accepted[0].received == b"old one"
    assert story.pool.members[0].name == B
    assert story.pool.members[0].active == 1
    for client in (old, new):
        client.reset()


def test_keepsWhatIsKnown() -> None:
    """A member with another weight keeps its connections and its failures."""
    story = Story(A, B, members=table(A, "a") + table(B, "b"))
    client = story.client(b"x")
    first = story.pool.members[0]
    first.consecutiveFailures = 2
    reload(story, members=table(B, "b") + table(A, "a", "weight = 7"))
    assert [each.name for each in story.pool.members] == ["b", "a"]
    assert story.pool.members[1] is first
    assert (first.weight, first.active, first.consecutiveFailures) == (7, 1, 2)
    client.reset()


def test_anotherState(logged: list[LogEvent]) -> None:
    """A member that the file sets aside gets no new client, and the log says so."""
    story = Story(A, B, members=table(A, "a") + table(B, "b"))
    reload(story, members=table(A, "a", 'state = "drain"') + table(B, "b"))
    assert 'member web/a was set from "ready" to "drain"' in map(formatEvent, logged)
    for _ in range(3):
        story.client(b"x").reset()
        story.settle()
    assert story.backends[0].dials == 0


def test_anotherAddressIsAnotherMember() -> None:
    story = Story(A, members=table(A, "a"))
    story.network.backend("10.0.0.2", 80)
    first = story.pool.members[0]
    client = story.client(b"x")
    reload(story, members=table(B, "a"))
    assert story.pool.members[0] is not first
    assert (story.pool.members[0].active, first.active) == (0, 1)
    client.reset()
    story.settle()
    assert first.active == 0


def test_removedMembersKeepTheirConnections() -> None:
    """Those that are left after C{removal-timeout} are cut off."""
    pool = 'removal-timeout = "10s"'
    story = Story(A, B, pool=pool)
    kept, other = story.client(b"1"), story.client(b"2")
    reload(story, B, pool=pool)
    story.settle(9.9)
    assert not kept.wasReset
    story.settle(0.2)
    assert kept.wasReset
    assert not other.wasReset
    assert story.end.end is End.DRAINED
    other.reset()


def test_revived() -> None:
    """A member that comes back in time is the same, and keeps its connections."""
    pool = 'removal-timeout = "10s"'
    story = Story(A, B, pool=pool)
    client = story.client(b"1")
    first = story.pool.members[0]
    reload(story, B, pool=pool)
    story.settle(5)
    reload(story, A, B, pool=pool)
    assert story.pool.members[0] is first
    story.settle(60)
    assert not client.wasReset
    assert first.active == 1
    client.reset()


def test_oldConnectionsKeepTheirPolicy() -> None:
    story = Story(A, listener='idle-timeout = "10s"')
    old = story.client(b"x")
    reload(story, A, listener='idle-timeout = "1000s"')
    new = story.client(b"x")
    story.settle(12)
    assert old.wasReset
    assert not new.wasReset
    new.reset()


def test_portsStayOpen() -> None:
    """What is still listened on is never closed, however it is spelled."""
    story = Story(A)
    port = story.network._listening[8080]
    reload(story, A, listen="tcp:8080:interface=0.0.0.0")
    assert story.network._listening[8080] is port
    story.client(b"x").reset()
    story.settle()
    assert len(story.balancer.addresses) == 1


def test_anotherPort() -> None:
    """The old port is closed, after the new one is open."""
    story = Story(A)
    reload(story, A, listen="tcp:8081")
    assert list(story.network._listening) == [8081]
    story.network.client(8081).reset()
    story.settle()


def fails(story: Story) -> None:
    story.network.listenTCP(8081, Factory())
    text = configured(B).replace('"tcp:8080"', '["tcp:8082", "tcp:8081"]')
    story.balancer.reload(configurationFromText(text, "story"))


def unusable(story: Story) -> None:
    reload(story, B, pool='picker = "nobody"')


@pytest.mark.parametrize(
    ("change", "error"), [(fails, CannotStart), (unusable, ConfigurationError)]
)
def test_nothingIsChanged(
    change: Callable[[Story], None], error: type[Exception]
) -> None:
    """A configuration that cannot be used leaves everything as it was."""
    story = Story(A, pool="max-dials = 5", listener="idle-timeout = 10")
    pool = story.pool
    with pytest.raises(error):
        change(story)
    assert 8080 in story.network._listening
    assert 8082 not in story.network._listening
    assert story.pool is pool
    assert pool.options.maxDials == 5
    story.client(b"x")
    assert story.backends[0].accepted[0].received == b"x"
    story.settle(12)
    assert story.end.end is End.IDLE_TIMEOUT


def test_aPoolThatIsGone() -> None:
    """Its connections go on, its members do not stay for ever."""
    pool = 'removal-timeout = "10s"'
    story = Story(A, pool=pool)
    client = story.client(b"x")
    running = story.balancer.pool("web")
    text = (
        '[[listener]]\nname = "front"\nlisten = "tcp:8080"\n'
        f'[pool.other]\nbackends = ["{B}"]\n'
    )
    story.balancer.reload(configurationFromText(text, "story"))
    assert running.members == ()
    assert not client.wasReset
    story.settle(10.1)
    assert client.wasReset
    with pytest.raises(LookupError, match="there is no pool web; there are other"):
        story.balancer.pool("web")


def test_whatAProgramHasSet() -> None:
    """It survives, and the log says so."""
    story = Story(A, B, members=table(A, "a") + table(B, "b"))
    running = story.balancer.pool("web")
    running.setState("a", "drain")
    running.setWeight("b", 9)
    running.add(Backend(C, name="c"))
    story.network.backend("10.0.0.3", 80)
    reload(story, members=table(A, "a", "weight = 2") + table(B, "b"))
    a, b, c = running.members
    assert (a.standing, a.weight, b.weight, c.name) == (Standing.DRAIN, 2, 9, "c")
    running.setState("a", None)
    running.setWeight("b", None)
    running.remove("c")
    running.remove("b")
    reload(story, members=table(A, "a") + table(B, "b"))
    assert [each.name for each in running.members] == ["a"]
    assert (a.standing, a.weight) == (Standing.AVAILABLE, 1)


def test_notWhileItStops() -> None:
    story = Story(A)
    story.balancer.drain(5.0, 5.0)
    with pytest.raises(ConfigurationError, match="it is stopping"):
        reload(story, B)
    story.settle(6)


def test_withoutAFile() -> None:
    story = Story(A)
    with pytest.raises(ConfigurationError, match="there is no file to load again"):
        story.balancer.reload()


def test_again(tmp_path) -> None:
    """A balancer that was made from a file reads it again."""
    story = Story(A, B)
    path = tmp_path / "lbproxy.toml"
    path.write_text(configured(A, listen="tcp:8081"))
    balancer = LoadBalancer.fromFile(story.network, str(path))
    balancer.startService()
    path.write_text(configured(A, B, listen="tcp:8081"))
    balancer.reload()
    assert len(balancer.pool("web").members) == 2
    balancer.stopService()
