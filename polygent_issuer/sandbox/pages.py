"""The pages of the product, the texts of the full-screen one, and the forms that they send."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from polygent_issuer.enforcement import HostKind, State
from polygent_issuer.sandbox.auth import User, sign_in, sign_out, site_of, user_of
from polygent_issuer.sandbox.simulated_server import Attempt
from polygent_issuer.terms import dates
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

STYLE: Final = "/style.css"
"""The path of the style sheet."""

LOCKED: Final = "/license-expired"
"""Where every page leads without a valid license."""

Endpoint = Callable[[Request], Awaitable[Response]]

_FIELDS: Final = 5
_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters.update(
    # A text may begin with a kid, whose other letters stay as they are.
    sentence=lambda text: text[:1].upper() + text[1:],
    last_day=lambda expires_at: "{0.day} {0:%B %Y}".format(dates.last_full_day(expires_at)),
    at_input=lambda moment: f"{moment:%Y-%m-%dT%H:%M}",
    instant=lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC",
)
_TEMPLATES.globals.update(kinds=tuple(HostKind))


@dataclass(frozen=True, slots=True)
class Words:
    """The title, the reason, and what an admin and a member do; who may need the machine info."""

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


@asynccontextmanager
async def form_of(request: Request, *, files: int = 0) -> AsyncIterator[FormData]:
    """Yield what was sent, with so many files at most, which are closed at the end.

    Raises:
        HTTPException: 400, the form cannot be read.
    """
    try:
        form = await request.form(max_files=files, max_fields=_FIELDS)
    except ValueError:  # a charset that decodes to nothing, or has no name
        raise HTTPException(400, "the form cannot be read") from None
    try:
        yield form
    finally:
        await form.close()


def render(request: Request, template: str, *, status_code: int = 200, **shown: object) -> Response:
    """Return a page; `shown` is what its template names beside site and user."""
    site, user = site_of(request), user_of(request)
    now, is_admin = site.now(), user is User.ADMIN
    notice, request.app.state.notice = request.app.state.notice, None
    text = _TEMPLATES.get_template(template).render(
        user=user,
        is_admin=is_admin,
        site=site,
        now=now,
        standing=site.standing(),
        banner=site.license.banner(now) if is_admin else None,
        notice=notice,
        path=request.scope["path"],
        **shown,
    )
    return HTMLResponse(text, status_code)


def no_access() -> Response:
    """Return the page for a browser without access: it shows nothing of the site."""
    return HTMLResponse(_TEMPLATES.get_template("no-access.html").render(), 403)


def to(path: str) -> Response:
    """Go there with a GET."""
    return RedirectResponse(path, 303)


def _for_users(page: Endpoint, *, licensed: bool = False) -> Endpoint:
    """Show a page to whoever is signed in; a licensed one not without a valid license."""

    @wraps(page)
    async def shown(request: Request) -> Response:
        if user_of(request) is None:
            return to("/sign-in")
        if licensed and site_of(request).refusal_here() is not None:
            return to(LOCKED)
        return await page(request)

    return shown


async def _home(request: Request) -> Response:
    site = site_of(request)
    return render(request, "home.html", features=_features(site.license.features(site.now())))


async def _settings(request: Request) -> Response:
    site = site_of(request)
    status = site.license.status(site.now(), users_active=site.users)
    features, attempt = _features(status.features), _attempt(request)
    return render(request, "license.html", status=status, features=features, attempt=attempt)


async def _locked(request: Request) -> Response:
    site = site_of(request)
    refusal = site.refusal_here()
    if refusal is None:
        return to("/")
    words = OF_STATE.get(site.standing().state, OTHER_ADDRESS)
    return render(request, "locked.html", words=words, refusal=refusal, attempt=_attempt(request))


def _attempt(request: Request) -> Attempt | None:
    """Return what became of the last upload, once, to an admin."""
    if user_of(request) is not User.ADMIN:
        return None
    site = site_of(request)
    attempt, site.attempt = site.attempt, None
    return attempt


async def _sign_in_page(request: Request) -> Response:
    return render(request, "sign-in.html")


async def _sign_in(request: Request) -> Response:
    async with form_of(request) as form:
        user = form.get("user")
    if user not in tuple(User):
        return to("/sign-in")
    response = to("/")
    sign_in(request, response, User(user))
    return response


async def _sign_out(request: Request) -> Response:
    response = to("/sign-in")
    sign_out(request, response)
    return response


async def _upload(request: Request) -> Response:
    """*Upload license*, of admins alone."""
    if user_of(request) is not User.ADMIN:
        why = "Only an admin may upload a license."
        return render(request, "refused.html", status_code=403, title="Not allowed", why=why)
    site = site_of(request)
    locked = site.refusal_here() is not None
    async with form_of(request, files=1) as form:
        file = form.get("license")
        content = await file.read() if isinstance(file, UploadFile) else b""
    attempt = site.install(content)
    return to(LOCKED if attempt.refused is not None and locked else "/settings/license")


def _features(licensed: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Pair every feature, those that only the license knows too, with whether it has it."""
    names = dict.fromkeys((*FEATURES, *ENTERPRISE_FEATURES, *licensed))
    return [(name, name in licensed) for name in names]


def _nothing(_request: Request) -> Response:
    return Response(status_code=204)


def _style(_request: Request) -> Response:
    return FileResponse(_HERE / "style.css", media_type="text/css")


ROUTES: Final[tuple[Any, ...]] = (
    Route("/", _for_users(_home, licensed=True)),
    Route("/settings/license", _for_users(_settings, licensed=True), methods=["GET"]),
    Route("/license", _for_users(_upload), methods=["POST"]),
    Route(LOCKED, _for_users(_locked)),
    Route("/sign-in", _sign_in_page, methods=["GET"]),
    Route("/sign-in", _sign_in, methods=["POST"]),
    Route("/sign-out", _for_users(_sign_out), methods=["POST"]),
    Route("/favicon.ico", _nothing),
    Route(STYLE, _style),
)
"""Every page of the product, and its style sheet."""
