"""The contenders' configuration files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from .processes import HOST
from .tls import Certificate

CONNECTIONS = 4096
"""How many connections each has to be able to hold."""

HAPROXY = """\
global
    nbthread 1
    maxconn {connections}
    {nosplice}
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    {splice}
listen bench
    bind {host}:{port}{tls}
    server backend {host}:{backend}
"""

NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr crit;
{user}
{module}
events {{ worker_connections {sockets}; }}
stream {{
    access_log off;
    server {{
        listen {host}:{port}{tls};
        proxy_connect_timeout 5s;
        proxy_timeout 10m;
        proxy_pass {host}:{backend};
    }}
}}
"""

ENVOY = """\
static_resources:
  listeners:
  - name: bench
    address: {{socket_address: {{address: {host}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": {type}
          stat_prefix: bench
          cluster: backend
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - max_connections: {connections}
        max_pending_requests: {connections}
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: {host}, port_value: {backend}}}}}
"""

ENVOYS_TYPE = (
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
)

LBPROXY = """\
{process}
[[listener]]
listen = "tcp:{port}:interface={host}"
{tls}
[pool.backend]
backends = ["tcp:{host}:{backend}"]
"""

HAPROXY_TLS = " ssl crt {both} ssl-min-ver TLSv1.3"
NGINX_TLS = (
    " ssl; ssl_protocols TLSv1.3; ssl_certificate {chain}; ssl_certificate_key {key}"
)
LBPROXY_TLS = """\
[listener.tls]
certificates = [{{chain = "{chain}", key = "{key}"}}]
minimum-version = "1.3"
"""

Command = Callable[[Path, int, int], list[str]]
"""
Makes a contender's command, given a directory for its files, the port where it has to
listen and that of the backend.
"""


def configured(template: str, file: str, *command: str, **values: str) -> Command:
    """
    How to start a program that reads a file.

    @param template: The file's text.
    @param file: Its name.
    @param command: The command, which the file's path is added to.
    """

    def make(directory: Path, port: int, backend: int) -> list[str]:
        text = template.format(
            directory=directory,
            host=HOST,
            port=port,
            backend=backend,
            connections=CONNECTIONS,
            # Each connection has two.
            sockets=2 * CONNECTIONS,
            **values,
        )
        path = directory / file
        path.write_text(text)
        return [*command, str(path)]

    return make


def commands(
    make: Callable[[str], Command], tls: str, certificate: Certificate | None
) -> tuple[Command, Command | None]:
    """
    How to start a program without TLS, and with it.

    @param make: Makes the command, given what is to be said of TLS.
    @param tls: What makes it terminate TLS, with the names of the certificate's files.
    @param certificate: With which; L{None} if it cannot.
    """
    if certificate is None:
        return make(""), None
    return make(""), make(tls.format_map(attrs.asdict(certificate)))
