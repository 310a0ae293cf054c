"""The product as a Starlette app: API, agents, users, background services and alert mails.

A node is one installation: a folder with the license store, a database of users and sessions, and
the files `clock`, `machine` and `key.pem` that a test writes. Each worker process serves every
node; the header `x-node` names the node of a request, `x-worker` in the answer the process.
"""

import os
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from polygent_issuer.enforcement import (
    Admin,
    Alert,
    HostKind,
    LicenseMiddleware,
    Refusal,
    Refused,
    ServerLicense,
    SqliteStore,
)
from polygent_issuer.enforcement.daily import DailyRuns
from polygent_issuer.enforcement.router import User, license_routes
from polygent_issuer.verifier import KeySet, Verifier
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

WINDOW = timedelta(days=7)
FEATURE_PATHS = {f"/api/{name}": name for name in (*FEATURES, *ENTERPRISE_FEATURES)}
ADMINS = (Admin(name="Ada", address="ada@acme.example"), Admin(name="Bob", address=None))
AGENTS = {"/api/agents/session": HostKind.SESSION, "/api/agents/deploy": HostKind.DEPLOY}
_USERS = """
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, active INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, user TEXT NOT NULL) STRICT;
"""


class Background:
    """The queue, the automations and the sync of one worker."""

    state = "new"

    def pause(self, reason: Refusal) -> None:
        """Pause for a reason."""
        self.state = reason.code

    def resume(self) -> None:
        """Run."""
        self.state = "running"


class Node:
    """One installation, as one worker process sees it."""

    def __init__(self, folder: Path) -> None:
        """Open the store."""
        self.folder = folder
        keys = KeySet.from_pem((folder / "key.pem").read_bytes())
        self.license = ServerLicense(
            Verifier(keys),
            SqliteStore(folder / "license.db"),
            fingerprint=self.machine,
            freshness_window=WINDOW,
        )
        self.background = Background()
        self.license.listen(self.background, self.now())
        self.checked, self._checking = "", ""
        self.runs = DailyRuns(
            self.license,
            admins=lambda: ADMINS,
            send=self.send,
            now=self.now_of_runs,
            every=timedelta(milliseconds=50),
        )
        self.runs.start()
        with self.database() as db:
            db.executescript(_USERS)
        self.app = Starlette(
            routes=[
                *license_routes(
                    self.license, user=user_of, users_active=self.users_active, now=self.now
                ),
                *ROUTES,
            ],
            middleware=[
                Middleware(
                    LicenseMiddleware, license=self.license, now=self.now, features=FEATURE_PATHS
                )
            ],
        )
        self.app.state.node = self

    def now(self) -> datetime:
        """Return the time of the server's clock."""
        return datetime.fromisoformat((self.folder / "clock").read_text())

    def machine(self) -> str:
        """Return the fingerprint of the server's machine."""
        return (self.folder / "machine").read_text()

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Yield the product's database, in a transaction that writes."""
        path = self.folder / "product.db"
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN IMMEDIATE")
            yield db
            if db.in_transaction:
                db.execute("COMMIT")

    def now_of_runs(self) -> datetime:
        """Return the time for the next check of the daily runs; the one before is over."""
        now = self.now()
        self.checked, self._checking = self._checking, now.isoformat()
        return now

    def send(self, alert: Alert) -> None:
        """Send a mail: append a line, which is atomic."""
        with (self.folder / "mails").open("a") as mails:
            mails.write(f"{alert.milestone} {alert.subject}\n")

    def users_active(self) -> int:
        """Return the number of active users."""
        with self.database() as db:
            return _active_users(db)

    def close(self) -> None:
        """End its thread, and close the store."""
        self.runs.stop()
        self.license.close()


def user_of(request: Request) -> User:
    """Return the sender, by a header in place of a session."""
    name = request.headers["x-user"]
    return User(name=name, is_admin=name == "ada")


def node_of(connection: HTTPConnection) -> Node:
    """Return the node of a request."""
    node: Node = connection.app.state.node
    return node


async def sign_in(request: Request) -> Response:
    """Begin a session of the user in the body; the license may end the user's others."""
    node, user, token = node_of(request), (await request.json())["user"], secrets.token_hex()
    with node.database() as db:
        rows = db.execute("SELECT token FROM sessions WHERE user = ?", [user]).fetchall()
        for ended in node.license.sessions_to_revoke(rows, node.now()):
            db.execute("DELETE FROM sessions WHERE token = ?", ended)
        db.execute("INSERT INTO sessions VALUES (?, ?)", [token, user])
    return JSONResponse({"token": token})


def sign_out(request: Request) -> Response:
    """End the session of the request."""
    with node_of(request).database() as db:
        db.execute("DELETE FROM sessions WHERE token = ?", [request.headers.get("x-token")])
    return JSONResponse({})


