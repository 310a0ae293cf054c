"""The pages of the product, with the texts of the full-screen page."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from polygent_issuer.enforcement import State
from polygent_issuer.sandbox.auth import Role, Session, session_of, sign_in, sign_out, site_of
from polygent_issuer.sandbox.rendering import form_of, render
from polygent_issuer.sandbox.simulated_server import Attempt, SimulatedServer
from polygent_issuer.verifier.identifiers import ENTERPRISE_FEATURES, FEATURES


@dataclass(frozen=True, slots=True)
class Words:
    """The title, the reason, and what an admin and a member do about it.

    Attributes:
        needs_request: whether the vendor needs this server's machine info for it.
    """

    title: str
    why: str
    admin: str
    member: str = "Ask an admin of your organisation; your work is safe and waits for you."
    needs_request: bool = False


_REQUEST: Final = (
    "Download the machine info, send it to your vendor, and upload the license that comes back."
)

OF_STATE: Final = {
    State.NONE: Words(
        "No license yet",
        "This server was never given a license.",
        _REQUEST,
        "Ask an admin of your organisation: the server is not set up yet.",
        needs_request=True,
    ),
    State.EXPIRED: Words(
        "License expired",
        "The license of this server has come to its end.",
        "Upload the renewed license that your vendor sent. It works at once.",
    ),
    State.NOT_YET_VALID: Words(
        "License not valid yet",
        "The license was issued later than this server's clock says.",
        "Compare the server's clock with the true time, and set it right.",
    ),
    State.MACHINE_CHANGED: Words(
        "Machine changed",
        "The license is for another machine than this one: its identity has changed.",
        _REQUEST,
        needs_request=True,
    ),
    State.CLOCK_TAMPERED: Words(
        "Clock set back",
        "This server's clock went back by more than a day.",
        "Set the clock right. If it once ran far ahead, upload a newly issued license.",
    ),
    State.NOT_AUTHENTIC: Words(
        "License not authentic",
        "The key that signed the license is not trusted any more.",
        "Upload the license that your vendor issued in its place.",
    ),
}
"""The words for each state but active."""

OTHER_ADDRESS: Final = Words(
    "Address not covered",
    "The license does not cover the address under which you came.",
    "Come by an address that the license allows, or upload a license for this one.",
    "Come by your organisation's usual address, or ask an admin.",
)
"""The words for one request under a host name that the license does not allow."""


LOCKED: Final = "/license-expired"
"""Where every page leads without a valid license."""

Page = Callable[[Request, Session], Awaitable[Response]]


def to(path: str) -> Response:
    """Go there with a GET."""
    return RedirectResponse(path, 303)


def _for_users(page: Page) -> Callable[[Request], Awaitable[Response]]:
    """A page for whoever is signed in."""

    @wraps(page)
    async def shown(request: Request) -> Response:
        session = session_of(request)
        return to("/sign-in") if session is None else await page(request, session)

    return shown


def _licensed(page: Page) -> Callable[[Request], Awaitable[Response]]:
    """A page that the full-screen one stands for without a valid license."""

    @wraps(page)
    async def shown(request: Request, session: Session) -> Response:
        if site_of(request).refusal_here() is not None:
            return to(LOCKED)
        return await page(request, session)

    return _for_users(shown)


async def _home(request: Request, _session: Session) -> Response:
    site = site_of(request)
    return render(request, "home.html", features=_features(site.license.features(site.now())))


async def _settings(request: Request, session: Session) -> Response:
    site = site_of(request)
    status = site.license.status(site.now(), users_active=site.population.users)
    return render(
        request,
        "license.html",
        status=status,
        features=_features(status.features),
        attempt=_attempt(site, session),
    )


async def _locked(request: Request, session: Session) -> Response:
    site = site_of(request)
    refusal = site.refusal_here()
    if refusal is None:
        return to("/")
    words = OF_STATE.get(site.standing().state, OTHER_ADDRESS)
    return render(
        request, "locked.html", words=words, refusal=refusal, attempt=_attempt(site, session)
    )


def _attempt(site: SimulatedServer, session: Session) -> Attempt | None:
    """What became of the last upload, for an admin; a member's page leaves it to be shown."""
    if session.role is not Role.ADMIN:
        return None
    attempt, site.attempt = site.attempt, None
    return attempt


async def _sign_in_page(request: Request) -> Response:
    return render(request, "sign-in.html")


async def _sign_in(request: Request) -> Response:
    async with form_of(request) as form:
        user = form.get("user")
    if user not in tuple(Role):
        return to("/sign-in")
    response = to("/")
    sign_in(request, response, Role(user))
    return response


async def _sign_out(request: Request, session: Session) -> Response:
    response = to("/sign-in")
    sign_out(request, response, session)
    return response


async def _upload(request: Request, session: Session) -> Response:
    """*Upload license*, of admins alone."""
    if session.role is not Role.ADMIN:
        return render(
            request,
            "refused.html",
            status_code=403,
            title="Not allowed",
            why="Only an admin may upload a license.",
        )
    site = site_of(request)
    locked = site.refusal_here() is not None
    async with form_of(request, files=1) as form:
        file = form.get("license")
        content = await file.read() if isinstance(file, UploadFile) else b""
    attempt = site.install(content, by=session.name)
    if attempt.refused is not None and locked:
        return to(LOCKED)
    return to("/settings/license")


def _features(held: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Every feature of the catalogue, and those that only the license knows; whether it has it."""
    known = (*FEATURES, *ENTERPRISE_FEATURES)
    return [(name, name in held) for name in dict.fromkeys((*known, *held))]


def _nothing(_request: Request) -> Response:
    return Response(status_code=204)


ROUTES: Final[tuple[Any, ...]] = (
    Route("/", _licensed(_home)),
    Route("/settings/license", _licensed(_settings), methods=["GET"]),
    Route("/license", _for_users(_upload), methods=["POST"]),
    Route(LOCKED, _for_users(_locked)),
    Route("/sign-in", _sign_in_page, methods=["GET"]),
    Route("/sign-in", _sign_in, methods=["POST"]),
    Route("/sign-out", _for_users(_sign_out), methods=["POST"]),
    Route("/favicon.ico", _nothing),
)
"""Every page of the product."""
