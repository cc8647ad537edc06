"""
A program that has imported what C{twistd lbproxy} needs, and forks into it.

A start costs most of half a second of processor time, nearly all of it for imports.
L{forked.ForkServer} runs this one, and sends it three descriptors for each C{twistd}:
a channel, standard output and standard error.  It forks, sends the process id and a
descriptor of the process through the channel, and the exit status later.  The child
reads from the channel what it shall be.

No reactor is imported before a fork: which one it is, is an option of C{twistd}.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from struct import Struct
from typing import NamedTuple

NUMBER = Struct("i")
"""How a process id and an exit status are sent."""


class Child(NamedTuple):
    """A process that was forked, and where its exit status is to be sent."""

    pid: int
    channel: socket.socket


class Start(NamedTuple):
    """What a child has been given."""

    channel: socket.socket
    out: int
    err: int


def imports() -> None:
    """Import what C{twistd lbproxy} does; it is used in the children alone."""
    import twisted.internet.epollreactor
    import twisted.scripts.twistd  # noqa: F401
    from twisted.application.service import IServiceMaker
    from twisted.plugin import getPlugins

    import lbproxy.tap  # noqa: F401

    list(getPlugins(IServiceMaker))
    assert "twisted.internet.reactor" not in sys.modules


def received(server: socket.socket) -> Start | None:
    """What is sent for the next child, or L{None} when there is no next one."""
    asked, descriptors, _, _ = socket.recv_fds(server, 1, 3)
    if not asked:
        return None
    channel, out, err = descriptors
    return Start(socket.socket(fileno=channel), out, err)


def ended(child: Child, descriptor: int) -> None:
    """Take a child's exit status and send it."""
    _, status = os.waitpid(child.pid, 0)
    os.close(descriptor)
    # Whoever has started it may be gone.
    with child.channel, suppress(OSError):
        child.channel.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def serve(server: socket.socket) -> Start:
    """
    Fork as often as is asked for, until nobody can ask any more.

    @return: In each child, what it has been given.
    """
    children: dict[int, Child] = {}
    while True:
        poll = select.poll()
        for each in (server.fileno(), *children):
            poll.register(each, select.POLLIN)
        for ready, _ in poll.poll():
            if ready in children:
                ended(children.pop(ready), ready)
                continue
            start = received(server)
            if start is None:
                for descriptor, child in children.items():
                    os.kill(child.pid, signal.SIGKILL)
                    ended(child, descriptor)
                sys.exit()
            pid = os.fork()
            if pid == 0:
                server.close()
                for descriptor, child in children.items():
                    os.close(descriptor)
                    child.channel.close()
                return start
            os.close(start.out)
            os.close(start.err)
            descriptor = os.pidfd_open(pid)
            socket.send_fds(start.channel, [NUMBER.pack(pid)], [descriptor])
            children[descriptor] = Child(pid, start.channel)


def become(start: Start) -> None:
    """Be as the one who asks wants this process to be."""
    with start.channel, start.channel.makefile() as lines:
        order = json.loads(lines.readline())
    os.dup2(start.out, 1)
    os.dup2(start.err, 2)
    os.close(start.out)
    os.close(start.err)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, soft, hard in order["limits"]:
        resource.setrlimit(number, (soft, hard))
    sys.argv = order["command"]


def main() -> None:
    """Serve, and run C{twistd} in each child."""
    twistd, descriptor = sys.argv[1:]
    # As it is for a script that lies there.
    sys.path[0] = os.path.dirname(twistd)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    imports()
    become(serve(socket.socket(fileno=int(descriptor))))
    signal.signal(signal.SIGINT, interrupt)
    runpy.run_path(twistd, run_name="__main__")


if __name__ == "__main__":
    main()
