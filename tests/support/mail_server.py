"""A mail server of one process, which keeps every message."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Queue
from threading import Thread


class MailServer(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine (RFC 5321, without extensions).

    Attributes:
        messages: every message, in the order of arrival.
        reply: the answer to `MAIL FROM`; another one than 250 refuses the message.
    """

    daemon_threads = True

    def __init__(self) -> None:
        """Listen."""
        super().__init__(("127.0.0.1", 0), _Session)
        self.messages: Queue[EmailMessage] = Queue()
        self.reply = b"250 ok"

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._answer(b"220 test")
        while line := self.rfile.readline().strip().upper():
            if line == b"DATA":
                self._answer(b"354 go on")
                self._keep()
            if line == b"QUIT":
                self._answer(b"221 bye")
                return
            self._answer(self.server.reply if line.startswith(b"MAIL") else b"250 ok")

    def _keep(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.server.messages.put(message)

    def _answer(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Run a mail server."""
    with MailServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
