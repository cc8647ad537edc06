"""The reference says what the program does, and its examples work."""

from __future__ import annotations

import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from lbproxy.config.backends import BACKEND, BACKEND_TLS, MEMBER
from lbproxy.config.discovery import DISCOVERY
from lbproxy.config.file import configurationFromText
from lbproxy.config.healthcheck import HEALTH_CHECK
from lbproxy.config.keys import LISTENER, LOG, POOL, PROCESS, TABLES
from lbproxy.config.listenertls import CERTIFICATE, LISTENER_TLS
from lbproxy.config.model import EJECTION
from lbproxy.config.reference import defaultText, referenceText
from lbproxy.config.routes import ROUTE
from lbproxy.config.schema import Key, Table
from lbproxy.words.place import ConfigurationError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.rst"
KEYS = [(table, key) for table in TABLES for key in table.keys]


def blocks(language: str) -> list[str]:
    """The code blocks of a language in the reference."""
    found = []
    for part in REFERENCE.read_text(encoding="utf-8").split(
        f".. code-block:: {language}\n\n"
    )[1:]:
        lines = []
        for line in part.splitlines():
            if line and not line.startswith("   "):
                break
            lines.append(line)
        found.append(dedent("\n".join(lines)))
    return found


def test_theSmallestExampleWorks() -> None:
    """Who copies the first example has a balancer."""
    least, *_ = blocks("toml")
    configuration = configurationFromText(least, "reference.rst")
    assert len(configuration.pools[0].backends) == 2


def test_theExamplesAreOneValidFile() -> None:
    """Who copies all the others together has one, too."""
    _, *tables = blocks("toml")
    configuration = configurationFromText("\n".join(tables), "reference.rst")
    assert [pool.name for pool in configuration.pools] == ["web", "mail", "cache"]


def test_everyKeyIsInAnExample() -> None:
    """There is no key that one cannot see used."""
    _, *tables = blocks("toml")
    document: dict[str, Any] = tomllib.loads("\n".join(tables))
    (listener,) = document["listener"]
    web, mail, cache = document["pool"].values()
    finding = web["discovery"] | mail["discovery"] | cache["discovery"]
    checks = web["health-check"] | mail["health-check"] | cache["health-check"]
    used = [
        (PROCESS, document["process"]),
        (LOG, document["log"]),
        (LISTENER, listener),
        (ROUTE, listener["routes"][0]),
        (LISTENER_TLS, listener["tls"]),
        (CERTIFICATE, listener["tls"]["certificates"][0]),
        (POOL, web),
        (BACKEND, mail["backends"][0]),
        (BACKEND_TLS, mail["backends"][0]["tls"]),
        (EJECTION, web["ejection"]),
        (HEALTH_CHECK.table, checks),
        (DISCOVERY.table, finding),
        (MEMBER, finding["member"]),
    ]
    for table, example in used:
        assert set(example) == {key.name for key in table.keys}


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ('[[listener]]\nname = "web"\nlisten = "tcp:1"\nidle-timeout = "5 parsecs"', 0),
        (
            '[pool.web]\nbackends = ["tcp:a:1", { connect = "tcp:a:2", weight = 0 }]',
            1,
        ),
        ('[[listener]]\nname = "web"\nlisten = "tcp:1"\nidle-timout = "1h"', 2),
    ],
)
def test_theErrorsAreTheOnesShown(document: str, line: int) -> None:
    """The reference quotes errors as the program says them."""
    shown = [each for block in blocks("text") for each in block.splitlines() if each]
    with pytest.raises(ConfigurationError) as raised:
        configurationFromText(document, "lb.toml")
    assert str(raised.value) == shown[line]


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda each: str(each)[:40])
def test_everyKeyIsInTheReference(table: Table, key: Key) -> None:
    """Under its table, with its default and its meaning."""
    text = referenceText([table])
    assert text in referenceText()
    assert f"``{table.header}``\n~~~~" in text
    doc = key.doc.replace('"*.', '"\\*.')  # Or it would be emphasized.
    assert f"   * - ``{key.name}``\n     - {defaultText(key)}\n     - {doc}\n" in text


@pytest.mark.parametrize(
    ("table", "name", "default"),
    [
        (PROCESS, "close-timeout", '``"30s"``'),
        (PROCESS, "max-connections", "``0``"),
        (LOG, "access", '``"none"``'),
        (LISTENER, "name", "its first description"),
        (LISTENER, "listen", "required"),
        (LISTENER, "idle-timeout", '``"1h"``'),
        (LISTENER, "half-close-timeout", '``"5m"``'),
        (LISTENER, "max-lifetime", "``0``"),
        (LISTENER, "half-close", "``true``"),
        (POOL, "dial-deadline", '``"15s"``'),
        (BACKEND, "weight", "``1``"),
    ],
)
def test_defaultsAreInTheUnitsOfTheFile(table: Table, name: str, default: str) -> None:
    """A default can be copied into a file as it stands."""
    (key,) = (key for key in table.keys if key.name == name)
    assert defaultText(key) == default
