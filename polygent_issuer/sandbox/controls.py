"""The parts that a product lacks: the control strip, and the page with the response to a request.

The strip simulates events on a customer's server. The page calls the real middleware, but changes
nothing.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from polygent_issuer.enforcement import (
    DEFAULT_ROUTES,
    WEBSOCKET,
    HostKind,
    LicenseMiddleware,
    Refusal,
    Refused,
    State,
)
from polygent_issuer.sandbox.api import AGENTS, FEATURE_PATHS, Endpoint, site_of
from polygent_issuer.sandbox.pages import PAGES, form_of, render, to
from polygent_issuer.sandbox.simulated_server import SimulatedServer, another_fingerprint

ANSWERS: Final = "/sandbox"
"""The path of the page of API responses."""

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", WEBSOCKET)
"""The methods of requests on the page."""

_ADD_USER: Final = ("POST", "/api/users")
_ACTIVATE_USER: Final = ("POST", "/api/users/activate")
GENERAL: Final = (("GET", "/api/projects"), _ADD_USER, _ACTIVATE_USER, *DEFAULT_ROUTES)
"""One route of each kind."""

_PROBE_HOST: Final = "\0the probe's own"
_DAY: Final = timedelta(days=1)
_STEPS: Final = {"plus-1": _DAY, "minus-1": -_DAY}
_BEFORE: Final = {"expiry": 0, "before-1": 1, "before-7": 7, "before-14": 14, "before-30": 30}
_SET_BACK: Final = 2 * _DAY
_YEARS: Final = range(1971, 9999)
_MOST_USERS: Final = 1_000_000
_LONGEST: Final = 300
_LONGEST_BACK: Final = 2_000

Control = Callable[[SimulatedServer, FormData], str | None]
"""Does what its form asks, and returns a notice for the page, or None."""


def _clock(site: SimulatedServer, form: FormData) -> str | None:
    do = _text(form, "do")
    moment = _moment(_text(form, "at")) if do in ("set", "enter") else _relative(site, do)
    if moment is None:
        return "enter a date and time, or choose one of the steps"
    if moment.year not in _YEARS:
        return f"the year must be between {_YEARS.start} and {_YEARS.stop - 1}"
    waits = do == "plus-1" and site.standing().state is State.CLOCK_TAMPERED
    if do == "set-back" or waits:  # until the clock passes the latest time that it has seen
        site.set_clock(moment)
    else:
        site.travel(moment)
    return None


def _relative(site: SimulatedServer, step: str) -> datetime | None:
    if step == "now":
        return site.now() - site.ahead
    if step == "set-back":
        return site.now() - _SET_BACK
    if step in _STEPS:
        return site.now() + _STEPS[step]
    installed = site.standing().license
    return installed.expires_at - _BEFORE[step] * _DAY if installed and step in _BEFORE else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _host(site: SimulatedServer, form: FormData) -> None:
    """Set the Host header of every request; by default it is one that the license allows."""
    is_default = _text(form, "do") == "default"
    site.chosen_host = None if is_default else _text(form, "host") or None


def _machine(site: SimulatedServer, form: FormData) -> str | None:
    choices = {"another": another_fingerprint(), "first": site.home_fingerprint}
    fingerprint = choices.get(_text(form, "do"), _text(form, "fingerprint"))
    if not fingerprint:
        return "enter a machine fingerprint"
    site.be_machine(fingerprint)
    return None


def _users(site: SimulatedServer, form: FormData) -> str | None:
    """Add, activate or deactivate a user as the product would, or set the number."""
    do, number = _text(form, "do"), _text(form, "number")
    if do == "add":
        return _answered("POST /api/users", site.add_user())
    if do == "activate" and not site.deactivated:
        return "no user is deactivated"
    if do == "activate":
        return _answered("POST /api/users/activate", site.activate_user())
    if do == "deactivate":
        site.deactivate_user()
    elif number.isdecimal() and int(number) <= _MOST_USERS:
        site.users = int(number)
    else:
        return f"the number of users must be between 0 and {_MOST_USERS:,}"
    return None


def _hosts(site: SimulatedServer, form: FormData) -> str | None:
    try:
        kind = HostKind(_text(form, "kind"))
    except ValueError:
        return "the kind of a host is session or deploy"
    if _text(form, "do") == "connect":
        return _answered(f"the {kind} agent", site.connect(kind))
    return None if site.disconnect(kind) else f"no simulated {kind} host is connected"


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


def _text(form: FormData, name: str, longest: int = _LONGEST) -> str:
    """Return a field, trimmed and shortened; empty if it is not printable."""
    value = form.get(name)
    text = value[:longest].strip() if isinstance(value, str) else ""
    return text if text.isprintable() else ""


def _control(control: Control) -> Endpoint:
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
    """Redirect to the page, which shows the notice once, where the control that was used is.

    That control also gets the focus, so that the page stays in its place.
    """
    name = request.scope["path"].rpartition("/")[2]
    used = (name, _text(form, "kind"), _text(form, "do"))
    request.app.state.used = "-".join(filter(None, used))
    request.app.state.notice = notice
    page = _text(form, "back", _LONGEST_BACK)
    return to(page if page.partition("?")[0] in _BACK else ANSWERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The response to a request; for a refusal with its code, message and body.

    Attributes:
        method: the HTTP method, or `WEBSOCKET` for an agent.
        status: the HTTP status; 101 for an accepted agent.
        closed: for a refused agent, the close code and reason that it gets instead from a server
            that cannot deny the handshake of a websocket.
    """

    method: str
    path: str
    status: int
    code: str | None = None
    message: str | None = None
    body: str | None = None
    closed: str | None = None

    @property
    def feature(self) -> str | None:
        """The feature that the path needs."""
        return FEATURE_PATHS.get(self.path)

    @property
    def good(self) -> bool:
        """True if the request is allowed."""
        return self.code is None


