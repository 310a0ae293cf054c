"""Sign-in, and the endpoints under `/api/`."""

import json
from contextlib import ExitStack
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient, WebSocketDenialResponse
from support.asgi import http_scope, status
from support.sandboxes import HOST, MACHINE, Sandbox

from polygent_issuer.enforcement import HostKind
from polygent_issuer.machine_info.document import parse
from polygent_issuer.sandbox import api
from polygent_issuer.sandbox.guard import Access
from polygent_issuer.sandbox.server import application


def test_sign_in_and_sign_out(sandbox: Sandbox) -> None:
    """Sign-in, current user and sign-out work without a license."""
    client = sandbox.client
    sandbox.forget_sign_in()
    assert client.get("/api/me").status_code == 401
    assert client.post("/api/sign-in", json={"user": "member"}).json() == {"user": "member"}
    assert client.get("/api/me").json() == {"user": "member", "role": "member"}
    assert client.post("/api/sign-out").status_code == 204
    assert client.get("/api/me").status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"user": "root"}', b'{"user": []}', b"\xff", b"[" * 60_000],
    ids=range(7),
)
def test_a_sign_in_without_a_user_is_refused(sandbox: Sandbox, body: bytes) -> None:
    """A body that names no user is answered with 400."""
    answer = sandbox.client.post("/api/sign-in", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_the_session_cookie_is_protected(sandbox: Sandbox) -> None:
    """Scripts and other sites cannot read the session cookie."""
    cookie = sandbox.client.post("/api/sign-in", json={"user": "admin"}).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_two_sandboxes_have_separate_sessions(sandbox: Sandbox) -> None:
    """Cookies have the port in their name, since browsers share them between ports."""
    host = "127.0.0.1:8322"
    access = Access(f"http://{host}/")
    other = TestClient(
        application(sandbox.site, hosts=[host], access=access),
        base_url=f"http://{host}",
        cookies=sandbox.client.cookies,
    )
    other.get(access.new_address())
    other.post("/api/sign-in", json={"user": "member"})
    jar = dict(other.cookies)
    assert len(jar) == 4, "access and session of each"
    sandbox.client.cookies.update(jar)
    assert sandbox.client.get("/api/me").json()["role"] == "admin"


def test_without_a_license_the_api_answers_503(sandbox: Sandbox) -> None:
    """The reason is machine-readable; status, machine info and upload still work."""
    answer = sandbox.client.get("/api/projects")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "license_none")
    assert sandbox.client.get("/api/license").json()["state"] == "none"
    document = parse(sandbox.client.get("/api/machine-info").content)
    assert document.fingerprint == MACHINE
    assert sandbox.client.post("/api/license", content=sandbox.issuer.file(1)).status_code == 200
    assert sandbox.client.get("/api/projects").status_code == 200


def test_a_refused_upload_is_400(sandbox: Sandbox) -> None:
    """The error has the code of the failed check."""
    answer = sandbox.client.post("/api/license", content=b"no license")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


def test_a_missing_feature_is_403_with_its_name(licensed: Sandbox) -> None:
    """An endpoint with a licensed feature responds normally."""
    answer = licensed.client.get("/api/planner")
    assert (answer.status_code, answer.json()["error"]["feature"]) == (403, "planner")
    assert licensed.client.get("/api/insights").json() == {"feature": "insights"}
    assert licensed.client.get("/api/features").json() == {"features": ["insights"]}


def test_a_user_above_the_limit_is_refused(licensed: Sandbox) -> None:
    """One user more than the limit is answered with 400; active users are not affected."""
    licensed.site.users = 24
    assert licensed.client.post("/api/users").json() == {"active": 25}
    answer = licensed.client.post("/api/users")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "user_limit")
    assert licensed.client.get("/api/users").json() == {"active": 25}
    licensed.site.deactivate_user()
    assert licensed.client.post("/api/users/activate").json() == {"active": 25}
    answer = licensed.client.post("/api/users/activate")
    assert answer.json()["error"]["code"] == "no_deactivated_user"
    licensed.site.deactivated = 1
    answer = licensed.client.post("/api/users/activate")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "user_limit")


def test_an_agent_counts_while_its_socket_is_open(licensed: Sandbox) -> None:
    """One host more than the limit is refused; a reconnect is not counted twice."""
    with (
        licensed.agent("deploy", "a"),
        licensed.agent("deploy", "a"),
        pytest.raises(WebSocketDenialResponse) as refused,
        licensed.agent("deploy", "b"),
    ):
        pass
    assert refused.value.status_code == 503
    assert refused.value.json()["error"]["message"] == "concurrent host limit reached"
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 0


def test_an_agent_stays_connected_when_time_goes_back(licensed: Sandbox) -> None:
    """The server that takes the place of the former one counts it until its socket closes."""
    with licensed.agent("deploy", "a"):
        licensed.move("clock", do="before-7")
        licensed.move("clock", do="now")
        assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 1
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 0


