"""The TLS clients that people have, most of which offer protocols (ALPN)."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest
import trustme

from .conftest import Start
from .daemon import PATIENCE, Daemon, secureListener
from .peers import Web


@pytest.fixture(params=["ssl", "tls"])
def daemon(
    request: pytest.FixtureRequest,
    start: Start,
    web: Callable[..., Web],
    certificate: Path,
) -> Daemon:
    """A TLS listener in front of an HTTP server, with either kind of endpoint."""
    return start(over=[web()], listen=[secureListener(request.param, certificate)])


@pytest.fixture
def root(authority: trustme.CA, tmp_path: Path) -> Path:
    """The certificate to trust, for programs that want a file."""
    path = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(path)
    return path


def ran(program: str, *arguments: str, said: str = "") -> str:
    """What a program writes; without it, the test is skipped."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"])
@pytest.mark.parametrize("offer", ["--alpn", "--no-alpn"])
def test_curl(daemon: Daemon, root: Path, offer: str, version: str) -> None:
    """curl gets the page, whether it offers protocols, as it does by itself, or not."""
    url = f"https://localhost:{daemon.port}/page"
    options = ["--silent", "--show-error", "--ipv4", "--cacert", str(root)]
    page = ran("curl", *options, offer, *version.split(), url)
    assert page == "web /page\n"


@pytest.mark.parametrize("offered", ["h2", "h2,http/1.1", "something-else"])
def test_nothingIsAgreed(daemon: Daemon, root: Path, offered: str) -> None:
    """No protocol is agreed upon, known or unknown: it is the backend's affair."""
    said = ran(
        "openssl",
        *("s_client", "-connect", f"127.0.0.1:{daemon.port}"),
        *("-servername", "localhost", "-alpn", offered),
        *("-CAfile", str(root), "-verify_return_error", "-ign_eof"),
        said="GET /page HTTP/1.0\r\n\r\n",
    )
    assert "No ALPN negotiated" in said
    assert "web /page" in said


def test_urllib(daemon: Daemon, authority: trustme.CA) -> None:
    """A Python program that offers protocols gets the page."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.configure_trust(context)
    url = f"https://localhost:{daemon.port}/page"
    with urlopen(url, timeout=PATIENCE, context=context) as answer:
        assert answer.read() == b"web /page\n"


def test_certificateByName(
    start: Start,
    web: Callable[..., Web],
    authority: trustme.CA,
    certificate: Path,
    root: Path,
) -> None:
    """With a certificate for each name, an offer does no harm under any name."""
    names = ("a.example", "b.example", "localhost")
    for name in names[:2]:
        pem = authority.issue_cert(name).private_key_and_cert_chain_pem
        pem.write_to_path(certificate / f"{name}.pem")
    daemon = start(over=[web()], listen=[secureListener("tls", certificate)])
    for name in names * 2:
        page = ran(
            "curl",
            *("--silent", "--show-error", "--cacert", str(root)),
            *("--resolve", f"{name}:{daemon.port}:127.0.0.1"),
            f"https://{name}:{daemon.port}/page",
        )
        assert page == "web /page\n"
