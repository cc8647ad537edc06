"""The files of TLS to backends: what is wrong with them is said of the right one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from handshakes import DAY, authority, issued, written

from lbproxy.streams.clientcontexts import ClientContexts, UnusableFile, clientContext
from lbproxy.words.tlsoptions import TLSOptions


def weak(path: Path) -> str:
    """Write a certificate that has signed itself, with a key that is too short."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + DAY)
    ).sign(key, SHA256())
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(plain + certificate.public_bytes(Encoding.PEM))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Some files, by what is in them."""
    own, other = issued("lbproxy.internal"), issued("other.internal")
    key = load_pem_private_key(own.private_key_pem.bytes(), None)
    (tmp_path / "locked.key").write_bytes(
        key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    (tmp_path / "text").write_text("no PEM at all")
    (tmp_path / "cut").write_bytes(own.cert_chain_pems[0].bytes()[:200])
    return {
        "ca": written(tmp_path, "ca", authority("ours").cert_pem),
        "chain": written(tmp_path, "chain", *own.cert_chain_pems),
        "key": written(tmp_path, "key", own.private_key_pem),
        "other": written(tmp_path, "other", other.private_key_pem),
        "locked": str(tmp_path / "locked.key"),
        "text": str(tmp_path / "text"),
        "cut": str(tmp_path / "cut"),
        "weak": weak(tmp_path / "weak"),
        "missing": str(tmp_path / "missing"),
        "directory": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("given", "key", "reason"),
    [
        ({"ca": "missing"}, "ca", "No such file or directory"),
        ({"ca": "missing", "verify": False}, "ca", "No such file or directory"),
        ({"ca": "directory"}, "ca", "Is a directory"),
        ({"ca": "text"}, "ca", "it has no certificate in PEM"),
        ({"ca": "cut"}, "ca", "it has no certificate in PEM"),
        ({"ca": "key"}, "ca", "it has no certificate in PEM"),
        ({"chain": "missing"}, "chain", "No such file or directory"),
        ({"chain": "text"}, "chain", "it has no certificate in PEM"),
        ({"chain": "chain"}, "chain", "it has no private key in PEM"),
        (
            {"chain": "weak"},
            "chain",
            "the certificate or the key cannot be read: ee key too small",
        ),
        (
            {"chain": "chain", "key": "missing"},
            "key",
            "No such file or directory",
        ),
        ({"chain": "chain", "key": "text"}, "key", "it has no private key in PEM"),
        (
            {"chain": "chain", "key": "locked"},
            "key",
            "the key is encrypted; lbproxy can ask nobody for its passphrase",
        ),
        (
            {"chain": "chain", "key": "other"},
            "key",
            'the key is not that of the certificate in "{chain}"',
        ),
    ],
)
def test_unusable(
    files: dict[str, str], given: dict[str, Any], key: str, reason: str
) -> None:
    """A file that cannot be used is named, with its key and the reason."""
    paths: Any = {at: files.get(said, said) for at, said in given.items()}
    options = TLSOptions(**paths)
    with pytest.raises(UnusableFile) as raised:
        clientContext(options)
    assert raised.value.key == key
    assert raised.value.path == files[given[key]]
    assert raised.value.reason == reason.format(**files)
    assert str(raised.value).startswith(f'tls.{key} = "/')


def test_shared(files: dict[str, str]) -> None:
    """Backends with the same files have one context, whatever their names are."""
    contexts, ca = ClientContexts(), files["ca"]
    one = contexts.of(TLSOptions(ca=ca, serverName="a.internal", alpn=("x",)))
    assert contexts.of(TLSOptions(ca=ca, serverName="b.internal")) is one
    assert contexts.of(TLSOptions(ca=ca, minimumVersion="1.3")) is not one


def test_replaced(files: dict[str, str]) -> None:
    """Those that a configuration has are made with it; others are made when used."""
    contexts, options = ClientContexts(), TLSOptions(ca=files["ca"])
    before = contexts.of(options)
    after = clientContext(options)
    contexts.replace({options: after})
    assert contexts.of(options) is after is not before
    contexts.replace({})
    assert contexts.of(options) not in (before, after)
