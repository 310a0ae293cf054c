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
from polygent_issuer.sandbox.api import API, error
from polygent_issuer.sandbox.auth import site_of, user_of
from polygent_issuer.sandbox.guard import Access, Guard
from polygent_issuer.sandbox.pages import LOCKED, render, to
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
"""It proves nothing: everybody has its private half."""

_HTTP: Final = 80
_MINUTE: Final = 60.0
_WORDS: Final = {
    400: ("bad_request", "Not understood"),
    404: ("not_found", "Nothing here"),
    405: ("method_not_allowed", "Not possible here"),
    413: ("too_large", "Too large"),
}
"""The code for programs, and the title for people."""


async def _not_served(request: Request, failed: Exception) -> Response:
    """Answer for no such page or endpoint, or a body that cannot be read.

    Without a valid license a page that does not exist leads where every page does.
    """
    status = failed.status_code if isinstance(failed, HTTPException) else 500
    why = str(getattr(failed, "detail", failed))
    code, title = _WORDS.get(status, ("error", "Not possible"))
    if request.scope["path"].startswith(API):
        return error(status, code, why)
    if status == 404 and user_of(request) and site_of(request).refusal_here():  # noqa: PLR2004 - not found
        return to(LOCKED)
    return render(request, "refused.html", status_code=status, title=title, why=f"{status}: {why}")


async def _store_failed(request: Request, failed: Exception) -> Response:
    """Answer when the server's database fails: nothing else that it could show is known."""
    code = StoreFailed.code
    if request.scope["path"].startswith(API):
        return error(503, code, str(failed))
    return PlainTextResponse(f"{code}: {failed}\nStart the sandbox again.\n", 503)


_ON_ERROR: Final[dict[Any, Any]] = {HTTPException: _not_served, StoreFailed: _store_failed}


def _judged(app: ASGIApp, *, site: SimulatedServer) -> ASGIApp:
    """Put the license before an app, as if requests had come for the pretended host."""

    async def judged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            others = [header for header in scope["headers"] if header[0] != b"host"]
            host = b"host", site.host.encode("latin-1", "replace")
            scope = {**scope, "headers": [*others, host]}
        # One that starts over has another license. An integrator's own app needs this line alone.
        licensed = LicenseMiddleware(
            app, license=site.license, now=site.now, features=api.FEATURE_PATHS
        )
        await licensed(scope, receive, send)

    return judged


def application(
    site: SimulatedServer, *, hosts: Collection[str], access: Access, tick_every: float = _MINUTE
) -> Starlette:
    """Return the ASGI app of a site, whose license is looked at every `tick_every` seconds.

    Args:
        hosts: the Host headers under which it answers.
        access: what a request must carry.
    """

    async def tick() -> None:
        while True:
            with suppress(StoreFailed):  # the next request is answered with it
                site.tick()
            await asyncio.sleep(tick_every)

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
            Middleware(_judged, site=site),
        ],
        exception_handlers=_ON_ERROR,
        lifespan=lifespan,
    )
    # A redirect to the path with another slash would lead to the pretended host.
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.access = access
    app.state.sessions = {}
    app.state.notice = None
    return app


@contextmanager
def temporary_server(
    keys: KeySet, *, clock: Callable[[], datetime], first: bytes | None
) -> Iterator[SimulatedServer]:
    """Yield a site of which nothing is left afterwards; the arguments are `SimulatedServer`'s.

    Raises:
        OutputProblem: (`output_failed`) the folder for temporary files cannot be written.
    """
    with ExitStack() as opened:
        try:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="polygent-"))
            site = SimulatedServer(keys, folder=Path(folder), clock=clock, first=first)
        except (OSError, StoreFailed) as problem:
            why = problem.message if isinstance(problem, StoreFailed) else str(problem.strerror)
            raise OutputProblem(
                f"the sandbox cannot keep its database: {why[:1].lower()}{why[1:]}",
                hint="TMPDIR=FOLDER names a folder that can be written",
            ) from None
        opened.enter_context(closing(site))
        yield site


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
    """Return a socket that only this machine reaches; port 0 takes a free one."""
    return socket.create_server((LOOPBACK, port))


def stop_in_order() -> None:
    """Let SIGTERM, and a terminal that is closed, end the process as Ctrl-C does.

    Uvicorn raises SIGTERM again once it has stopped; of SIGHUP, which `nohup` ignores, it knows
    nothing.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda *_: signal.raise_signal(signal.SIGINT))


def serve(site: SimulatedServer, listening: socket.socket, access: Access) -> None:
    """Serve until Ctrl-C or SIGTERM, which raise `KeyboardInterrupt` once all has stopped."""
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
    """Return the Host headers of requests to us; a browser leaves out port 80."""
    names = LOOPBACK, "localhost"
    with_port = tuple(f"{name}:{port}" for name in names)
    return (*with_port, *names) if port == _HTTP else with_port


def address(listening: socket.socket) -> str:
    """Return where a browser finds it."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}/"
