"""The control strip, which simulates events on a customer's server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polygent_issuer.enforcement import HostKind, Refusal
from polygent_issuer.sandbox.api import ANSWERS
from polygent_issuer.sandbox.auth import site_of
from polygent_issuer.sandbox.pages import Endpoint, form_of, to
from polygent_issuer.sandbox.simulated_server import MOST, SimulatedServer, another_fingerprint

_DAY: Final = timedelta(days=1)
_STEPS: Final = {"1-days": 1, "-2-days": -2}
_BEFORE: Final = {"expiry": 0, "before-1": 1, "before-7": 7, "before-14": 14, "before-30": 30}
_YEARS: Final = range(1971, 9999)
_LONGEST: Final = 300
_PAGES: Final = frozenset({"/", "/settings/license", "/license-expired", "/sign-in", ANSWERS})


def _clock(site: SimulatedServer, form: FormData) -> str | None:
    to_when = _text(form, "to")
    moment = _moment(_text(form, "at")) if to_when == "at" else _relative(site, to_when)
    if moment is None:
        return "enter a date and time, or choose one of the steps"
    if moment.year not in _YEARS:
        return f"the year must be between {_YEARS.start} and {_YEARS.stop - 1}"
    site.set_clock(moment)
    return None


def _relative(site: SimulatedServer, step: str) -> datetime | None:
    if step == "true":
        return site.now() - site.ahead
    if step in _STEPS:
        return site.now() + _STEPS[step] * _DAY
    installed = site.standing().license
    return installed.expires_at - _BEFORE[step] * _DAY if installed and step in _BEFORE else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _host(site: SimulatedServer, form: FormData) -> None:
    """Set the Host header of every request; an empty field chooses one that the license allows."""
    site.chosen_host = _text(form, "host") or None


def _machine(site: SimulatedServer, form: FormData) -> str | None:
    choices = {
        "another": another_fingerprint(),
        "first": site.home_fingerprint,
        "typed": _text(form, "fingerprint"),
    }
    if not (fingerprint := choices.get(_text(form, "be"))):
        return "enter a machine fingerprint"
    site.be_machine(fingerprint)
    return None


def _users(site: SimulatedServer, form: FormData) -> str | None:
    """Add a user as the product would, remove one, or set the number."""
    do, number = _text(form, "do"), _text(form, "number")
    if do == "add":
        return _answered("POST /api/users", site.add_user())
    if do == "remove":
        site.users = max(site.users - 1, 0)
    elif number.isdecimal() and int(number) <= MOST:
        site.users = int(number)
    else:
        return f"the number of users must be between 0 and {MOST:,}"
    return None


def _hosts(site: SimulatedServer, form: FormData) -> str | None:
    try:
        kind = HostKind(_text(form, "kind"))
    except ValueError:
        return "the kind of a host is session or deploy"
    if _text(form, "do") == "connect":
        return _answered(f"the {kind} agent", site.connect(kind))
    site.disconnect(kind)
    return None


def _alerts(site: SimulatedServer, _form: FormData) -> str | None:
    return None if site.run_alerts().alert else "no alert is due, so the 09:00 run sent nothing"


def _start_over(site: SimulatedServer, _form: FormData) -> str:
    """Reset everything but the license that the sandbox was started with."""
    site.start_over()
    return "started over with a new server at the current time"


def _answered(who: str, refusal: Refusal | None) -> str | None:
    if refusal is None:
        return None
    return f"{who} was refused with {refusal.status} {refusal.code}: {refusal.message}"


def _text(form: FormData, name: str) -> str:
    """Return a field, trimmed and shortened; empty if it is not printable."""
    value = form.get(name)
    text = value[:_LONGEST].strip() if isinstance(value, str) else ""
    return text if text.isprintable() else ""


def _control(control: Callable[[SimulatedServer, FormData], str | None]) -> Endpoint:
    """Return the endpoint of a control, which returns a notice for the page, or None."""

    async def endpoint(request: Request) -> Response:
        async with form_of(request) as form:
            return _back(request, form, control(site_of(request), form))

    return endpoint


async def _address(request: Request) -> Response:
    async with form_of(request) as form:
        address = request.app.state.access.new_address()
        notice = f"open this address once, in another browser or program: {address}"
        return _back(request, form, notice)


def _back(request: Request, form: FormData, notice: str | None) -> Response:
    """Redirect to the page; its control strip shows the notice once."""
    if notice is not None:
        request.app.state.notice = notice
    page = _text(form, "back")
    return to(page if page in _PAGES else ANSWERS)


ROUTES: Final[tuple[Any, ...]] = (
    Route("/sandbox/clock", _control(_clock), methods=["POST"]),
    Route("/sandbox/host", _control(_host), methods=["POST"]),
    Route("/sandbox/machine", _control(_machine), methods=["POST"]),
    Route("/sandbox/users", _control(_users), methods=["POST"]),
    Route("/sandbox/hosts", _control(_hosts), methods=["POST"]),
    Route("/sandbox/alerts", _control(_alerts), methods=["POST"]),
    Route("/sandbox/address", _address, methods=["POST"]),
    Route("/sandbox/start-over", _control(_start_over), methods=["POST"]),
)
"""All controls."""
