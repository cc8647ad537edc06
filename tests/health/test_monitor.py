"""When members are checked, and that nothing a probe does ends the checks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from random import Random
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from lbproxy import Backend, CheckFailed, IHealthProbe
from lbproxy.health.monitor import Monitor, PoolChecks
from lbproxy.health.options import HealthCheckOptions
from lbproxy.proxy.pluginerrors import PluginErrors
from lbproxy.streams.alarm import ClockAlarm
from lbproxy.streams.wheel import TICKS, Wheel


@define(eq=False)
class Sick:
    """A member as the monitor sees it."""

    backend: Backend
    state: str = "ready"


@define(eq=False)
class Told:
    """A pool that keeps what it is told."""

    members: list[Sick] = field(factory=list)
    heard: list[tuple[str, float, str | None]] = field(factory=list)
    then: Callable[[], object] = list

    def checked(self, member: Any, now: float, failure: str | None) -> None:
        self.heard.append((member.backend.name, now, failure))
        self.then()


@implementer(IHealthProbe)
class Scripted:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, clock: Clock, answer: Callable[[], Any]) -> None:
        self.clock = clock
        self.answer = answer
        self.asked: list[tuple[str, float]] = []
        self.running = self.most = 0

    def probe(self, backend: Backend) -> Any:
        self.asked.append((backend.connect, self.clock.seconds()))
        return self.answer()


class Ward:
    """One pool that is checked."""

    def __init__(
        self,
        answer=lambda: succeed(None),
        members=1,
        atOnce=500,
        seed=7,
        interval=10.0,
        timeout=2.0,
    ) -> None:
        self.clock = Clock()
        self.wheel = Wheel(ClockAlarm(self.clock))
        self.errors = PluginErrors(self.wheel)
        self.monitor = Monitor(self.wheel, Random(seed), self.errors, atOnce)
        self.pool = Told([Sick(Backend(f"tcp:h:{n + 1}")) for n in range(members)])
        self.probe = Scripted(self.clock, answer)
        self.options = HealthCheckOptions(interval=interval, timeout=timeout)
        self.checks: PoolChecks = self.monitor.watch(
            self.pool, self.probe, self.options
        )

    def go(self, seconds: float) -> list[str | None]:
        """What the pool hears within some seconds."""
        self.pool.heard.clear()
        self.clock.pump([1 / 16] * round(seconds * 16))
        return [failure for _, _, failure in self.pool.heard]

    def step(self, until: float = inf) -> None:
        """Let the next thing happen that is due, if it is due by then."""
        due = min(each.getTime() for each in self.clock.getDelayedCalls())
        self.clock.advance(min(due, until) - self.clock.seconds())

    def close(self) -> None:
        """Nothing is left of it."""
        self.monitor.close()
        self.errors.close()
        self.pool.heard.clear()
        asked = len(self.probe.asked)
        assert not len(self.wheel)
        assert not self.clock.getDelayedCalls()
        self.go(50)
        assert len(self.probe.asked) == asked
        assert not self.pool.heard


def test_intervals() -> None:
    """A member is checked once in an interval, or up to a tenth sooner, never later."""
    ward = Ward()
    ward.go(1000)
    times = [when for _, when in ward.probe.asked]
    assert 0 <= times[0] <= 10
    gaps = [b - a for a, b in pairwise(times)]
    assert all(8.9 <= gap <= 10.1 for gap in gaps)
    assert min(gaps) < 9.2
    assert max(gaps) > 9.8
    ward.close()


def test_memberThatIsConfiguredOtherwise() -> None:
    """The next check goes by what a member is by then, though no option is another."""
    ward = Ward()
    ward.go(10)
    (member,) = ward.pool.members
    member.backend = evolve(member.backend, connect="tcp:h:9")
    ward.probe.asked.clear()
    ward.go(11)
    assert {connect for connect, _ in ward.probe.asked} == {"tcp:h:9"}
    ward.close()


@settings(deadline=None)
@given(
    interval=st.integers(1, 60 * TICKS),
    timeout=st.integers(1, 60 * TICKS),
    fall=st.integers(1, 10),
    stops=st.floats(0, 3),
    seed=st.integers(0, 1 << 32),
)
def test_fallsInTime(
    interval: int, timeout: int, fall: int, stops: float, seed: int
) -> None:
    """
    Whenever a member stops answering, C{fall} checks of it have failed within C{fall}
    times the sum of interval and timeout.
    """
    ward = Ward(seed=seed, interval=interval / TICKS, timeout=timeout / TICKS)
    stopped = stops * ward.options.interval
    while ward.clock.seconds() < stopped:
        ward.step(stopped)
    ward.probe.answer = Deferred
    heard = ward.pool.heard
    heard.clear()
    while len(heard) < fall:
        ward.step()
    assert None not in {failure for _, _, failure in heard}
    within = fall * (ward.options.interval + ward.options.timeout)
    assert heard[fall - 1][1] - stopped <= within
    ward.close()


def test_spread() -> None:
    """A thousand members are no burst: each second has its share of them."""
    ward = Ward(members=1000)
    ward.go(9)  # From then on some are checked again.
    for second in range(9):
        asked = [when for _, when in ward.probe.asked if second <= when < second + 1]
        assert 60 <= len(asked) <= 140
    ward.close()


async def raises(error: BaseException) -> None:
    raise error


def raising(error: BaseException) -> Callable[[], Any]:
    def answer() -> None:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: succeed(None), None),
        (lambda: fail(CheckFailed("it lags")), "it lags"),
        (lambda: raises(CheckFailed("it lags")), "it lags"),
        (raising(CheckFailed("it lags")), "it lags"),
        (lambda: raises(ConnectionRefusedError(111, "")), "connection refused"),
        (lambda: True, "the health check's answer is of type bool"),
        (lambda: None, "the health check's answer is of type NoneType"),
        (lambda: succeed(False), "the health check's answer is of type bool"),
        (Deferred, "no answer in 2s"),
    ],
)
def test_outcomes(answer, reason: str | None) -> None:
    """Whatever comes of a check is a result, and the next one follows."""
    ward = Ward(answer)
    heard = ward.go(100)
    assert 7 <= len(heard) <= 12
    assert set(heard) == {reason}
    ward.close()


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), SystemExit(), GeneratorExit()]
)
@pytest.mark.parametrize("late", [False, True])
def test_mistakes(error: BaseException, late: bool, logged: list) -> None:
    """A probe that is wrong fails its checks, and the log says once where."""
    ward = Ward((lambda: fail(error)) if late else raising(error))
    heard = ward.go(100)
    assert 7 <= len(heard) <= 12
    assert all(str(each).startswith(type(error).__name__) for each in heard)
    assert len([each for each in logged if "log_failure" in each]) == 1
    ward.close()


def test_cancelsBadly(logged: list) -> None:
    """One whose canceller raises is a check without an answer."""
    ward = Ward(lambda: Deferred(lambda _: raising(ZeroDivisionError())()))
    assert set(ward.go(100)) == {"no answer in 2s"}
    ward.close()


def test_neverTwiceAtATime() -> None:
    """A timeout longer than the interval delays the next check, no more."""
    ward = Ward(Deferred)
    ward.checks.update(evolve(ward.options, timeout=25.0), ward.probe)
    assert set(ward.go(300)) == {"no answer in 25s"}
    times = [when for _, when in ward.probe.asked]
    assert all(b - a >= 25 for a, b in pairwise(times))
    ward.close()


def test_atOnce() -> None:
    """Of many members without an answer only so many are asked at a time."""
    ward = Ward(Deferred, members=50, atOnce=5)
    ward.go(9)
    assert 15 <= len(ward.probe.asked) <= 25
    ward.go(60)
    assert len({connect for connect, _ in ward.probe.asked}) == 50
    ward.close()


def test_manyThatAnswerAtOnce() -> None:
    """A long queue of checks that end at once is no deep recursion."""
    waits: list[Deferred[None]] = []

    def answer() -> Deferred[None]:
        if waits:
            return succeed(None)
        waits.append(Deferred())
        return waits[0]

    ward = Ward(answer, members=3000, atOnce=1)
    ward.checks.update(evolve(ward.options, timeout=60.0), ward.probe)
    ward.go(12)
    assert len(ward.probe.asked) == 1
    waits[0].callback(None)
    assert len(ward.pool.heard) == 3000
    ward.close()


def test_membersComeAndGo() -> None:
    """Who is added is checked from then on; who is removed is not, not even now."""
    ward = Ward(Deferred)
    ward.go(10.5)
    cancelled = ward.pool.members.pop()
    ward.pool.members.append(Sick(Backend("tcp:h:9")))
    ward.checks.membersChanged()
    ward.go(40)
    assert cancelled.backend.name not in {name for name, _, _ in ward.pool.heard}
    assert "tcp:h:9" in {name for name, _, _ in ward.pool.heard}
    ward.close()


def test_memberIsConfiguredOtherwise() -> None:
    """What is checked from then on is the member as it is now."""
    ward = Ward()
    ward.options = evolve(ward.options, port=99)
    ward.checks.update(ward.options, ward.probe)
    ward.go(10)
    ward.pool.members[0].backend = Backend("tcp:other:1")
    ward.go(10)
    assert [connect for connect, _ in ward.probe.asked] == ["tcp:h:99", "tcp:other:99"]
    ward.close()


def test_maintenance() -> None:
    """Maintenance stops the checks, one that runs included; drain does not."""
    ward = Ward(Deferred)
    (member,) = ward.pool.members
    while not ward.probe.asked:
        ward.go(0.5)
    member.state = "maintenance"
    ward.checks.membersChanged()
    assert ward.go(50) == []
    member.state = "drain"
    assert len(ward.go(30)) >= 2
    ward.close()


def test_update() -> None:
    """A new configuration takes effect at once: interval, place and probe."""
    ward = Ward()
    ward.checks.update(evolve(ward.options, interval=3600.0), ward.probe)
    ward.go(100)
    assert len(ward.probe.asked) == 1
    ward.checks.update(evolve(ward.options, interval=1.0, port=81), ward.probe)
    ward.go(10)
    assert len(ward.probe.asked) >= 9
    assert {connect for connect, _ in ward.probe.asked[1:]} == {"tcp:h:81"}
    ward.close()


@pytest.mark.parametrize("answer", [lambda: succeed(None), Deferred])
def test_closedWhileItTells(answer) -> None:
    """A pool that ends its checks on hearing of one hears of no other."""
    ward = Ward(answer, members=5)
    ward.pool.then = ward.checks.close
    assert len(ward.go(50)) == 1
    ward.close()


def test_aPoolThatRaises(logged: list) -> None:
    """Even that does not end the checks."""
    ward = Ward()
    ward.pool.then = raising(ZeroDivisionError())
    assert len(ward.go(100)) >= 7
    ward.close()
