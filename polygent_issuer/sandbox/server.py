"""The sandbox's web server on loopback, its temporary folder, and the published example key."""

import asyncio
import logging
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import uvicorn

from polygent_issuer.enforcement import StoreFailed
from polygent_issuer.errors import OutputProblem
from polygent_issuer.sandbox.access import Access
from polygent_issuer.sandbox.application import application
from polygent_issuer.sandbox.simulated_server import SimulatedServer
from polygent_issuer.verifier import Key, KeySet


@contextmanager
def temporary_server(
    keys: KeySet, *, clock: Callable[[], datetime], first: bytes | None
) -> Iterator[SimulatedServer]:
    """A site of which nothing is left afterwards; the arguments are those of `SimulatedServer`.

    Raises:
        OutputProblem: the folder for temporary files cannot be written, or is full.
    """
    with ExitStack() as kept:
        try:
            folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="polygent-"))
            site = SimulatedServer(keys, folder=Path(folder), clock=clock, first=first)
        except (OSError, StoreFailed) as problem:
            why = problem.message if isinstance(problem, StoreFailed) else str(problem.strerror)
            raise OutputProblem(
                f"the sandbox cannot keep its database: {why[:1].lower()}{why[1:]}",
                hint="TMPDIR=FOLDER names a folder that can be written",
            ) from None
        kept.enter_context(closing(site))
        yield site


EXAMPLE: Final = KeySet.of(
    Key.from_jwk(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MJMYDekrXvlfaKtp0rtjnyAxcK2hYX2NkWmWWNQbS4w",
            "y": "w3wTuwwbXsy1kdIji5mBD-RBvSAgtrTiKqZcP2z4Cis",
        },
        allow_example=True,
    ),
    allow_example=True,
)
"""It proves nothing: everybody has its private half."""


LOOPBACK: Final = "127.0.0.1"

_HTTP: Final = 80


class BriefLog(logging.Filter):
    """Tells a bug of ours in a line, without the traceback that uvicorn would print.

    What was under way at the end is cut short and no bug; nothing else is an operator's news.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a record that tells of one, and drop any other."""
        _, failed, trace = record.exc_info or (None, None, None)
        if trace is None or isinstance(failed, asyncio.CancelledError):
            return False
        where = traceback.extract_tb(trace)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        record.msg = f"this is a bug in the sandbox: {type(failed).__name__} at {place}"
        record.args, record.exc_info = (), None
        return True


def listen(port: int) -> socket.socket:
    """A socket that only this machine reaches.

    Args:
        port: 0 takes a free one.

    Raises:
        OSError: it is taken, or not ours to take.
    """
    return socket.create_server((LOOPBACK, port))


def stop_in_order() -> None:
    """Let SIGTERM, and a terminal that is closed, end the process as Ctrl-C does.

    So whoever called clears up. Uvicorn raises SIGTERM again once it has stopped; of SIGHUP it
    knows nothing. Whoever wants to outlive the terminal (`nohup`) has it ignored before.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda *_: signal.raise_signal(signal.SIGINT))


def serve(site: SimulatedServer, listening: socket.socket, access: Access) -> None:
    """Serve until the process is told to stop, by Ctrl-C or SIGTERM.

    Raises:
        KeyboardInterrupt: it was told to, and has stopped.
    """
    config = uvicorn.Config(
        application(site, hosts=hosts(listening.getsockname()[1]), access=access),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    # What libraries log of odd requests is no news to an operator; a bug of ours is.
    logging.getLogger().addHandler(logging.NullHandler())
    bugs = logging.StreamHandler()
    bugs.setLevel(logging.ERROR)
    bugs.addFilter(BriefLog())
    logging.getLogger("uvicorn.error").addHandler(bugs)
    uvicorn.Server(config).run(sockets=[listening])


def hosts(port: int) -> tuple[str, ...]:
    """The Host headers of requests to us; a browser leaves out port 80."""
    names = LOOPBACK, "localhost"
    with_port = tuple(f"{name}:{port}" for name in names)
    return (*with_port, *names) if port == _HTTP else with_port


def address(listening: socket.socket) -> str:
    """Where a browser finds it."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
