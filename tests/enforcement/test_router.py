"""The routes for Starlette and FastAPI: who sees what, uploads, and each way of mounting them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import signature
from threading import current_thread
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Router
from starlette.testclient import TestClient
from support.asgi import http_scope, messages
from support.lic_files import ISSUED
from support.servers import ANOTHER_MACHINE, DAY, MACHINE, Server

from polygent_issuer.enforcement import (
    DEFAULT_ROUTES,
    LicenseMiddleware,
    NoMachineInfo,
    Route,
    ServerLicense,
    State,
    StoreFailed,
    machine_info,
)
from polygent_issuer.enforcement.router import MAX_BODY, User, license_routes
from polygent_issuer.machine_info.document import parse

ADMIN = {"x-user": "ada", "x-admin": "yes"}
MEMBER = {"x-user": "bob"}
OURS = {Route.LICENSE_STATUS, Route.LICENSE_UPLOAD, Route.MACHINE_INFO}


def signed_in(request: Request) -> User | None:
    """Return the user that a header names."""
    name = request.headers.get("x-user")
    return name and User(name=name, is_admin="x-admin" in request.headers)  # type: ignore[return-value]


@dataclass
class Site:
    """An app with the routes behind the middleware."""

    server: Server
    app: Starlette = field(default_factory=Starlette)
    threads: set[str] = field(default_factory=set)

    def count(self) -> int:
        self.threads.add(current_thread().name)
        return 7

    def routes(self, **changed: Any) -> list[Any]:
        given: dict[str, Any] = {
            "license": self.server.license,
            "user": signed_in,
            "users_active": self.count,
            "now": lambda: self.server.now,
        }
        return list(license_routes(**{**given, **changed}))

    def client(self, **changed: Any) -> TestClient:
        self.app.router.routes.extend(self.routes(**changed))
        return self.behind(self.app)

    def behind(self, app: Any, **options: Any) -> TestClient:
        given: dict[str, Any] = {"license": self.server.license, "now": lambda: self.server.now}
        return TestClient(LicenseMiddleware(app, **given, **options))


@pytest.fixture
def site(server: Server) -> Site:
    """An app without a license."""
    return Site(server)


@dataclass
class Awaited:
    """An object whose call returns an awaitable."""

    function: Callable[[], Awaitable[int]]

    def __call__(self) -> Awaitable[int]:
        return self.function()


def error(answer: Any) -> tuple[int, str]:
    """Return status and code of a refused request, whose hint is there."""
    body = answer.json()["error"]
    assert body["message"]
    assert body["hint"]
    return answer.status_code, body["code"]


def make_state(server: Server, state: State) -> None:
    """Bring a server into a state."""
    if state is not State.NONE:
        server.install(0)
    if state is State.EXPIRED:
        server.now += 400 * DAY
    elif state is State.MACHINE_CHANGED:
        server.fingerprint = ANOTHER_MACHINE
    elif state is State.CLOCK_TAMPERED:
        server.now += 9 * DAY
        server.held()
        server.now -= 2 * DAY
    assert server.state() is state


STATES = (State.NONE, State.ACTIVE, State.EXPIRED, State.MACHINE_CHANGED, State.CLOCK_TAMPERED)


@pytest.mark.parametrize("state", STATES)
def test_the_routes_work_in_every_state(site: Site, state: State) -> None:
    """The middleware allows all three; each user sees a part; an upload takes effect at once."""
    server, client = site.server, site.client()
    make_state(server, state)
    full = client.get("/api/license", headers=ADMIN)
    assert full.json() == server.license.status(server.now, users_active=7).to_json()
    assert full.json()["users"]["active"] == 7
    part = client.get("/api/license", headers=MEMBER)
    names = "state", "expiresAt", "daysLeft", "timeLeft"
    assert part.json() == {name: full.json()[name] for name in names}
    assert client.get("/api/license").json() == {"state": state}
    info = client.get("/api/machine-info", headers=ADMIN)
    assert info.headers["content-disposition"] == 'attachment; filename="machine-info.json"'
    assert parse(info.content).fingerprint == server.fingerprint
    assert parse(info.content).customer == full.json()["customer"]
    assert {each.headers["cache-control"] for each in (full, part, info)} == {"no-store"}

    server.now = max(server.now, ISSUED + 2 * DAY)
    newer = server.issuer.file((server.now - ISSUED).days, fingerprint=server.fingerprint)
    answer = client.post("/api/license", content=newer, headers=ADMIN)
    assert (answer.status_code, answer.json()["state"]) == (200, "active")
    assert answer.json() == client.get("/api/license", headers=ADMIN).json()
    assert server.log()[0].by == "ada"
    assert server.log()[0].outcome == "installed"


@pytest.mark.parametrize("state", STATES)
def test_only_admins_upload_and_download(site: Site, state: State) -> None:
    """Others are refused before the body is read, and nothing is logged as an upload."""
    make_state(site.server, state)
    client, log = site.client(), site.server.log()
    for headers, refusal in ((MEMBER, (403, "not_an_admin")), ({}, (401, "not_signed_in"))):
        assert error(client.get("/api/machine-info", headers=headers)) == refusal
        assert error(client.post("/api/license", content=b"x", headers=headers)) == refusal
        huge = b"x" * (MAX_BODY + 1)
        assert error(client.post("/api/license", content=huge, headers=headers)) == refusal
    assert site.server.log() == log


def test_the_routes_are_the_default_ones(site: Site) -> None:
    """Each route is exempt under its method and path, and no other is there."""
    routes = {(method, each.path) for each in site.routes() for method in each.methods}
    assert routes - {("HEAD", path) for _, path in routes} == {
        at for at, kind in DEFAULT_ROUTES.items() if kind in OURS
    }


def test_a_form_with_a_file_is_an_upload(site: Site) -> None:
    """The file of a multipart form is installed, and the answer is JSON."""
    file = site.server.issuer.file(0)
    form = {"license": ("acme.lic", file, "application/octet-stream")}
    answer = site.client().post("/api/license", files=form, data={"note": "x"}, headers=ADMIN)
    assert answer.json()["state"] == "active"


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"license": "x"}, "files": {}},
        {"files": [("license", ("a.lic", b"a")), ("license", ("b.lic", b"b"))]},
    ],
)
def test_a_form_without_one_file_is_refused(site: Site, form: dict[str, Any]) -> None:
    """A form without a file, or with two, is 400 `bad_request`."""
    headers = {**ADMIN}
    if not form["files"]:
        headers["content-type"] = "multipart/form-data; boundary=b"
        form = {"content": b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--b--\r\n'}
    assert error(site.client().post("/api/license", headers=headers, **form)) == (
        400,
        "bad_request",
    )


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"not a form"),
        (
            "multipart/form-data; boundary=b; charset=punycode",
            b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
        ),
        ("Multipart/Form-Data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="x"'),
    ],
)
def test_a_malformed_form_is_refused(site: Site, content_type: str, body: bytes) -> None:
    """A form that cannot be parsed is 400 `bad_request`, not an error of the server."""
    headers = {**ADMIN, "content-type": content_type}
    for client in (site.client(), site.behind(Router(site.routes()))):  # an app, and none
        answer = client.post("/api/license", content=body, headers=headers)
        assert error(answer) == (400, "bad_request")


def test_a_refused_file_has_its_code(site: Site) -> None:
    """A refused upload is 400 with the code of the check, and the present license stays."""
    site.server.install(0)
    client = site.client()
    for file, code in (
        (b"", "malformed"),
        (site.server.issuer.file(0, fingerprint=ANOTHER_MACHINE), "machine_mismatch"),
    ):
        answer = client.post("/api/license", content=file, headers=ADMIN)
        assert error(answer) == (400, code)
    site.server.held()


def test_a_large_upload_is_refused_unread(site: Site) -> None:
    """A declared length above the limit is 413; nothing is read."""
    app = site.behind(Router(site.routes())).app
    headers = [(b"host", b"x"), *((name.encode(), value.encode()) for name, value in ADMIN.items())]
    read: list[int] = []

    async def receive() -> dict[str, Any]:
        read.append(1)
        return {"type": "http.request", "body": b"x" * 20_000, "more_body": len(read) < 100}

    def status(length: bytes | None) -> int:
        read.clear()
        declared = [] if length is None else [(b"content-length", length)]
        scope = http_scope("/api/license", method="POST", headers=[*headers, *declared])
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
        return int(sent[0]["status"])

    assert (status(str(MAX_BODY + 1).encode()), len(read)) == (413, 0)
    assert (status(b"9" * 5_000), len(read)) == (413, 0)
    assert (status(b"\xb2"), len(read)) == (413, 0)
    # Without a length, or with a wrong one, reading ends behind the limit.
    assert (status(None), len(read)) == (413, MAX_BODY // 20_000 + 1)
    assert (status(b"5"), len(read)) == (413, MAX_BODY // 20_000 + 1)
    assert (site.server.log(), site.server.state()) == ((), State.NONE)


def test_a_client_that_leaves_causes_no_error(site: Site) -> None:
    """A connection that is lost during the upload installs nothing and raises nothing."""
    app = site.behind(Router(site.routes())).app
    headers = [(name.encode(), value.encode()) for name, value in ADMIN.items()]
    scope = http_scope("/api/license", method="POST", headers=headers)
    assert messages(app, scope, "http.disconnect")[0]["status"] == 400
    assert site.server.log() == ()


@pytest.mark.parametrize("kind", ["sync", "async", "returns an awaitable"])
def test_callables_may_be_sync_or_async(site: Site, kind: str) -> None:
    """A function that blocks runs in a thread, so that it does not stop the event loop."""
    loop_thread: list[str] = []

    async def user(request: Request) -> User | None:
        loop_thread.append(current_thread().name)
        return signed_in(request)

    async def count() -> int:
        return site.count()

    changed: dict[str, dict[str, Any]] = {
        "sync": {},
        "async": {"user": user, "users_active": count},
        "returns an awaitable": {"user": partial(user), "users_active": Awaited(count)},
    }
    client = site.client(**changed[kind])
    assert client.get("/api/license", headers=ADMIN).json()["users"]["active"] == 7
    if kind == "sync":
        assert all("AnyIO worker" in name for name in site.threads)
    else:
        assert site.threads == set(loop_thread)


def test_a_status_for_all_reads_no_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone may ask for the state, so it does not cost a read of the store."""
    client = site.client()
    client.get("/api/license")
    monkeypatch.setattr(site.server.license._memory, "store", None)
    monkeypatch.setattr(site.server.license, "hosts", None)
    for headers in (MEMBER, {}):
        assert client.get("/api/license", headers=headers).json()["state"] == "none"


