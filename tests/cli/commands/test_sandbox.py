"""`polygent-issue sandbox` as a real process; its pages have tests of their own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import httpx2
import pytest
from support.cli import Desk

from polygent_issuer.cli.commands.sandbox import _NEEDED

COMMAND = (sys.executable, "-m", "polygent_issuer", "sandbox", "--port", "0")
EXAMPLES = Path(__file__).parents[3] / "keys.example"


@contextmanager
def running(
    *options: str, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run the command and stop it afterwards."""
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    """Return the next line of its stdout."""
    assert process.stdout is not None
    return process.stdout.readline()


def address(process: subprocess.Popen[str]) -> str:
    """Return the address, which is on a line of its own."""
    assert (
        next_line(process)
        == "sandbox running until Ctrl-C; open this address, which works only once:\n"
    )
    return next_line(process).removesuffix("\n")


def state(address: str) -> str:
    """Return an admin's view of the current license."""
    with httpx2.Client(base_url=address.partition("?")[0]) as client:
        client.get(address)
        client.post("api/sign-in", json={"user": "admin"})
        return str(client.get("api/license").json()["state"])


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_sandbox_runs_until_it_is_stopped(tmp_path: Path, stop: signal.Signals) -> None:
    """It prints its address, serves the license, ends with 0 and leaves no data."""
    license_file = str(EXAMPLES / "example.lic")
    environ = {"TMPDIR": str(tmp_path), "POLYGENT_ISSUER_HOME": str(tmp_path / "no-home")}
    with running("--license", license_file, "--json", environ=environ) as process:
        line = json.loads(next_line(process))
        url = line["url"]
        assert url.startswith("http://127.0.0.1:")
        assert state(line["open"]) == "active"
        process.send_signal(stop)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["stopped"] == url
    assert "only the published example key is trusted" in err
    assert "Traceback" not in err
    assert "license state" not in err, "the log of the license is not for the operator"
    assert list(tmp_path.iterdir()) == [], "neither a home nor a database is left"


