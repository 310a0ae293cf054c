"""The product of `product_app` in real uvicorn processes, and the nodes that it serves."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support.lic_files import ISSUED, Issuer, license_id
from support.servers import MACHINE
from support.waiting import eventually

DEADLINE = 30.0
TESTS = Path(__file__).parents[1]


@dataclass
class Product:
    """Worker processes at one socket.

    Attributes:
        workers: a client for each worker process, by process ID; its connection stays open.
    """

    folder: Path
    port: int
    number: int
    workers: dict[int, httpx2.Client] = field(default_factory=dict)
    names: Iterator[int] = field(default_factory=count)

    def find_workers(self) -> None:
        """Open connections until each of the worker processes has one."""
        end = monotonic() + DEADLINE
        with ExitStack() as others:
            while len(self.workers) < self.number:
                assert monotonic() < end, f"{len(self.workers)} workers of {self.number} answer"
                client = httpx2.Client(
                    base_url=f"http://127.0.0.1:{self.port}",
                    timeout=DEADLINE,
                    limits=httpx2.Limits(keepalive_expiry=None),
                    trust_env=False,
                )
                answer = client.get("/close", headers={"x-node": "none"})
                if self.workers.setdefault(int(answer.headers["x-worker"]), client) is not client:
                    others.callback(client.close)

    @contextmanager
    def node(self, **how: Any) -> Iterator["Node"]:
        """Make a node, which all workers close afterwards."""
        self.find_workers()  # a test that failed may have lost one
        made = Node(product=self, name=f"node-{next(self.names)}", **how)
        try:
            yield made
        finally:
            made.everywhere("GET", "/close")


@contextmanager
def product(folder: Path, workers: int) -> Iterator[Product]:
    """Run the product; its log must be free of exceptions at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening, (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "--factory", "support.product_app:make"),
                *("--fd", str(listening.fileno()), "--workers", str(workers)),
                *("--timeout-keep-alive", "600", "--lifespan", "off", "--log-level", "warning"),
            ],
            pass_fds=[listening.fileno()],
            env=os.environ | {"PRODUCT_FOLDER": str(folder), "PYTHONPATH": str(TESTS)},
            stdout=log,
            stderr=log,
        )
        made = Product(folder, listening.getsockname()[1], workers)
        try:
            made.find_workers()
            yield made
        finally:
            for client in made.workers.values():
                client.close()
            server.terminate()
            server.wait(DEADLINE)
    assert "Traceback" not in (text := (folder / "log").read_text()), text


