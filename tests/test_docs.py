"""What the docs and the README show is so."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from stories import record
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface.verify import verifyObject

import lbproxy
from lbproxy import Backend, End, IBackendPicker, IHealthProbe
from lbproxy.balance.health import EjectionOptions
from lbproxy.balance.pool import Pool
from lbproxy.config.file import configurationFromText
from lbproxy.config.schema import keysOf
from lbproxy.observe.accesslog import line
from lbproxy.tap import Options
from lbproxy.testing import MemoryNetwork, checkPicker, connectionFrom

ROOT = Path(__file__).parent.parent
CONTRIBUTING = ROOT / "CONTRIBUTING.rst"
PAGES = [ROOT / "README.rst", CONTRIBUTING, *sorted((ROOT / "docs").glob("*.rst"))]
EXAMPLES = ROOT / "docs" / "examples"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language on a page."""
    found = re.findall(
        rf"^\.\. code-block:: {language}\n((?:\n|[ ]+.*\n)+)",
        page.read_text(),
        re.MULTILINE,
    )
    return [re.sub(r"^ {3,4}", "", each, flags=re.MULTILINE) for each in found]


def commands() -> list[str]:
    """Every command line of lbproxy that any page shows."""
    return [
        line.strip()
        for page in PAGES
        for line in page.read_text().splitlines()
        if re.match(r"^    .*\blbproxy -", line)
    ]


def options(command: str) -> list[str]:
    """What a command line gives to lbproxy."""
    words = shlex.split(re.split(r"\blbproxy (?=-)", command)[-1])
    return words[: words.index("&&")] if "&&" in words else words


TOML = [
    (page.name, each)
    for page in PAGES
    if page.name != "reference.rst"  # its fragments have a test of their own
    for each in blocks(page, "toml")
]


def pool(picker) -> Pool:
    return Pool("web", [Backend(f"tcp:h:{n}", name=f"b{n}") for n in range(3)], picker)


def test_thereIsSomethingToTest() -> None:
    """The tests below find what they look for."""
    assert len(commands()) >= 4
    assert len(TOML) >= 2


@pytest.mark.parametrize(("page", "text"), TOML)
def test_configuration(page: str, text: str) -> None:
    """Every configuration that is shown is one that is accepted."""
    configurationFromText(text, page)


@pytest.mark.parametrize("command", commands())
def test_options(command: str) -> None:
    """Every command line that is shown is one that is accepted."""
    arguments = options(command)
    if "--config" not in arguments:
        Options().parseOptions(arguments)


@pytest.mark.parametrize("page", ["README.rst", "docs/embedding.rst"])
def test_threeLines(page: str) -> None:
    """The three lines that are shown embed a balancer."""
    text = blocks(ROOT / page, "python")[0]
    network, application = MemoryNetwork(), MultiService()
    exec(text, {"reactor": network, "application": application})
    application.startService()
    client = network.client(8080)
    assert not client.closed


def test_readmePicker() -> None:
    """The README's picker picks."""
    names: dict[str, Any] = {}
    exec(blocks(ROOT / "README.rst", "python")[1], names)
    picker = names["FirstOne"]()
    assert checkPicker(picker, pool(picker).candidates(0)).name == "b0"


def readmeCommands(section: str, following: str) -> list[str]:
    """What a section of the README has one type."""
    text = (ROOT / "README.rst").read_text()
    text = text[text.index(f"\n{section}\n") : text.index(f"\n{following}\n")]
    return re.findall(r"^    (.+)$", text, re.MULTILINE)


def test_readmeTestIt() -> None:
    """One line sets up and tests; continuous integration runs it to the letter."""
    assert readmeCommands("Test it", "Read on") == [
        (
            "python3 -m venv .venv && .venv/bin/pip install -e '.[test]'"
            " --config-settings editable_mode=compat"
            " && .venv/bin/python -m pytest -n 4 --dist worksteal"
        ),
    ]


