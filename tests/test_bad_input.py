"""
What is wrong with options or configuration is said in one line.

All is done here that C{twistd lbproxy} does, in this process; a few of these
cases are in C{integration/test_bad_input.py} as well, with a C{twistd} around them.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbproxy.tap import Options, makeService

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


class Port:
    """A port of the loopback interface that nobody else listens on."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as trial:
            self.number: int = trial.getsockname()[1]

    def listens(self) -> bool:
        """Whether anybody does now."""
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.number)) == 0


@pytest.fixture
def port() -> Iterator[Port]:
    """A port that has to be free again at the end."""
    port = Port()
    yield port
    assert not port.listens()


def start(*arguments: str) -> None:
    """Do all that C{twistd lbproxy} does until it listens."""
    options = Options()
    options.parseOptions(list(arguments))
    makeService(options).privilegedStartService()


def end(*arguments: str) -> object:
    """The status it ends with, as it does before it listens."""
    with pytest.raises(SystemExit) as ended:
        start(*arguments)
    return ended.value.code


def saysOneLine(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that says what is wrong, the status being 1."""
    assert end(*arguments) == 1
    said = capfd.readouterr()
    assert not said.out
    (line,) = said.err.splitlines()
    return line


@pytest.mark.parametrize(("options", "word"), OPTIONS)
def test_options(
    options: tuple[str, ...],
    word: str,
    port: Port,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A mistake on the command line is named; nothing is left listening."""
    free = f"tcp:{port.number}:interface=127.0.0.1"
    written = [option.format(free=free) for option in options]
    assert word in saysOneLine(capfd, *written)


@pytest.mark.parametrize(("text", "words"), FILES)
def test_files(
    text: str,
    words: list[str],
    port: Port,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A mistake in a file is named with the file, the key and the value."""
    config = tmp_path / "lbproxy.toml"
    config.write_bytes(text.format(port=port.number).encode("latin-1"))
    line = saysOneLine(capfd, "-c", str(config))
    for word in [str(config), *words]:
        assert word in line


@pytest.mark.parametrize(("text", "words"), FILES)
def test_checkOfABadFile(
    text: str, words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """C{--check} says the same of a file."""
    config = tmp_path / "lbproxy.toml"
    config.write_bytes(text.format(port=0).encode("latin-1"))
    line = saysOneLine(capfd, "--check", "--config", str(config))
    for word in [str(config), *words]:
        assert word in line


def test_check(port: Port, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """C{--check} says that a file is valid, and leaves nothing behind."""
    config = tmp_path / "lbproxy.toml"
    config.write_text(VALID.format(port=port.number))
    assert end("--check", "--config", str(config)) == 0
    assert capfd.readouterr() == ("configuration is valid\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["lbproxy.toml"]


def test_checkOptions(capfd: pytest.CaptureFixture[str]) -> None:
    """It looks at options as well, a port that is in use among them or not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        assert end("-l", listen, "--check") == 0
    assert capfd.readouterr() == ("configuration is valid\n", "")
    saysOneLine(capfd, "-l", "tcp:x", "--check")


def test_checkWarns(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A member that has no address now is a warning: it may have one later."""
    config = tmp_path / "lbproxy.toml"
    text = VALID.format(port=0).replace("127.0.0.1:9001", "standby.invalid:80")
    config.write_text(text)
    assert end("--check", "--config", str(config)) == 0
    said = capfd.readouterr()
    assert said.out == "configuration is valid\n"
    (line,) = said.err.splitlines()
    start = f'lbproxy: warning: {config}: pool.web.backends[0] = "tcp:standby.invalid'
    assert line.startswith(start)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-l", "unix:/nope/x.sock"), "--listen: .*No such file or directory: /nope"),
        (
            ("-l", "tcp:0", "--access-log", "/nope/log"),
            "--access-log: .*No such file or directory: /nope",
        ),
        (("-l", "tcp:0:interface=192.0.2.1"), "--listen: .*Cannot assign requested"),
        (("-l", "tcp:8080", "-l", "tcp:08080"), "--listen: .*listened on already"),
        (("-l", "tcp:0", "-b", "tcp:no such host:80"), "--backend: .*without blanks"),
    ],
)
def test_checkFindsWhatAStartWould(
    options: tuple[str, ...], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is valid by itself but not on this machine is refused."""
    assert re.search(words, saysOneLine(capfd, *options, "--check"))
