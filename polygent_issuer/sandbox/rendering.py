"""Pages from templates; whatever they show is escaped."""

from datetime import datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from polygent_issuer import dates
from polygent_issuer.enforcement import HostKind
from polygent_issuer.sandbox.api import site_of
from polygent_issuer.sandbox.sessions import Role, Session

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters["day"] = lambda moment: f"{moment:%-d %B %Y}"
_TEMPLATES.filters["instant"] = lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC"
_TEMPLATES.filters["last_day"] = lambda moment: f"{dates.last_full_day(moment):%-d %B %Y}"
_TEMPLATES.globals["kinds"] = tuple(HostKind)


def render(
    request: Request,
    template: str,
    *,
    session: Session | None,
    status_code: int = 200,
    **shown: object,
) -> Response:
    """A page.

    Args:
        session: of whoever looks; None when nobody is signed in.
        shown: what the template names.
    """
    site = site_of(request)
    now = site.now()
    is_admin = session is not None and session.role is Role.ADMIN
    text = _TEMPLATES.get_template(template).render(
        session=session,
        is_admin=is_admin,
        site=site,
        now=now,
        standing=shown.pop("standing", site.standing()),
        banner=site.license.banner(now) if is_admin else None,
        notice=_notice(request),
        path=request.url.path,
        **shown,
    )
    return HTMLResponse(text, status_code)


def tell(request: Request, notice: str) -> None:
    """Show this once, in the control strip of the next page."""
    request.app.state.notice = notice


def _notice(request: Request) -> str | None:
    notice: str | None = request.app.state.notice
    request.app.state.notice = None
    return notice


def _style(_request: Request) -> Response:
    return FileResponse(_HERE / "style.css", media_type="text/css")


def at_input(moment: datetime) -> str:
    """As a form field takes an instant: to the minute, UTC."""
    return f"{moment:%Y-%m-%dT%H:%M}"


_TEMPLATES.filters["at_input"] = at_input

ROUTES: Final = (Route("/style.css", _style),)
"""The style sheet."""
