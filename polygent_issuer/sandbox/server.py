"""The sandbox's web server on loopback, its ASGI app, and the published example key."""

import asyncio
import logging
import signal
import socket
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from polygent_issuer.enforcement import LicenseMiddleware, StoreFailed
from polygent_issuer.errors import OutputProblem
from polygent_issuer.sandbox import api, controls, pages
from polygent_issuer.sandbox.api import API, error, site_of, user_of
from polygent_issuer.sandbox.guard import Access, Guard
from polygent_issuer.sandbox.pages import render, to_locked
from polygent_issuer.sandbox.simulated_server import SimulatedServer
from polygent_issuer.verifier import Key, KeySet

LOOPBACK: Final = "127.0.0.1"
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
"""The example key proves nothing, since its private key is published."""

_HTTP: Final = 80
_MINUTE: Final = 60.0
_WORDS: Final = {
    400: ("bad_request", "Invalid request", "The form could not be read. Send it again."),
    404: ("not_found", "Page not found", "This address has no page."),
    405: ("method_not_allowed", "Not allowed here", "This address does not accept the request."),
    413: ("too_large", "Request too large", "The form has more data than it needs."),
}
"""The code for programs, and title and text for people, by HTTP status."""


async def _not_served(request: Request, failed: Exception) -> Response:
    """Respond to an unknown page or endpoint, or to a body that cannot be read.

    Without a valid license, a page that does not exist redirects like every other page.
    """
    status = failed.status_code if isinstance(failed, HTTPException) else 500
    why = str(getattr(failed, "detail", failed))
    code, title, words = _WORDS.get(status, ("error", "Request failed", f"{status}: {why}"))
    if request.scope["path"].startswith(API):
        return error(status, code, why)
    if status == 404 and user_of(request) and site_of(request).refusal_here():  # noqa: PLR2004 - not found
        return to_locked(request)
    return render(request, "refused.html", status_code=status, title=title, why=words)


async def _store_failed(request: Request, failed: Exception) -> Response:
    """Respond to a failure of the server's database, without which no page can be shown."""
    code = StoreFailed.code
    if request.scope["path"].startswith(API):
        return error(503, code, str(failed))
    return PlainTextResponse(f"{code}: {failed}\nStop the sandbox and start it again.\n", 503)


_ON_ERROR: Final[dict[Any, Any]] = {HTTPException: _not_served, StoreFailed: _store_failed}


def _with_host(app: ASGIApp, *, site: SimulatedServer) -> ASGIApp:
    """Give each request the simulated Host header."""

    async def with_host(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            others = [header for header in scope["headers"] if header[0] != b"host"]
            host = b"host", site.host.encode("latin-1", "replace")
            scope = {**scope, "headers": [*others, host]}
        await app(scope, receive, send)

    return with_host


def application(site: SimulatedServer, *, hosts: Collection[str], access: Access) -> Starlette:
    """Return the ASGI app of a site; the license is checked every minute."""

    async def tick() -> None:
        while True:
            with suppress(StoreFailed):  # the next request reports it
                site.tick()
            await asyncio.sleep(_MINUTE)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()

    app = Starlette(
        routes=[*pages.ROUTES, *api.ROUTES, *controls.ROUTES],
        middleware=[
            Middleware(Guard, hosts=hosts, access=access),
            Middleware(_with_host, site=site),
            Middleware(
                LicenseMiddleware,
                license=lambda: site.license,  # starting over replaces it
                now=site.now,
                features=api.FEATURE_PATHS,
            ),
        ],
        exception_handlers=_ON_ERROR,
        lifespan=lifespan,
    )
    # A redirect that adds or removes a slash would go to the simulated host.
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.access = access
    app.state.sessions = {}
    app.state.notice = None
    app.state.used = None
    return app


@contextmanager
def temporary_server(
    keys: KeySet, *, clock: Callable[[], datetime], first: bytes | None
) -> Iterator[SimulatedServer]:
    """Yield a site in a temporary folder; the arguments are those of `SimulatedServer`.

    Raises:
        OutputProblem: (`output_failed`) when the folder for temporary files is not writable.
    """
    # Only bugs are shown to the operator, not the log of a license and of odd requests.
    logging.getLogger().addHandler(logging.NullHandler())
    with ExitStack() as opened:
        try:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="polygent-"))
            site = SimulatedServer(keys, folder=Path(folder), clock=clock, first=first)
        except (OSError, StoreFailed) as problem:
            why = problem.message if isinstance(problem, StoreFailed) else str(problem.strerror)
            raise OutputProblem(
                f"the sandbox cannot create its database: {why[:1].lower()}{why[1:]}",
                hint="set TMPDIR to a folder that you can write to",
            ) from None
        opened.enter_context(closing(site))
        yield site


class BriefLog(logging.Filter):
    """Logs a bug of the sandbox in one line, without the traceback of uvicorn.

    A request that is cancelled at shutdown is not a bug. Other records are not for the operator.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record of a bug, and drop any other record."""
        _, failed, trace = record.exc_info or (None, None, None)
        if trace is None or isinstance(failed, asyncio.CancelledError):
            return False
        where = traceback.extract_tb(trace)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        record.msg = f"this is a bug in the sandbox: {type(failed).__name__} at {place}"
        record.args, record.exc_info = (), None
        return True


def listen(port: int) -> socket.socket:
    """Return a socket that only this machine can reach; port 0 chooses a free port."""
    return socket.create_server((LOOPBACK, port))


def stop_in_order() -> None:
    """Make SIGTERM and SIGHUP (a closed terminal) end the process like Ctrl-C.

    Uvicorn raises SIGTERM again after it has stopped. It does not handle SIGHUP, which `nohup`
    ignores.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda *_: signal.raise_signal(signal.SIGINT))


def serve(site: SimulatedServer, listening: socket.socket, access: Access) -> None:
    """Serve until Ctrl-C or SIGTERM, then stop and raise `KeyboardInterrupt`."""
    config = uvicorn.Config(
        application(site, hosts=hosts(listening.getsockname()[1]), access=access),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    bugs = logging.StreamHandler()
    bugs.setLevel(logging.ERROR)
    bugs.addFilter(BriefLog())
    logging.getLogger("uvicorn.error").addHandler(bugs)
    uvicorn.Server(config).run(sockets=[listening])


def hosts(port: int) -> tuple[str, ...]:
    """Return the allowed Host headers; browsers omit port 80."""
    names = LOOPBACK, "localhost"
    with_port = tuple(f"{name}:{port}" for name in names)
    return (*with_port, *names) if port == _HTTP else with_port


def address(listening: socket.socket) -> str:
    """Return the address for a browser."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