def current_user(request: Request) -> Response:
    """Answer the user of the session, or 401."""
    with node_of(request).database() as db:
        token = request.headers.get("x-token")
        row = db.execute("SELECT user FROM sessions WHERE token = ?", [token]).fetchone()
    return JSONResponse({"user": row[0]}) if row else JSONResponse({}, 401)


def users(request: Request) -> Response:
    """Answer the names of the active users."""
    with node_of(request).database() as db:
        rows = db.execute("SELECT name FROM users WHERE active ORDER BY name").fetchall()
    return JSONResponse({"active": [name for (name,) in rows]})


def add_user(request: Request) -> Response:
    """Add an active user if the license allows one more."""
    node, name = node_of(request), request.path_params["name"]
    with node.database() as db:
        refusal = node.license.may_add_user(_active_users(db), node.now())
        if refusal is not None:
            raise Refused(refusal)
        db.execute("INSERT INTO users VALUES (?, 1)", [name])
    return JSONResponse({"name": name}, 201)


def activate_user(request: Request) -> Response:
    """Activate a deactivated user if the license allows one more."""
    node, name = node_of(request), request.path_params["name"]
    with node.database() as db:
        refusal = node.license.may_activate_user(_active_users(db), node.now())
        if refusal is not None:
            raise Refused(refusal)
        db.execute("UPDATE users SET active = 1 WHERE name = ?", [name])
    return JSONResponse({"name": name})


def deactivate_user(request: Request) -> Response:
    """Deactivate a user."""
    with node_of(request).database() as db:
        db.execute("UPDATE users SET active = 0 WHERE name = ?", [request.path_params["name"]])
    return JSONResponse({})


def _active_users(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM users WHERE active").fetchone()[0])


def features(request: Request) -> Response:
    """Answer the features that a UI shows."""
    node = node_of(request)
    return JSONResponse({"features": node.license.features(node.now())})


def page(request: Request) -> Response:
    """Answer a page: the state of this worker, and the banner of an admin."""
    node = node_of(request)
    banner = node.license.banner(node.now())
    return JSONResponse(
        {
            "background": node.background.state,
            "banner": None if banner is None else banner.message,
            "checked": node.checked,
        }
    )


def works(_request: Request) -> Response:
    """Answer any other request."""
    return JSONResponse({"works": True})


async def agent(socket: WebSocket) -> None:
    """Count an agent host while its websocket is open."""
    node, kind = node_of(socket), AGENTS[socket.url.path]
    host, name = socket.headers.get("host"), socket.query_params["host"]
    with node.license.connected(kind, name, node.now(), request_host=host):
        await _echo(socket)


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


ROUTES = [
    Route("/api/sign-in", sign_in, methods=["POST"]),
    Route("/api/sign-out", sign_out, methods=["POST"]),
    Route("/api/me", current_user),
    Route("/api/users", users, methods=["GET"]),
    Route("/api/users/{name}", add_user, methods=["POST"]),
    Route("/api/users/{name}/deactivate", deactivate_user, methods=["POST"]),
    Route("/api/users/{name}/activate", activate_user, methods=["POST"]),
    Route("/api/features", features),
    Route("/api/projects", works, methods=["GET", "POST"]),
    *(Route(path, works) for path in FEATURE_PATHS),
    *(WebSocketRoute(path, agent) for path in AGENTS),
    WebSocketRoute("/live", _echo),
    Route("/", page),
]


class Product:
    """The ASGI app of one worker process."""

    def __init__(self, folder: Path) -> None:
        """Serve the nodes in the folders below `folder`."""
        self._folder = folder
        self._nodes: dict[str, Node] = {}
        self._lock = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the node that the request names."""
        name = HTTPConnection(scope).headers["x-node"]
        send = partial(_with_worker, send)
        if scope["path"] == "/close":
            self.close(name)
            await PlainTextResponse("closed")(scope, receive, send)
        else:
            await self.node(name).app(scope, receive, send)

    def node(self, name: str) -> Node:
        """Return an open node."""
        with self._lock:
            if name not in self._nodes:
                self._nodes[name] = Node(self._folder / name)
            return self._nodes[name]

    def close(self, name: str) -> None:
        """Close a node."""
        with self._lock:
            node = self._nodes.pop(name, None)
        if node is not None:
            node.close()


async def _with_worker(send: Send, message: Message) -> None:
    if message["type"].endswith((".start", ".accept")):
        worker = (b"x-worker", str(os.getpid()).encode())
        message["headers"] = [*message.get("headers", ()), worker]
    await send(message)


def make() -> Product:
    """Return the app of a worker process, which may open no connection to another machine."""
    folder = Path(os.environ["PRODUCT_FOLDER"])

    def offline(event: str, arguments: tuple[object, ...]) -> None:
        if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
            (folder / "phoned-home").write_text(f"{event} {arguments}")
            raise OSError(event)

    sys.addaudithook(offline)
    return Product(folder)
