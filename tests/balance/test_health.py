"""Passive health: who is left alone for a while, and for how long."""

from __future__ import annotations

import pytest

from lbproxy.balance.health import EjectionOptions, PassiveHealth, Verdict
from lbproxy.words.backend import Backend, Member

OPTIONS = EjectionOptions(
    consecutiveFailures=3, baseTime=30.0, maxTime=100.0, maxEjected=1.0
)


ENOUGH = [Verdict.COUNTED, Verdict.COUNTED, Verdict.EJECTED]


def aMember(name: str = "a") -> Member:
    return Member(Backend("tcp:127.0.0.1:9001", name))


def eject(health: PassiveHealth, member: Member, now: float) -> None:
    """Let dials of a healthy member fail until it is ejected."""
    while health.failed(member, now) is not Verdict.EJECTED:
        pass


class TestOptions:
    def test_defaults(self) -> None:
        """Without configuration: five failures, half a minute, half a pool."""
        assert EjectionOptions() == EjectionOptions(5, 30.0, 300.0, 0.5)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"consecutiveFailures": -1}, "not -1"),
            ({"baseTime": 0.0}, "more than 0 seconds, not 0.0"),
            ({"baseTime": float("nan")}, "not nan"),
            ({"baseTime": 30.0, "maxTime": 29.0}, "30.0 seconds, not 29.0"),
            ({"maxEjected": -0.1}, "0 to 1, not -0.1"),
            ({"maxEjected": 1.1}, "0 to 1, not 1.1"),
        ],
    )
    def test_nonsenseIsRefused(self, options: dict[str, float], words: str) -> None:
        """An option that makes no sense is named with what was given."""
        with pytest.raises(ValueError, match=words):
            EjectionOptions(**options)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("share", "members", "limit"),
        [
            (0.5, 0, 0),
            (0.5, 1, 0),
            (0.5, 2, 1),
            (0.5, 3, 1),
            (0.0, 100, 0),
            (1.0, 1, 1),
            (1.0, 10_000, 10_000),
            (0.29, 100, 29),
            (0.29, 99, 28),
        ],
    )
    def test_shareIsRoundedDown(self, share: float, members: int, limit: int) -> None:
        """A share means whole members, and never more than was written."""
        assert EjectionOptions(maxEjected=share).limit(members) == limit

    @pytest.mark.parametrize(
        ("ejections", "seconds"),
        [(0, 30.0), (1, 60.0), (2, 100.0), (3, 100.0), (5000, 100.0)],
    )
    def test_timesDoubleUpToTheLongest(self, ejections: int, seconds: float) -> None:
        """Each ejection in a row is twice as long, and none is too long."""
        assert OPTIONS.duration(ejections) == seconds


class TestEjecting:
    def test_failuresInARow(self) -> None:
        """A member goes with the last of so many failures, and not before."""
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        assert [health.failed(member, 7.0) for _ in range(3)] == ENOUGH
        assert member.ejectedUntil == 37.0
        assert member.ejections == 1
        assert health.nextReturn == 37.0

    def test_aSuccessBreaksTheRow(self) -> None:
        """Failures with a success between them do not add up."""
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        for _ in range(10):
            assert health.failed(member, 0.0) is not Verdict.EJECTED
            assert health.failed(member, 0.0) is not Verdict.EJECTED
            health.succeeded(member)
        assert member.consecutiveFailures == 0

    def test_off(self) -> None:
        """With zero consecutive failures nobody is ever ejected."""
        options = EjectionOptions(consecutiveFailures=0, maxEjected=1.0)
        health, member = PassiveHealth(options, 2), aMember()
        verdicts = {health.failed(member, 0.0) for _ in range(100)}
        assert Verdict.EJECTED not in verdicts
        assert member.consecutiveFailures == 100

    def test_aPoolOfOneKeepsItsMember(self) -> None:
        """The only member of a pool stays, however often it fails."""
        health, member = PassiveHealth(EjectionOptions(), 1), aMember()
        verdicts = {health.failed(member, 0.0) for _ in range(100)}
        assert Verdict.EJECTED not in verdicts

    def test_theLimitHolds(self) -> None:
        """
        When as many are ejected as may be, the next one stays; it goes with its
        next failure once there is room.
        """
        health = PassiveHealth(EjectionOptions(3, 30.0, 100.0, 0.5), 2)
        first, second = aMember("first"), aMember("second")
        eject(health, first, 0.0)
        verdicts = {health.failed(second, 1.0) for _ in range(10)}
        assert Verdict.EJECTED not in verdicts
        assert health.returned(30.0) == [first]
        assert health.failed(second, 31.0) is Verdict.EJECTED


class TestComingBack:
    def test_notBeforeItsTime(self) -> None:
        """A member is back when its time is over, to the moment."""
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        eject(health, member, 0.0)
        assert health.returned(29.9) == []
        assert health.returned(30.0) == [member]
        assert member.ejectedUntil is None
        assert health.nextReturn == float("inf")

    def test_inOrderOfTime(self) -> None:
        """Each comes back at its own time, whoever was ejected first."""
        health = PassiveHealth(OPTIONS, 4)
        a, b, c, d = (aMember(name) for name in "abcd")
        a.ejections = 1
        eject(health, a, 0.0)
        eject(health, b, 10.0)
        eject(health, c, 10.0)
        eject(health, d, 50.0)
        assert health.nextReturn == 40.0
        assert health.returned(60.0) == [b, c, a]
        assert health.nextReturn == 80.0

    def test_onProbation(self) -> None:
        """One more failure ejects a member again, for twice as long."""
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        now = 0.0
        eject(health, member, now)
        durations = []
        for _ in range(4):
            now = health.nextReturn
            health.returned(now)
            assert health.failed(member, now) is Verdict.EJECTED
            durations.append(health.nextReturn - now)
        assert durations == [60.0, 100.0, 100.0, 100.0]

    def test_aSuccessEndsProbation(self) -> None:
        """A dial that works makes a member as good as new."""
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        eject(health, member, 0.0)
        health.returned(30.0)
        health.succeeded(member)
        assert (member.consecutiveFailures, member.ejections) == (0, 0)
        assert [health.failed(member, 40.0) for _ in range(3)] == ENOUGH
        assert member.ejectedUntil == 70.0


class TestWhileEjected:
    def test_failuresDoNotProlong(self) -> None:
        """Connections that had nowhere else to go do not keep a member out."""
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        eject(health, member, 0.0)
        verdicts = {health.failed(member, 20.0) for _ in range(10)}
        assert Verdict.EJECTED not in verdicts
        assert health.returned(30.0) == [member]
        assert member.consecutiveFailures == 2

    def test_aSuccessSparesProbationAlone(self) -> None:
        """
        A dial that works in the meantime does not bring a member back early, nor
        is its record wiped; but back again, one failure does not eject it.
        """
        health, member = PassiveHealth(OPTIONS, 2), aMember()
        eject(health, member, 0.0)
        health.succeeded(member)
        assert member.ejectedUntil == 30.0
        assert member.ejections == 1
        assert health.returned(30.0) == [member]
        assert [health.failed(member, 31.0) for _ in range(3)] == ENOUGH
        assert member.ejectedUntil == 91.0
