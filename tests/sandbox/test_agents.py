"""Real agents at the real sandbox: what their websocket library reports."""

import json
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from support.browser import sandbox_process
from support.lic_files import Issuer
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.slow


def test_a_refused_agent_gets_the_reason(tmp_path: Path) -> None:
    """Over the limit, as without a license, the handshake is answered with 503 and the reason."""
    issuer, now = Issuer(), int(datetime.now(UTC).timestamp())
    (tmp_path / "public.pem").write_bytes(issuer.signer.public_key.to_pem())
    license_ = issuer.file(1, iat=now, exp=now + 86_400, fingerprint=None)
    (tmp_path / "acme.lic").write_bytes(license_)
    options = ("--public-key", tmp_path / "public.pem", "--license", tmp_path / "acme.lic")
    jar = CookieJar()
    browser = build_opener(HTTPCookieProcessor(jar))
    with sandbox_process(*map(str, options)) as address:
        browser.open(address).close()
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
        url = address.partition("?")[0]

        def agent(host: str) -> ClientConnection:
            agents = f"{url.replace('http', 'ws')}api/agents/deploy?host={host}"
            return connect(agents, additional_headers={"Cookie": cookies})

        def control(form: bytes) -> None:
            browser.open(f"{url}sandbox/clock", data=form).close()

        def refusal(host: str) -> tuple[int, str, str]:
            with pytest.raises(InvalidStatus) as refused:
                agent(host)
            response = refused.value.response
            error = json.loads(response.body or b"")["error"]
            return response.status_code, error["code"], error["message"]

        with agent("a"):
            with agent("a"):
                pass
            message = "the name of the agent's host is missing"
            assert refusal("") == (400, "bad_request", message)
            assert refusal("b") == (503, "host_limit", "concurrent host limit reached")
            control(b"do=expiry")
            assert refusal("a") == (503, "license_expired", "the license has expired")
            control(b"do=now")
            assert refusal("b")[1] == "host_limit", "the first agent stays connected"
