"""What one peer does with its connection, drawn by chance: a list of steps."""

from __future__ import annotations

from random import Random

Step = tuple[str, float]
"""
What to do, and for how long or how much: C{say} so many bytes, C{flood} for so
many seconds, C{wait}, C{drain} until the end of the stream or so many seconds;
C{eager}, C{sip} and C{deaf} say how it reads from then on; C{end}, C{close} and
C{reset} need no number.
"""

_SIZES = (0, 1, 7, 100, 1448, 16384, 65536, 65537, 300_000, 1_500_000)


def _polite(rng: Random) -> list[Step]:
    """Says something, ends its stream, and hears the other side out."""
    steps: list[Step] = [("say", rng.choice(_SIZES[1:8]))]
    if rng.random() < 0.5:
        steps.append(("wait", rng.uniform(0, 0.5)))
        steps.append(("say", rng.choice(_SIZES)))
    return [*steps, ("end", 0), ("drain", 4)]


def _endless(rng: Random) -> list[Step]:
    """Sends for as long as it is let, and reads little or nothing."""
    return [(rng.choice(("eager", "sip", "deaf")), 0), ("flood", 6)]


def _abrupt(rng: Random) -> list[Step]:
    """Leaves at once, or nearly."""
    leave: list[Step] = [(rng.choice(("close", "reset", "end")), 0)]
    first: list[Step] = [("say", rng.choice(_SIZES[:7]))]
    return [*rng.choice(([], first, [("wait", 0.05)])), *leave, ("drain", 1)]


def _silent(rng: Random) -> list[Step]:
    """Says nothing and waits to be cut off."""
    return [(rng.choice(("eager", "deaf")), 0), ("wait", rng.uniform(0.5, 5))]


def _erratic(rng: Random) -> list[Step]:
    """Anything, in any order."""
    steps: list[Step] = []
    for _ in range(rng.randrange(1, 7)):
        what = rng.choice(
            ("say", "say", "flood", "wait", "eager", "sip", "deaf", "end", "drain")
        )
        amount = {
            "say": float(rng.choice(_SIZES)),
            "flood": rng.uniform(0.05, 1),
            "wait": rng.uniform(0.01, 1.5),
            "drain": rng.uniform(0.1, 2),
        }.get(what, 0.0)
        steps.append((what, amount))
    steps.append((rng.choice(("close", "reset", "drain")), 2))
    return steps


def script(rng: Random) -> list[Step]:
    """
    Draw one.

    @param rng: Decides everything.
    """
    kinds = (_polite, _endless, _abrupt, _silent, _erratic)
    return rng.choices(kinds, (30, 8, 15, 7, 40))[0](rng)
