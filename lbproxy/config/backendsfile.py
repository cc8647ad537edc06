"""Reads the file of a discovery: a list of backends in TOML or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import loads

from ..words.backend import Backend
from ..words.place import ConfigurationError, Place, knownHint
from .backends import BACKENDS, requireDistinctNames
from .file import documentFromBytes
from .schema import readAt

_KEY = "backends"


def readBackends(content: bytes, path: str) -> Sequence[Backend]:
    """
    Make the backends of a file.

    @param content: JSON, if the path ends in C{.json}: a list, or an object with the
        list under C{backends}.  Else TOML with the key C{backends}.
    @param path: Errors begin with it.
    @raise ConfigurationError: If it cannot be used.
    """
    place = Place(path)
    if not content.strip():
        raise ConfigurationError(f"{path}: is empty")
    document = _json(content, place) if path.endswith(".json") else None
    if document is None:
        document = documentFromBytes(content, path)
    for key in document:
        if key != _KEY:
            hint = knownHint(key, [_KEY])
            raise place.key(key).refuse(document[key], f"unknown key; {hint}")
    if _KEY not in document:
        raise place.key(_KEY).lack("this key is required")
    backends: Sequence[Backend] = readAt(BACKENDS, document[_KEY], place.key(_KEY))
    requireDistinctNames(backends, place.key(_KEY))
    return backends


def _json(content: bytes, place: Place) -> Mapping[str, object]:
    try:
        document = loads(content)
    except RecursionError:
        raise ConfigurationError(f"{place.source}: is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"{place.source}: is not JSON: {error}") from None
    if isinstance(document, list):
        return {_KEY: document}
    if not isinstance(document, dict):
        raise place.lack("expected a list of backends")
    return document
