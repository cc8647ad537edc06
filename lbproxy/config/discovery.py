"""The table C{[pool.NAME.discovery]}."""

from __future__ import annotations

from collections.abc import Mapping

from ..discovery.options import KINDS, DiscoveryOptions
from ..words.options import Unset
from ..words.place import Place
from .backends import MEMBER
from .kinds import KindsTable
from .schema import Key, Placed


def _member(written: object, place: Place) -> Mapping[str, object]:
    """Read what each member has that is found; only what was written counts."""
    values = MEMBER.read(written, place)
    given = written if isinstance(written, Mapping) else {}
    return {
        key.attribute: values[key.attribute] for key in MEMBER.keys if key.name in given
    }


DISCOVERY = KindsTable(
    "[pool.NAME.discovery]",
    "Where the backends of a pool come from that are not listed.",
    DiscoveryOptions,
    KINDS,
    (Key("member", Placed(_member), Unset("nothing"), MEMBER.doc),),
)