def test_messages_do_not_disconnect_an_agent(licensed: Sandbox) -> None:
    """After text or bytes an agent counts until its socket closes."""
    with licensed.agent("deploy", "a") as socket:
        socket.send_text("x")
        socket.send_bytes(b"x")
        assert licensed.client.get("/api/license").json()["deployHosts"]["connected"] == 1
    assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 0


def test_an_agent_from_before_the_start_over_is_not_counted(licensed: Sandbox) -> None:
    """Its disconnection does not affect newer agents."""
    first = licensed.issuer.file(1, fingerprint=licensed.site.home_fingerprint)
    with ExitStack() as before:
        before.enter_context(licensed.agent("deploy", "a"))
        licensed.move("start-over")
        licensed.upload(first)
        with licensed.agent("deploy", "a"):
            before.close()
            assert licensed.site.license.hosts.connected(HostKind.DEPLOY) == 1


def test_an_agent_must_name_its_host(licensed: Sandbox) -> None:
    """Two agents without a name are refused, not counted as one host."""
    with pytest.raises(WebSocketDenialResponse) as refused, licensed.agent("deploy", ""):
        pass
    assert refused.value.status_code == 400
    assert refused.value.json()["error"]["code"] == "bad_request"


def test_an_agent_without_a_license_is_refused(sandbox: Sandbox) -> None:
    """The middleware refuses the connection with a license error."""
    with pytest.raises(WebSocketDenialResponse) as refused, sandbox.agent("session", "a"):
        pass
    assert refused.value.status_code == 503
    assert refused.value.json()["error"]["code"] == "license_none"


def test_a_new_sign_in_ends_the_other_sessions(licensed: Sandbox) -> None:
    """A license with `multiple-active-sessions` keeps them."""
    client, first = licensed.client, dict(licensed.client.cookies)
    client.post("/api/sign-in", json={"user": "admin"})
    second = dict(client.cookies)
    client.cookies.clear()
    assert client.get("/api/me", headers=_cookie(first)).status_code == 401
    assert client.get("/api/me", headers=_cookie(second)).status_code == 200
    several = licensed.issuer.file(
        2, iat=int(licensed.at.timestamp()), features=("multiple-active-sessions",)
    )
    client.post("/api/license", content=several, headers=_cookie(second))
    client.post("/api/sign-in", json={"user": "admin"})
    client.cookies.clear()
    assert client.get("/api/me", headers=_cookie(second)).status_code == 200


def test_sessions_are_bounded(licensed: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `multiple-active-sessions` the oldest session ends at the limit."""
    monkeypatch.setattr(api, "MOST_SESSIONS", 3)
    client = licensed.client
    several = licensed.issuer.file(
        2, iat=int(licensed.at.timestamp()), features=("multiple-active-sessions",)
    )
    client.post("/api/license", content=several)
    cookies = [dict(client.cookies)]
    for user in ("member", "admin", "admin"):
        client.post("/api/sign-in", json={"user": user})
        cookies.append(dict(client.cookies))
    client.cookies.clear()
    answers = [client.get("/api/me", headers=_cookie(each)).status_code for each in cookies]
    assert answers == [401, 200, 200, 200]


PARTS = [
    "/",
    "//",
    "%0A",
    "%0D",
    "%00",
    "%09",
    "%E2%80%A8",
    " ",
    ".",
    "..",
    "%2f",
    "%252F",
    "%250A",
]
ENDPOINTS = [
    *(f"/api/{name}" for name in ("sso-saml", "insights", "license", "users", "me", "features")),
    *("/api", "/", "/sandbox", "/settings/license", "/license-expired", "/nowhere", "/style.css"),
    *("/sandbox/clock", "/sign-in", "/api/agents/session"),
]


@given(
    path=st.sampled_from(ENDPOINTS),
    before=st.lists(st.sampled_from(PARTS), max_size=2).map("".join),
    after=st.lists(st.sampled_from(PARTS) | st.text(max_size=2), max_size=3).map("".join),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "get", "X\n"]),
)
@example(path="/api/sso-saml", before="", after="%0A", method="GET")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_is_an_internal_error(
    licensed: Sandbox, path: str, before: str, after: str, method: str
) -> None:
    """Any spelling of a path gets a page or a 404."""
    scope = {**http_scope(unquote(before + path + after), method=method)}
    cookies = "; ".join(f"{name}={value}" for name, value in licensed.client.cookies.items())
    scope["headers"] = [(b"host", HOST.encode()), (b"cookie", cookies.encode())]
    scope["server"] = ("127.0.0.1", 8321)
    assert status(licensed.client.app, scope) < 500


def _cookie(cookies: dict[str, str]) -> dict[str, str]:
    return {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def test_the_status_is_json(licensed: Sandbox) -> None:
    """The JSON status has the license and the usage."""
    licensed.site.connect(HostKind.SESSION)
    status = json.loads(licensed.client.get("/api/license").text)
    assert status["state"] == "active"
    assert status["users"] == {"active": 3, "limit": 25}
    assert status["sessionHosts"] == {"connected": 1, "cap": 2}
