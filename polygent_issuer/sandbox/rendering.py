"""Pages as HTML, and the forms that they send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from polygent_issuer.enforcement import HostKind
from polygent_issuer.sandbox.auth import Role, session_of, site_of
from polygent_issuer.terms import dates

_FIELDS: Final = 5


@asynccontextmanager
async def form_of(request: Request, *, files: int = 0) -> AsyncIterator[FormData]:
    """What was sent; its files are closed at the end.

    Args:
        files: at most so many, beside a few fields.

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


STYLE: Final = "/style.css"
"""The path of the style sheet."""

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
)


def _last_day(expires_at: datetime) -> str:
    """The last full day that is covered."""
    day = dates.last_full_day(expires_at)
    return f"{day.day} {day:%B %Y}"


def _at_input(moment: datetime) -> str:
    """As a form field takes an instant: to the minute, UTC."""
    return f"{moment:%Y-%m-%dT%H:%M}"


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _sentence(text: str) -> str:
    """With a capital first letter; the rest, which may hold a kid or an instant, as it is."""
    return text[:1].upper() + text[1:]


_TEMPLATES.filters.update(
    sentence=_sentence, last_day=_last_day, at_input=_at_input, instant=_instant
)
_TEMPLATES.globals.update(kinds=tuple(HostKind))


def render(request: Request, template: str, *, status_code: int = 200, **shown: object) -> Response:
    """A page; `shown` is what its template names beside site and session."""
    site, session = site_of(request), session_of(request)
    now = site.now()
    is_admin = session is not None and session.role is Role.ADMIN
    notice, request.app.state.notice = request.app.state.notice, None
    text = _TEMPLATES.get_template(template).render(
        session=session,
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
    """The page for a browser without access: it shows nothing of the site."""
    return HTMLResponse(_TEMPLATES.get_template("no-access.html").render(), 403)


def tell(request: Request, notice: str) -> None:
    """Show this once, in the control strip of the next page."""
    request.app.state.notice = notice


def _style(_request: Request) -> Response:
    return FileResponse(_HERE / "style.css", media_type="text/css")


ROUTES: Final = (Route(STYLE, _style),)
"""The style sheet."""
