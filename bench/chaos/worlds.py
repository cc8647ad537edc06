"""What one round is made of: configuration, backends and plugins, drawn by chance."""

from __future__ import annotations

import ssl
from pathlib import Path
from random import Random
from typing import Any

import trustme
from attrs import frozen

from lbproxy import Backend

from .crowd import Place, place
from .endpoints import HOWS


@frozen
class Certificates:
    """
    Who is trusted, and how.

    @ivar server: A directory with the balancer's certificate, for C{tls:}.
    @ivar roots: A directory with the authority's.
    """

    server: Path
    roots: Path
    forClients: ssl.SSLContext
    forBackends: ssl.SSLContext

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        """Have an authority issue them."""
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        server, roots = directory / "server", directory / "roots"
        server.mkdir()
        roots.mkdir()
        issued.private_key_and_cert_chain_pem.write_to_path(server / "localhost.pem")
        authority.cert_pem.write_to_path(roots / "authority.pem")
        forClients = ssl.create_default_context()
        authority.configure_trust(forClients)
        forBackends = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(forBackends)
        return cls(server, roots, forClients, forBackends)


class World:
    """
    One draw.

    @ivar text: The configuration.
    @ivar kinds: Of its listeners, in order.
    @ivar halfClose: Of its listeners, by name.
    @ivar closeTimeout: In seconds.
    @ivar places: Where the backends are.
    @ivar pools: Their names.
    @ivar singles: Backends in no pool, and some that do not exist.
    @ivar rough: Whether there is a transport without back-pressure.
    """

    def __init__(
        self,
        rng: Random,
        certificates: Certificates,
        directory: Path,
        without: frozenset[str],
    ) -> None:
        self._rng = rng
        self._certificates = certificates
        self._directory = directory
        self._without = without
        self.rough = "rough" not in without and rng.random() < 0.4
        self.places = self._places()
        self.pools = [f"pool{number}" for number in range(rng.randrange(1, 4))]
        self.halfClose: dict[str, bool] = {}
        self.closeTimeout = self._seconds()
        self.kinds = self._kinds()
        self.singles = [Backend("tcp:127.0.0.1:1"), Backend("no such thing")]
        self.singles += [Backend(self._connect(each)) for each in self.places[:2]]
        process = {
            "route-timeout": self._seconds(),
            "pick-timeout": self._seconds(),
            "close-timeout": self.closeTimeout,
            "max-connections": rng.choice((0, 0, 0, 15)),
        }
        parts = ["[process]", *_lines(process)]
        for number, kind in enumerate(self.kinds):
            parts += self._listener(f"listener{number}", kind)
        for name in self.pools:
            parts += self._pool(name)
        self.text = "\n".join(parts)

    def _seconds(self) -> float:
        """A limit: 0.1 to 3 s, short ones as often as long ones."""
        return round(0.1 * 30 ** self._rng.random(), 3)

    def _allowed(self, *kinds: str) -> list[str]:
        return [each for each in kinds if each not in self._without]

    def _places(self) -> list[Place]:
        kinds = self._allowed("tcp", "unix", "tls")
        manners = ["serve"] * 5 + ["refuse", "full", "mute"]
        made = []
        for number in range(self._rng.randrange(3, 8)):
            kind, manner = self._rng.choice(kinds), self._rng.choice(manners)
            if number == 0:
                manner = "serve"
            made.append(place(kind, manner, str(self._directory / f"back{number}")))
        return made

    def _kinds(self) -> list[str]:
        kinds = self._allowed("tcp", "tcp", "unix", "tls")
        if self.rough:
            kinds += ["rough"]
        return [self._rng.choice(kinds) for _ in range(self._rng.randrange(1, 4))]

    def _listener(self, name: str, kind: str) -> list[str]:
        rng = self._rng
        # An address of its own: equal descriptions are refused.
        host = f"127.0.0.{len(self.halfClose) + 1}"
        listen = {
            "tcp": f"tcp:0:interface={host}",
            "unix": f"unix:{self._directory / name}",
            "tls": f"tls:{self._certificates.server}:0:interface={host}",
            "rough": f"rough:{host}:0",
        }[kind]
        self.halfClose[name] = rng.random() < 0.7
        keys: dict[str, Any] = {
            "name": name,
            "listen": listen,
            "pool": rng.choice(self.pools),
            "idle-timeout": self._seconds(),
            "half-close-timeout": self._seconds(),
            "stall-timeout": self._seconds(),
            "max-lifetime": rng.choice((0, 0, self._seconds())),
            "half-close": self.halfClose[name],
        }
        return ["[[listener]]", *_lines(keys)]

    def _pool(self, name: str) -> list[str]:
        rng = self._rng
        count = rng.randrange(1, len(self.places) + 1)
        keys: dict[str, Any] = {
            "connect-timeout": self._seconds(),
            "dial-deadline": self._seconds(),
            "retries": rng.randrange(0, 5),
        }
        parts = [f"[pool.{name}]", *_lines(keys)]
        for number, each in enumerate(rng.sample(self.places, count)):
            connect = self._connect(each)
            kind = connect.partition(":")[0]
            member = {"connect": connect, "name": f"{kind}-{name}-{number}"}
            parts += [f"[[pool.{name}.backends]]", *_lines(member)]
        return parts

    def _connect(self, place: Place) -> str:
        """How to reach a place, one way or another."""
        if place.kind == "tls":
            port = place.connect.rpartition(":")[2]
            inner = rf"tcp\:127.0.0.1\:{port}"
            roots = self._certificates.roots
            return f"tls:localhost:{port}:endpoint={inner}:trustRoots={roots}"
        if place.kind == "tcp" and self.rough and self._rng.random() < 0.5:
            port = place.connect.rpartition(":")[2]
            return f"rough:{self._rng.choice(HOWS)}:{port}"
        return place.connect


def _lines(keys: dict[str, Any]) -> list[str]:
    def written(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return f"'{value}'" if isinstance(value, str) else str(value)

    return [f"{key} = {written(value)}" for key, value in keys.items()]
