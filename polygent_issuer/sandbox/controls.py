"""The control strip: changes whatever a customer's server could meet, by chance or on purpose."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polygent_issuer.enforcement import HostKind, Refusal
from polygent_issuer.sandbox.api_preview import ANSWERS
from polygent_issuer.sandbox.auth import new_address, site_of
from polygent_issuer.sandbox.pages import to
from polygent_issuer.sandbox.population import MOST
from polygent_issuer.sandbox.rendering import form_of, tell
from polygent_issuer.sandbox.simulated_server import SimulatedServer, another_fingerprint

_DAY: Final = timedelta(days=1)
_STEPS: Final = {"1-days": 1, "-2-days": -2}
_BEFORE: Final = {"expiry": 0, "before-1": 1, "before-7": 7, "before-14": 14, "before-30": 30}
_YEARS: Final = range(1971, 9999)
_LONGEST: Final = 300
_PAGES: Final = frozenset({"/", "/settings/license", "/license-expired", "/sign-in", ANSWERS})

Control = Callable[[SimulatedServer, FormData], str | None]
"""Changes something, and returns what cannot be seen on the page."""


def _clock(site: SimulatedServer, form: FormData) -> str | None:
    """Set the server's clock."""
    to_when = _text(form, "to")
    moment = _moment(_text(form, "at")) if to_when == "at" else _relative(site, to_when)
    if moment is None:
        return "the clock takes a date and time, or a step that is listed"
    if moment.year not in _YEARS:
        return f"the clock runs from {_YEARS.start} to {_YEARS.stop - 1}"
    site.set_clock(moment)
    return None


def _relative(site: SimulatedServer, step: str) -> datetime | None:
    if step == "true":
        return site.now() - site.ahead
    if step in _STEPS:
        return site.now() + _STEPS[step] * _DAY
    held = site.standing().license
    return held.expires_at - _BEFORE[step] * _DAY if held and step in _BEFORE else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _host(site: SimulatedServer, form: FormData) -> str | None:
    """Choose the Host header of every request; an empty field is one that the license allows."""
    site.set_host(_text(form, "host") or None)
    return None


def _machine(site: SimulatedServer, form: FormData) -> str | None:
    """Change the machine's identity, or change it back."""
    be = _text(form, "be")
    if be == "another":
        site.be_machine(another_fingerprint())
    elif be == "first":
        site.be_machine(site.home_fingerprint)
    elif be == "typed" and (fingerprint := _text(form, "fingerprint")):
        site.be_machine(fingerprint)
    else:
        return "the fingerprint of a machine is missing"
    return None


def _users(site: SimulatedServer, form: FormData) -> str | None:
    """Add a user as the product would, remove one, or pretend a number."""
    do, number = _text(form, "do"), _text(form, "number")
    if do == "add":
        return _answered("POST /api/users", site.population.add_user())
    if do == "remove":
        site.population.set_users(site.population.users - 1)
        return None
    if not number.isdecimal() or int(number[:9]) > MOST:
        return f"the number of users is 0 to {MOST:,}"
    site.population.set_users(int(number))
    return None


def _hosts(site: SimulatedServer, form: FormData) -> str | None:
    """Connect or disconnect a host of agents."""
    try:
        kind = HostKind(_text(form, "kind"))
    except ValueError:
        return "there are session hosts and deploy hosts"
    if _text(form, "do") == "connect":
        refusal = site.population.connect(kind, request_host=site.host)
        return _answered(f"the {kind} agent", refusal)
    site.population.disconnect(kind)
    return None


def _alerts(site: SimulatedServer, _form: FormData) -> str | None:
    """Run the daily alerts now."""
    run = site.mails.run(site.now())
    return None if run.alert is not None else "the 09:00 run has nothing to send now"


def _start_over(site: SimulatedServer, _form: FormData) -> str | None:
    """Forget everything but the license that the sandbox was started with."""
    site.start_over()
    return "started over: true time, a server that was never used"


def _answered(who: str, refusal: Refusal | None) -> str | None:
    if refusal is None:
        return None
    return f"{who} is answered {refusal.status} {refusal.code}: {refusal.message}"


def _text(form: FormData, name: str) -> str:
    """A field, without what no header and no page may have."""
    value = form.get(name)
    text = value[:_LONGEST].strip() if isinstance(value, str) else ""
    return text if text.isprintable() else ""


def _control(control: Control) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async with form_of(request) as form:
            return _back(request, form, control(site_of(request), form))

    return endpoint


async def _address(request: Request) -> Response:
    """Make an address for another browser or program."""
    async with form_of(request) as form:
        notice = f"opens once, in another browser or program: {new_address(request)}"
        return _back(request, form, notice)


def _back(request: Request, form: FormData, notice: str | None) -> Response:
    if notice is not None:
        tell(request, notice)
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
"""Every control."""
