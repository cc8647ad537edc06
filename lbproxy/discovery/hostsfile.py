"""Looks names up in a hosts file, as the system's resolver does first of all."""

from __future__ import annotations

import os
from ipaddress import ip_address

from .answers import Family

_FAMILIES = {4: Family.IPV4, 6: Family.IPV6}

_Hosts = dict[str, dict[Family, tuple[str, ...]]]


class HostsFile:
    """
    A hosts file (hosts(5)).

    It is read when a name is looked up, but only if it has changed since it was last
    read.  A file that cannot be read has no names, as for the system's resolver.
    """

    def __init__(self, path: str = "/etc/hosts") -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None
        self._hosts: _Hosts = {}

    def addresses(self, name: str) -> dict[Family, tuple[str, ...]]:
        """
        Look up the addresses of a name, of each family that the file has for it.

        @param name: In any case, with or without a dot at its end.
        @return: It is empty if the file does not have the name.
        """
        version = self._look()
        if version is None or version != self._version:
            self._version, self._hosts = version, self._read()
        return self._hosts.get(_folded(name), {})

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self) -> _Hosts:
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                lines = file.readlines()
        except OSError:
            return {}
        hosts: _Hosts = {}
        for line in lines:
            address, *names = line.partition("#")[0].split() or [""]
            try:
                ip = ip_address(address)
            except ValueError:
                # The system's resolver, too, passes over such lines.
                continue
            family = _FAMILIES[ip.version]
            for name in names:
                known = hosts.setdefault(_folded(name), {})
                known[family] = (*known.get(family, ()), str(ip))
        return hosts


def _folded(name: str) -> str:
    return name.removesuffix(".").lower()
