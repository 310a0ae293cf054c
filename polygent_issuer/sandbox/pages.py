"""The pages of the product: sign-in, home, Settings → License, and the full-screen page."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from polygent_issuer.sandbox.forms import form_of
from polygent_issuer.sandbox.pretended import Attempt
from polygent_issuer.sandbox.rendering import render
from polygent_issuer.sandbox.sessions import Role, Session
from polygent_issuer.sandbox.signed_in import session_of, sign_in, sign_out, site_of
from polygent_issuer.sandbox.site import Site
from polygent_issuer.sandbox.words import OF_STATE, OTHER_ADDRESS
from polygent_issuer.verifier.catalogue import ENTERPRISE_FEATURES, FEATURES

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


def _attempt(site: Site, session: Session) -> Attempt | None:
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