def test_readmeRunIt() -> None:
    """One line sets up and serves, the next asks; integration runs these as well."""
    assert readmeCommands("Run it", "One connection's way")[:3] == [
        (
            "python3 -m venv .venv && .venv/bin/pip install ."
            " && .venv/bin/twistd --nodaemon lbproxy --listen tcp:8080"
        ),
        "curl localhost:8080",
        "kill $(cat twistd.pid)",
    ]


def test_contributing() -> None:
    """Every file and folder that a recipe sends one to is there."""
    named = re.findall(r"``([\w.+-]*/[\w./+-]*)``", CONTRIBUTING.read_text())
    files = [each for each in named if "NAME" not in each]
    assert len(files) > 20
    assert [each for each in files if not (ROOT / each).exists()] == []


def test_programmingInterface() -> None:
    """Its page leads to all that the package exports, and to nothing else."""
    page = (ROOT / "docs" / "api.rst").read_text()
    shown = re.findall(r":py:\w+:`lbproxy\.(\w+)`", page)
    assert sorted(shown) == sorted({*lbproxy.__all__, "testing"} - {"__version__"})


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"3.5\n", "passed"),
        (b"60\n", "it lags 60 seconds behind"),
        (b"?\n", "what it said is no number"),
    ],
)
def test_healthProbe(said: bytes, outcome: str) -> None:
    """The health check that is shown says who lags too far behind."""
    network, names = MemoryNetwork(), runpy.run_path(str(EXAMPLES / "lagging.py"))
    probe = names["Lagging"](network)
    assert verifyObject(IHealthProbe, probe)
    replica = network.backend("10.0.0.1", 80)
    outcomes: list[str] = []
    Deferred.fromCoroutine(probe.probe(Backend("tcp:10.0.0.1:80"))).addCallbacks(
        lambda _: outcomes.append("passed"),
        lambda failure: outcomes.append(failure.getErrorMessage()),
    )
    network.settle()
    replica.accepted[0].send(said)
    network.settle()
    assert outcomes == [outcome]
    assert replica.accepted[0].closed


def docstrings() -> Iterator[tuple[str, str]]:
    """Each docstring of what is installed, and where it is."""
    for top in "lbproxy", "twisted":
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    where = f"{path.name}: {getattr(node, 'name', 'module')}"
                    yield where, ast.get_docstring(node) or ""


def test_docstringsAreEpytext() -> None:
    """None is in the markup of the pages, which would be shown as it is written."""
    assert [where for where, text in docstrings() if "``" in text] == []


def test_ejection() -> None:
    """What ejects a member by default is said as it is declared."""
    page = (ROOT / "docs" / "failures.rst").read_text()
    rows = re.findall(r"^     - ``([a-z-]+)``\n     - (\S+)$", page, re.MULTILINE)
    assert rows == [(key.name, str(key.default)) for key in keysOf(EjectionOptions)]


def test_outage() -> None:
    """Each line of a log that is shown is one that lbproxy has written."""
    night = (ROOT / "tests" / "observe" / "night.txt").read_text()
    written = {re.sub(r"^\w+ +", "", each) for each in night.splitlines()}
    shown = "".join(blocks(ROOT / "docs" / "failures.rst", "text")).splitlines()
    shown = [each for each in shown if each]
    assert len(shown) > 6
    assert [each for each in shown if each not in written] == []


