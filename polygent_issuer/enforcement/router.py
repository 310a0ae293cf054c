"""The routes of a license for Starlette and FastAPI (extra `server`): status, upload, machine info.

    routes = license_routes(license, user=signed_in, users_active=count_users)
    app.router.routes.extend(routes)

They are those of `DEFAULT_ROUTES`, so `LicenseMiddleware` allows them in every state. All answers
are JSON, errors in the form of `Refusal.to_json`.

| request | admins | other users | not signed in |
|---|---|---|---|
| `GET /api/license` | `Status.to_json()` | `Status.to_public_json()` | `{"state": …}` |
| `POST /api/license` | installs the body, answers with the status | 403 | 401 |
| `GET /api/machine-info` | `machine-info.json` as a download | 403 | 401 |

Everyone sees the state, since the "License Expired" screen is shown to all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Final, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message

from .asgi import opener
from .events import Events
from .machine import NoMachineInfo, machine_info
from .refusals import NOT_OPEN, STORE_FAILED, InstallRefused, Refusal, Refused
from .server_license import ServerLicense
from .status import public_status
from .store import StoreFailed

MAX_BODY: Final = 64 * 1024
"""Bytes of an upload, with the frame of a form; a license file has 16,384 at most."""

_NO_STORE: Final = {"cache-control": "no-store"}
_DOWNLOAD: Final = {"content-disposition": 'attachment; filename="machine-info.json"', **_NO_STORE}
_NOT_SIGNED_IN: Final = Refusal(
    status=401, code="not_signed_in", message="you are not signed in", hint="sign in as an admin"
)
_NOT_AN_ADMIN: Final = Refusal(
    status=403, code="not_an_admin", message="only an admin may do this", hint="ask an admin"
)
_TOO_LARGE: Final = Refusal(
    status=413,
    code="too_large",
    message=f"the upload is larger than {MAX_BODY:,} bytes",
    hint="upload the .lic file; it is smaller",
)
_NO_FILE: Final = Refusal(
    status=400,
    code="bad_request",
    message="the form has no file, or more than one",
    hint="send the license file as the body, or as the only file of a multipart form",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """The sender of a request; `name` is written into the log of installations."""

    name: str
    is_admin: bool = False


class MachineInfo(Protocol):
    """Returns a `machine-info.json`, as `machine_info` does; it may raise `NoMachineInfo`."""

    def __call__(self, *, now: datetime, fingerprint: str, customer: str | None) -> bytes:
        """Return the bytes, for the fingerprint that the license is compared with."""
        ...


def license_routes(
    license: ServerLicense | Callable[[], ServerLicense | None],
    *,
    user: Callable[[Request], User | None] | Callable[[Request], Awaitable[User | None]],
    users_active: Callable[[], int] | Callable[[], Awaitable[int]],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    machine_info: MachineInfo = machine_info,
    api: str = "/api/",
) -> list[Route]:
    """Return the three routes.

    Callables that are not coroutine functions are called in a thread, and so is all that reads or
    writes the store.

    Args:
        license: that of this process, or a callable, for an app that opens it in its lifespan.
            While that returns None or raises an error (which is logged), the answer is 503
            `license_not_open`.
        user: returns who is signed in; None for a request without a valid session. It also has to
            refuse requests of other sites (CSRF), as for every other change.
        users_active: returns the number of active users. If it raises, nothing is installed.
        now: the server's clock, aware.
        machine_info: creates the document, by default that of this machine. A version of the
            product is `partial(machine_info, product_version="4.2")`.
        api: the beginning of the paths, `/` for routes that are mounted below it. For paths other
            than those of `DEFAULT_ROUTES`, pass `routes=` with them to `LicenseMiddleware`, too:
            otherwise it refuses them with an expired license, and no admin can upload a new one.
    """
    served = _Served(opener(license, now, Events()), user, users_active, now, machine_info)
    prefix = api.rstrip("/")
    return [
        Route(f"{prefix}/license", _answering(served.status), methods=["GET"]),
        Route(f"{prefix}/license", _answering(served.upload), methods=["POST"]),
        Route(f"{prefix}/machine-info", _answering(served.machine_info), methods=["GET"]),
    ]


@dataclass(frozen=True, slots=True)
class _Served:
    license: Callable[[], ServerLicense | None]
    user: Callable[[Request], User | None] | Callable[[Request], Awaitable[User | None]]
    users_active: Callable[[], int] | Callable[[], Awaitable[int]]
    now: Callable[[], datetime]
    make_machine_info: MachineInfo

    async def status(self, request: Request) -> Response:
        signed_in: User | None = await _called(self.user, request)
        if signed_in is not None and signed_in.is_admin:
            return await self._view(await _called(self.users_active))
        license, now = self._license(), self.now()
        try:
            standing = await run_in_threadpool(license.standing, now)
        except StoreFailed:  # its message names files
            raise Refused(STORE_FAILED) from None
        public = public_status(standing, now).to_public_json()
        state = {"state": public["state"]}
        return JSONResponse(state if signed_in is None else public, headers=_NO_STORE)

    async def upload(self, request: Request) -> Response:
        admin = await self._admin(request)
        file = await _file(request)
        license, now = self._license(), self.now()
        users_active: int = await _called(self.users_active)  # if it fails, nothing has changed
        await run_in_threadpool(license.install, file, now=now, by=admin.name)
        return await self._view(users_active)

    async def machine_info(self, request: Request) -> Response:
        await self._admin(request)
        content = await run_in_threadpool(self._document, self._license(), self.now())
        return Response(content, media_type="application/json", headers=_DOWNLOAD)

    async def _view(self, users_active: int) -> Response:
        view = await run_in_threadpool(
            self._license().status, self.now(), users_active=users_active
        )
        return JSONResponse(view.to_json(), headers=_NO_STORE)

    def _document(self, license: ServerLicense, now: datetime) -> bytes:
        installed = license.standing(now).license
        customer = None if installed is None else installed.customer
        return self.make_machine_info(now=now, fingerprint=license.fingerprint, customer=customer)

    async def _admin(self, request: Request) -> User:
        signed_in: User | None = await _called(self.user, request)
        if signed_in is None:
            raise Refused(_NOT_SIGNED_IN)
        if not signed_in.is_admin:
            raise Refused(_NOT_AN_ADMIN)
        return signed_in

    def _license(self) -> ServerLicense:
        opened = self.license()
        if opened is None:
            raise Refused(NOT_OPEN)
        return opened


def _answering(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Answer with the errors of an endpoint."""

    @wraps(endpoint)
    async def answering(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (Refused, InstallRefused, StoreFailed, NoMachineInfo) as error:
            return JSONResponse(error.to_json(), error.status, headers=_NO_STORE)
        except ClientDisconnect:  # the client does not see any answer
            return Response(status_code=400)

    return answering


async def _called(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - either
    """Call a function of the integrator, in a thread if it is not a coroutine function."""
    if not iscoroutinefunction(function):
        result = await run_in_threadpool(function, *arguments)
        return await result if isawaitable(result) else result
    return await function(*arguments)


async def _file(request: Request) -> bytes:
    """Return the body, or the file of a form."""
    body = await read_body(request)
    if body is None:
        raise Refused(_TOO_LARGE)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return body
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop()

    try:
        async with Request(request.scope, receive).form() as form:
            files = [each for _, each in form.multi_items() if isinstance(each, UploadFile)]
            if len(files) == 1:
                return await files[0].read()
    except (HTTPException, MultiPartException, ValueError):  # a charset such as punycode
        pass
    raise Refused(_NO_FILE)


async def read_body(request: Request) -> bytes | None:
    """Return the body; None if it is larger than `MAX_BODY`, and the rest of it is not read."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:9]) > MAX_BODY:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