@dataclass
class Node:
    """One installation of the product: a machine, a store, a clock.

    Attributes:
        now: its clock; `set_clock` moves it.
        pem: the public key that it trusts, by default that of `issuer`.
    """

    product: Product
    name: str
    issuer: Issuer = field(default_factory=Issuer)
    now: datetime = ISSUED + timedelta(hours=1)
    machine: str = MACHINE
    pem: bytes = b""

    def __post_init__(self) -> None:
        """Write its files."""
        self.folder = self.product.folder / self.name
        self.folder.mkdir()
        (self.folder / "key.pem").write_bytes(self.pem or self.issuer.signer.public_key.to_pem())
        self.set_clock(self.now)
        self.set_machine(self.machine)
        self._turns = cycle(self.product.workers)

    def set_clock(self, now: datetime) -> None:
        """Set the clock of the server."""
        self.now = now
        self._write("clock", now.isoformat())

    def set_machine(self, fingerprint: str) -> None:
        """Move to another machine."""
        self._write("machine", fingerprint)

    def _write(self, name: str, text: str) -> None:
        (self.folder / "new").write_text(text)
        (self.folder / "new").replace(self.folder / name)  # a worker reads the old or the new

    def ask(self, method: str, path: str, **how: Any) -> httpx2.Response:
        """Return the answer of a worker, of each in turn."""
        return self._ask(next(self._turns), method, path, **how)

    def everywhere(self, method: str, path: str, **how: Any) -> list[httpx2.Response]:
        """Return the answer of every worker."""
        return [self._ask(each, method, path, **how) for each in self.product.workers]

    def _ask(
        self, worker: int, method: str, path: str, *, host: str = "localhost", **how: Any
    ) -> httpx2.Response:
        headers = {"x-node": self.name, "x-user": "ada", "host": host, **how.pop("headers", {})}
        answer = self.product.workers[worker].request(method, path, headers=headers, **how)
        if answer.headers.get("x-worker") != str(worker):
            self.product.workers.pop(worker).close()
            raise AssertionError(f"the connection to worker {worker} was lost at {path}")
        return answer

    def becomes(self, status: int, code: str = "", *, at: str = "/api/projects") -> bool:
        """Return whether every worker soon answers a request so."""
        return eventually(lambda: self.answers("GET", at) == {(status, code)})

    def answers(self, method: str, path: str, **how: Any) -> set[tuple[int, str]]:
        """Return status and code of the answers of all workers."""
        return {outcome(each) for each in self.everywhere(method, path, **how)}

    def upload(self, file: bytes) -> tuple[int, str]:
        """Upload a license to one of the workers; return status and code."""
        return outcome(self.ask("POST", "/api/license", content=file))

    def install(self, number: int, **claims: Any) -> None:
        """Upload a new license, and wait until it is active in all workers."""
        assert self.upload(self.issuer.file(number, **claims)) == (200, "")
        assert self.becomes(200)

    def status(self) -> dict[str, Any]:
        """Return the license status, which soon is the same in all workers."""
        texts: set[str] = set()

        def same() -> bool:
            texts.clear()
            texts.update(each.text for each in self.everywhere("GET", "/api/license"))
            return len(texts) == 1

        assert eventually(same), texts
        members: dict[str, Any] = json.loads(texts.pop())
        return members

    def has_license(self, number: int) -> bool:
        """Return whether every worker soon has the issuer's license of this number."""
        return eventually(lambda: self.status()["licenseId"] == license_id(number))

    def background_becomes(self, state: str) -> bool:
        """Return whether the background services of every worker soon are in a state."""
        return eventually(lambda: self.seen_by_workers("/", "background") == {state})

    def seen_by_workers(self, page: str, member: str) -> set[Any]:
        """Return a member of the answer of every worker."""
        return {each.json()[member] for each in self.everywhere("GET", page)}

    def daily_run_is_over(self) -> bool:
        """Return whether every worker has soon run its check of every minute at this time."""
        return eventually(lambda: self.seen_by_workers("/", "checked") == {self.now.isoformat()})

    @property
    def mails(self) -> list[int]:
        """The milestones of the alert mails, in the order in which they were sent."""
        path = self.folder / "mails"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[0]) for line in lines]

    def socket(self, path: str, *, host: str = "localhost") -> ClientConnection:
        """Open a websocket at any worker; a refusal is raised by `websockets`."""
        return connect(
            f"ws://{host}:{self.product.port}{path}",
            sock=socket.create_connection(("127.0.0.1", self.product.port)),
            additional_headers={"x-node": self.name},
            proxy=None,
        )

    def agent(self, kind: str, name: str, *, host: str = "localhost") -> ClientConnection:
        """Connect an agent host of a kind."""
        return self.socket(f"/api/agents/{kind}?host={name}", host=host)

    def refused(self, path: str, *, host: str = "localhost") -> tuple[int, str, str]:
        """Open a websocket, which must be refused; return status, code and message."""
        try:
            with self.socket(path, host=host):
                raise AssertionError("it was accepted")
        except InvalidStatus as refused:
            error = json.loads(refused.response.body or b"{}").get("error", {})
            return refused.response.status_code, error.get("code", ""), error.get("message", "")
        except ConnectionClosedError as closed:
            raise AssertionError("it was closed after it was accepted") from closed


def outcome(answer: httpx2.Response) -> tuple[int, str]:
    """Return status and error code of an answer; the code is empty without an error."""
    body = answer.json() if answer.headers.get("content-type") == "application/json" else {}
    return answer.status_code, body.get("error", {}).get("code", "")


def worker_of(agent: ClientConnection) -> int:
    """Return the process ID of the worker that an agent is connected to."""
    assert agent.response is not None
    return int(agent.response.headers["x-worker"])
