"""The app answers as its license allows."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import licensing
import pytest
from fastapi.testclient import TestClient
from fastapi_app import create_app

from polygent_issuer.enforcement import ServerLicense
from polygent_issuer.enforcement.testing import LicenseClock, LicenseFile

ADMIN = {"authorization": "Bearer of-ada"}


@pytest.fixture
def client(
    installed_license: ServerLicense,
    license_clock: LicenseClock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[TestClient]:
    """A client of the app, whose license allows everything."""
    monkeypatch.setattr(licensing, "DATA", tmp_path)
    monkeypatch.setenv("ADMIN_TOKEN", "of-ada")
    app = create_app(lambda: installed_license, license_clock)
    with TestClient(app) as client:
        yield client


def test_without_the_planner(
    client: TestClient,
    license_file: LicenseFile,
) -> None:
    """Endpoints of a feature that the license lacks answer with 403."""
    assert client.get("/api/planner").status_code == 200
    file = license_file(features=["bots"])
    client.post("/api/license", content=file, headers=ADMIN)
    answer = client.get("/api/planner")
    assert answer.status_code == 403
    assert answer.json()["error"]["feature"] == "planner"


def test_after_the_expiry(
    client: TestClient,
    license_file: LicenseFile,
    license_clock: LicenseClock,
) -> None:
    """The API answers with 503 until an admin uploads a license."""
    license_clock.now += timedelta(days=366)
    answer = client.get("/api/planner")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "license_expired"
    file = license_file()
    client.post("/api/license", content=file, headers=ADMIN)
    assert client.get("/api/planner").status_code == 200


def test_at_the_user_limit(
    client: TestClient,
    license_file: LicenseFile,
) -> None:
    """One user more than the license allows is refused with 400."""
    file = license_file(users=1)
    client.post("/api/license", content=file, headers=ADMIN)
    assert client.post("/api/users?name=ada").status_code == 201
    answer = client.post("/api/users?name=bob")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "user_limit"
