"""PROXY headers of health checks."""

from __future__ import annotations

from typing import Any

from ..proxy.listener import toAddress
from ..proxy.proxyheaders import headerOfOwn


def headerFor(transport: Any, version: str) -> bytes:
    """
    The header of a check whose connection has just been made.

    @param version: C{"v1"}, C{"v2"}, or C{"off"} for none.
    """
    if version == "off":
        return b""
    local, remote = toAddress(transport.getHost()), toAddress(transport.getPeer())
    return headerOfOwn(local, remote, version)
