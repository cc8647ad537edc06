"""
Reads a table with a C{kind}: the keys of all kinds, and those of that one.

The keys of a kind that is a plugin are passed on as they were written.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from ..words.options import made
from ..words.place import Place
from .schema import Key, Placed, Table, keysOf, readAt


class KindsTable:
    """
    The declaration of a table with a C{kind}.

    @ivar table: All keys, those of each built-in kind included.
    """

    def __init__(
        self,
        header: str,
        doc: str,
        owner: type,
        kinds: Mapping[str, type | None],
        more: tuple[Key, ...] = (),
        reserved: Container[str] = (),
    ) -> None:
        """
        @param header: The header as a file has it.
        @param doc: One sentence for the user who writes the configuration.
        @param owner: The class of the options of all kinds.  The first is C{kind}.  It
            has C{options}, a mapping, for what was written of one kind.
        @param kinds: The built-in kinds, each with the class of its own options.
        @param more: Further keys of all kinds.
        @param reserved: The names of keys that a later version will have.
        """
        self._owner = owner
        self._kinds = kinds
        self._reserved = reserved
        self._general = (*keysOf(owner), *more)
        self._own: Mapping[str, tuple[Key, ...]] = {
            kind: () if options is None else keysOf(options)
            for kind, options in kinds.items()
        }
        own = {key.name: key for keys in self._own.values() for key in keys}
        self.table = Table(header, doc, (*self._general, *own.values()))

    @property
    def placed(self) -> Placed:
        """The parser of the table; it returns an object of the owner."""
        return Placed(self.read)

    def read(self, written: object, place: Place) -> Any:
        """
        Read a table.

        @raise ConfigurationError: If anything in it cannot be used, as far as that is
            known without the plugin.
        """
        if not isinstance(written, Mapping):
            raise place.refuse(written, f"expected a table, {self.table.header}")
        first = self._general[0]
        chosen = written.get(first.name, first.default)
        kind = readAt(first.parse, chosen, place.key(first.name))
        names = {key.name for key in self._general}
        if kind in self._kinds:
            self._requireOwn(written, kind, place)
            values = self._reader(self._own[kind]).read(written, place)
            self._requireTogether(kind, values, place)
        else:
            general = {
                key: value
                for key, value in written.items()
                if key in names or key in self._reserved
            }
            values = self._reader().read(general, place)
        values["options"] = {k: v for k, v in written.items() if k not in names}
        return made(self._owner, values)

    def own(self, kind: str, written: Mapping[str, object], place: Place) -> Any:
        """The options of a built-in kind, from what was written of them."""
        options = self._kinds[kind]
        assert options is not None
        table = Table(self.table.header, self.table.doc, self._own[kind])
        return made(options, table.read(written, place))

    def _reader(self, own: tuple[Key, ...] = ()) -> Table:
        return Table(
            self.table.header,
            self.table.doc,
            (*self._general, *own),
            self._reserved,
        )

    def _requireOwn(
        self, written: Mapping[str, object], kind: str, place: Place
    ) -> None:
        """Refuse the keys of the other built-in kinds."""
        own = {key.name for key in self._own[kind]}
        for key in self.table.keys:
            theirs = [
                f'"{other}"'
                for other, keys in self._own.items()
                if key.name in {each.name for each in keys}
            ]
            if theirs and key.name not in own and key.name in written:
                these = " or ".join(theirs)
                reason = f'this key is for kind = {these}, and kind is "{kind}"'
                raise place.key(key.name).refuse(written[key.name], reason)

    def _requireTogether(
        self, kind: str, values: Mapping[str, object], place: Place
    ) -> None:
        """Refuse options of a kind that do not go together."""
        options = self._kinds[kind]
        if options is not None:
            try:
                made(options, values)
            except ValueError as error:
                raise place.lack(str(error)) from None
