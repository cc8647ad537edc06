"""A picker that sends each client to the same backend every time."""

from __future__ import annotations

from hashlib import blake2b

from zope.interface import implementer

from lbproxy import Connection, IBackendPicker, ICandidates, Member


@implementer(IBackendPicker)
class ByClient:
    """
    Chooses by the client's address: of all candidates the one whose name hashes
    highest together with it.  When a backend goes, only its clients move.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        """Choose one of C{candidates}."""
        client = f"{self.seed} {connection.client.host} "

        def height(member: Member) -> bytes:
            return blake2b((client + member.name).encode()).digest()

        return max(candidates, key=height)
