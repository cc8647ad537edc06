"""Reads the file of a discovery: a list of backends in TOML or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import loads
from typing import Any

from ..endpoints.making import checkClientDescription
from ..words.backend import Backend
from ..words.place import ConfigurationError, Place, knownHint, shown
from ..words.tlsoptions import TLSOptions
from .backends import BACKENDS, requireDistinctNames
from .backendtls import contextAt
from .file import documentFromText, textFromBytes
from .schema import readAt

_KEY = "backends"


class BackendsFile:
    """Makes backends of what a file has, again and again."""

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: The reactor that the endpoints of the backends are for.
        """
        self._reactor = reactor
        # To make the endpoint of a TLS backend takes a millisecond.
        self._checked: frozenset[str] = frozenset()
        self._loaded: frozenset[TLSOptions] = frozenset()

    def read(self, content: bytes, path: str) -> Sequence[Backend]:
        """
        Make the backends of the content of a file.

        @param content: JSON, if the path ends in C{.json}: a list, or an object with
            the list under C{backends}.  Else TOML with the key C{backends}.
        @param path: Errors begin with it.
        @raise ConfigurationError: If it cannot be used, or the endpoint of a backend
            cannot be made, or a file of its TLS cannot be used.
        """
        backends = _backends(content, path)
        place = Place(path).key(_KEY)
        for at, each in enumerate(backends):
            if each.connect not in self._checked:
                checkClientDescription(self._reactor, each.description, place.item(at))
        loaded = set(self._loaded)
        for at, each in enumerate(backends):
            if each.tls is not None and each.tls.files not in loaded:
                contextAt(each.tls, place.item(at).key("tls"))
                loaded.add(each.tls.files)
        self._checked = frozenset(each.connect for each in backends)
        self._loaded = frozenset(each.tls.files for each in backends if each.tls)
        return backends


def _backends(content: bytes, path: str) -> Sequence[Backend]:
    place = Place(path)
    text = textFromBytes(content, path)
    if not text.strip():
        raise ConfigurationError(f"{path}: is empty")
    read = _json if path.endswith(".json") else documentFromText
    document = read(text, path)
    for key in document:
        if key != _KEY:
            hint = knownHint(key, [_KEY])
            raise place.key(key).refuse(document[key], f"unknown key; {hint}")
    if _KEY not in document:
        raise place.key(_KEY).lack("this key is required")
    backends: Sequence[Backend] = readAt(BACKENDS, document[_KEY], place.key(_KEY))
    requireDistinctNames(backends, place.key(_KEY))
    return backends


def _json(text: str, path: str) -> Mapping[str, object]:
    try:
        document = loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ConfigurationError(f"{path}: is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: is not JSON: {error}") from None
    if isinstance(document, list):
        return {_KEY: document}
    if not isinstance(document, dict):
        raise Place(path).refuse(document, "expected a list of backends")
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """
    Make an object of JSON.

    @raise ValueError: If it has a key twice, which JSON allows and TOML does not.
    """
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shown(key)} is there twice")
        found[key] = value
    return found
