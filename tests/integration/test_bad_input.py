"""What is wrong with options or configuration is said in one line."""

from __future__ import annotations

import signal
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .daemon import freePort, listens, run

VALID = """
[[listener]]
listen = "tcp:{port}:interface=127.0.0.1"

[pool.web]
backends = ["tcp:127.0.0.1:9001"]
"""

OPTIONS = [
    ((), "--listen"),
    (("--listen=tcp:808080",), "808080"),
    (("--listen=tcp:http",), "http"),
    (("--listen=carrier-pigeon:8080",), "carrier-pigeon"),
    (("--listen=",), "--listen"),
    (("--listen={free}", "--backend=tcp:127.0.0.1"), "--backend"),
    (("--listen={free}", "--backend=tcp:127.0.0.1:0"), "--backend"),
    (("--listen={free}", "--backend=udp:127.0.0.1:53"), "udp"),
    (("--listen={free}", "--backend=tcp:a:1", "--backend=tcp:a:1"), "tcp:a:1"),
    (("--listen={free}", "--picker=best"), "best"),
    (("--listen={free}", "--picker=random:seed=1"), "random"),
    (("--listen={free}", "--picker=python:no.such.Thing"), "no.such.Thing"),
    (("--listen={free}", "--config=some.toml"), "--listen"),
    (("--config=missing.toml",), "missing.toml"),
    (("--listen={free}", "--access-log=/no/such/place/log"), "/no/such/place"),
    (("--listen={free}", "--lisen=tcp:1"), "lisen"),
    (("--listen={free}", "tcp:127.0.0.1:9001"), "tcp:127.0.0.1:9001"),
    (("--listen",), "listen"),
    (("--listen={free}", "--listen=ssl:0:privateKey=absent.pem"), "absent.pem"),
    (("--listen={free}", "--listen=tls:absent:0"), "absent"),
]

FILES = [
    ("[[listener]", ["line 1"]),
    (VALID + "\nretrys = 5", ["pool.web.retrys", "5", "retries"]),
    (VALID + '\nconnect-timeout = "5 parsecs"', ["connect-timeout", "5 parsecs"]),
    (VALID + "\nconnect-timeout = -1", ["pool.web.connect-timeout", "-1"]),
    (VALID + '\npicker = "rond-robin"', ["pool.web.picker", "rond-robin"]),
    (VALID.replace("9001", "90010"), ["pool.web.backends[0]", "90010"]),
    (VALID.replace("[pool.web]", "[pool.web]\nweight=1"), ["pool.web.weight"]),
    (VALID.replace("listen =", "lissen ="), ["listener[0].lissen", "listen"]),
    (VALID.replace("[pool", 'pool = "bew"\n[pool'), ["listener[0].pool", "bew", "web"]),
    (VALID.replace("[pool", 'mode = "udp"\n[pool'), ["listener[0].mode", "udp"]),
    (VALID.replace("[[listener]]", "[listener]"), ["listener"]),
    (VALID + "\n[proces]\nworkers = 1", ["proces", "process"]),
    (VALID.split("[pool")[0], ["pool"]),
    ("[pool.web]\nbackends = ['tcp:a:1']", ["listener"]),
    ("\xff", ["UTF-8"]),
]


def saysOneLine(ended: CompletedProcess[str]) -> str:
    """The one line that says what is wrong, the status being 1."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stdout
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize(("options", "word"), OPTIONS)
def test_options(options: tuple[str, ...], word: str, tmp_path: Path) -> None:
    """A mistake on the command line is named; nothing is left listening."""
    port = freePort()
    free = f"tcp:{port}:interface=127.0.0.1"
    written = [option.format(free=free) for option in options]
    line = saysOneLine(run("-n", "--pidfile=", "lbproxy", *written, directory=tmp_path))
    assert word in line
    assert not listens(port)


@pytest.mark.parametrize(("text", "words"), FILES)
def test_files(text: str, words: list[str], tmp_path: Path) -> None:
    """A mistake in a file is named with the file, the key and the value."""
    port = freePort()
    config = tmp_path / "lbproxy.toml"
    config.write_bytes(text.format(port=port).encode("latin-1"))
    line = saysOneLine(
        run("-n", "--pidfile=", "lbproxy", "-c", "lbproxy.toml", directory=tmp_path)
    )
    for word in ["lbproxy.toml", *words]:
        assert word in line
    assert not listens(port)


@pytest.mark.parametrize(("text", "words"), [(VALID, []), FILES[1], FILES[6]])
def test_check(text: str, words: list[str], tmp_path: Path) -> None:
    """C{--check} says the same of a file, and starts nothing."""
    config = tmp_path / "lbproxy.toml"
    port = freePort()
    config.write_text(text.format(port=port))
    ended = run("lbproxy", "--check", "--config", str(config), directory=tmp_path)
    if words:
        line = saysOneLine(ended)
        assert all(word in line for word in [str(config), *words])
    else:
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "configuration is valid\n"
    assert not listens(port)
    assert [path.name for path in tmp_path.iterdir()] == ["lbproxy.toml"]


def test_checkOptions(tmp_path: Path) -> None:
    """It looks at options as well, a port that is in use among them or not."""
    ended = run("lbproxy", "-l", "tcp:8080", "--check", directory=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "configuration is valid\n")
    saysOneLine(run("lbproxy", "-l", "tcp:x", "--check", directory=tmp_path))


def test_daemonWithBadOptions(tmp_path: Path) -> None:
    """A daemon is refused before it goes to the background."""
    line = saysOneLine(run("lbproxy", "--listen=tcp:x", directory=tmp_path))
    assert "tcp:x" in line
    assert not (tmp_path / "twistd.pid").exists()


def test_unprintable(tmp_path: Path) -> None:
    """Whatever was written, the error is one line, and shows what it was."""
    ended = run("-n", "lbproxy", "-l", "tcp:1\n\x1b[31m", directory=tmp_path)
    assert "\x1b" not in saysOneLine(ended)
    assert ended.returncode != -signal.SIGABRT
