"""Health checks of a running pool: who is down, who is back, what clients notice."""

from __future__ import annotations

import pytest

from lbproxy import Standing
from lbproxy.config.file import configurationFromText
from lbproxy.streams.wheel import TICKS
from lbproxy.words.connection import End

from .configured import configured  # type: ignore[import-not-found]
from .stories import A, B, Story  # type: ignore[import-not-found]

CHECK = 'health-check = { kind = "tcp", interval = "1s", timeout = "1s" }'


def standings(story: Story) -> list[Standing]:
    return [each.standing for each in story.pool.members]


def test_downAndUp() -> None:
    """Who fails three checks in a row gets no clients, until two have passed."""
    story = Story(A, B, pool=CHECK)
    story.settle(3)
    assert standings(story) == [Standing.AVAILABLE] * 2
    story.backends[0].answer = "refuse"
    story.settle(4.5)
    assert standings(story) == [Standing.DOWN, Standing.AVAILABLE]
    for _ in range(4):
        story.client(b"x").reset()
        story.settle()
    assert not any(each.tried for each in story.records.closes)
    story.backends[0].answer = "accept"
    story.settle(3.5)
    assert standings(story) == [Standing.AVAILABLE] * 2


def test_byTurns() -> None:
    """Who passes and fails by turns stays what it is."""
    story = Story(A, B, pool=CHECK)
    (first, _), probes = story.backends, 0
    for _ in range(200):
        if first.dials > probes:
            probes = first.dials
            first.answer = "refuse" if first.answer == "accept" else "accept"
        story.settle(0.1)
        assert standings(story) == [Standing.AVAILABLE] * 2
    assert probes > 10


def test_downAtFirst() -> None:
    """With C{initial = "down"} a member gets clients when its checks have passed."""
    check = CHECK.replace(" }", ', initial = "down" }')
    story = Story(A, pool=f'when-all-down = "refuse"\n{check}')
    client = story.client(b"x")
    assert client.hasEnd
    client.end()
    story.settle(3)
    assert story.end.end is End.NO_BACKEND
    served = story.client(b"x")
    assert not served.hasEnd
    served.reset()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("interval", "timeout"), [(1, 2), (4, 0.5)])
def test_stoppedProcess(interval: float, timeout: float) -> None:
    """
    A process that is stopped has its connections accepted and answers none: it is down
    when the last of fall checks has had its time, not one more and not a tick later.
    """
    times = f'interval = "{interval}s", timeout = "{timeout}s"'
    keys = f'{{ kind = "http", {times}, fall = 3 }}'
    story = Story(A, B, pool=f"health-check = {keys}")
    for each in story.backends:
        each.replies(OK)
    story.settle(3 * interval)
    first, stopped = story.backends[0], story.network.seconds()
    assert first.dials
    before = first.dials
    begins: list[float] = []
    first.accepts()
    while standings(story) == [Standing.AVAILABLE] * 2:
        assert len(begins) <= 3
        story.settle(1 / TICKS)
        if first.dials > before + len(begins):
            begins.append(story.network.seconds())
    down = story.network.seconds()
    assert standings(story) == [Standing.DOWN, Standing.AVAILABLE]
    assert len(begins) == 3
    assert down == begins[2] + timeout
    if timeout > interval:
        # A check that is due while another one runs begins a tick after its end.
        assert down == begins[0] + 3 * timeout + 2 / TICKS
    assert down <= stopped + 3 * (interval + timeout)


def test_connectionsOfAMemberThatIsDown() -> None:
    """They are kept, or cut off with a word of their own."""
    for keys, cut in (("", False), ('on-member-down = "abort"\n', True)):
        story = Story(A, B, pool=keys + CHECK)
        client = story.client(b"x")
        assert story.pool.members[0].active == 1
        story.backends[0].answer = "refuse"
        story.settle(5)
        assert client.wasReset is cut
        if cut:
            assert story.end.end is End.MEMBER_DOWN
        story.stop()


def test_passingChecksEndAnEjection() -> None:
    """A member that was ejected is back when its checks have passed since."""
    ejection = "ejection = { consecutive-failures = 1 }"
    story = Story(A, B, pool=f"{CHECK}\n{ejection}")
    story.settle(10)
    story.backends[0].answer = "refuse"
    story.client(b"x").reset()
    story.settle(0.01)
    assert standings(story) == [Standing.EJECTED, Standing.AVAILABLE]
    story.backends[0].answer = "accept"
    story.settle(0.9)
    assert standings(story)[0] is Standing.EJECTED
    story.settle(2.5)
    assert standings(story)[0] is Standing.AVAILABLE
    assert story.pool.members[0].consecutiveFailures == 0


def test_maintenanceStopsChecks() -> None:
    """A member in maintenance is not asked; one that drains is."""
    story = Story(A, pool=CHECK)
    running = story.balancer.pool("web")
    running.setState(A, "maintenance")
    story.settle(1)
    before = story.backends[0].dials
    story.settle(10)
    assert story.backends[0].dials == before
    running.setState(A, "drain")
    story.settle(10)
    assert story.backends[0].dials >= before + 8


def test_reload() -> None:
    """
    Checks begin and end with the configuration; who was down when they ended is tried.
    """
    story = Story(A, B, pool=CHECK)
    story.backends[0].answer = "refuse"
    story.settle(5)
    assert standings(story)[0] is Standing.DOWN

    def reload(pool: str) -> None:
        text = configured(A, B, pool=pool)
        story.balancer.reload(configurationFromText(text, "story"))

    reload(CHECK.replace('interval = "1s"', 'interval = "3s"'))
    assert standings(story)[0] is Standing.DOWN
    before = story.backends[1].dials
    story.settle(30)
    assert 8 <= story.backends[1].dials - before <= 13
    reload("")
    assert standings(story) == [Standing.AVAILABLE] * 2
    before = story.backends[1].dials
    story.settle(30)
    assert story.backends[1].dials == before
    reload(CHECK)
    story.settle(5)
    assert standings(story)[0] is Standing.DOWN


def test_nobodyLeft() -> None:
    """With everybody down all are tried, and each is back when it passes."""
    story = Story(A, pool=CHECK)
    story.backends[0].answer = "refuse"
    story.settle(5)
    assert standings(story) == [Standing.DOWN]
    story.backends[0].answer = "accept"
    client = story.client(b"x")
    assert story.backends[0].accepted[-1].received == b"x"
    client.reset()
