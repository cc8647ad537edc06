"""Pipes that C{splice(2)} moves bytes through, and a limit to how many there are."""

from __future__ import annotations

import fcntl
import os
import resource

_PIPE = 1 << 18
"""Bytes that a pipe holds.  A larger one than fits the processor's cache is slower."""

_MOST_PIPES = 256
"""
The most pipes at a time: 64 MiB of kernel memory, which a user without privileges may
have by default (/proc/sys/fs/pipe-user-pages-soft); beyond it bytes are copied.
"""

_SHARE = 64
"""One pipe, two descriptors, for so many descriptors that the process may have."""


def mostPipes() -> int:
    """The most pipes that this process uses at a time."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(_MOST_PIPES, allowed // _SHARE)


class Pipe:
    """
    A pipe that bytes go through.

    @ivar held: How many are in it.
    """

    __slots__ = ("held", "reads", "size", "writes")

    def __init__(self) -> None:
        """
        @raise OSError: If there is no descriptor for it.
        """
        self.reads, self.writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            self.size = fcntl.fcntl(self.writes, fcntl.F_SETPIPE_SZ, _PIPE)
        except OSError:
            # The user has no more of the kernel's memory for pipes.
            self.size = fcntl.fcntl(self.writes, fcntl.F_GETPIPE_SZ)

    def close(self) -> None:
        """Drop what it holds."""
        os.close(self.reads)
        os.close(self.writes)


class Pipes:
    """
    The pipes of one loop.  A few that are not used are kept.

    @ivar used: How many are in use.
    """

    def __init__(self, most: int | None = None) -> None:
        """
        @param most: The most pipes in use at a time; L{None} for L{mostPipes}.
        """
        self._most = mostPipes() if most is None else most
        self._free: list[Pipe] = []
        self.used = 0

    def take(self) -> Pipe | None:
        """An empty pipe; L{None} if there are enough, or no descriptor for one."""
        if self._free:
            self.used += 1
            return self._free.pop()
        if self.used >= self._most:
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        self.used += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Take a pipe back."""
        self.used -= 1
        if pipe.held or len(self._free) >= 4:
            pipe.close()
        else:
            self._free.append(pipe)

    def close(self) -> None:
        """Close those that are not used."""
        while self._free:
            self._free.pop().close()
