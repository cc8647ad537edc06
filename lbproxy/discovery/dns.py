"""The kinds of discovery C{dns} and C{srv}: addresses and services of the DNS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zope.interface import implementer

from ..interfaces import IDiscovery, IDiscoveryObserver
from ..words.backend import Backend
from ..words.description import written
from .answers import Service
from .names import Asking, Names, Watched
from .options import DnsOptions

if TYPE_CHECKING:
    from ..streams.wheel import Timer

GATHER = 0.1
"""
Seconds for which answers about the targets of a service are put together: it may have
thousands.
"""

AT_FIRST = 0.01
"""The same, while none was found."""

_SAID = 5
"""Of how many targets a line of the log says why they are not found."""


@implementer(IDiscovery)
class DnsDiscovery:
    """Each address of a host is a backend."""

    def __init__(self, names: Names, options: DnsOptions) -> None:
        self._names = names
        self._options = options
        self._watched: Watched | None = None
        self._found: tuple[str, ...] = ()

    def start(self, observer: IDiscoveryObserver) -> None:
        """Begin to look the host up."""
        options = self._options
        asking = Asking(options.resolver, options.resolveInterval)
        self._observer = observer
        self._watched = self._names.watch(options.name, asking, self._told)
        self._told()

    def stop(self) -> None:
        """Look it up no longer."""
        if self._watched is not None:
            self._watched.cancel()
            self._watched = None

    def _told(self) -> None:
        watched = self._watched
        if watched is None:
            return
        name, port = self._options.name, self._options.port
        addresses, trouble = watched.addresses, watched.trouble
        if addresses != self._found or (addresses and not trouble):
            self._found = addresses
            backends = [_backend(name, address, port) for address in addresses]
            self._observer.found(backends, _why(name, trouble))
        if trouble:
            self._observer.failed(trouble)


@implementer(IDiscovery)
class SrvDiscovery:
    """
    Each address of each target of a service is a backend; its priority is the tier.
    """

    def __init__(self, names: Names, name: str, asking: Asking) -> None:
        self._names = names
        self._name = name
        self._asking = asking
        self._service: Watched | None = None
        self._targets: dict[str, Watched] = {}
        self._found: list[Backend] = []
        self._timer: Timer | None = None

    def start(self, observer: IDiscoveryObserver) -> None:
        """Begin to look the service up."""
        self._observer = observer
        self._service = self._names.watchService(
            self._name, self._asking, self._serviceTold
        )
        self._serviceTold()

    def stop(self) -> None:
        """Look up nothing any longer."""
        if self._service is not None:
            self._service.cancel()
            self._service = None
        self._watch(())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serviceTold(self) -> None:
        if self._service is not None:
            self._watch({each.target for each in _usable(self._service)})
            self._told()

    def _told(self) -> None:
        if self._timer is None:
            delay = GATHER if self._found else AT_FIRST
            self._timer = self._names.wheel.call(delay, self._gathered)

    def _gathered(self) -> None:
        self._timer = None
        service = self._service
        if service is None:
            return
        backends = self._kept(self._backends(_usable(service)))
        trouble = self._trouble(service)
        if backends != self._found or (backends and not trouble):
            self._found = backends
            self._observer.found(backends, _why(self._name, trouble))
        if trouble:
            self._observer.failed(trouble)

    def _kept(self, backends: list[Backend]) -> list[Backend]:
        """
        Keep what was found before while others that are to replace it are looked up;
        and if there would be none at all, until there is an answer.
        """
        unknown = [
            each
            for each in self._targets.values()
            if not each.answered and not each.addresses
        ]
        if not unknown or (backends and all(each.trouble for each in unknown)):
            return backends
        names = {each.name for each in backends}
        return backends + [each for each in self._found if each.name not in names]

    def _trouble(self, service: Watched) -> str:
        """Why not all is found: the service, some of its targets, in a few words."""
        troubles = [service.trouble] if service.trouble else []
        troubles += [
            f"{each.target}: its port is 0"
            for each in service.services
            if not each.port
        ]
        troubles += [
            f"{name}: {each.trouble}"
            for name, each in sorted(self._targets.items())
            if each.trouble
        ]
        more = len(troubles) - _SAID
        return "; ".join(troubles[:_SAID] + [f"and {more} more"] * (more > 0))

    def _watch(self, targets: Iterable[str]) -> None:
        """Be interested in the addresses of these hosts, and of no others."""
        wanted = set(targets)
        for name in self._targets.keys() - wanted:
            self._targets.pop(name).cancel()
        for name in wanted - self._targets.keys():
            self._targets[name] = self._names.watch(name, self._asking, self._told)

    def _backends(self, services: tuple[Service, ...]) -> list[Backend]:
        """
        The backends of the services.  The priority is the tier (RFC 2782): as it is
        written, so that no member is in another one when the first priority has gone.
        """
        found: dict[str, Backend] = {}
        for each in services:
            for address in self._targets[each.target].addresses:
                backend = _backend(
                    each.target,
                    address,
                    each.port,
                    # In an SRV record, 0 is for "hardly ever".
                    weight=max(each.weight, 1),
                    tier=each.priority,
                )
                found.setdefault(backend.name, backend)
        return list(found.values())


def _usable(service: Watched) -> tuple[Service, ...]:
    """Nothing connects to port 0, which a record may have."""
    return tuple(each for each in service.services if each.port)


def _why(name: str, trouble: str) -> str:
    return f"{name}: {trouble}" if trouble else f"{name} was looked up"


def _backend(
    host: str, address: str, port: int, weight: int = 1, tier: int = 0
) -> Backend:
    connect = written([(None, "tcp"), (None, address), (None, str(port))])
    return Backend(connect, weight=weight, tier=tier, hostName=host)
