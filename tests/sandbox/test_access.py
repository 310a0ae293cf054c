"""Only the browser or program that opened a printed address uses the sandbox."""

import re

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from support.sandboxes import HOST, PORT, Sandbox

from polygent_issuer.sandbox.guard import HEADERS, Access
from polygent_issuer.sandbox.server import application

NAME = f"polygent_sandbox_access_{PORT}"
ASKS = "Open the address that the terminal shows"


def refuses(client: TestClient) -> bool:
    """Return whether a client gets the page that asks for the address."""
    answer = client.get("/settings/license")
    return answer.status_code == 403 and ASKS in answer.text


@pytest.mark.parametrize("path", ["/", "/sign-in", "/settings/license", "/sandbox", "/nowhere"])
def test_without_the_cookie_every_page_is_the_same(licensed: Sandbox, path: str) -> None:
    """It names neither machine nor license, and has no control; every header is there."""
    answer = licensed.browser().get(path)
    assert (answer.status_code, ASKS in answer.text) == (403, True)
    for secret in ("form", "sha256:", "insights", "token=", "Acme"):
        assert secret not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_without_the_cookie_nothing_is_changed(licensed: Sandbox) -> None:
    """No control, no sign-in, no upload, no agent; every user gets the style sheet."""
    other = licensed.browser()
    for control in ("clock", "users", "machine", "start-over", "address"):
        answer = other.post(f"/sandbox/{control}", data={"to": "expiry", "do": "add"})
        assert answer.status_code == 403, control
    assert other.post("/sign-in", data={"user": "admin"}).status_code == 403
    for method, path in (("POST", "sign-in"), ("GET", "license"), ("POST", "license")):
        answer = other.request(method, f"/api/{path}", json={"user": "admin"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_access")
        assert "the address that the terminal shows" in answer.json()["error"]["hint"]
    with (
        pytest.raises(WebSocketDisconnect),
        other.websocket_connect(f"ws://{HOST}/api/agents/session?host=a"),
    ):
        pass
    assert other.get("/style.css").status_code == 200
    assert (licensed.site.standing().active, licensed.site.users) == (True, 3)
    assert dict(other.cookies) == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND"])
def test_the_style_sheet_is_no_way_in(licensed: Sandbox, method: str) -> None:
    """No method gets the app's page, which shows the site and an address that was asked for."""
    asked = {"back": "/sandbox"}
    licensed.client.post("/sandbox/address", data=asked, follow_redirects=False)
    other = TestClient(licensed.client.app, base_url=f"http://{HOST}")
    answer = other.request(method, "/style.css")
    assert answer.status_code == 403
    for secret in ("sha256:", "token=", "Acme", "Sandbox controls"):
        assert secret not in answer.text
    assert "?token=" in licensed.client.get("/sandbox").text


def test_an_address_works_once(sandbox: Sandbox) -> None:
    """It leads to the first page without its token, and sets a cookie that no script can read."""
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
    assert (again.status_code, again.headers["location"]) == (303, "/"), "bookmarked, say"


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
    """Another token, method or path gives no access, and the address still works afterwards."""
    address = sandbox.access.new_address()
    token = address.rpartition("=")[2]
    other = sandbox.browser()
    assert other.request(method, f"http://{HOST}/{query.format(token)}").status_code == 403
    assert refuses(other)
    other.get(address)
    assert not refuses(other)


@pytest.mark.parametrize("value", ["", "x", "\xe9", "{}x", '"{}'])
def test_another_cookie_gives_no_access(sandbox: Sandbox, value: str) -> None:
    """Nor is the cookie of a sandbox that ran on this port before, or of another port."""
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
    """The control shows it once; one that was made before, and not used, is void."""
    unused = sandbox.access.new_address()
    page = sandbox.move("address")
    shown = re.search(r"http://[^<\s]+", page)
    assert shown is not None
    assert shown[0] not in sandbox.client.get("/sandbox").text
    other = sandbox.browser()
    assert other.get(unused).status_code == 403
    assert other.get(shown[0]).status_code == 200
    assert other.get("/api/me").json()["error"]["code"] == "not_signed_in", "access is no sign-in"


def test_where_the_new_address_is_shown(sandbox: Sandbox) -> None:
    """On the page on which it was asked for."""
    for back in ("/sandbox", "/license-expired", "//evil.example"):
        answer = sandbox.client.post("/sandbox/address", data={"back": back})
        assert answer.url.path == back.replace("//evil.example", "/sandbox")
        assert f"http://{HOST}/?token=" in answer.text