async def answer(
    site: SimulatedServer, method: str, path: str, *, feature: str | None = None
) -> Answer:
    """Return the response to a signed-in admin, as far as the license decides it.

    Args:
        site: the simulated server.
        method: one of `METHODS`.
        path: decoded, as in ASGI.
        feature: a feature that the endpoint itself checks.
    """
    host = [(b"host", site.host.encode("latin-1", "replace"))]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": host}
    if method == WEBSOCKET:
        scope |= {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    sent = await _sent(site, scope, method, feature)
    if sent[0]["type"] == "websocket.accept":
        return Answer(method=method, path=path, status=101)
    body = json.loads(sent[1]["body"])
    error: dict[str, Any] = body.get("error", {})
    closed = None
    if method == WEBSOCKET:
        *_, close = await _sent(site, {**scope, "extensions": {}}, method, feature)
        closed = f"{close['code']} {close['reason']}"
    return Answer(
        method=method,
        path=path,
        status=sent[0]["status"],
        code=error.get("code"),
        message=error.get("message"),
        body=json.dumps(body, indent=2, ensure_ascii=False) if error else None,
        closed=closed,
    )


async def _sent(
    site: SimulatedServer, scope: Scope, method: str, feature: str | None
) -> list[Message]:
    """Return what the real middleware sends for a request."""
    sent: list[Message] = []

    async def beyond(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refused_beyond(site, method, scope["path"], feature)
        if refusal is not None:
            raise Refused(refusal)
        if method == WEBSOCKET:
            await send({"type": "websocket.accept"})
        else:
            await Response(b"{}")(scope, receive, send)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    app = LicenseMiddleware(beyond, license=site.license, now=site.now, features=FEATURE_PATHS)
    await app(scope, receive, send)
    return sent


def _refused_beyond(
    site: SimulatedServer, method: str, path: str, feature: str | None
) -> Refusal | None:
    """Return the refusal of the endpoint itself: for a feature, a user or a host."""
    now = site.now()
    if feature is not None and (refusal := site.license.feature(feature, now)):
        return refusal
    if (method, path) == _ADD_USER:
        return site.license.may_add_user(site.users, now)
    if (method, path) == _ACTIVATE_USER:
        return site.license.may_activate_user(site.users, now)
    if method == WEBSOCKET and path in AGENTS:
        made = site.license.connect(AGENTS[path], _PROBE_HOST, now, request_host=site.host)
        if isinstance(made, Refusal):
            return made
        site.license.hosts.disconnect(made)
    return None


async def _answers(request: Request) -> Response:
    site, query = site_of(request), request.query_params
    return render(
        request,
        "answers.html",
        general=[await answer(site, method, path) for method, path in GENERAL],
        features=[await answer(site, "GET", path) for path in FEATURE_PATHS],
        methods=METHODS,
        asked=await _asked(site, query),
        asked_feature=query.get("feature"),
    )


async def _asked(site: SimulatedServer, query: QueryParams) -> Answer | None:
    """Return the response to the request in the form, if there is one."""
    method, path = query.get("method", "GET"), query.get("path", "")[:_LONGEST]
    if not path or method not in METHODS:
        return None
    feature = query.get("feature", "")[:_LONGEST]
    return await answer(site, method, "/" + path.lstrip("/"), feature=feature or None)


_BACK: Final = {*PAGES, ANSWERS}
_CONTROLS: Final[dict[str, Control]] = {
    "clock": _clock,
    "host": _host,
    "machine": _machine,
    "users": _users,
    "hosts": _hosts,
    "alerts": _alerts,
    "start-over": _start_over,
}

ROUTES: Final[tuple[Any, ...]] = (
    *(
        Route(f"{ANSWERS}/{name}", _control(each), methods=["POST"])
        for name, each in _CONTROLS.items()
    ),
    Route(f"{ANSWERS}/address", _address, methods=["POST"]),
    Route(ANSWERS, _answers, methods=["GET"]),
)
"""All controls, and the page of API responses."""
