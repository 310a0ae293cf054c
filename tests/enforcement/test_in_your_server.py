"""The code of the guide's topic *server* runs as printed."""

import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from support.asgi import fetch
from support.lic_files import Issuer

from polygent_issuer.guide import markdown

MACHINE = "sha256:" + "ab" * 32


class Sessions:
    """The reader's sessions, all of an admin."""

    async def find(self, _cookie: str | None) -> SimpleNamespace:
        return SimpleNamespace(user="ada", is_admin=True)


def test_it_verifies_gates_a_feature_and_serves_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines run with an app and the names that the reader supplies."""
    gate, routes, *_ = re.findall(r"```python\n(.*?)```", markdown("server"), re.DOTALL)
    issuer = Issuer()
    monkeypatch.chdir(tmp_path)
    Path("public.pem").write_bytes(issuer.signer.public_key.to_pem())
    names: dict[str, Any] = {
        "app": FastAPI(),
        "fingerprint": MACHINE,
        "count_users": lambda: 7,
        "sessions": Sessions(),
    }
    exec(gate + routes, names)  # noqa: S102 - the test runs the printed code
    app, license_, now = names["app"], names["license"], datetime.now(UTC)
    with closing(license_._store):
        assert fetch(app, "GET", "/api/workflows").json()["error"]["code"] == "license_none"
        issued = int(now.timestamp())
        license_.install(issuer.file(1, iat=issued, exp=issued + 86_400), now=now, by="admin")
        status = fetch(app, "GET", "/api/license").json()
        assert (status["state"], status["users"]) == ("active", {"active": 7, "limit": 25})
        assert fetch(app, "GET", "/api/workflows").json()["error"]["feature"] == "workflows"
        assert fetch(app, "GET", "/api/insights").status_code == 404, "no gate, and no such route"
