"""A picker that chooses whoever has the fewest connections."""

from zope.interface import implementer

from lbproxy import Connection, IBackendPicker, ICandidates, Member


@implementer(IBackendPicker)
class Quietest:
    """Chooses the member with the fewest connections for its weight."""

    def pick(self, candidates: ICandidates, connection: Connection) -> Member:
        return min(candidates, key=lambda member: member.active / member.weight)
