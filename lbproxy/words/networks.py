"""
Reads the networks of configuration, and looks addresses up in them.

An IPv4 address that is written as an IPv6 one, C{::ffff:10.1.2.3}, is an IPv4 address
here: a listener for both families reports IPv4 clients so.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from re import compile as pattern

from attrs import frozen

from .connection import Address

_PREFIX = pattern(r"[^/]+(/[0-9]+)?")
_MAPPED = IPv6Network("::ffff:0:0/96")
_LAST_32_BITS = 0xFFFFFFFF

_A_NETWORK = (
    'expected a network or an address, such as "10.0.0.0/8" or "::1", '
    '"unix:", "unix:/path", or "all"'
)


@frozen
class Network:
    """
    An IP network; or UNIX sockets; or all addresses.

    @ivar version: 4 or 6; 0 for UNIX sockets; L{None} for all addresses.
    @ivar mask: The bits of an IP address that count.
    @ivar base: What these bits are in this network.
    @ivar path: The path of a UNIX socket; empty for all of them.
    """

    version: int | None
    mask: int = 0
    base: int = 0
    path: str = ""


def parseNetwork(value: object) -> Network:
    """
    Read a network as configuration writes it.

    @param value: C{"10.0.0.0/8"}, C{"::1"}, C{"unix:"}, C{"unix:/path"} or C{"all"}.
    @raise ValueError: With one line that says what was expected.
    """
    if not isinstance(value, str):
        raise ValueError(_A_NETWORK)
    if value == "all":
        return Network(None)
    if value.startswith("unix:"):
        return Network(0, path=value.removeprefix("unix:"))
    # A netmask after the slash is refused: 0.0.0.255 could mean two things.
    if not _PREFIX.fullmatch(value) or "%" in value:
        raise ValueError(_A_NETWORK)
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(_A_NETWORK) from None
    if "/" in value and ip_address(value.partition("/")[0]) != network.network_address:
        raise ValueError(f'expected the first address of a network, as in "{network}"')
    mask, base = int(network.netmask), int(network.network_address)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return Network(4, mask & _LAST_32_BITS, base & _LAST_32_BITS)
    return Network(network.version, mask, base)


class Networks:
    """
    A set of networks.

    Networks of one size are looked up at once, so that a list of thousands costs no
    more than the number of different sizes in it.
    """

    __slots__ = ("_all", "_paths", "_sizes")

    def __init__(self, networks: Iterable[Network]) -> None:
        self._all = False
        self._paths: set[str] = set()
        sizes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for each in networks:
            if each.version is None:
                self._all = True
            elif each.version == 0:
                self._paths.add(each.path)
            else:
                sizes[each.version].setdefault(each.mask, set()).add(each.base)
        self._sizes = {version: tuple(by.items()) for version, by in sizes.items()}

    def __contains__(self, address: Address) -> bool:
        """
        Whether an address is in one of the networks.

        One that is neither an IP address nor a UNIX socket's is only in C{all}.
        """
        if self._all:
            return True
        if address.port is None:
            return "" in self._paths or address.host in self._paths
        try:
            ip = ip_address(address.host)
        except ValueError:
            return False
        if isinstance(ip, IPv6Address):
            ip = ip.ipv4_mapped or ip
        number = int(ip)
        # A generator for any() would be one more call for each connection.
        for mask, bases in self._sizes[ip.version]:  # noqa: SIM110
            if number & mask in bases:
                return True
        return False
