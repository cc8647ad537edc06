"""Checks what the clients of a listener are to begin with."""

from __future__ import annotations

from .model import ListenerConfiguration

_TLS_KINDS = frozenset({"ssl", "tls"})


def requireOpenings(listener: ListenerConfiguration) -> None:
    """
    Refuse what cannot be looked at, or would be looked at in vain.

    @raise ConfigurationError: If there is something of that.
    """
    _requireProxies(listener)
    _requireSockets(listener)
    kinds = [each.kind for each in listener.listen if each.kind in _TLS_KINDS]
    if not kinds:
        return
    instead = f"a {kinds[0]}: endpoint; use a tcp: endpoint and [listener.tls]"
    if listener.proxyProtocol != "off":
        reason = f"a PROXY header comes before TLS, and cannot be read on {instead}"
        raise listener.place.key("proxy-protocol").refuse(
            listener.proxyProtocol, reason
        )
    if listener.requireTls:
        reason = "every client of a TLS endpoint begins with TLS"
        raise listener.place.key("require-tls").refuse(True, reason)
    for at, route in enumerate(listener.routes):
        if route.asksHello:
            where = listener.place.key("routes").item(at)
            key = "server-name" if route.serverName else "alpn"
            raise where.key(key).lack(f"this is not known of clients of {instead}")


def _requireProxies(listener: ListenerConfiguration) -> None:
    """Refuse to read headers that nobody would be believed."""
    if listener.proxyProtocol != "off" and not listener.trustedProxies:
        raise listener.place.key("proxy-protocol").refuse(
            listener.proxyProtocol,
            "nobody's header would be believed; name the proxies in trusted-proxies",
        )


def _requireSockets(listener: ListenerConfiguration) -> None:
    """Refuse headers before TLS where that is not on a socket of lbproxy's own."""
    if listener.proxyProtocol == "off" or listener.tls is None:
        return
    others = [each.kind for each in listener.listen if each.kind != "tcp"]
    if others:
        reason = (
            "with [listener.tls] a PROXY header is read on tcp: endpoints only, and "
            f"not on {others[0]}:"
        )
        raise listener.place.key("proxy-protocol").refuse(
            listener.proxyProtocol, reason
        )
