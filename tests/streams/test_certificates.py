"""What is said of files with certificates and keys that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securing import RSA, Files

from lbproxy.streams.certificates import (
    CertificateFiles,
    Reading,
    TLSRefused,
    loadAuthorities,
    loadCertificate,
    loadRevocations,
)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def load(files: CertificateFiles) -> None:
    loadCertificate(files, ("certificates", 0), Reading())


def encrypted(made: CertificateFiles, files: Files) -> None:
    key = load_pem_private_key(Path(made.key).read_bytes(), None)
    how = BestAvailableEncryption(b"secret")
    Path(made.key).write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    )


def directory(made: CertificateFiles, files: Files) -> None:
    Path(made.chain).unlink()
    Path(made.chain).mkdir()


def cut(made: CertificateFiles, files: Files) -> None:
    chain = Path(made.chain)
    chain.write_bytes(chain.read_bytes()[:400])


def notBase64(made: CertificateFiles, files: Files) -> None:
    Path(made.key).write_text(
        "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"
    )


def turned(made: CertificateFiles, files: Files) -> None:
    chain = Path(made.chain)
    chain.write_bytes(files.authority.cert_pem.bytes() + chain.read_bytes())


FAULTS: list[tuple[str, str, Callable[[CertificateFiles, Files], object]]] = [
    (
        "chain",
        "cannot be read: No such file or directory",
        lambda m, f: Path(m.chain).unlink(),
    ),
    ("chain", "it is not a file", directory),
    ("chain", "the file is empty", lambda m, f: Path(m.chain).write_bytes(b"")),
    (
        "chain",
        "it is not PEM; expected a certificate",
        lambda m, f: Path(m.chain).write_bytes(b"\x30\x82\x01"),
    ),
    (
        "chain",
        "there is no certificate in it",
        lambda m, f: Path(m.chain).write_bytes(Path(m.key).read_bytes()),
    ),
    ("chain", "the certificate in it cannot be read", cut),
    (
        "key",
        "cannot be read: No such file or directory",
        lambda m, f: Path(m.key).unlink(),
    ),
    (
        "key",
        "there is no private key in it",
        lambda m, f: Path(m.key).write_bytes(Path(m.chain).read_bytes()),
    ),
    ("key", "the private key in it cannot be read", notBase64),
    (
        "key",
        'the key is encrypted; "openssl pkey" writes it without a password',
        encrypted,
    ),
    (
        "key",
        "the key does not belong to the certificate in {chain}",
        lambda m, f: (
            f.issue("b.example", to="a.example", kind=RSA)
            and f.issue("c.example", to="c")
            and Path(m.key).write_bytes((f.directory / "c.key").read_bytes())
        ),
    ),
    ("key", "its certificate is not the first one in {chain}", turned),
]


@pytest.mark.parametrize(
    ("which", "reason", "spoil"), FAULTS, ids=[f"{a}-{b[:30]}" for a, b, _ in FAULTS]
)
def test_faults(
    files: Files,
    which: str,
    reason: str,
    spoil: Callable[[CertificateFiles, Files], object],
) -> None:
    """One line names the file and what is wrong with it, and the key that led to it."""
    made = files.issue("a.example")
    spoil(made, files)
    with pytest.raises(TLSRefused) as raised:
        load(made)
    path = getattr(made, which)
    assert str(raised.value) == f"{path}: {reason.format(chain=made.chain)}"
    assert raised.value.keys == ("certificates", 0, which)


def test_keyAndChainInOneFile(files: Files) -> None:
    """As HAProxy has it: one file for all."""
    issued = files.authority.issue_cert("a.example")
    path = str(files.directory / "all.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    loaded = loadCertificate(CertificateFiles(path, path), (), Reading())
    assert loaded.names == ("a.example",)


@pytest.mark.parametrize(
    ("left", "expiry"),
    [
        (timedelta(days=29, hours=1), "it expires in 29 days, on "),
        (timedelta(days=1, hours=1), "it expires in 1 day, on "),
        (timedelta(hours=1), "it expires in 0 days, on "),
        (-timedelta(hours=1), "it has expired on "),
    ],
)
def test_expiry(files: Files, left: timedelta, expiry: str) -> None:
    """How long a certificate is valid yet, in words."""
    until = datetime(2030, 6, 15, 12, tzinfo=UTC)
    loaded = loadCertificate(files.issue("a.example", until=until), (), Reading())
    assert loaded.expiry(until - left) == f"{expiry}2030-06-15"


def test_authorities(files: Files, tmp_path: Path) -> None:
    """A file may have several authorities, and has at least one."""
    path = tmp_path / "both.pem"
    both = files.authority.cert_pem.bytes() + trustme.CA().cert_pem.bytes()
    path.write_bytes(both)
    assert len(loadAuthorities(str(path), ("client-ca",), Reading())) == 2
    path.write_bytes(b"# none\n")
    with pytest.raises(TLSRefused, match="it is not PEM; expected a certificate"):
        loadAuthorities(str(path), ("client-ca",), Reading())


def test_revocationsOfNothing(files: Files) -> None:
    """A file of certificates is no revocation list."""
    with pytest.raises(
        TLSRefused, match="no certificate revocation list in it"
    ) as raised:
        loadRevocations(files.root, ("client-crl",), Reading())
    assert raised.value.keys == ("client-crl",)
