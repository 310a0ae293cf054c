"""The pages of the product, and the forms.

After a control, the element that was used gets the focus with `autofocus`. The one script puts page
and control back in their places. Without it, the browser only brings that element into view.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from polygent_issuer.enforcement import HostKind, State
from polygent_issuer.sandbox.api import (
    Endpoint,
    User,
    devices,
    session_of,
    sign_in,
    sign_out,
    site_of,
    user_of,
)
from polygent_issuer.sandbox.page_texts import (
    DEVICES,
    FEATURE_NAMES,
    OF_STATE,
    OTHER_ADDRESS,
    REQUEST,
    TOO_LARGE,
    refused_upload,
    state_title,
)
from polygent_issuer.sandbox.simulated_server import Attempt, SimulatedServer
from polygent_issuer.verifier import Tier
from polygent_issuer.verifier.license import canonical_fingerprint

STYLE: Final = "/style.css"
"""The path of the style sheet."""

SCRIPT: Final = "/place.js"
"""The path of the script."""

LOCKED: Final = "/license-expired"
"""The path of the page to which every page redirects without a valid license."""

PAGES: Final = frozenset(
    {
        *("/", "/settings/license", "/profile", "/profile/devices", "/sign-in", LOCKED),
        *(f"/modules/{name}" for name in FEATURE_NAMES),
    }
)
"""The paths of all pages of the product."""

_FIELDS: Final = 5
_TOO_LARGE: Final = 413
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?Z")
_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters.update(
    # Not `capitalize`: a text may begin with a kid, which is case-sensitive.
    sentence=lambda text: text[:1].upper() + text[1:],
    at_input=lambda moment: f"{moment:%Y-%m-%d %H:%M}",
    day=lambda moment: f"{moment:%Y-%m-%d}",
    instant=lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC",
    one_format=lambda text: _INSTANT.sub(r"\1 \2 UTC", text),
    feature=lambda name: FEATURE_NAMES.get(name, name),
    title_of=state_title,
)
_TEMPLATES.globals.update(kinds=tuple(HostKind), refused_upload=refused_upload)


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
    site, user, state = site_of(request), user_of(request), request.app.state
    now, is_admin = site.now(), user is User.ADMIN
    notice, state.notice = state.notice, None
    used, state.used = state.used, None
    licensed = site.license.features(now)
    text = _TEMPLATES.get_template(template).render(
        user=user,
        is_admin=is_admin,
        site=site,
        now=now,
        standing=site.standing(),
        modules=[name for name in _known(licensed) if name in licensed and name != DEVICES],
        has_devices=DEVICES in licensed,
        banner=site.license.banner(now) if is_admin else None,
        notice=notice,
        used=used,
        path=request.scope["path"],
        here=_here(request),
        **shown,
    )
    return HTMLResponse(text, status_code)


def _here(request: Request) -> str:
    """Return path and query of the page, to which a control returns."""
    if request.method != "GET":
        return "/"
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.scope['path']}?{query}".rstrip("?")


def no_access() -> Response:
    """Return the page for a browser without access, which shows nothing of the site."""
    return HTMLResponse(_TEMPLATES.get_template("no-access.html").render(), 403)


def to(path: str) -> Response:
    """Return a redirect with GET."""
    return RedirectResponse(path, 303)


def to_locked(request: Request) -> Response:
    """Return a redirect to the full-screen page, which returns once the license is valid."""
    return to(f"{LOCKED}?from={quote(request.scope['path'], safe='')}")


def _for_users(page: Endpoint, *, licensed: bool = False) -> Endpoint:
    """Show a page only to signed-in users, and a licensed page only with a valid license."""

    @wraps(page)
    async def shown(request: Request) -> Response:
        if user_of(request) is None:
            return to("/sign-in")
        if licensed and site_of(request).refusal_here() is not None:
            return to_locked(request)
        return await page(request)

    return shown


async def _home(request: Request) -> Response:
    return render(request, "home.html")


async def _module(request: Request) -> Response:
    """Show a module, or that the license does not have it."""
    name = request.path_params["name"]
    if name not in FEATURE_NAMES or name == DEVICES:
        raise HTTPException(404)
    site = site_of(request)
    if site.license.feature(name, site.now()) is None:
        return render(request, "module.html", name=name)
    why = "Your license does not include this module."
    title = FEATURE_NAMES[name]
    return render(request, "refused.html", status_code=403, title=title, why=why)


async def _profile(request: Request) -> Response:
    return render(request, "profile.html", session=session_of(request))


async def _devices(request: Request) -> Response:
    """Show the devices of the user; without the feature the page does not exist."""
    site = site_of(request)
    if site.license.feature(DEVICES, site.now()) is not None:
        return to("/profile")
    session = session_of(request)
    return render(request, "profile.html", session=session, devices=devices(request))


async def _settings(request: Request) -> Response:
    site = site_of(request)
    status = site.license.status(site.now(), users_active=site.users)
    features = [(name, name in status.features) for name in _known(status.features)]
    attempt = _attempt(request)
    return render(
        request,
        "license.html",
        status=status,
        features=features,
        attempt=attempt,
        needs_info=_needs_machine_info(site, attempt),
    )


async def _locked(request: Request) -> Response:
    site = site_of(request)
    refusal = site.refusal_here()
    if refusal is None:
        before = request.query_params.get("from", "")
        return to(before if before in PAGES else "/")
    standing, attempt = site.standing(), _attempt(request)
    words = OF_STATE.get(standing.state, OTHER_ADDRESS)
    why, installed = words.why, standing.license
    if installed is not None:
        last = installed.expires_at - timedelta.resolution
        why = why.format(day=f"{last:%Y-%m-%d}")
    needs_info = _needs_machine_info(site, attempt)
    if needs_info and standing.state is State.EXPIRED:
        words = replace(words, admin=REQUEST)
    return render(
        request,
        "locked.html",
        words=words,
        why=why,
        refusal=refusal,
        attempt=attempt,
        needs_info=needs_info,
    )


def _needs_machine_info(site: SimulatedServer, attempt: Attempt | None) -> bool:
    """Return whether the vendor needs the machine info for a license that works here."""
    refused = None if attempt is None else attempt.refused
    if refused is not None and refused.code == "machine_mismatch":
        return True
    standing = site.standing()
    installed = standing.license
    if installed is None:
        return standing.state is State.NONE
    if installed.tier is not Tier.STANDARD:
        return False
    return installed.machine_fingerprint != canonical_fingerprint(site.fingerprint)


def _attempt(request: Request) -> Attempt | None:
    """Return the result of the upload on the page before, or of the start; only to an admin."""
    session, site = session_of(request), site_of(request)
    if session is None or session.user is not User.ADMIN:
        return None
    attempt = session.attempt or site.attempt
    session.attempt = site.attempt = None
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
    session = session_of(request)
    if session is None or session.user is not User.ADMIN:
        why = "Only an admin may upload a license."
        return render(request, "refused.html", status_code=403, title="Not allowed", why=why)
    site = site_of(request)
    try:
        async with form_of(request, files=1) as form:
            file = form.get("license")
            content = await file.read() if isinstance(file, UploadFile) else b""
        session.attempt = site.install(content)
    except HTTPException as problem:
        if problem.status_code != _TOO_LARGE:
            raise
        session.attempt = Attempt(refused=TOO_LARGE)
    return to(LOCKED if site.refusal_here() is not None else "/settings/license")


def _known(licensed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of all features, in the order of the pages."""
    return tuple(dict.fromkeys((*FEATURE_NAMES, *licensed)))


def _nothing(_request: Request) -> Response:
    return Response(status_code=204)


def _style(_request: Request) -> Response:
    return FileResponse(_HERE / "style.css", media_type="text/css")


def _script(_request: Request) -> Response:
    return FileResponse(_HERE / "place.js", media_type="text/javascript")


ROUTES: Final[tuple[Any, ...]] = (
    Route("/", _for_users(_home, licensed=True)),
    Route("/modules/{name}", _for_users(_module, licensed=True), methods=["GET"]),
    Route("/profile", _for_users(_profile, licensed=True), methods=["GET"]),
    Route("/profile/devices", _for_users(_devices, licensed=True), methods=["GET"]),
    Route("/settings/license", _for_users(_settings, licensed=True), methods=["GET"]),
    Route("/license", _for_users(_upload), methods=["POST"]),
    Route(LOCKED, _for_users(_locked)),
    Route("/sign-in", _sign_in_page, methods=["GET"]),
    Route("/sign-in", _sign_in, methods=["POST"]),
    Route("/sign-out", _for_users(_sign_out), methods=["POST"]),
    Route("/favicon.ico", _nothing),
    Route(STYLE, _style),
    Route(SCRIPT, _script),
)
"""All pages of the product, the style sheet and the script."""
