"""
The options of C{twistd lbproxy}, and the service that it runs.

An error in the options is one line on standard error, with exit status 1.  Twisted
alone would print the whole help text, or a traceback.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from attrs import evolve
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger, globalLogPublisher
from twisted.python import usage

from . import __version__
from .config.check import checkStart
from .config.commandline import configurationFromEndpoints
from .config.file import loadConfiguration
from .config.model import Configuration
from .logfile import FollowedLog, followLog
from .observe.standardlog import freeStandardLog
from .ports import CannotStart
from .privileges import Privileges
from .service import LoadBalancer
from .signals import Signals
from .words.place import ConfigurationError, Place

_PIPE = 98
"""The most bytes that twistd passes to the launcher from a daemon that cannot start."""

_TAIL = 40
"""How many of them are for the end of a long sentence, which explains the errno."""


class DaemonCannotStart(SystemExit, CannotStart):
    """
    Ends a daemon that cannot start.

    It is an C{Exception}, so that twistd tells the launcher and removes the pid file.
    It is a C{SystemExit}, so that no traceback follows in the log, which has the
    sentence already.  The launcher gets the last line of what Python prints of an
    exception.  That line is the note, without the name of a class before it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(1)
        self.add_note(_shortened(sentence))


class Options(usage.Options):
    """
    The options of C{twistd lbproxy}.

    @cvar command: The command that the user has typed.
    """

    command = "twistd lbproxy"
    synopsis = "[options]"
    longdesc = (
        "A load balancer. With --listen alone it serves a demonstration; with "
        "--backend it balances over the backends named; --config reads the whole "
        "configuration from a TOML file."
    )
    optFlags = [
        ["check", None, "Validate everything, start nothing; exit 0 if it is valid."],
    ]
    optParameters = [
        [
            "picker",
            "p",
            None,
            "How to choose a backend: NAME[:key=value...]. [default: round-robin]",
        ],
        ["config", "c", None, "A TOML file; instead of --listen, --backend, --picker."],
        ["access-log", None, None, "A file to log each connection to, or 'stdout'."],
    ]
    compData = usage.Completions(
        optActions={
            "config": usage.CompleteFiles("*.toml"),
            "access-log": usage.CompleteFiles(),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["backend"] = []

    def opt_listen(self, endpoint: str) -> None:
        """Where clients come in: an endpoint, such as tcp:8080. May be repeated."""
        self["listen"].append(endpoint)

    def opt_backend(self, endpoint: str) -> None:
        """Where they go: an endpoint, such as tcp:10.0.0.7:80. May be repeated."""
        self["backend"].append(endpoint)

    def opt_version(self) -> NoReturn:
        """Say which version of lbproxy this is, and exit."""
        print(f"lbproxy {__version__}")
        raise SystemExit(0)

    opt_l = opt_listen
    opt_b = opt_backend

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Parse the options; an error is printed as one line."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _fail(f"{error} ({self.command} --help lists the options)")

    def parseArgs(self, *arguments: str) -> None:
        """Refuse arguments that are not options."""
        if arguments:
            raise usage.UsageError(f"unexpected argument: {arguments[0]}")

    def postOptions(self) -> None:
        """
        Make the configuration from the options; with C{--check}, check it and exit.
        """
        try:
            self["configuration"] = self.configuration()
            if self["check"]:
                self._check()
        except ConfigurationError as error:
            _fail(str(error))
        if self["check"]:
            print("configuration is valid")
            raise SystemExit(0)

    def _check(self) -> None:
        place = Place("--access-log")
        if self["access-log"] is None and self["config"] is not None:
            place = Place(self["config"]).key("log").key("access")
        for line in checkStart(_reactor(), self["configuration"], place):
            print(f"lbproxy: warning: {line}", file=sys.__stderr__)

    def configuration(self) -> Configuration:
        """
        Make the configuration that the options ask for.

        @raise ConfigurationError: If it cannot be made.
        """
        if self["config"] is None:
            return configurationFromEndpoints(
                self["listen"], self["backend"], self["picker"], self["access-log"]
            )
        for other in ("listen", "backend", "picker"):
            if self[other]:
                raise ConfigurationError(f"--config excludes --{other}")
        configuration = loadConfiguration(self["config"])
        if self["access-log"] is not None:
            configuration = evolve(configuration, accessLog=self["access-log"])
        return configuration

    def configurationAgain(self) -> Configuration:
        """
        Make the configuration again from its file.

        @raise ConfigurationError: If it cannot be made, or there is no file.
        """
        if self["config"] is None:
            raise ConfigurationError("there is no file, since --config names none")
        return self.configuration()


class CommandLineService(MultiService):
    """
    Holds the balancer of C{twistd lbproxy}, and reports why it cannot start.

    In the foreground it prints one line and sets the exit status.  As a daemon it
    writes to its log and tells the launcher, which is still waiting.
    """

    _log = Logger()

    def __init__(self, load: Callable[[], Configuration]) -> None:
        """
        @param load: Makes the configuration again from what the options name.
        """
        super().__init__()
        self._load = load
        self._madeBy = os.getpid()
        self._privileges = Privileges()
        self._followed: FollowedLog | None = None
        self._signals: Signals | None = None

    def startService(self) -> None:
        """Start, and follow twistd's log."""
        super().startService()
        self._followed = followLog(globalLogPublisher, time.monotonic)
        freeStandardLog(globalLogPublisher)

    def privilegedStartService(self) -> None:
        """
        Set the signal handlers, start what needs privileges, and report a failure
        to the user.
        """
        # Before the log says that it listens: from then on signals are expected.
        self._signals = Signals(_reactor(), self.drain, self.reload, self.reopenLogs)
        self._signals.take()
        try:
            super().privilegedStartService()
        except BaseException as error:
            self._signals.release()
            if not isinstance(error, CannotStart | ConfigurationError):
                raise
            if os.getpid() == self._madeBy:
                _fail(str(error))
            self._log.critical("{error}", error=str(error))
            raise DaemonCannotStart(str(error)) from None

    def stopService(self) -> Deferred[Any]:
        """Stop, and ignore further signals to stop."""
        if self._signals is not None:
            self._signals.leave()
        return super().stopService()  # type: ignore[no-any-return]

    def drain(self) -> Deferred[Any]:
        """
        Drain as configured.

        @return: Fires when all connections are gone.
        """
        return DeferredList([each.drain() for each in self._balancers()])

    def reload(self) -> None:
        """Load the configuration file again; log an error, which changes nothing."""
        try:
            with self._privileges.explaining():
                configuration = self._load()
            for balancer in self._balancers():
                balancer.reload(configuration)
        except (CannotStart, ConfigurationError) as error:
            self._log.error("Nothing is changed: {error}", error=str(error))
        except Exception:
            self._log.failure("The configuration could not be loaded again")
        else:
            self._log.info("The configuration was loaded again")

    def reopenLogs(self) -> None:
        """
        Open new log files for those that were moved away, without waiting for a line.
        """
        if self._followed is not None:
            self._followed.follow()
        for balancer in self._balancers():
            balancer.reopenLogs()

    def _balancers(self) -> list[LoadBalancer]:
        return [each for each in self if isinstance(each, LoadBalancer)]


def makeService(options: Options) -> IService:
    """
    Make the service of C{twistd lbproxy}.

    @raise SystemExit: If what the options ask for cannot be made.
    """
    parent = CommandLineService(options.configurationAgain)
    try:
        LoadBalancer(_reactor(), options["configuration"]).setServiceParent(parent)
    except ConfigurationError as error:
        _fail(str(error))
    return parent


def _reactor() -> Any:
    # Not at the top: twistd installs the reactor it was asked for after it has
    # imported this module.
    from twisted.internet import reactor

    return reactor


def _shortened(sentence: str) -> str:
    """
    Shorten a sentence to what fits the pipe, in ASCII.

    A sentence that is too long keeps its beginning and its end.
    """
    escaped = sentence.encode("ascii", "backslashreplace").decode()
    if len(escaped) <= _PIPE:
        return escaped
    return f"{escaped[: _PIPE - _TAIL - 3]}...{escaped[-_TAIL:]}"


def _fail(line: str) -> NoReturn:
    # Not sys.stderr: while starting, twistd has made that a part of its log.
    print(f"lbproxy: {line}", file=sys.__stderr__, flush=True)
    raise SystemExit(1)
