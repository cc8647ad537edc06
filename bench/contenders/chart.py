"""The plot: a drawing of bars, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from .measure import Range, ranges
from .report import Results, shortly
from .work import Work

_LABELS = 160
"""Where bars begin, and the width that the contenders' names have."""

_BARS = 420
"""The length of the longest bar."""

_LINE = 18
_TITLE = 30
_WIDTH = _LABELS + _BARS + 110

_COLOURS = {"user": "#2a78b5", "system": "#9cc3e0", "memory": "#5a9a57"}
"""What the parts of a bar are, and their colours, which a print in grey tells apart."""

_SAID = {"user": "user time", "system": "system time", "memory": "memory"}


def _text(x: float, y: float, said: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(said)}</text>'


def _bar(
    name: str, parts: Sequence[tuple[str, float]], scale: float, unit: str, y: int
) -> list[str]:
    """One contender's bar: its name, a rectangle for each part, and their sum."""
    drawn = [_text(_LABELS - 8, y + 12, name, ' text-anchor="end"')]
    x = float(_LABELS)
    for part, value in parts:
        length = value * scale
        drawn.append(
            f'<rect x="{x:.1f}" y="{y + 2}" width="{length:.1f}" '
            f'height="{_LINE - 5}" fill="{_COLOURS[part]}"/>'
        )
        x += length
    total = sum(value for _, value in parts)
    drawn.append(_text(x + 6, y + 12, f"{shortly(total)} {unit}"))
    return drawn


def _group(
    work: Work, of: Mapping[str, Mapping[str, Range]], names: Sequence[str], y: int
) -> tuple[list[str], int]:
    """
    The bars of one kind of work.

    @return: What is drawn, and where the next group begins.
    """
    costs = {
        name: [(part, of[name][part].median) for part in work.compared]
        for name in names
        if all(part in of.get(name, {}) for part in work.compared)
    }
    if not work.compared or not costs:
        return [], y
    longest = max(sum(value for _, value in parts) for parts in costs.values())
    scale = _BARS / longest if longest > 0 else 0.0
    kind = " + ".join(_SAID[part] for part in work.compared)
    title = f"{work.name}: {kind} for each {work.unit}"
    drawn = [_text(8, y + 20, title, ' font-weight="bold"')]
    y += _TITLE
    unit = "B" if "memory" in work.compared else "µs"
    for name, parts in costs.items():
        drawn += _bar(name, parts, scale, unit, y)
        y += _LINE
    return drawn, y


def chart(results: Results) -> str:
    """
    The median costs of all contenders at all kinds of work.

    @return: A whole SVG file.
    """
    figures = ranges(results.samples)
    names = [each.name for each in results.contenders]
    drawn: list[str] = []
    y = 0
    for work in results.works:
        more, y = _group(work, figures.get(work.name, {}), names, y)
        drawn += more
    height = y + 10
    size = f'width="{_WIDTH}" height="{height}"'
    font = 'font-family="sans-serif" font-size="12"'
    space = 'xmlns="http://www.w3.org/2000/svg"'
    head = f'<svg {space} {size} viewBox="0 0 {_WIDTH} {height}" {font}>'
    return "\n".join([head, f'<rect {size} fill="white"/>', *drawn, "</svg>\n"])
