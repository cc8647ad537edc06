"""
Processes that a L{forkserver} has forked, for who would use L{subprocess.Popen}.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .forkserver import NUMBER

_AT_START = ("GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON", "TZ")
"""Variables, by their beginnings, that are looked at only when a Python starts."""

_LIMITS = [
    getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")
]


def _atStart(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables that are looked at only when a Python starts."""
    return {
        name: value for name, value in environment.items() if name.startswith(_AT_START)
    }


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what has coverage measured in each process."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("COVERAGE_")
    }


class Forked:
    """
    A process that was forked, with what the tests use of L{subprocess.Popen}.

    @ivar pid: Its process id.
    @ivar returncode: Its exit status, negative for a signal, once it was asked for.
    """

    def __init__(self, command: Sequence[str], channel: socket.socket) -> None:
        """
        @param channel: Where the fork server tells of it.
        """
        self.args = command
        self.returncode: int | None = None
        self._channel = channel
        told, (self._descriptor,), _, _ = socket.recv_fds(channel, NUMBER.size, 1)
        (self.pid,) = NUMBER.unpack(told)

    def poll(self) -> int | None:
        """Its exit status, or L{None} while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait until it has ended.

        @param timeout: Seconds, or L{None} for ever.
        @return: Its exit status, negative for a signal.
        @raise subprocess.TimeoutExpired: It still runs.
        """
        status = self._ended(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            # It may have ended since.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        """Its exit status, or L{None} if it runs for so many seconds more."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._channel, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                told = self._channel.recv(NUMBER.size)
                assert told, "the fork server has ended"
                (self.returncode,) = NUMBER.unpack(told)
                self._channel.close()
                os.close(self._descriptor)
        return self.returncode


class ForkServer:
    """A process that has imported what C{twistd lbproxy} needs."""

    def __init__(self, twistd: str) -> None:
        """
        @param twistd: The script that each fork runs.
        """
        self._environment = _atStart(os.environ)
        self._server, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("forkserver.py")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, program, twistd, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=unmeasured(os.environ),
                pass_fds=[theirs.fileno()],
            )

    def startsAs(self, environment: Mapping[str, str]) -> bool:
        """Whether a Python that starts in an environment is like the one that forks."""
        return _atStart(environment) == self._environment

    def fork(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        out: int,
        err: int,
    ) -> Forked:
        """
        Run the script in a process of its own.

        @param command: The script and its arguments.
        @param out: A descriptor for standard output.
        @param err: One for standard error.
        """
        order = {
            "command": command,
            "directory": str(directory),
            "environment": dict(environment),
            "limits": [(each, *resource.getrlimit(each)) for each in _LIMITS],
        }
        channel, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._server, [b"1"], [theirs.fileno(), out, err])
        channel.sendall(json.dumps(order).encode() + b"\n")
        return Forked(command, channel)

    def close(self) -> None:
        """End it, with all that it has forked and that still run."""
        self._server.close()
        self._process.wait()
