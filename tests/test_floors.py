"""The house stays as it was built: imports go downwards only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lbproxy"

FLOORS = [
    {"__version__", "interfaces"},
    {"words"},
    {"causes"},
    {"balance", "streams"},
    {"proxy"},
    {"observe", "health", "discovery"},
    {"endpoints", "plugins"},
    {
        "__main__",
        "config",
        "demo",
        "directdiscovery",
        "discoveries",
        "generation",
        "holdings",
        "logfile",
        "pooldiscovery",
        "poolhealth",
        "ports",
        "portsettings",
        "privileges",
        "runningpool",
        "runningtls",
        "service",
        "signals",
        "tap",
        "testing",
    },
]
"""From the ground up."""

APART = {frozenset({"balance", "streams"}), frozenset({"endpoints", "plugins"})}
"""Rooms on one floor that know nothing of each other."""

PURE = {"words", "balance"}
UNCLEAN = {"asyncio", "socket", "threading", "time"}
RULED_OUT = {
    *("util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"),
    *("handler", "handlers", "processor", "processors", "engine", "component"),
    *("components", "context"),
}


def floor(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"lbproxy/{room} is on no floor")


def imports(source: str, module: str) -> Iterator[tuple[str, str]]:
    """Each import of a module, made absolute: from where, and what."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield origin, alias.name


def namesInAnnotations(source: str) -> set[str]:
    """What is imported for type checking only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom):
                    names.update(alias.name for alias in inner.names)
    return names


def faults(source: str, module: str) -> Iterator[str]:
    """What a module imports that it may not."""
    _, room, *_ = module.split(".")
    forTypes = namesInAnnotations(source)
    for origin, name in imports(source, module):
        top, *rest = origin.split(".")
        if origin == "twisted.internet" and name == "reactor" and room != "tap":
            yield f"{module} takes the global reactor"
        if room in PURE:
            allowed = (sys.stdlib_module_names - UNCLEAN) | {"attrs", "lbproxy"}
            if top not in allowed and not origin.startswith("zope.interface"):
                yield f"{module} imports {origin}"
        if top != "lbproxy":
            continue
        other = (rest or [name])[0]
        if room == "interfaces" and other == "words" and name in forTypes:
            continue
        if floor(other) > floor(room):
            yield f"{module} reaches up to {other}"
        if frozenset({room, other}) in APART:
            yield f"{module} reaches over to {other}"


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts != ("lbproxy", "__init__"):
            yield ".".join(parts), path


def test_everyFloorIsThere() -> None:
    """No room is planned here that is not built."""
    there = {path.stem for path in PACKAGE.iterdir()} | {"__version__"}
    assert set().union(*FLOORS) <= there


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=str)
def test_importsGoDownwards(module: str, path: Path) -> None:
    """No module knows of the rooms above it, or of what its room does without."""
    assert not list(faults(path.read_text(), module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lbproxy.words.backend", "from ..balance.pool import Pool"),
        ("lbproxy.words.backend", "import time"),
        ("lbproxy.balance.pool", "from twisted.internet.defer import Deferred"),
        ("lbproxy.balance.pool", "from ..streams import relay"),
        ("lbproxy.streams.relay", "from twisted.internet import reactor"),
        ("lbproxy.streams.relay", "from .. import proxy"),
        ("lbproxy.streams.relay", "def f():\n    from ..proxy.session import Session"),
        ("lbproxy.proxy.session", "import lbproxy.observe.accesslog"),
        ("lbproxy.interfaces", "from .words.backend import Backend"),
        ("lbproxy.service", "from twisted.internet import reactor"),
    ],
)
def test_faultsAreFound(module: str, source: str) -> None:
    """The check itself finds what is not allowed."""
    assert list(faults(source, module))


def test_twistedIsNoPackageOfOurs() -> None:
    """An __init__.py in twisted/ would hide every other plugin."""
    assert not list((ROOT / "twisted").rglob("__init__.py"))


def test_namesThatSayNothing() -> None:
    """No file is named for what could be anything."""
    assert not [p for p in PACKAGE.rglob("*.py") if p.stem in RULED_OUT]
