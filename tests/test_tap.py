"""The command line: what it makes, and the one line it says when it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from configured import configured
from twisted.application.service import IService
from twisted.logger import LogEvent, formatEvent

from lbproxy import LoadBalancer
from lbproxy.config.file import configurationFromText
from lbproxy.tap import CommandLineService, DaemonCannotStart, Options, makeService
from lbproxy.testing import MemoryNetwork


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


def test_endpoints() -> None:
    """--listen and --backend, short or long, repeat."""
    options = parsed(
        "-l", "tcp:1", "--listen", "tcp:2", "-b", "tcp:h:3", "-p", "random"
    )
    configuration = options["configuration"]
    (listener,) = configuration.listeners
    assert [str(each) for each in listener.listen] == ["tcp:1", "tcp:2"]
    assert configuration.pools[0].backends[0].connect == "tcp:h:3"
    assert str(configuration.pools[0].picker) == "random"


def test_file(tmp_path: Path) -> None:
    """--config reads it all from a file; --access-log goes with it."""
    path = tmp_path / "lb.toml"
    path.write_text(configured("tcp:h:1"))
    configuration = parsed("-c", str(path), "--access-log", "stdout")["configuration"]
    assert configuration.accessLog == "stdout"
    assert parsed("-c", str(path))["configuration"].accessLog == "none"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--listen: say where to listen"),
        (["--listen", "tcp:99999", "--check"], "a port is 0 to 65535"),
        (["--listen", "tcp:1", "--picker", "nobody", "--check"], "nobody"),
        (["--listen", "tcp:1", "--config", "x.toml"], "--config excludes --listen"),
        (["--config", "/nowhere/x.toml"], "/nowhere/x.toml: cannot be read"),
        (["--lisen", "tcp:1"], "lisen"),
        (["--listen", "tcp:1", "tcp:2"], "unexpected argument: tcp:2"),
    ],
)
def test_errors(arguments: list[str], said: str, capfd) -> None:
    """Whatever is wrong is one line, and status 1."""
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 1
    output = capfd.readouterr()
    assert output.err.count("\n") == 1
    assert said in output.err
    assert not output.out


def test_check(capfd) -> None:
    """--check says that all is well, and that is all."""
    with pytest.raises(SystemExit) as ended:
        parsed("--check", "--listen", "tcp:0", "--backend", "tcp:127.0.0.1:9001")
    assert ended.value.code == 0
    assert capfd.readouterr().out == "configuration is valid\n"


def test_makeService() -> None:
    """The options make a service that has started nothing yet."""
    assert IService.providedBy(makeService(parsed("--listen", "tcp:0")))


def test_makeServiceOfNothing(capfd) -> None:
    """What is only found out when the service is made is one line too."""
    options = parsed("--listen", "tcp:0", "--picker", "nobody")
    with pytest.raises(SystemExit):
        makeService(options)
    assert capfd.readouterr().err.count("\n") == 1


def test_takenPort(capfd, logged: list[LogEvent]) -> None:
    """A taken port ends the start: by status in the foreground, else by an error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"tcp:{port}:interface=127.0.0.1"
        service = makeService(parsed("--listen", listen, "-b", "tcp:127.0.0.1:9"))
        with pytest.raises(SystemExit):
            service.privilegedStartService()
        assert f"{listen}: Address already in use" in capfd.readouterr().err
        assert isinstance(service, CommandLineService)
        service._madeBy = -1
        with pytest.raises(DaemonCannotStart) as raised:
            service.privilegedStartService()
    sentence = f"cannot listen on {listen}: Address already in use"
    assert raised.value.__notes__ == [sentence]
    assert [formatEvent(event) for event in logged][-1] == sentence


@pytest.mark.parametrize(
    ("sentence", "note"),
    [
        (
            "cannot listen on unix:/tmp/ö: Permission denied",
            r"cannot listen on unix:/tmp/\xf6: Permission denied",
        ),
        (
            f"cannot listen on unix:/run/{'a' * 60}/ö.sock: No such file or directory",
            (
                rf"cannot listen on unix:/run/{'a' * 28}...aaa/\xf6.sock: "
                "No such file or directory"
            ),
        ),
    ],
)
def test_sentenceForTheLauncher(sentence: str, note: str) -> None:
    """A long sentence keeps its beginning and its end, within what twistd takes."""
    assert DaemonCannotStart(sentence).__notes__ == [note]
    assert len(note) <= 98


def test_reopenLogs(tmp_path: Path) -> None:
    """It has its balancer begin the access log anew."""
    path = tmp_path / "access.log"
    text = configured("tcp:10.0.0.1:80", log=str(path))
    configuration = configurationFromText(text, "story")
    service = CommandLineService(lambda: configuration)
    balancer = LoadBalancer(MemoryNetwork(), configuration)
    balancer.setServiceParent(service)
    service.privilegedStartService()
    path.rename(tmp_path / "access.log.1")
    service.reopenLogs()
    assert path.exists()
    balancer.stopService()
