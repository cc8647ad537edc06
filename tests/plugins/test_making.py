"""Pickers and routers are found by name, and their faults stay one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen
from twisted.logger import LogEvent, formatEventAsClassicLogText
from twisted.plugin import IPlugin
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lbproxy.interfaces import (
    IBackendPicker,
    IBackendPickerFactory,
    ICandidates,
    IRouter,
)
from lbproxy.plugins.choice import PickerChoice
from lbproxy.plugins.classes import PickerPlugin
from lbproxy.plugins.making import (
    CallableRouter,
    buildPicker,
    namedRouter,
    pickerFactories,
)
from lbproxy.words.backend import Member
from lbproxy.words.connection import Address, Connection
from lbproxy.words.options import Option
from lbproxy.words.place import ConfigurationError, Place
from lbproxy.words.units import parseDuration
from lbproxy.words.values import boolean, wholeNumber

PLACE = Place("lb.toml", "pool.web.picker")
CONNECTION = Connection(1, "web", Address("::1", 1), Address("::1", 2), 0.0)


@implementer(IBackendPicker)
@frozen
class Sticky:
    """A picker with options."""

    window: float = 1.0
    tableSize: int = 7

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Take the first."""
        return candidates[0]


def makeSticky(window: float, table_size: int) -> Sticky:
    """As plugins get their options: by keyword, with underscores."""
    return Sticky(window, table_size)


def parseSize(written: object) -> object:
    """Only one kind of thing is allowed."""
    if written == "odd":
        raise RuntimeError("never seen such a thing")
    return int(str(written))


STICKY = PickerPlugin(
    "sticky",
    makeSticky,
    {
        "window": Option(parseDuration, 2.0, "How long."),
        "table-size": Option(parseSize, 5, "How many."),
    },
)
PLAIN = PickerPlugin("plain", Sticky)
SHARED = PickerPlugin(
    "shared",
    lambda table_size, fair: Sticky(table_size, fair),
    {
        "table-size": Option(wholeNumber(1), 5, "How many."),
        "fair": Option(boolean, False, "Whether."),
    },
)
FACTORIES = [STICKY, PLAIN, SHARED]

ready = Sticky()


@implementer(IBackendPicker)
class NoPicker:
    """Promises more than it has."""


@implementer(IBackendPicker)
class Anything:
    """Takes whatever it is called with."""

    def pick(*arguments: object) -> None:
        """Refuse."""


@implementer(IBackendPickerFactory)
class NoFactory:
    """Promises more than it has."""


@implementer(IBackendPickerFactory)
class OddFactory:
    """Has what it promises, but not of the kind it promised."""

    name = "odd"
    options = None

    def build(self, **options: object) -> IBackendPicker:
        """Is never reached."""
        raise AssertionError


anything = Anything()
noPicker = NoPicker()
noFactory = NoFactory()
oddFactory = OddFactory()
number = 5


async def lateSticky() -> Sticky:
    """A picker is not waited for."""
    return ready


def broken() -> Sticky:
    """Something that does not work."""
    raise RuntimeError("out of\nluck")


def python(name: str) -> str:
    """This module's object, as configuration names it."""
    return f"python:{__name__}.{name}"


def build(name: str, /, **options: object) -> IBackendPicker:
    return buildPicker(PickerChoice(name, options), PLACE, FACTORIES)


def refusal(choice: PickerChoice) -> str:
    with pytest.raises(ConfigurationError) as raised:
        buildPicker(choice, PLACE, FACTORIES)
    return str(raised.value)


def test_pluginsAreWhatTwistedExpects() -> None:
    """The plugin class and the router that wraps a function keep their word."""
    assert verifyObject(IBackendPickerFactory, STICKY)
    assert verifyObject(IPlugin, STICKY)
    assert verifyObject(IRouter, CallableRouter(print))


def test_installedPluginsAreFound() -> None:
    """Without a list of one's own, Twisted's plugins are searched."""
    known = sorted({factory.name for factory in pickerFactories()})
    with pytest.raises(ConfigurationError) as raised:
        buildPicker(PickerChoice("no-such-picker"))
    assert str(raised.value) == (
        'picker: "no-such-picker": there is no picker "no-such-picker"; known: '
        + (", ".join(known) or "none")
    )


