"""What every request passes first."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect
from support.asgi import http_scope
from support.sandboxes import HOST, PORT, Sandbox

from polygent_issuer.sandbox.guard import HEADERS, MOST_BODY


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:8321.evil"]
)
def test_a_name_bound_to_the_loopback_reaches_nothing(sandbox: Sandbox, host: str) -> None:
    """DNS rebinding: any other Host is answered 421, whatever the path."""
    for path in ("/", "/api/license", "/style.css"):
        answer = sandbox.client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert f"answers under http://{HOST}/ alone" in answer.text


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
    """A POST that a page elsewhere makes is refused, with the admin's own cookie."""
    answer = licensed.client.post("/sandbox/clock", data={"to": "expiry"}, headers=headers)
    assert answer.status_code == 403
    assert licensed.site.standing().active


def test_our_own_pages_do(licensed: Sandbox) -> None:
    """What a browser sends from a page of ours passes."""
    headers = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8321"}
    licensed.client.post("/sandbox/clock", data={"to": "expiry"}, headers=headers)
    assert not licensed.site.standing().active


def test_a_socket_of_another_site_is_closed(licensed: Sandbox) -> None:
    """A browser sends Origin with every websocket, and no same-origin policy holds it back."""
    with (
        pytest.raises(WebSocketDisconnect),
        licensed.agent("session", "a", origin="http://evil.example"),
    ):
        pass


def test_a_large_body_is_refused_however_it_is_declared(sandbox: Sandbox) -> None:
    """64 KiB is enough for any license and its form."""

    def chunks() -> Iterator[bytes]:
        for _ in range(MOST_BODY // 1024 + 1):
            yield b"x" * 1024

    form = {"content-type": "multipart/form-data; boundary=x"}
    declared = sandbox.client.post("/license", content=b"x" * (MOST_BODY + 1), headers=form)
    undeclared = sandbox.client.post("/license", content=chunks(), headers=form)
    assert (declared.status_code, undeclared.status_code) == (413, 413)
    by_api = sandbox.client.post("/api/license", content=b"x" * (MOST_BODY + 1))
    assert (by_api.status_code, by_api.json()["error"]["code"]) == (413, "too_large")
    assert "Too large" in declared.text, "a page of ours, with the way back"
    assert "Sandbox controls" in declared.text


def test_the_body_of_a_get_is_nobodys(licensed: Sandbox) -> None:
    """However large: pages, API and the style sheet answer as without one."""
    for path in ("/", "/api/license", "/style.css"):
        answer = licensed.client.request("GET", path, content=b"x" * (MOST_BODY + 1))
        assert answer.status_code == 200, path


def test_every_answer_lets_a_browser_load_and_frame_only_ours(licensed: Sandbox) -> None:
    """CSP, nosniff and the rest, on pages, API, errors and the style sheet."""
    for path in ("/", "/api/license", "/nowhere", "/style.css", "/sandbox"):
        answer = licensed.client.get(path)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    page = licensed.client.get("/sandbox").text
    assert "<script" not in page
    assert "style=" not in page
    assert "http" not in page.replace(f"http://{licensed.site.host}", "")


def test_who_goes_away_within_a_body_is_no_error(sandbox: Sandbox) -> None:
    """Nothing is answered, nothing installed, and nothing raised."""
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
