"""
The table C{[pool.NAME.health-check]}: the keys of all kinds, and those of one kind.

The keys of a kind that is a plugin are passed on as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..health.options import KINDS, HealthCheckOptions
from ..words.options import made
from ..words.place import Place
from .schema import Key, Table, keysOf, readAt

_HEADER = "[pool.NAME.health-check]"
_DOC = "How the members of a pool are checked; without this table they are not."
_RESERVED = ("proxy-protocol",)

_GENERAL = keysOf(HealthCheckOptions)
_OWN: Mapping[str, tuple[Key, ...]] = {
    kind: () if owner is None else keysOf(owner) for kind, owner in KINDS.items()
}

HEALTH_CHECK = Table(
    _HEADER, _DOC, (*_GENERAL, *(key for own in _OWN.values() for key in own))
)
"""All keys, those of each built-in kind included."""


def readHealthCheck(written: object, place: Place) -> HealthCheckOptions:
    """
    Read a table of L{HEALTH_CHECK}.

    @raise ConfigurationError: If anything in it cannot be used, as far as that is known
        without the plugin.
    """
    if not isinstance(written, Mapping):
        raise place.refuse(written, f"expected a table, {_HEADER}")
    kindKey = _GENERAL[0]
    kind = readAt(
        kindKey.parse, written.get("kind", kindKey.default), place.key("kind")
    )
    names = {key.name for key in _GENERAL}
    if kind in KINDS:
        _requireOwn(written, kind, place)
        values = Table(_HEADER, _DOC, (*_GENERAL, *_OWN[kind]), _RESERVED).read(
            written, place
        )
        _requireTogether(KINDS[kind], values, place)
    else:
        general = {k: v for k, v in written.items() if k in names or k in _RESERVED}
        values = Table(_HEADER, _DOC, _GENERAL, _RESERVED).read(general, place)
    values["options"] = {k: v for k, v in written.items() if k not in names}
    return made(HealthCheckOptions, values)


def _requireOwn(written: Mapping[str, object], kind: str, place: Place) -> None:
    """Refuse the keys of the other built-in kinds."""
    for other, own in _OWN.items():
        for key in own:
            if other != kind and key.name in written:
                reason = f'this key is for kind = "{other}", and kind is "{kind}"'
                raise place.key(key.name).refuse(written[key.name], reason)


def _requireTogether(
    owner: type | None, values: Mapping[str, object], place: Place
) -> None:
    """Refuse options of a kind that do not go together."""
    if owner is not None:
        try:
            made(owner, values)
        except ValueError as error:
            raise place.lack(str(error)) from None
