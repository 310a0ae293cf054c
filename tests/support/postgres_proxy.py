"""A proxy in front of a PostgreSQL server that does something at the N-th statement.

It passes the messages of the protocol on (PostgreSQL manual, "Message Formats"). A statement ends
with a Query or a Sync message, and its answer with ReadyForQuery.
"""

import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.postgres import Cluster

_PORT: Final = ".s.PGSQL.5432"
_HEADER: Final = 5
_READY: Final = 6

Act = Callable[["Session"], None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault at a statement.

    Attributes:
        number: the number of the statement, from 1.
        text: the whole text of the statement, instead of its number.
        answered: after the server has executed it, but before its answer; else before it.
        act: is called in the thread of the session.
        cut: whether the session is cut afterwards; otherwise it goes on.
    """

    number: int = 0
    text: str = ""
    answered: bool = False
    act: Act = lambda _: None
    cut: bool = True


class Session:
    """One connection, with the process id of its backend."""

    def __init__(self, proxy: "Proxy", client: socket.socket) -> None:
        """Connect to the server."""
        self.pid = 0
        self._proxy, self._client = proxy, client
        self.server = proxy.server
        self._backend = socket.socket(socket.AF_UNIX)
        self._holds = False
        self._answered, self._released = threading.Event(), threading.Event()

    def start(self) -> None:
        """Pass messages on in two threads until one side ends."""
        try:
            self._backend.connect(str(self._proxy.server.folder / _PORT))
        except OSError:
            self.cut()
            return
        for work in (self._requests, self._answers):
            thread = threading.Thread(target=self._until_end, args=(work,), daemon=True)
            self._proxy.threads.append(thread)
            thread.start()

    def cut(self) -> None:
        """Cut both connections."""
        for each in (self._client, self._backend):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._answered.set()
        self._released.set()

    def _until_end(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, EOFError):
            pass
        finally:
            self.cut()

    def _requests(self) -> None:
        length = _read(self._client, 4)
        self._backend.sendall(length + _read(self._client, struct.unpack("!i", length)[0] - 4))
        text, sent = "", b""
        while True:
            message = _message(self._client)
            kind = message[:1]
            if kind in (b"Q", b"P"):
                parts = message[_HEADER:].split(b"\0")
                text = parts[0 if kind == b"Q" else 1].decode()
            elif kind == b"B":  # of a prepared statement
                text = text or "prepared"
            # The server executes each statement when it arrives, not when the Sync does.
            sent += message
            if kind not in (b"Q", b"S"):
                continue
            fault = self._proxy.count(text)
            message, text, sent = sent, "", b""
            if fault is None:
                self._backend.sendall(message)
                continue
            if fault.answered:
                self._holds = True
                self._backend.sendall(message)
                self._answered.wait()
            fault.act(self)
            if fault.cut:
                raise EOFError
            if not fault.answered:
                self._backend.sendall(message)
            self._released.set()

    def _answers(self) -> None:
        while True:
            message = _message(self._backend)
            if message[:1] == b"K":
                (self.pid,) = struct.unpack("!i", message[5:9])
            if self._holds:
                while message[-_READY:-1] != b"Z\0\0\0\5":
                    message += _message(self._backend)
                self._holds = False
                self._answered.set()
                self._released.wait()
            self._client.sendall(message)


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        folder: of its socket.
        statements: the text of each statement since `arm`.
        threads: those of its sessions.
    """

    server: Cluster
    folder: Path
    statements: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    _fault: Fault | None = None

    def uri(self, database: str, user: str = "postgres") -> str:
        """Return the URI of a database through the proxy."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def arm(self, fault: Fault | None = None) -> None:
        """Count statements anew, with a fault at one of them."""
        self.statements, self._fault = [], fault

    def settle(self) -> None:
        """Wait for the end of all sessions: a fault may happen after a command has ended."""
        for each in self.threads:
            each.join(60)
            assert not each.is_alive()
        self.threads.clear()

    def count(self, text: str) -> Fault | None:
        """Count a statement; return the fault that happens at it."""
        self.statements.append(text)
        fault = self._fault
        if fault is None or (fault.number != len(self.statements) and fault.text != text):
            return None
        self._fault = None
        return fault


@contextmanager
def proxy(server: Cluster) -> Iterator[Proxy]:
    """Run a proxy for the block."""
    folder = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / _PORT))
        listening.listen(100)
        made = Proxy(server, folder)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    Session(made, listening.accept()[0]).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield made
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            shutil.rmtree(folder)


def _message(source: socket.socket) -> bytes:
    header = _read(source, _HEADER)
    return header + _read(source, struct.unpack("!i", header[1:])[0] - 4)


def _read(source: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = source.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