@pytest.mark.parametrize(
    ("name", "options", "picker"),
    [
        ("plain", {}, Sticky()),
        ("sticky", {}, Sticky(2.0, 5)),
        ("sticky", {"window": "3s"}, Sticky(3.0, 5)),
        ("sticky", {"window": 3, "table-size": "9"}, Sticky(3.0, 9)),
        ("shared", {"table-size": "9", "fair": "true"}, Sticky(9, True)),
        ("shared", {"table-size": 9, "fair": False}, Sticky(9, False)),
        (python("STICKY"), {"window": "3s"}, Sticky(3.0, 5)),
        (python("Sticky"), {}, Sticky()),
        (python("Sticky"), {"window": "as written"}, Sticky("as written")),
        (
            python("makeSticky"),
            {"window": 1, "table-size": 2},
            Sticky(1, 2),
        ),
        (python("ready"), {}, ready),
        (python("anything"), {}, anything),
    ],
)
def test_pickerIsBuilt(name: str, options: dict[str, object], picker: object) -> None:
    """A plugin parses its options and fills in the others; Python gets them raw."""
    assert build(name, **options) == picker


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("stikcy", {}, 'there is no picker "stikcy"; known: plain, shared, sticky'),
        ("plain", {"a": 1}, "plain takes no options"),
        (
            "sticky",
            {"windwo": 1},
            'unknown option "windwo"; the nearest known one is "window"',
        ),
        (
            "sticky",
            {"window": "x"},
            (
                'option "window": expected a duration of 0 or more: a number of '
                'seconds, or such as "250ms", "5s", "10m", "1h"'
            ),
        ),
        (
            "shared",
            {"table-size": "0"},
            'option "table-size": expected a whole number of 1 or more',
        ),
        (
            "shared",
            {"fair": "yes"},
            'option "fair": expected true or false',
        ),
        (
            "sticky",
            {"table-size": "odd"},
            'option "table-size": RuntimeError: never seen such a thing',
        ),
        (
            "python:",
            {},
            'expected "python:package.module.Attribute"',
        ),
        (
            "python:json.Picker",
            {},
            (
                f"json.Picker cannot be imported from {json.__file__}: json has no "
                '"Picker"'
            ),
        ),
        (
            python("number"),
            {},
            (
                f"{python('number')} is neither a picker, nor a picker factory, nor "
                "callable"
            ),
        ),
        (
            python("ready"),
            {"window": 1},
            f"{python('ready')} is a picker already; it takes no options",
        ),
        (
            python("Sticky"),
            {"windwo": 1},
            f'{python("Sticky")} cannot be built: "windwo" is not known to it',
        ),
        (
            python("makeSticky"),
            {"window": 1},
            f'{python("makeSticky")} cannot be built: it lacks "table_size"',
        ),
        (
            python("broken"),
            {},
            f"{python('broken')} cannot be built: RuntimeError: out of\\nluck",
        ),
        (
            python("lateSticky"),
            {},
            (
                f"{python('lateSticky')} made an object (coroutine) that does not "
                "provide IBackendPicker"
            ),
        ),
        (
            "python:builtins.dict",
            {},
            (
                "python:builtins.dict made an object (dict) that does not provide "
                "IBackendPicker"
            ),
        ),
        (
            python("oddFactory"),
            {"a": 1},
            f"{python('oddFactory')} takes no options",
        ),
        (
            python("oddFactory"),
            {},
            (
                f"{python('oddFactory')} is not right: AttributeError: 'NoneType' "
                "object has no attribute 'items'"
            ),
        ),
    ],
)
def test_pickerIsRefused(name: str, options: dict[str, object], reason: str) -> None:
    """File, key, choice and reason are named; nothing of Python's is shown."""
    choice = PickerChoice(name, options)
    line = refusal(choice)
    assert line.startswith('lb.toml: pool.web.picker = "')
    assert line.endswith(f": {reason}")


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module.Picker"])
def test_whereItWasLookedFor(name: str, tmp_path: Path) -> None:
    """Who has started it in another directory sees so at once."""
    with stepping(tmp_path):
        picker = refusal(PickerChoice(f"python:{name}"))
        with pytest.raises(ConfigurationError) as raised:
            namedRouter(f"python:{name}")
    for line in (picker, str(raised.value)):
        said = f"{name} cannot be imported: looked for in {tmp_path}, "
        assert said in line
        assert "lib-dynload" not in line


@contextmanager
def stepping(directory: Path) -> Iterator[None]:
    """Python's own command line looks in the current directory first."""
    sys.path.insert(0, "")
    try:
        with chdir(directory):
            yield
    finally:
        sys.path.remove("")


@pytest.mark.parametrize(
    ("name", "lacks"),
    [("noPicker", "pick(candidates, connection)"), ("noFactory", "name")],
)
def test_brokenPromises(name: str, lacks: str) -> None:
    """What claims an interface without keeping it is caught before any client."""
    line = refusal(PickerChoice(python(name)))
    assert f"{python(name)} is not right: " in line
    assert line.endswith(f": it lacks {lacks}")


@pytest.fixture
def modules(tmp_path: Path) -> Iterator[Path]:
    """A directory from which Python imports, as the current one is by twistd."""
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "import absent_module",
            "ModuleNotFoundError: No module named 'absent_module'",
        ),
    ],
)
def test_importsThatFail(modules: Path, source: str, reason: str) -> None:
    """The cause of a failing import is told, and only the balancer ends."""
    name = f"failing_{abs(hash(source))}"
    path = modules / f"{name}.py"
    path.write_text(source)
    assert refusal(PickerChoice(f"python:{name}.Picker")).endswith(
        f": {name}.Picker cannot be imported from {path}: {reason}"
    )


