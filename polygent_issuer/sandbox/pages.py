"""The pages of the product, the texts of the full-screen page, and the forms."""

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
"""The path of the page to which every page redirects without a valid license."""

Endpoint = Callable[[Request], Awaitable[Response]]

_FIELDS: Final = 5
_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters.update(
    # Not `capitalize`: a text may begin with a kid, which is case-sensitive.
    sentence=lambda text: text[:1].upper() + text[1:],
    last_day=lambda expires_at: "{0.day} {0:%B %Y}".format(dates.last_full_day(expires_at)),
    at_input=lambda moment: f"{moment:%Y-%m-%dT%H:%M}",
    instant=lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC",
)
_TEMPLATES.globals.update(kinds=tuple(HostKind))


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of the full-screen page: the title, the reason, the next step of each role.

    `needs_request` shows the admin the download of the machine info as the first step.
    """

    title: str
    why: str
    admin: str
    member: str = "Please contact an admin of your organisation. Your work is not lost."
    needs_request: bool = False


_REQUEST: Final = (
    "Download the machine info, send it to your vendor, and upload the license that you receive."
)

OF_STATE: Final = {
    State.NONE: Words(
        "No license yet",
        "No license is installed on this server.",
        _REQUEST,
        "Please contact an admin of your organisation. The server is not set up yet.",
        needs_request=True,
    ),
    State.EXPIRED: Words(
        "License expired",
        "The license of this server has expired.",
        "Upload the renewed license from your vendor. It takes effect at once.",
    ),
    State.NOT_YET_VALID: Words(
        "License not valid yet",
        "This server's clock is earlier than the time at which the license was issued.",
        "Check the server's clock and correct it.",
    ),
    State.MACHINE_CHANGED: Words(
        "Machine identity changed",
        "The license is bound to a machine with another fingerprint than this server.",
        _REQUEST,
        needs_request=True,
    ),
    State.CLOCK_TAMPERED: Words(
        "Clock set back",
        "This server's clock was set back by more than a day.",
        "Correct the clock. If it was far ahead before, upload a newly issued license.",
    ),
    State.NOT_AUTHENTIC: Words(
        "License not authentic",
        "This server no longer trusts the key that signed the license.",
        "Upload the replacement license from your vendor.",
    ),
}
"""The texts for each state except active."""
OTHER_ADDRESS: Final = Words(
    "License domain mismatch",
    "The license does not cover the address that you used.",
    "Use an address that the license covers, or upload a license for this address.",
    "Use your organisation's usual address, or contact an admin.",
)
"""The texts for a request to a host name that the license does not allow."""


@asynccontextmanager
async def form_of(request: Request, *, files: int = 0) -> AsyncIterator[FormData]:
    """Yield the form of a request with at most `files` files, which are closed at the end.

    Raises:
        HTTPException: 400 when the form cannot be read.
    """
    try:
        form = await request.form(max_files=files, max_fields=_FIELDS)
    except ValueError:  # an invalid or unknown charset
        raise HTTPException(400, "the form cannot be read") from None
    try:
        yield form
    finally:
        await form.close()


def render(request: Request, template: str, *, status_code: int = 200, **shown: object) -> Response:
    """Return a page; `shown` has the values of its template other than site and user."""
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
    """Return the page for a browser without access, which shows nothing of the site."""
    return HTMLResponse(_TEMPLATES.get_template("no-access.html").render(), 403)


def to(path: str) -> Response:
    """Return a redirect with GET."""
    return RedirectResponse(path, 303)


def _for_users(page: Endpoint, *, licensed: bool = False) -> Endpoint:
    """Show a page only to signed-in users, and a licensed page only with a valid license."""

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
    """Return the result of the last upload, once and only to an admin."""
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
    """Install an uploaded license; only for admins."""
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
    """Pair every known or licensed feature with whether the license has it."""
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
"""All pages of the product, and the style sheet."""
