"""Both apps of the guide do what their chapter promises, without a server."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fastapi_app
import licensing
import pytest
import starlette_app
from starlette.testclient import TestClient, WebSocketDenialResponse

from polygent_issuer.enforcement import ServerLicense
from polygent_issuer.enforcement.testing import LicenseClock, LicenseFile

ADMIN = {"authorization": "Bearer of-ada"}
PAGES = "https://app.acme.internal"


@pytest.fixture(params=[fastapi_app.create_app, starlette_app.create_app])
def client(
    request: pytest.FixtureRequest,
    server_license: ServerLicense,
    license_clock: LicenseClock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[TestClient]:
    """A client of each app, which has no license yet."""
    monkeypatch.setattr(licensing, "DATA", tmp_path)
    monkeypatch.setenv("ADMIN_TOKEN", "of-ada")
    app: Any = request.param(lambda: server_license, license_clock)
    with TestClient(app) as made:
        yield made


def upload(client: TestClient, file: bytes) -> None:
    """Upload a license as an admin."""
    assert client.post("/api/license", content=file, headers=ADMIN).status_code == 200


def test_pages_of_another_origin_may_ask_and_read_refusals(client: TestClient) -> None:
    """CORSMiddleware is outside: it answers preflights, and its headers are on refusals."""
    preflight = {"origin": PAGES, "access-control-request-method": "GET"}
    assert client.options("/api/planner", headers=preflight).status_code == 200
    answer = client.get("/api/planner", headers={"origin": PAGES})
    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == PAGES


def test_recovery_routes_and_health_work_without_a_license(client: TestClient) -> None:
    """A load balancer keeps the server, an SSO sign-in ends, and the state is public."""
    answer = client.get("/api/health")
    assert (answer.status_code, answer.json()) == (200, {"license": "none"})
    assert client.head("/api/health").status_code == 200, "some load balancers send HEAD"
    assert client.get("/api/sso/sign-in").status_code == 404, "it passes, and is not in the app"
    assert client.post("/api/sso/callback").status_code == 404, "it passes, and is not in the app"
    assert client.get("/api/license").json() == {"state": "none"}
    assert client.post("/api/license", content=b"").status_code == 401
    assert client.get("/api/machine-info").status_code == 401


def test_an_upload_ends_an_expiry(
    client: TestClient, license_file: LicenseFile, license_clock: LicenseClock
) -> None:
    """The upload works in every state and takes effect at once."""
    upload(client, license_file(term=timedelta(days=30)))
    assert client.get("/api/planner").status_code == 200
    license_clock.now += timedelta(days=30)
    assert client.get("/api/planner").json()["error"]["code"] == "license_expired"
    upload(client, license_file())
    assert client.get("/api/planner").status_code == 200


def test_agents_up_to_the_cap(client: TestClient, license_file: LicenseFile) -> None:
    """One host more is refused with the reason; a place that was freed can be taken."""
    upload(client, license_file(session_hosts=1))
    path = "/api/agents/session?host="
    with client.websocket_connect(f"{path}one"), client.websocket_connect(f"{path}one"):
        with pytest.raises(WebSocketDenialResponse) as refused:
            client.websocket_connect(f"{path}two").__enter__()
        assert refused.value.status_code == 503
        assert refused.value.json()["error"]["message"] == "concurrent host limit reached"
    with client.websocket_connect(f"{path}two"):
        status = client.get("/api/license", headers=ADMIN).json()
    assert status["sessionHosts"] == {"connected": 1, "cap": 1}


def test_users_up_to_the_limit(client: TestClient, license_file: LicenseFile) -> None:
    """One user more is refused with 400."""
    upload(client, license_file(users=1))
    assert client.post("/api/users?name=ada").status_code == 201
    assert client.post("/api/users?name=bob").json()["error"]["code"] == "user_limit"
    assert licensing.count_users() == 1
