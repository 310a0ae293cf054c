"""The checks of every request: only a browser with the printed address has access."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect
from support.asgi import http_scope
from support.sandboxes import HOST, PORT, Sandbox

from polygent_issuer.enforcement.router import MAX_BODY
from polygent_issuer.sandbox.guard import HEADERS, Access
from polygent_issuer.sandbox.server import application


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:8321.evil"]
)
def test_dns_rebinding_is_refused(sandbox: Sandbox, host: str) -> None:
    """A request with any other Host is answered with 421 on all paths."""
    for path in ("/", "/api/license", "/style.css"):
        answer = sandbox.client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert f"available only at http://{HOST}/" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"origin": f"http://{HOST}@evil.example"},
        {"origin": "http://127.0.0.1:8322"},
    ],
)
def test_another_site_changes_nothing(licensed: Sandbox, headers: dict[str, str]) -> None:
    """A POST from a page of another site is refused, even with the admin's cookie."""
    answer = licensed.client.post("/sandbox/clock", data={"do": "expiry"}, headers=headers)
    assert answer.status_code == 403
    assert licensed.site.standing().active


def test_our_own_pages_can_change_something(licensed: Sandbox) -> None:
    """A browser's request from one of our pages is allowed."""
    headers = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8321"}
    licensed.client.post("/sandbox/clock", data={"do": "expiry"}, headers=headers)
    assert not licensed.site.standing().active


def test_a_socket_of_another_site_is_closed(licensed: Sandbox) -> None:
    """Browsers send Origin with every websocket, and no same-origin policy applies to them."""
    with (
        pytest.raises(WebSocketDisconnect),
        licensed.agent("session", "a", origin="http://evil.example"),
    ):
        pass


def test_a_large_body_is_refused_however_it_is_declared(sandbox: Sandbox) -> None:
    """The limit of 64 KiB is enough for a license and its form."""

    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 1024 + 1):
            yield b"x" * 1024

    form = {"content-type": "multipart/form-data; boundary=x"}
    declared = sandbox.client.post("/sign-in", content=b"x" * (MAX_BODY + 1), headers=form)
    undeclared = sandbox.client.post("/sign-in", content=chunks(), headers=form)
    assert (declared.status_code, undeclared.status_code) == (413, 413)
    by_api = sandbox.client.post("/api/license", content=b"x" * (MAX_BODY + 1))
    assert (by_api.status_code, by_api.json()["error"]["code"]) == (413, "too_large")
    assert "Request too large" in declared.text, "a page of ours with a link back"
    assert "Sandbox controls" in declared.text


def test_the_body_of_a_get_is_ignored(licensed: Sandbox) -> None:
    """Pages, API and style sheet respond as without a body of any size."""
    for path in ("/", "/api/license", "/style.css"):
        answer = licensed.client.request("GET", path, content=b"x" * (MAX_BODY + 1))
        assert answer.status_code == 200, path


def test_every_response_has_the_security_headers(licensed: Sandbox) -> None:
    """Pages, API, errors, style sheet and script have CSP, nosniff and the other headers."""
    for path in ("/", "/api/license", "/nowhere", "/style.css", "/place.js", "/sandbox"):
        answer = licensed.client.get(path)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    page = licensed.client.get("/sandbox").text
    assert re.findall("<script.*", page) == [
        '<script src="/place.js" defer blocking="render"></script>'
    ]
    for inline in ("style=", " on", "javascript:"):
        assert not re.search(f"<[^>]*{inline}", page), inline
    assert "http" not in page.replace(f"http://{licensed.site.host}", "")


def test_the_policy_allows_our_own_files_alone() -> None:
    """Scripts and styles come from files of this server; everything else is forbidden."""
    policy = dict(each.split() for each in HEADERS["content-security-policy"].split("; "))
    assert policy == {
        **dict.fromkeys(("default-src", "base-uri", "frame-ancestors"), "'none'"),
        **dict.fromkeys(("script-src", "style-src", "form-action"), "'self'"),
    }


