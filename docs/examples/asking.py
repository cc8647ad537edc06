"""A picker that asks another service, over HTTP, where a client belongs."""

from twisted.web.client import Agent, readBody
from zope.interface import implementer

from lbproxy import Connection, IBackendPicker, ICandidates, Member


@implementer(IBackendPicker)
class Asking:
    """Asks which backend to use."""

    def __init__(self, service: str = "http://127.0.0.1:9090/") -> None:
        self.service = service

    async def pick(
        self, candidates: ICandidates, connection: Connection
    ) -> Member | None:
        from twisted.internet import reactor

        where = f"{self.service}{connection.client.host}"
        response = await Agent(reactor).request(b"GET", where.encode())
        name = (await readBody(response)).decode().strip()
        for member in candidates:
            if member.name == name:
                return member
        return candidates[0]
