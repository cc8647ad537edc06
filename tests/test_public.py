"""What a program may import is in one place, and its types come with it."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files as resources
from pathlib import Path

import pytest
from twisted.application.service import MultiService

import lbproxy
from lbproxy.testing import MemoryNetwork

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def test_everythingIsThere() -> None:
    """What is exported exists, in order, and is documented where it is made."""
    assert lbproxy.__all__ == sorted(lbproxy.__all__)
    for name in lbproxy.__all__:
        assert getattr(lbproxy, name).__doc__


def test_errorsCanBeCaught() -> None:
    """Whoever embeds it catches its two errors without reaching inside."""
    with pytest.raises(lbproxy.ConfigurationError):
        lbproxy.loadConfiguration("/nowhere/lb.toml")
    balancers = [
        lbproxy.LoadBalancer.fromEndpoints(network, ["tcp:80"], ["tcp:10.0.0.1:80"])
        for network in [MemoryNetwork()] * 2
    ]
    balancers[0].startService()
    with pytest.raises(lbproxy.CannotStart):
        balancers[1].startService()
    balancers[0].stopService()


def test_configurationOfAProgram() -> None:
    """The page about embedding makes a configuration without a file."""
    text = (DOCS / "embedding.rst").read_text()
    (shown,) = re.findall(
        r"^\.\. code-block:: python\n\n((?:   .*\n)+)(?=\nWhat can)", text, re.M
    )
    names: dict[str, object] = {"reactor": MemoryNetwork()}
    exec(re.sub(r"^   ", "", shown, flags=re.M), names)
    parent = MultiService()
    balancer = names["balancer"]
    assert isinstance(balancer, lbproxy.LoadBalancer)
    balancer.setServiceParent(parent)
    parent.startService()
    assert [str(each) for each in balancer.addresses] == ["0.0.0.0:8080"]
    parent.stopService()


def test_typed() -> None:
    """Type checkers find the types of an installed lbproxy, for it says it has them."""
    assert (resources("lbproxy") / "py.typed").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packaged = project["tool"]["setuptools"]["package-data"]
    assert packaged == {"lbproxy": ["py.typed"]}


# What the package's docstring says is public; the parsers are for options of plugins.
PUBLIC = ("lbproxy", "lbproxy.testing", "lbproxy.words.units", "lbproxy.words.values")
PAGES = sorted({*DOCS.rglob("*.rst"), *DOCS.rglob("*.py")} - {DOCS / "conf.py"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_docsUseWhatIsPublic(page: Path) -> None:
    """No page and no example imports from a module that may change."""
    for module in re.findall(r"(?:from|import) (lbproxy[\w.]*)", page.read_text()):
        assert module in PUBLIC