@pytest.fixture
def brokenPlugin(tmp_path: Path) -> Iterator[Path]:
    """A Twisted plugin of somebody else's that cannot be imported."""
    import twisted.plugins

    path = tmp_path / "twisted" / "plugins" / "somebodys.py"
    path.parent.mkdir(parents=True)
    path.write_text("import absent_module\n")
    twisted.plugins.__path__.append(str(path.parent))
    yield path
    twisted.plugins.__path__.remove(str(path.parent))


def test_brokenPluginOfSomebodyElses(
    brokenPlugin: Path, logged: list[LogEvent]
) -> None:
    """It costs one line, however many pools look for their pickers."""
    for _ in range(3):
        assert buildPicker(PickerChoice("round-robin"))
    texts = list(filter(None, map(formatEventAsClassicLogText, logged)))
    (line,) = (text for text in texts if "absent_module" in text)
    assert line.count("\n") == 1
    assert line.endswith(
        f"A plugin cannot be imported: {brokenPlugin}: "
        "ModuleNotFoundError: No module named 'absent_module'\n"
    )


@pytest.mark.parametrize("source", ["import absent_module", "def", "raise SystemExit"])
def test_brokenPluginThatIsAskedFor(
    brokenPlugin: Path, source: str, logged: list[LogEvent]
) -> None:
    """A picker that may be in it is refused with the reason of the import."""
    brokenPlugin.write_text(source)
    with pytest.raises(ConfigurationError) as raised:
        buildPicker(PickerChoice("asking"))
    line = str(raised.value)
    assert 'there is no picker "asking"; known: ' in line
    assert f"; cannot be imported: {brokenPlugin}: " in line
    assert not list(filter(None, map(formatEventAsClassicLogText, logged)))


@implementer(IRouter)
@define
class Steady:
    """A router."""

    def route(self, connection: Connection) -> str:
        """Always the same."""
        return "web"


@implementer(IRouter)
class NoRouter:
    """Promises more than it has."""


class Demanding:
    """Cannot be made without help."""

    def __init__(self, pools: int) -> None:
        """Never happens."""


class Router:
    """Says nothing of interfaces."""


def choose(connection: Connection) -> str:
    """A router in its plainest form."""
    return f"pool-{connection.id}"


async def ask(connection: Connection) -> str:
    """One that may take its time."""
    return choose(connection)


def forgetful() -> str:
    """Takes too little."""
    return "web"


steady = Steady()
bound = partial(choose)


@pytest.mark.parametrize("name", ["steady", "Steady"])
def test_routerIsFound(name: str) -> None:
    """A router, or a class that makes one."""
    assert namedRouter(python(name)) == steady


@pytest.mark.parametrize("name", ["choose", "bound"])
def test_functionIsARouter(name: str) -> None:
    """A function is asked for each connection."""
    router = namedRouter(python(name))
    assert verifyObject(IRouter, router)
    assert router.route(CONNECTION) == "pool-1"


def test_coroutineFunctionIsARouter() -> None:
    """An async function's answer is awaited by whoever asked."""
    answer: Any = namedRouter(python("ask")).route(CONNECTION)
    with pytest.raises(StopIteration) as stopped:
        answer.send(None)
    assert stopped.value.value == "pool-1"


def test_builtInFunctionIsARouter() -> None:
    """What cannot tell its parameters is taken at its word."""
    assert namedRouter("python:operator.index") is not None
    assert namedRouter("python:builtins.iter").route(b"") is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("shop.choose", 'expected "python:package.module.Attribute"'),
        (
            "python:json.choose",
            (
                f"json.choose cannot be imported from {json.__file__}: json has no "
                '"choose"'
            ),
        ),
        (python("number"), f"{python('number')} is neither a router nor callable"),
        (
            python("Router"),
            f"{python('Router')} made an object (Router) that does not provide IRouter",
        ),
        (
            python("Demanding"),
            f'{python("Demanding")} cannot be made: it lacks "pools"',
        ),
        (
            python("forgetful"),
            (
                f"{python('forgetful')} cannot take the connection: too many "
                "positional arguments"
            ),
        ),
        (
            python("NoRouter"),
            f"{python('NoRouter')} is not right: it lacks route(connection)",
        ),
    ],
)
def test_routerIsRefused(text: str, reason: str) -> None:
    """Whatever cannot route is refused before any client comes."""
    with pytest.raises(ConfigurationError) as raised:
        namedRouter(text, Place("lb.toml", "listener.web.router"))
    assert str(raised.value).startswith(
        f'lb.toml: listener.web.router = "{text}": {reason}'
    )
