"""The topic *server* quotes the apps that tests run, and its other code works.

`PYTHONPATH=tests python tests/guide/test_server.py --write` writes the quoted files into the topic.
"""

import re
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from starlette.testclient import TestClient

import polygent_issuer
from polygent_issuer.enforcement import LicenseMiddleware, ServerLicense, SqliteStore
from polygent_issuer.enforcement.router import User, license_routes
from polygent_issuer.enforcement.testing import FINGERPRINT, LicenseClock, LicenseFile, LicenseKey
from polygent_issuer.guide import markdown
from polygent_issuer.verifier import Verifier

TOPIC = Path(polygent_issuer.__file__).parent / "guide/server.md"
APPS = Path(__file__).parents[1] / "apps"
QUOTED = ("licensing.py", "fastapi_app.py", "starlette_app.py", "test_license.py", "nginx.conf")
_BLOCK = re.compile(r"(?<=^`)([\w.]+)(`:\n\n```\w+\n)(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)


def with_files(topic: str) -> str:
    """Return the topic with each block that has a file's name replaced by the file."""
    return _BLOCK.sub(lambda block: block[1] + block[2] + (APPS / block[1]).read_text(), topic)


def block_with(text: str) -> str:
    """Return the block of Python code that contains a text."""
    (code,) = (
        code
        for code in re.findall(r"```python\n(.*?)```", markdown("server"), re.DOTALL)
        if text in code
    )
    return str(code)


def test_it_quotes_the_apps_that_tests_run() -> None:
    """Each quoted file is the one that is run, and each app is quoted."""
    topic = markdown("server")
    assert with_files(topic) == topic, (
        "run: PYTHONPATH=tests python tests/guide/test_server.py --write"
    )
    assert tuple(block[1] for block in _BLOCK.finditer(topic)) == QUOTED


def test_its_copy_of_a_store_in_use_is_a_store(
    license_key: LicenseKey,
    license_file: LicenseFile,
    license_clock: LicenseClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A copy that is made while the server runs has its license and its log."""
    monkeypatch.chdir(tmp_path)
    store = SqliteStore(Path("license.db"))
    license_ = ServerLicense(Verifier(license_key.keys), store, fingerprint=FINGERPRINT)
    license_.install(license_file(), now=license_clock(), by="ada")
    exec(block_with(".backup("), {})  # noqa: S102 - the test runs the printed code
    copy = SqliteStore(Path("license-copy.db"))
    assert copy.load() == store.load()
    assert copy.install_log() == store.install_log()
    copy.close()
    store.close()


def test_its_flask_app_is_behind_the_license(
    installed_license: ServerLicense, license_clock: LicenseClock, license_file: LicenseFile
) -> None:
    """A WSGI app is refused like any other, until an admin uploads a license."""
    flask_app = Flask("app")
    flask_app.add_url_rule("/api/bots", view_func=lambda: "bots")
    names: dict[str, Any] = {
        "flask_app": flask_app,
        "lifespan": None,
        "LicenseMiddleware": LicenseMiddleware,
        "license": installed_license,
        "license_routes": license_routes,
        "now": license_clock,
        "licensing": SimpleNamespace(
            signed_in=lambda _: User(name="ada", is_admin=True), count_users=lambda: 0, FEATURES={}
        ),
    }
    exec(block_with("a2wsgi"), names)  # noqa: S102 - the test runs the printed code
    client = TestClient(names["outer"])
    assert client.get("/api/bots").text == "bots"
    license_clock.now += timedelta(days=366)
    assert client.get("/api/bots").json()["error"]["code"] == "license_expired"
    assert client.post("/api/license", content=license_file()).status_code == 200
    assert client.get("/api/bots").text == "bots"


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    TOPIC.write_text(with_files(TOPIC.read_text(encoding="utf-8")), encoding="utf-8")
