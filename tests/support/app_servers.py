"""The apps of the guide, served by uvicorn, gunicorn and nginx on sockets in a folder of their own.

Unix sockets need no free port, and no other test can reach them.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2
from websockets.sync.client import ClientConnection, unix_connect

from support.tools import require_tool, unmeasured
from support.waiting import eventually

T = TypeVar("T")

APPS = Path(__file__).parents[1] / "apps"
BIN = Path(sys.executable).parent
HOST = "api.acme.internal"
ADMIN_TOKEN = "of-ada"
SECONDS = 60
"""The deadline of every wait; a machine with two cores may run many tests at once."""


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    assert eventually(condition, deadline=SECONDS), f"not within {SECONDS} s: {what}"


def burst(ask: Callable[[str], T], path: str) -> list[T]:
    """Ask eight times at once, so that a worker that is busy leaves some to others."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, [path] * 8))


@dataclass(frozen=True, kw_only=True, slots=True)
class AppServer:
    """A running server.

    Attributes:
        socket: where it listens.
        pid: of uvicorn, of gunicorn's master, or of nginx.
        log: what it has printed.
    """

    socket: Path
    pid: int
    log: Path

    @contextmanager
    def client(self, host: str = HOST, **headers: str) -> Iterator[httpx2.Client]:
        """Return a client with a connection of its own."""
        transport = httpx2.HTTPTransport(uds=str(self.socket), verify=False)  # no TLS to set up
        with httpx2.Client(
            transport=transport, base_url=f"http://{host}", headers=headers, timeout=SECONDS
        ) as client:
            yield client

    def get(self, path: str, host: str = HOST, **headers: str) -> httpx2.Response:
        """Send a request over a new connection, which any worker may accept."""
        with self.client(host, **headers) as client:
            return client.get(path)

    def connect(self, path: str) -> ClientConnection:
        """Open a websocket; `InvalidStatus` has the response of a refusal."""
        return unix_connect(str(self.socket), f"ws://{HOST}{path}", open_timeout=SECONDS)

    def answers(self) -> bool:
        """Return whether it listens, and its app answers."""
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(self.socket)):
                return False
        return self.get("/api/health").status_code == httpx2.codes.OK

    def workers(self, path: str, status: int, count: int) -> frozenset[str]:
        """Return the workers, once as many have answered with this status."""
        answered: set[str] = set()

        def all_have() -> bool:
            # uvicorn closes a connection that a worker accepts while it ends.
            with suppress(httpx2.TransportError):
                for answer in burst(self.get, path):
                    if answer.status_code == status:
                        answered.add(answer.headers["x-worker"])
            return len(answered) >= count

        wait_for(f"{count} workers answer {path} with {status}", all_have)
        return frozenset(answered)


Command = Callable[[Path, str], list[str]]
"""Returns the command line that serves `module:app` on a socket."""


def uvicorn(*options: str) -> Command:
    """Serve with uvicorn."""
    return lambda at, app: [
        *(str(BIN / "uvicorn"), app, "--app-dir", str(APPS), "--uds", str(at)),
        *options,
    ]


def gunicorn(*options: str) -> Command:
    """Serve with gunicorn and uvicorn's workers."""
    return lambda at, app: [
        *(str(BIN / "gunicorn"), app, "--pythonpath", str(APPS), "--bind", f"unix:{at}"),
        *("--worker-class", "uvicorn_worker.UvicornWorker", *options),
    ]


@contextmanager
def folder() -> Iterator[Path]:
    """Return a folder with a short path, which the name of a Unix socket needs."""
    made = Path(tempfile.mkdtemp(prefix="app-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def serving(data: Path, command: Command, app: str) -> Iterator[AppServer]:
    """Serve an app whose answers name their worker; the app's data is in a folder."""
    at = data / "app.sock"
    environment = environ(data) | {"APP": app}
    with _running(command(at, "named_worker:app"), at, environment) as server:
        wait_for(f"{app} answers", server.answers)
        yield server


@contextmanager
def proxying(data: Path, text: str) -> Iterator[AppServer]:
    """Run nginx with the `server` block of the guide, on sockets in the folder."""
    at, prefix = data / "nginx.sock", data / "nginx"
    prefix.mkdir()
    text = text.replace("listen 80;", f"listen unix:{at};")
    text = text.replace("http://127.0.0.1:8000", f"http://unix:{data / 'app.sock'}:")
    (prefix / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {prefix}/pid; error_log stderr;\n"
        "events {}\n"
        f"http {{ access_log off; client_body_temp_path {prefix}/body; "
        f"proxy_temp_path {prefix}/proxy; fastcgi_temp_path {prefix}/fastcgi; "
        f"uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;\n{text}\n}}\n"
    )
    nginx = require_tool("nginx", "nginx-light")
    command = [nginx, "-p", str(prefix), "-c", "nginx.conf", "-e", "stderr"]
    with _running(command, at, unmeasured()) as server:
        wait_for("nginx answers", server.answers)
        yield server


def environ(data: Path) -> dict[str, str]:
    """Return the environment of an app with its data in a folder."""
    return unmeasured() | {
        "POLYGENT_DATA": str(data),
        "HOME": str(data),  # gunicorn makes a socket there
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "PYTHONPATH": str(APPS),
        "PYTHONWARNINGS": "error",
    }


@contextmanager
def _running(command: list[str], at: Path, environment: Mapping[str, str]) -> Iterator[AppServer]:
    log = at.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=at.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield AppServer(socket=at, pid=process.pid, log=log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) in (0, -signal.SIGTERM), log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            sys.stdout.write(log.read_text())
