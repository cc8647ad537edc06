"""The other side of a test: backends that behave, or misbehave, as told."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from .daemon import PATIENCE

Conversation = Callable[[socket.socket], object]
"""What a backend does with one connection, in a thread; then it is closed."""

MakeSocket = Callable[[int], socket.socket]
"""Makes a stream socket of a family."""


class Backend:
    """
    A server on the loopback interface; each connection is one conversation.

    @ivar connect: The endpoint description to reach it by.
    @ivar accepted: How many connections there were.
    @ivar errors: What conversations raised, except that a peer was gone.
    """

    def __init__(
        self,
        conversation: Conversation,
        host: str = "127.0.0.1",
        port: int = 0,
        make: MakeSocket = socket.socket,
    ) -> None:
        """
        @param host: An address, or the path of a UNIX socket.
        @param make: Makes its socket, perhaps in another network.
        """
        self._conversation = conversation
        self.accepted = 0
        self.errors: list[BaseException] = []
        self._sockets: list[socket.socket] = []
        self._fillers: list[socket.socket] = []
        self._reachable, self._parked = Event(), Event()
        self._reachable.set()
        self._threads: list[Thread] = []
        self._listening = _listening(host, port, make)
        self.port = port
        if host.startswith("/"):
            self.connect = f"unix:{host}"
        else:
            self.port = self._listening.getsockname()[1]
            escaped = host.replace(":", r"\:")
            self.connect = f"tcp:{escaped}:{self.port}"
        self._accepting = Thread(target=self._accept)
        self._accepting.start()

    def vanish(self) -> None:
        """
        Be as good as switched off, for those that connect: their SYNs are dropped.

        Connections that were accepted go on.  One that the kernel has accepted for it
        at this moment waits.
        """
        self._listening.listen(0)
        self._reachable.clear()
        while not self._parked.wait(0.05):
            # It takes one connection more, since it waits for one.
            waking = socket.socket()
            waking.setblocking(False)
            waking.connect_ex(self._listening.getsockname())
            self._fillers.append(waking)
        # From here on the kernel alone answers, until its queue of one is full.  A SYN
        # that is dropped is sent again after a second.
        for _ in range(5):
            filler = socket.socket()
            self._fillers.append(filler)
            filler.settimeout(0.5)
            try:
                filler.connect(self._listening.getsockname())
            except TimeoutError:
                return
        raise AssertionError("a full queue does not make this kernel drop SYNs")

    def comeBack(self) -> None:
        """Answer again."""
        fillers, self._fillers = self._fillers, []
        for filler in fillers:
            filler.close()
        self._listening.listen(128)
        self._reachable.set()

    def close(self) -> None:
        """Be gone, with all connections."""
        with contextlib.suppress(OSError):
            self.comeBack()
            self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE)
        self._listening.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a backend's conversation never ends"

    def _accept(self) -> None:
        while True:
            if not self._reachable.is_set():
                self._parked.set()
                self._reachable.wait()
                self._parked.clear()
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            connected.settimeout(PATIENCE)
            self._sockets.append(connected)
            thread = Thread(target=self._converse, args=(connected,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connected: socket.socket) -> None:
        try:
            with connected:
                self._conversation(connected)
        except (ConnectionError, TimeoutError):
            pass
        except BaseException as error:
            self.errors.append(error)


def _listening(host: str, port: int, make: MakeSocket) -> socket.socket:
    if host.startswith("/"):
        listening = make(socket.AF_UNIX)
        listening.bind(host)
    else:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = make(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    listening.listen(128)
    return listening


# Conversations.


def echo(connected: socket.socket) -> None:
    """Send back what comes, until it ends."""
    while data := connected.recv(65536):
        connected.sendall(data)


def names(name: bytes) -> Conversation:
    """Say a name at once, then wait for the other side to finish."""

    def say(connected: socket.socket) -> None:
        connected.sendall(name)
        drain(connected)

    return say


def answers(name: bytes) -> Conversation:
    """Say a name after the head of a request, and end."""

    def answer(connected: socket.socket) -> None:
        readHead(connected)
        connected.sendall(name)

    return answer


# What either side may do with a socket.


def drain(connected: socket.socket) -> int:
    """Read to the end of the stream; how many bytes came."""
    count = 0
    while data := connected.recv(1 << 20):
        count += len(data)
    return count


def readAll(connected: socket.socket) -> bytes:
    """All that comes, to the end of the stream."""
    return b"".join(iter(lambda: connected.recv(1 << 20), b""))


def readExactly(connected: socket.socket, count: int) -> bytes:
    """So many bytes; fewer if the stream ends before."""
    parts = []
    while count and (data := connected.recv(min(count, 1 << 20))):
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


def readHead(connected: socket.socket) -> bytes:
    """An HTTP request or answer, to the end of its headers."""
    head = b""
    while b"\r\n\r\n" not in head and (data := connected.recv(1)):
        head += data
    return head


def reset(connected: socket.socket) -> None:
    """Close at once, with an RST."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


def outcome(connected: socket.socket) -> tuple[bytes, str]:
    """All that comes, and whether it ends by C{FIN} or by C{RST}."""
    data = bytearray()
    try:
        while part := connected.recv(65536):
            data += part
    except ConnectionResetError:
        return bytes(data), "RST"
    return bytes(data), "FIN"


def asks(connected: socket.socket, said: bytes) -> bytes:
    """Say something to an echo, and hear it."""
    connected.sendall(said)
    return readExactly(connected, len(said))


class Pages(BaseHTTPRequestHandler):
    """Answers each request with the name of its server, and the path."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer."""
        assert isinstance(self.server, Web)
        self.answer(f"{self.server.name} {self.path}\n".encode())

    def answer(self, body: bytes) -> None:
        """Send one whole answer."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a test has its own assertions."""


class Web(ThreadingHTTPServer):
    """An HTTP/1.1 server with keep-alive, on the loopback interface."""

    request_queue_size = 128

    def __init__(self, name: str, pages: type[Pages] = Pages, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), pages)
        self.name = name
        self.connect = f"tcp:127.0.0.1:{self.server_port}"
        self._serving = Thread(target=self.serve_forever, args=(0.02,))
        self._serving.start()

    def handle_error(self, request: object, address: object) -> None:
        """Clients leave as they like."""

    def close(self) -> None:
        """Be gone; connections that are under way end when their clients do."""
        self.shutdown()
        self._serving.join(PATIENCE)
        self.server_close()