def test_troubleshooting(tmp_path: Path) -> None:
    """Each word has its advice, and the commands count what they say they do."""
    page = (ROOT / "docs" / "troubleshooting.rst").read_text()
    terms = re.findall(r"^(``.*``)$", page, re.MULTILINE)
    words = re.findall(r"``([^`]+)``", " ".join(terms))
    assert sorted(words) == sorted(End)
    a, b, c = (Backend("tcp:h:1", name=name) for name in "abc")
    records = [
        record(end=End.BACKEND_RESET, backend=a, tried=[b, c], detail="truncated"),
        record(end=End.BACKEND_RESET, backend=a, tried=[b]),
        record(end=End.CLIENT_CLOSED, backend=b),
    ]
    log = tmp_path / "access.log"
    log.write_text("".join(map(line, records)))
    counted = [
        subprocess.check_output(["sh", "-c", command], text=True, cwd=tmp_path).split()
        for command in re.findall(r"^    (.*access\.log.*)$", page, re.MULTILINE)
    ]
    assert counted == [
        ["2", "backend-reset", "1", "client-closed"],
        ["2", "backend=a"],
        ["2", "b", "1", "c"],
    ]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:7:1::5", "2001:db8:7::/48"),
        ("127.0.0.1", "127.0.0.0/24"),
    ],
)
def test_networks(host: str, key: str) -> None:
    """The key function that is shown has one key for each network."""
    byNetwork = runpy.run_path(str(EXAMPLES / "networks.py"))["byNetwork"]
    assert byNetwork(connectionFrom(host)) == key


def test_quietest() -> None:
    """The synchronous example takes whoever has the fewest connections."""
    picker = runpy.run_path(str(EXAMPLES / "quietest.py"))["Quietest"]()
    members = pool(picker)
    checkPicker(picker, members.candidates(0))
    for expected in ("b0", "b1", "b2", "b0"):
        chosen = picker.pick(members.candidates(0), connectionFrom())
        lease = members.lease(chosen)
        assert lease is not None
        assert lease.backend.name == expected


TESTS = dict(enumerate(blocks(ROOT / "docs" / "testing.rst", "python")))


@pytest.mark.parametrize("number", TESTS)
def test_testsThatAreShown(number: int) -> None:
    """The page about testing shows tests that run, and pass."""
    names: dict[str, object] = {"__name__": "shown"}
    exec(TESTS[number], names)
    tests = [each for name, each in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        assert callable(test)
        test()


def test_aTestOfEach() -> None:
    """There is one for a picker, a router and an observer."""
    shown = "".join(TESTS.values())
    assert all(each in shown for each in ("IBackendPicker", "routers=", "observers="))


def test_exampleProject(tmp_path: Path) -> None:
    """The project to copy passes its own tests, with its plugin found by its name."""
    project = shutil.copytree(
        EXAMPLES / "plugin",
        tmp_path / "plugin",
        ignore=shutil.ignore_patterns("*.cache"),
    )
    assert not list((project / "twisted").rglob("__init__.py"))
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


class Directory(Resource):
    """Tells who serves whom."""

    isLeaf = True

    def render_GET(self, request) -> bytes:
        return b"b2\n" if request.path == b"/192.0.2.1" else b"nobody"


@pytest.mark.filterwarnings("ignore:Using readBody:DeprecationWarning")
@pytest_twisted.inlineCallbacks
def test_asking():
    """The async example goes where an HTTP service says, or else to the first."""
    port = cast(Any, reactor).listenTCP(0, Site(Directory()), interface="127.0.0.1")
    service = f"http://127.0.0.1:{port.getHost().port}/"
    picker = runpy.run_path(str(EXAMPLES / "asking.py"))["Asking"](service)
    verifyObject(IBackendPicker, picker)
    candidates = pool(picker).candidates(0)
    for host, expected in (("192.0.2.1", "b2"), ("192.0.2.9", "b0")):
        answer = picker.pick(candidates, connectionFrom(host))
        chosen = yield Deferred.fromCoroutine(answer)
        assert chosen.name == expected
    yield port.stopListening()


def test_readmeDemo(tmp_path: Path) -> None:
    """The README's demonstration, checked by the twistd that would run it."""
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    demo = readmeCommands("Run it", "One connection's way")[0]
    arguments = shlex.split(demo.partition("twistd ")[2])
    ended = subprocess.run(
        [sys.executable, twistd, *arguments, "--check"],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"configuration is valid\n")
