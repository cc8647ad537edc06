"""
A network of the test's own, with its own hosts file and name servers.

A socket belongs to the network that it was made in, whoever uses it.  So one process
lives in there and does nothing but make sockets, which it hands out to the test; and a
daemon is started in there with L{PrivateNetwork.prefix}.  This file is also what that
process runs.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Self

NAME_SERVER = ("127.0.0.53", 53)
"""Where names are asked about that the hosts file lacks; a test may listen there."""

_FILES = {
    "hosts": "",
    # A lookup hangs for as long as glibc permits, with one datagram for each question.
    "resolv.conf": f"nameserver {NAME_SERVER[0]}\noptions timeout:30 attempts:1\n",
    "nsswitch.conf": "hosts: files dns\n",
}
"""What the files of C{/etc} contain in there, at first."""

_ROOT = os.geteuid() == 0
_UNSHARE = ["unshare", *([] if _ROOT else ["--user", "--map-root-user"])]
_ENTER = ["nsenter", *([] if _ROOT else ["--user", "--preserve-credentials"])]
_APART = ["--net", "--mount"]

_PATIENCE = 30.0
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def lacking() -> str:
    """Why there can be no private network here; empty if there can."""
    mounts = " && ".join(f"mount --bind /etc/{name} /etc/{name}" for name in _FILES)
    for command in (
        ["nsenter", "--version"],
        [*_UNSHARE, *_APART, "sh", "-c", mounts],
    ):
        try:
            tried = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return str(error)
        if tried.returncode:
            return tried.stderr.strip()
    return ""


class PrivateNetwork:
    """
    A loopback interface, and nothing beside it.

    @ivar prefix: The command that executes the rest of its line in there, in the root
        directory.
    """

    def __init__(self, directory: Path) -> None:
        """
        @param directory: Where it has its files.
        """
        self._directory = directory
        for name, content in _FILES.items():
            (directory / name).write_text(content)
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking.settimeout(_PATIENCE)
        command = [*_UNSHARE, *_APART, sys.executable, __file__, str(directory)]
        with theirs:
            self._process = subprocess.Popen(command, stdin=theirs.fileno())
        self.prefix = [*_ENTER, f"--target={self._process.pid}", *_APART]

    def __enter__(self) -> Self:
        assert self._asking.recv(1), "it cannot be set up"
        return self

    def __exit__(self, *raised: object) -> None:
        self._asking.close()
        self._process.wait(_PATIENCE)

    def socket(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
    ) -> socket.socket:
        """Make a socket in there."""
        self._asking.send(struct.pack("ii", family, kind))
        _, (descriptor,), _, _ = socket.recv_fds(self._asking, 1, 1)
        return socket.socket(fileno=descriptor)

    def hosts(self, *lines: str) -> None:
        """From now on, these are the lines of the hosts file."""
        # In place: what is mounted is this file, not its path.
        (self._directory / "hosts").write_text("".join(f"{each}\n" for each in lines))


def _inside(directory: Path) -> None:
    """Set the network up, and make sockets for as long as some are asked for."""
    with socket.socket() as anyone:
        request = struct.pack("16sh22x", b"lo", _IFF_UP)
        fcntl.ioctl(anyone, _SIOCSIFFLAGS, request)
    for name in _FILES:
        subprocess.run(
            ["mount", "--bind", directory / name, f"/etc/{name}"], check=True
        )
    with socket.socket(fileno=sys.stdin.fileno()) as asking:
        asking.send(b"!")
        while asked := asking.recv(8):
            with socket.socket(*struct.unpack("ii", asked)) as made:
                socket.send_fds(asking, [b"!"], [made.fileno()])


if __name__ == "__main__":
    _inside(Path(sys.argv[1]))
