"""A table with a kind has the keys of all kinds and those of its own, and no others."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import field, frozen

from lbproxy import ConfigurationError
from lbproxy.config.kinds import KindsTable
from lbproxy.config.schema import Key, readAt
from lbproxy.words.options import REQUIRED, Unset, declared, option
from lbproxy.words.place import Place
from lbproxy.words.values import text, wholeNumber


@frozen(kw_only=True)
class Pet:
    kind: str = option(text("a kind"), "dog", "Which pet it is.")
    age: int = option(wholeNumber(0), 1, "Its years.")
    options: Mapping[str, object] = field(factory=dict)


@frozen(kw_only=True)
class Dog:
    name: str = field(metadata=declared(text("a name"), REQUIRED, "What it hears."))
    bigSize: int = option(wholeNumber(1, 9), 5, "Its size.")


@frozen(kw_only=True)
class Cat:
    name: str = field(metadata=declared(text("a name"), REQUIRED, "What it hears."))
    lives: int = option(wholeNumber(1, 9), 9, "How many are left.")

    def __attrs_post_init__(self) -> None:
        if self.name == "Tom" and self.lives == 1:
            raise ValueError("Tom has more than one life")


PETS = KindsTable(
    "[pet]",
    "A pet.",
    Pet,
    {"dog": Dog, "cat": Cat, "stone": None},
    (Key("colour", text("a colour"), Unset("none"), "Its colour."),),
    reserved=("vet",),
)
PLACE = Place("f", "pet")


def read(written: object) -> Pet:
    found = readAt(PETS.placed, written, PLACE)
    assert isinstance(found, Pet)
    return found


@pytest.mark.parametrize(
    ("written", "pet"),
    [
        ({"name": "Rex"}, Pet(options={"name": "Rex"})),
        (
            {"kind": "dog", "name": "Rex", "big-size": 9, "age": 3},
            Pet(age=3, options={"name": "Rex", "big-size": 9}),
        ),
        ({"kind": "cat", "name": "a"}, Pet(kind="cat", options={"name": "a"})),
        ({"kind": "stone", "age": 0}, Pet(kind="stone", age=0)),
        # Only its plugin knows what the keys of another kind mean.
        (
            {"kind": "fish", "lives": -1, "any-key": [{}], "age": 2},
            Pet(kind="fish", age=2, options={"lives": -1, "any-key": [{}]}),
        ),
    ],
)
def test_read(written: dict, pet: Pet) -> None:
    """The options of a kind are kept as they were written."""
    assert read(written) == pet


@pytest.mark.parametrize(
    ("written", "error"),
    [
        (1, " = 1: expected a table, [pet]"),
        ([{"name": "a"}], ' = [{ name = "a" }]: expected a table, [pet]'),
        ({}, ".name: this key is required"),
        ({"kind": 1}, ".kind = 1: expected a kind"),
        ({"kind": ""}, '.kind = "": expected a kind'),
        ({"kind": ["cat"]}, '.kind = ["cat"]: expected a kind'),
        ({"name": 1}, ".name = 1: expected a name"),
        ({"name": "a", "age": -1}, ".age = -1: expected a whole number of 0 or more"),
        (
            {"name": "a", "lives": 3},
            '.lives = 3: this key is for kind = "cat", and kind is "dog"',
        ),
        (
            {"kind": "stone", "name": "a"},
            '.name = "a": this key is for kind = "dog" or "cat", and kind is "stone"',
        ),
        (
            {"name": "a", "bigsize": 3},
            '.bigsize = 3: unknown key; the nearest known one is "big-size"',
        ),
        ({"name": "a", "vet": 1}, ".vet = 1: not available in this version"),
        ({"kind": "fish", "vet": 1}, ".vet = 1: not available in this version"),
        ({"kind": "fish", "age": "1"}, '.age = "1": expected a whole number'),
        ({"kind": "fish", "colour": 1}, ".colour = 1: expected a colour"),
        (
            {"kind": "cat", "name": "Tom", "lives": 1},
            ": Tom has more than one life",
        ),
    ],
)
def test_refused(written: object, error: str) -> None:
    """One line names the table, the key, and the kind that has it."""
    with pytest.raises(ConfigurationError) as raised:
        read(written)
    assert str(raised.value).startswith(f"f: pet{error}")
    assert len(str(raised.value).splitlines()) == 1


def test_own() -> None:
    """The options of a kind are made of what was written, with their defaults."""
    pet = read({"kind": "cat", "name": "a", "age": 4})
    assert PETS.own(pet.kind, pet.options, PLACE) == Cat(name="a")
    with pytest.raises(ConfigurationError, match=r"^f: pet\.lives = 0: expected"):
        PETS.own("cat", {"name": "a", "lives": 0}, PLACE)


def test_reference() -> None:
    """The reference lists each key once, those of several kinds too."""
    names = [key.name for key in PETS.table.keys]
    assert names == ["kind", "age", "colour", "name", "big-size", "lives"]