def test_an_upload_does_not_block_the_event_loop(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit to the disk runs in a thread."""
    threads: list[str] = []
    install, status = ServerLicense.install, ServerLicense.status

    def noted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            threads.append(current_thread().name)
            return method(*given, **named)

        return call

    monkeypatch.setattr(ServerLicense, "install", noted(install))
    monkeypatch.setattr(ServerLicense, "status", noted(status))
    site.client().post("/api/license", content=site.server.issuer.file(0), headers=ADMIN)
    assert len(threads) == 2
    assert all("AnyIO worker" in name for name in threads)


def test_a_failed_store_names_its_file_to_admins_alone(site: Site) -> None:
    """An admin gets message and fix; others a general 503."""
    client = site.client()
    site.server.store.close()
    site.server.now += DAY
    admin = client.get("/api/license", headers=ADMIN)
    assert error(admin) == (503, "license_store_failed")
    assert str(site.server.path) in admin.json()["error"]["message"]
    upload = client.post("/api/license", content=site.server.issuer.file(0), headers=ADMIN)
    assert error(upload) == (503, "license_store_failed")
    for headers in (MEMBER, {}):
        answer = client.get("/api/license", headers=headers)
        assert error(answer) == (503, "license_store_failed")
        assert str(site.server.path) not in answer.text


def test_a_license_that_is_opened_later(site: Site) -> None:
    """Until the callable returns a license, all three answer 503 `license_not_open`."""
    opened: list[ServerLicense] = []
    client = site.client(license=lambda: opened[0] if opened else None)
    for headers in (ADMIN, MEMBER, {}):
        assert error(client.get("/api/license", headers=headers)) == (503, "license_not_open")
    assert error(client.get("/api/machine-info", headers=ADMIN)) == (503, "license_not_open")
    assert error(client.post("/api/license", headers=ADMIN)) == (503, "license_not_open")
    opened.append(site.server.license)
    assert client.get("/api/license").json() == {"state": "none"}


def test_a_license_that_does_not_open(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the callable is 503, too; the log alone has its text, which may name a file."""

    def opened() -> ServerLicense:
        raise StoreFailed("/srv/license.db is locked")

    client = site.client(license=opened)
    for headers in (ADMIN, MEMBER, {}):
        answer = client.get("/api/license", headers=headers)
        assert error(answer) == (503, "license_not_open")
        assert "/srv" not in answer.text
    assert caplog.messages == ["the license is not open: StoreFailed: /srv/license.db is locked"]


def test_users_that_cannot_be_counted(site: Site) -> None:
    """An upload that ends in an error of the app has installed nothing."""

    def count() -> int:
        raise LookupError("no database")

    client = site.client(users_active=count)
    with pytest.raises(LookupError):
        client.post("/api/license", content=site.server.issuer.file(0), headers=ADMIN)
    assert (site.server.log(), site.server.state()) == ((), State.NONE)
    assert client.get("/api/license", headers=MEMBER).status_code == 200


def test_a_machine_without_a_document(site: Site) -> None:
    """An error of the machine info is answered like others."""

    def none_here(**_: object) -> bytes:
        raise NoMachineInfo("no id", hint="make one")

    client = site.client(machine_info=none_here)
    answer = client.get("/api/machine-info", headers=ADMIN)
    assert error(answer) == (503, "no_machine_id")


def test_the_version_of_the_product(site: Site) -> None:
    """`partial` adds fields to the document."""
    client = site.client(machine_info=partial(machine_info, product_version="4.2"))
    info = parse(client.get("/api/machine-info", headers=ADMIN).content)
    assert (info.product_version, info.fingerprint) == ("4.2", MACHINE)


def test_the_default_clock_is_in_utc(site: Site) -> None:
    """Without `now` the routes read the machine's clock."""
    client = site.client(now=signature(license_routes).parameters["now"].default)
    before = datetime.now(UTC)
    info = parse(client.get("/api/machine-info", headers=ADMIN).content)
    assert before - timedelta(seconds=1) <= info.generated_at <= datetime.now(UTC)


def extended(site: Site) -> Any:
    """FastAPI: its routes are extended."""
    app = FastAPI()
    app.router.routes.extend(site.routes())
    return app


def included(site: Site) -> Any:
    """FastAPI: a router with the routes is included."""
    app, router = FastAPI(), APIRouter()
    router.routes.extend(site.routes())
    app.include_router(router)
    return app


def mounted(site: Site) -> Any:
    """FastAPI: an app with the routes is mounted, after the other routes of the same prefix."""
    app = FastAPI()

    @app.get("/api/projects")
    def projects() -> dict[str, str]:
        return {}

    app.mount("/api", Router(site.routes(api="/")))
    return app


def of_starlette(site: Site) -> Any:
    """Starlette: the routes are among those of the app."""
    return Starlette(routes=[*site.routes()])


def mounted_in_starlette(site: Site) -> Any:
    """Starlette: the routes are mounted."""
    return Starlette(routes=[Mount("/api", routes=site.routes(api="/"))])


@pytest.mark.parametrize(
    "make",
    [extended, included, mounted, of_starlette, mounted_in_starlette],
    ids=lambda f: f.__name__,
)
def test_each_way_to_mount_them(site: Site, make: Callable[[Site], Any]) -> None:
    """Behind the middleware, the routes work in each kind of app without a license."""
    client = site.behind(make(site))
    assert client.get("/api/license").json() == {"state": "none"}
    assert client.get("/api/machine-info", headers=ADMIN).status_code == 200
    upload = client.post("/api/license", content=site.server.issuer.file(0), headers=ADMIN)
    assert upload.json()["state"] == "active"
    assert client.post("/api/license").status_code == 401
    assert client.delete("/api/license", headers=ADMIN).status_code == 405


def test_other_paths_need_routes_of_the_middleware(site: Site) -> None:
    """Without a license, routes below another `api` work if the middleware has their paths."""
    app = Starlette(routes=site.routes(api="/v1/"))
    assert error(site.behind(app, api="/v1/").get("/v1/license")) == (503, "license_none")
    moved = {
        (method, path.replace("/api/", "/v1/", 1)): kind
        for (method, path), kind in DEFAULT_ROUTES.items()
    }
    client = site.behind(app, api="/v1/", routes=moved)
    assert client.get("/v1/license").json() == {"state": "none"}
    upload = client.post("/v1/license", content=site.server.issuer.file(0), headers=ADMIN)
    assert upload.json()["state"] == "active"