HANDSHAKE = (
    "GET /api/agents/{kind}?host=a HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nCookie: {cookie}\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "first_line"),
    [
        (("--license", str(EXAMPLES / "example.lic")), b"HTTP/1.1 101 "),
        ((), b"HTTP/1.1 503 "),
    ],
)
def test_agents_connect_over_the_network(options: tuple[str, ...], first_line: bytes) -> None:
    """The server speaks WebSocket, and a refused agent gets the reason."""
    with running("--json", *options) as process:
        line = json.loads(next_line(process))
        port = int(line["url"].rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as stranger:
            handshake = HANDSHAKE.format(kind="session", port=port, cookie="")
            stranger.sendall(handshake.encode())
            assert stranger.makefile("rb").readline().startswith(b"HTTP/1.1 403 ")
        cookie = httpx2.get(line["open"]).headers["set-cookie"].partition(";")[0]
        with socket.create_connection(("127.0.0.1", port), timeout=60) as agent:
            handshake = HANDSHAKE.format(kind="session", port=port, cookie=cookie)
            agent.sendall(handshake.encode())
            assert agent.makefile("rb").readline().startswith(first_line)


def test_the_extra_has_all_packages() -> None:
    """The extra includes the WebSocket library that only a real server imports."""
    expected = {
        re.split(r"[<>=; ]", line, maxsplit=1)[0].replace("-", "_")
        for line in metadata.requires("polygent-issuer") or ()
        if 'extra == "sandbox"' in line or "extra == 'sandbox'" in line
    }
    assert expected == set(_NEEDED)


@pytest.mark.parametrize("command", [("--help",), ("verify", "--help"), ("sandbox", "--help")])
def test_no_other_command_imports_the_web_framework(command: tuple[str, ...]) -> None:
    """Neither the help nor another command imports it."""
    code = (
        "import sys; from polygent_issuer.cli.main import run; run(sys.argv[1:]);"
        "sys.exit(', '.join({'starlette', 'uvicorn', 'jinja2'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_help_names_the_key_that_an_option_replaces(empty_desk: Desk) -> None:
    """The sandbox opens no registry, so its help does not promise the registry's keys."""
    text = " ".join(empty_desk.ok("sandbox", "--help").text.split())
    assert "Trust this PEM or JWKS file instead of the example key" in text
    assert "registry's keys" not in text
    assert "--port N " in text


@pytest.mark.slow
def test_the_sandbox_trusts_a_given_key(desk: Desk) -> None:
    """`--public-key` accepts an exported key, and the warning about the example is gone."""
    desk.now = datetime.now(UTC)
    public = str(desk.folder / "public.pem")
    desk.ok("key", "export-public", "--output", public)
    license_file = desk.ok("sign", "--machine-info", desk.machine_info(), "--yes", "--json").json
    file = license_file["licenses"][0]["file"]
    with running("--public-key", public, "--license", file) as process:
        assert state(address(process)) == "active"
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "example" not in err


@pytest.mark.slow
def test_the_address_works_once() -> None:
    """Its token is in no process list and in no later output."""
    with running() as process:
        shown = address(process)
        token = shown.rpartition("=")[2]
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        listed += Path(f"/proc/{process.pid}/environ").read_bytes()
        assert token.encode() not in listed
        assert len(shown) <= 80
        assert state(shown) == "none"
        assert httpx2.get(shown).status_code == 403
        assert httpx2.get(f"{shown}%00").status_code == 403
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert token not in out + err


@pytest.mark.slow
def test_a_refused_license_is_reported(tmp_path: Path) -> None:
    """The server starts without it, as a customer's would."""
    file = tmp_path / "x.lic"
    file.write_bytes(b"nonsense")
    with running("--license", str(file)) as process:
        assert state(address(process)) == "none"
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert "license refused: malformed" in err


@pytest.mark.slow
def test_odd_requests_leave_the_terminal_alone() -> None:
    """Their content, also of an incomplete one, reaches neither stream."""
    with running("--json") as process:
        line = json.loads(next_line(process))
        url, odd = line["url"], {"content-type": "multipart/form-data; boundary=x"}
        cookie = httpx2.get(line["open"]).headers["set-cookie"].partition(";")[0]
        for path in ("sign-in", "license", "sandbox/clock"):
            for headers in (odd, {**odd, "cookie": cookie}):
                httpx2.post(url + path, content=b"\x1b[2J--y", headers=headers)
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(f"POST /license HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())
            slow.sendall(f"Cookie: {cookie}\r\n".encode())
            slow.sendall(b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            assert slow.recv(12) == b"HTTP/1.1 100", "its body is waited for"
            process.terminate()
            _, err = process.communicate(timeout=60)
    assert err.count("\n") == 1, err


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 4_096])
def test_a_full_disk_is_reported(room: int) -> None:
    """The error has a hint; a limit on files simulates a full disk."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}));"
    code = (
        limit + "import sys; from polygent_issuer.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMAND[3:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (8, "")
    assert "cannot create its database" in done.stderr
    assert "TMPDIR" in done.stderr


def test_a_port_in_use_is_reported(empty_desk: Desk) -> None:
    """The error names the option that selects another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = empty_desk.run("sandbox", "--port", str(taken.getsockname()[1]))
    assert outcome.code == 2
    assert "cannot listen on port" in outcome.err
    assert "--port 0" in outcome.err


def test_a_missing_license_is_an_error(empty_desk: Desk) -> None:
    """It is reported before the server starts."""
    outcome = empty_desk.run("sandbox", "--port", "0", "--license", "nowhere.lic")
    assert outcome.code == 3
    assert "nowhere.lic" in outcome.err


def test_without_the_extra(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs the packages; their absence is simulated."""
    monkeypatch.setattr(
        "polygent_issuer.cli.commands.sandbox._NEEDED", ("starlette", "no_such_package")
    )
    outcome = empty_desk.run("sandbox")
    assert outcome.code == 2
    assert "pip install 'polygent-issuer[sandbox]'" in outcome.err


def test_the_sandbox_listens_only_on_the_loopback() -> None:
    """Other hosts in the network cannot connect."""
    with running("--json") as process:
        port = int(json.loads(next_line(process))["url"].rstrip("/").rpartition(":")[2])
        listening = [
            line.split()[1]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            for line in Path(table).read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        ]
    assert listening == [f"0100007F:{port:04X}"]