def test_the_script_is_a_script(licensed: Sandbox) -> None:
    """With nosniff, a browser runs no other type."""
    answer = licensed.client.get("/place.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "sessionStorage" in answer.text


def test_a_client_that_disconnects_is_not_an_error(sandbox: Sandbox) -> None:
    """The server sends no response, installs nothing and raises nothing."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    cookies = "; ".join(f"{name}={value}" for name, value in sandbox.client.cookies.items())
    headers = [(b"host", HOST.encode()), (b"content-length", b"9"), (b"cookie", cookies.encode())]
    scope = http_scope("/license", method="POST", headers=headers, server=("127.0.0.1", PORT))
    asyncio.run(sandbox.client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent == []


NAME = f"polygent_sandbox_access_{PORT}"
ASKS = "Open the address in the terminal"


def refuses(client: TestClient) -> bool:
    """Return whether a client gets the page that asks for the address."""
    answer = client.get("/settings/license")
    return answer.status_code == 403 and ASKS in answer.text


@pytest.mark.parametrize("path", ["/", "/sign-in", "/settings/license", "/sandbox", "/nowhere"])
def test_without_the_cookie_every_page_is_the_same(licensed: Sandbox, path: str) -> None:
    """The page shows neither machine nor license nor controls, and has all headers."""
    answer = licensed.browser().get(path)
    assert (answer.status_code, ASKS in answer.text) == (403, True)
    for secret in ("form", "sha256:", "insights", "token=", "Acme"):
        assert secret not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_without_the_cookie_nothing_is_changed(licensed: Sandbox) -> None:
    """Controls, sign-in, upload and agents are refused; only the style sheet is served."""
    other = licensed.browser()
    for control in ("clock", "users", "machine", "start-over", "address"):
        answer = other.post(f"/sandbox/{control}", data={"to": "expiry", "do": "add"})
        assert answer.status_code == 403, control
    assert other.post("/sign-in", data={"user": "admin"}).status_code == 403
    for method, path in (("POST", "sign-in"), ("GET", "license"), ("POST", "license")):
        answer = other.request(method, f"/api/{path}", json={"user": "admin"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_access")
        assert "the address in the terminal" in answer.json()["error"]["hint"]
    with (
        pytest.raises(WebSocketDisconnect),
        other.websocket_connect(f"ws://{HOST}/api/agents/session?host=a"),
    ):
        pass
    assert other.get("/style.css").status_code == 200
    assert other.get("/place.js").status_code == 403
    assert (licensed.site.standing().active, licensed.site.users) == (True, 3)
    assert dict(other.cookies) == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND"])
def test_the_style_sheet_gives_no_access(licensed: Sandbox, method: str) -> None:
    """No method on its path returns a page of the app."""
    asked = {"back": "/sandbox"}
    licensed.client.post("/sandbox/address", data=asked, follow_redirects=False)
    other = TestClient(licensed.client.app, base_url=f"http://{HOST}")
    answer = other.request(method, "/style.css")
    assert answer.status_code == 403
    for secret in ("sha256:", "token=", "Acme", "Sandbox controls"):
        assert secret not in answer.text
    assert "?token=" in licensed.client.get("/sandbox").text


def test_an_address_works_once(sandbox: Sandbox) -> None:
    """It redirects to the first page without the token, and sets a cookie for HTTP only."""
    address = sandbox.access.new_address()
    first, second = sandbox.browser(), sandbox.browser()
    answer = first.get(address, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert re.fullmatch(
        rf"{NAME}=[\w-]{{43}}; HttpOnly; Max-Age=2592000; Path=/; SameSite=strict",
        answer.headers["set-cookie"],
    )
    assert answer.cookies[NAME] not in address
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert second.get(address).status_code == 403
    assert refuses(second)
    again = first.get(address, follow_redirects=False)
    assert (again.status_code, again.headers["location"]) == (303, "/"), "a bookmark still works"


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "?token="),
        ("GET", "?token=%FF"),
        ("GET", "?token=%C3%A9"),
        ("GET", "?token={}x"),
        ("GET", "?token={}&token=x"),
        ("GET", "?Token={}"),
        ("GET", "sign-in?token={}"),
        ("GET", "%0A?token={}"),
        ("GET", "api/license?token={}"),
        ("HEAD", "?token={}"),
        ("POST", "?token={}"),
    ],
)
def test_other_requests_do_not_use_up_the_token(sandbox: Sandbox, method: str, query: str) -> None:
    """Another token, method or path gives no access, and the address still works."""
    address = sandbox.access.new_address()
    token = address.rpartition("=")[2]
    other = sandbox.browser()
    assert other.request(method, f"http://{HOST}/{query.format(token)}").status_code == 403
    assert refuses(other)
    other.get(address)
    assert not refuses(other)


@pytest.mark.parametrize("value", ["", "x", "\xe9", "{}x", '"{}'])
def test_another_cookie_gives_no_access(sandbox: Sandbox, value: str) -> None:
    """The cookie of an earlier sandbox or of another port is refused."""
    cookie = sandbox.client.cookies[NAME]
    before = Access(f"http://{HOST}/")
    app = application(sandbox.site, hosts=[HOST], access=before)
    admitted = TestClient(app, base_url=f"http://{HOST}")
    admitted.get(before.new_address())
    for name, content in (
        (NAME, value.format(cookie)),
        (NAME, admitted.cookies[NAME]),
        (NAME, sandbox.access.new_address().rpartition("=")[2]),
        (NAME.replace("8321", "8322"), cookie),
        ("polygent_sandbox_8321", cookie),
    ):
        header = f"{name}={content}".encode("latin-1")
        answer = sandbox.browser().get("/api/me", headers={b"cookie": header})
        assert answer.status_code == 403


def test_a_new_address_for_another_browser(sandbox: Sandbox) -> None:
    """The control shows it once; an earlier unused address becomes invalid."""
    unused = sandbox.access.new_address()
    page = sandbox.move("address")
    shown = re.search(r"http://[^<\s]+", page)
    assert shown is not None
    assert shown[0] not in sandbox.client.get("/sandbox").text
    other = sandbox.browser()
    assert other.get(unused).status_code == 403
    assert other.get(shown[0]).status_code == 200
    assert other.get("/api/me").json()["error"]["code"] == "not_signed_in", (
        "access does not sign in"
    )


def test_the_new_address_is_shown_on_the_same_page(sandbox: Sandbox) -> None:
    """The address appears on the page with the button."""
    for back in ("/sandbox", "/license-expired", "//evil.example"):
        answer = sandbox.client.post("/sandbox/address", data={"back": back})
        assert answer.url.path == back.replace("//evil.example", "/sandbox")
        assert f"http://{HOST}/?token=" in answer.text
