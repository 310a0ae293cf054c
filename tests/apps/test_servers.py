"""The apps of the guide under uvicorn, gunicorn and nginx, with one worker and with four."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.app_servers import (
    ADMIN_TOKEN,
    APPS,
    HOST,
    AppServer,
    Command,
    burst,
    environ,
    folder,
    gunicorn,
    proxying,
    serving,
    uvicorn,
    wait_for,
)
from websockets.exceptions import InvalidStatus

from polygent_issuer.enforcement.testing import LicenseFile, LicenseKey

pytestmark = pytest.mark.slow

FOUR = 4
SERVERS: dict[str, tuple[Command, int]] = {
    "uvicorn": (uvicorn(), 1),
    "uvicorn, four workers": (uvicorn("--workers", "4"), FOUR),
    "gunicorn": (gunicorn(), 1),
    "gunicorn, four workers": (gunicorn("-w", "4"), FOUR),
    "gunicorn, four workers, preload": (gunicorn("-w", "4", "--preload"), FOUR),
}
BY_COMMAND = pytest.mark.parametrize(("command", "workers"), SERVERS.values(), ids=SERVERS)
BY_APP = pytest.mark.parametrize("app", ["fastapi_app", "starlette_app"])
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
SESSION = "/api/agents/session"


@pytest.fixture
def data(license_key: LicenseKey) -> Iterator[Path]:
    """The folder of an app, with the public key."""
    with folder() as made:
        (made / "public.pem").write_bytes(license_key.public_pem())
        yield made


def upload(server: AppServer, file: bytes) -> None:
    """Upload a license as an admin."""
    with server.client(**ADMIN) as client:
        answer = client.post("/api/license", content=file)
    assert answer.status_code == 200, answer.text


def refusal(server: AppServer, path: str, **how: Any) -> tuple[int, str]:
    """Return status and code of a refused request."""
    answer = server.get(path, **how)
    return answer.status_code, answer.json()["error"]["code"]


def is_running(worker: str) -> bool:
    """Return whether a process exists; its master has waited for it otherwise."""
    return Path("/proc", worker).exists()


def connected(server: AppServer) -> int:
    """Return the number of hosts that the status counts."""
    with server.client(**ADMIN) as client:
        return int(client.get("/api/license").json()["sessionHosts"]["connected"])


def refused(server: AppServer, path: str) -> tuple[str, int, str]:
    """Return worker, status and message of the answer to an agent that may not connect."""
    with pytest.raises(InvalidStatus) as error, server.connect(path):
        pass
    response = error.value.response
    message = json.loads(response.body or b"")["error"]["message"]
    return response.headers["x-worker"], response.status_code, message


def refuse(server: AppServer, host: str, workers: int, message: str) -> None:
    """Wait until each worker has refused an agent; not one may accept it."""
    answered: set[str] = set()

    def all_have() -> bool:
        for worker, *answer in burst(partial(refused, server), f"{SESSION}?host={host}"):
            assert answer == [503, message]
            answered.add(worker)
        return len(answered) == workers

    wait_for(f"{workers} workers refuse {host}", all_have)


def accept(server: AppServer, host: str, workers: int, connections: ExitStack) -> None:
    """Wait until each worker has accepted an agent; not one may refuse it."""
    answered: set[str] = set()

    def all_have() -> bool:
        for connection in burst(server.connect, f"{SESSION}?host={host}"):
            connections.enter_context(connection)
            assert connection.response is not None
            answered.add(connection.response.headers["x-worker"])
        return len(answered) == workers

    wait_for(f"{workers} workers accept {host}", all_have)


@BY_APP
@BY_COMMAND
def test_an_upload_and_a_cap_hold_in_every_worker(
    app: str, command: Command, workers: int, data: Path, license_file: LicenseFile
) -> None:
    """Workers share license, counts of hosts and users; a freed place can be taken at once."""
    with serving(data, command, app) as server:
        server.workers("/api/planner", 503, workers)
        refuse(server, "one", workers, "no license is installed")
        upload(server, license_file(session_hosts=2, users=1, features=["planner"]))
        server.workers("/api/planner", 200, workers)
        server.workers("/api/bots", 403, workers)
        with ExitStack() as connections:
            connections.enter_context(server.connect(f"{SESSION}?host=one"))
            connections.enter_context(server.connect(f"{SESSION}?host=two"))
            refuse(server, "three", workers, "concurrent host limit reached")
            accept(server, "one", workers, connections)
            assert connected(server) == 2
        wait_for("the hosts are given back", lambda: connected(server) == 0)
        with server.connect(f"{SESSION}?host=three"):
            assert connected(server) == 1
        with server.client() as client:
            assert client.post("/api/users?name=ada").status_code == 201
            assert client.post("/api/users?name=bob").status_code == 400


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_a_reload_keeps_the_license_and_the_server(
    options: tuple[str, ...], data: Path, license_file: LicenseFile
) -> None:
    """After `kill -HUP` four new workers serve with the same license, twice in a row."""
    with serving(data, gunicorn("-w", "4", *options), "fastapi_app") as server:
        upload(server, license_file())
        for _ in range(2):
            old = server.workers("/api/planner", 200, FOUR)
            os.kill(server.pid, signal.SIGHUP)
            wait_for("the old workers end", lambda: not any(map(is_running, old)))  # noqa: B023
            assert server.workers("/api/planner", 200, FOUR).isdisjoint(old)


def test_a_worker_that_dies_is_replaced(data: Path, license_file: LicenseFile) -> None:
    """A new worker opens the store that others hold, and has the license."""
    with serving(data, gunicorn("-w", "4"), "fastapi_app") as server:
        upload(server, license_file())
        killed, *others = server.workers("/api/planner", 200, FOUR)
        os.kill(int(killed), signal.SIGKILL)
        wait_for("it has ended", lambda: not is_running(killed))
        assert server.workers("/api/planner", 200, FOUR) > set(others)


@BY_APP
def test_a_second_process_may_import_the_app(
    app: str, data: Path, license_file: LicenseFile
) -> None:
    """A script that imports the app opens no store, and one that opens it sees the license."""
    with serving(data, uvicorn("--workers", "4"), app) as server:
        upload(server, license_file())
        script = (
            f"import licensing, {app}\n"
            "from polygent_issuer.enforcement.daily import server_now\n"
            "with licensing.open_license() as license:\n"
            "    print(license.standing(server_now()).state)\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env=environ(data),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.stdout, ran.stderr) == ("active\n", "")
        server.workers("/api/planner", 200, FOUR)


@BY_APP
def test_the_app_runs_without_a_wrapper(app: str, data: Path) -> None:
    """`uvicorn fastapi_app:app` is the line of the guide."""
    with serving(data, lambda at, _: uvicorn()(at, f"{app}:app"), app) as server:
        assert server.get("/api/health").json() == {"license": "none"}


class TestNginx:
    """The license is judged by Host, which nginx has to pass on."""

    NGINX = (APPS / "nginx.conf").read_text(encoding="utf-8")

    @pytest.fixture
    def server(self, data: Path, license_file: LicenseFile) -> Iterator[AppServer]:
        """An app whose license allows `*.acme.internal`."""
        with serving(data, uvicorn("--workers", "4"), "fastapi_app") as server:
            upload(server, license_file(allowed_domain="*.acme.internal", session_hosts=1))
            server.workers("/api/planner", 200, FOUR)
            yield server

    @pytest.mark.usefixtures("server")
    def test_it_passes_the_host_on(self, data: Path) -> None:
        """Requests and agents of a licensed host pass, others are refused as without nginx."""
        with proxying(data, self.NGINX) as nginx:
            assert nginx.get("/api/planner").status_code == 200
            assert nginx.get("/api/planner", host=f"{HOST}:8443").status_code == 200
            for other in ("api.v2.acme.internal", "acme.internal", "localhost"):
                assert refusal(nginx, "/api/planner", host=other) == (503, "domain_mismatch")
            with nginx.connect(f"{SESSION}?host=one"):
                refuse(nginx, "two", FOUR, "concurrent host limit reached")

    @pytest.mark.usefixtures("server")
    def test_x_forwarded_host_changes_nothing(self, data: Path) -> None:
        """Neither a client nor a proxy can choose the host by another header."""
        forwarded = {"x-forwarded-host": HOST, "forwarded": f"host={HOST}"}
        with proxying(data, self.NGINX) as nginx:
            answer = refusal(nginx, "/api/planner", host="localhost", **forwarded)
            assert answer == (503, "domain_mismatch")
            other = {"x-forwarded-host": "localhost"}
            assert nginx.get("/api/planner", **other).status_code == 200

    @pytest.mark.usefixtures("server")
    def test_without_the_line_for_host_every_request_is_refused(self, data: Path) -> None:
        """Nginx then sends the name of its upstream; the status, sign-in and pages still work."""
        without = self.NGINX.replace("proxy_set_header Host $host;", "")
        assert without != self.NGINX
        with proxying(data, without) as nginx:
            assert refusal(nginx, "/api/planner") == (503, "domain_mismatch")
            assert nginx.get("/api/license").status_code == 200
