"""Keys in Vault: answers of a prepared server, and the sources of the token."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from support.openbao import without_variables

from polygent_issuer.errors import InvalidStore, KeyUnavailable
from polygent_issuer.files.reading import UnsafeFile
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import stores
from polygent_issuer.keys.remote import RemoteStore
from polygent_issuer.keys.signer import Presence, SoftwareSigner, generate_private_key
from polygent_issuer.keys.vault_store import Vault
from polygent_issuer.store_uri.remote import parse_remote_uri

OURS = SoftwareSigner(generate_private_key())
TOKEN = "hvs.secret-4711"


def details(**changes: object) -> dict[str, object]:
    """Return the description of our key, as a server sends it."""
    return {
        "type": "ecdsa-p256",
        "keys": {"1": {"public_key": OURS.public_key.to_pem().decode()}},
        "min_decryption_version": 1,
        "min_encryption_version": 0,
        "exportable": False,
        "allow_plaintext_backup": False,
        **changes,
    }


class FakeVault:
    """A server with prepared answers.

    Attributes:
        requests: path, headers and body of each request.
        key, signed, own: status and JSON for the key, a signature, and the token itself.
    """

    def __init__(self, address: str) -> None:
        """Describe a server that has our key, and signs with a wrong signature."""
        self.address = address
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.headers: dict[str, str] = {}
        self.key: tuple[int, object] = (200, {"data": details()})
        self.signed: tuple[int, object] = (200, {"data": {"batch_results": [signature()]}})
        self.own: tuple[int, object] = (200, {"data": {}})

    def service(self, warn: Callable[[str], None] = lambda _: None, **options: str) -> Vault:
        """Return the service of our key."""
        place = parse_remote_uri("vault:transit/main")
        place = place.with_options(address=self.address, version="1")
        more = "".join(f"&{name.replace('_', '-')}={value}" for name, value in options.items())
        uri = parse_remote_uri(place.uri + more)
        return Vault(uri, timeout=timedelta(seconds=20), warn=warn)

    def answer(self, path: str) -> tuple[int, object]:
        """Return the answer for a path."""
        if "/sign/" in path:
            return self.signed
        return self.own if path.endswith("lookup-self") else self.key


def signature(text: str = "vault:v1:" + "A" * 86) -> dict[str, str]:
    """Return the result of one item."""
    return {"signature": text}


@contextmanager
def fake_vault() -> Iterator[FakeVault]:
    """Run a server of prepared answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"null")
            fake.requests.append((self.path, dict(self.headers), body))
            status, answer = fake.answer(self.path)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            sent = {"Content-Type": "application/json", "Content-Length": str(len(data))}
            for name, value in (sent | fake.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_CONNECT = do_GET  # noqa: N815 -- its base class has these names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as above
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        fake = FakeVault(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVault]:
    """A server of prepared answers, and a token for it in the environment."""
    without_variables(monkeypatch, tmp_path)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    with fake_vault() as running:
        yield running


def refusal(call: Callable[[], object]) -> tuple[str, str, str]:
    """Return code, message and hint of an error, which do not have the token."""
    with pytest.raises(KeyUnavailable) as raised:
        call()
    assert raised.value.hint
    assert raised.value.__cause__ is None
    assert "4711" not in raised.value.message + str(raised.value.hint)
    return raised.value.code, raised.value.message, str(raised.value.hint)


def used_token(vault: FakeVault, **options: str) -> str:
    """Return the token of a request."""
    vault.service(lambda _: None, **options).keys()
    return vault.requests[-1][1]["X-Vault-Token"]


def test_a_signature_is_requested_by_its_digest(vault: FakeVault) -> None:
    """The version, the form of the signature and the digests are in the request."""
    vault.signed = (200, {"data": {"batch_results": [signature()] * 2}})
    (entry,) = vault.service().keys()
    assert vault.service().sign(entry, [b"", b"x"]) == [b"\0" * 64] * 2
    path, _, body = vault.requests[-1]
    assert path == "/v1/transit/sign/main/sha2-256"
    assert body == {
        "batch_input": [
            {"input": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
            {"input": "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="},
        ],
        "key_version": 1,
        "prehashed": True,
        "marshaling_algorithm": "jws",
    }


@pytest.mark.parametrize(
    "result",
    [
        signature("vault:v2:" + "A" * 86),
        signature("vault:v1:" + "A" * 85 + "!"),
        signature("vault:v1:" + "A" * 85),
        signature("A" * 86),
        {"signature": None},
        {"error": "4 reasons"},
        "text",
        None,
    ],
)
def test_another_answer_is_not_a_signature(vault: FakeVault, result: object) -> None:
    """Of another version, or malformed: nothing is signed."""
    (entry,) = vault.service().keys()
    for results in ([result], {"0": result}):
        vault.signed = (200, {"data": {"batch_results": results}})
        assert refusal(lambda: vault.service().sign(entry, [b""]))[0] == "remote_failed"


def test_errors_of_items_may_have_a_status_of_their_own(vault: FakeVault) -> None:
    """Vault has another status for these than OpenBao; the reason is the same."""
    results = {"batch_results": [{"error": "no such key version"}]}
    (entry,) = vault.service().keys()
    for status in (200, 400):
        vault.signed = (status, {"data": results})
        code, message, _ = refusal(lambda: vault.service().sign(entry, [b""]))
        assert (code, "the version 1" in message) == ("no_such_key", True)
    vault.signed = (404, {"errors": []})
    assert refusal(lambda: vault.service().sign(entry, [b""]))[0] == "no_such_key"


@pytest.mark.parametrize(
    ("status", "errors", "code", "message"),
    [
        (429, [], "remote_absent", "too many requests"),
        (501, [], "remote_absent", "not initialized"),
        (503, ["Vault is sealed"], "remote_absent", "Vault is sealed"),
        (502, [], "remote_absent", "without a reason"),
        (500, ["no\ndisk"], "remote_failed", "an error: no"),
        (400, ["signing key not found"], "remote_failed", "signing key not found"),
        (307, [], "remote_absent", "redirects"),
        (204, [], "remote_failed", "without data"),
    ],
)
def test_a_status_becomes_an_error(
    vault: FakeVault, status: int, errors: list[str], code: str, message: str
) -> None:
    """The reason of the server is escaped; a redirect is not followed with the token."""
    vault.headers = {"Location": f"{vault.address}/elsewhere"}
    vault.key = (status, {"errors": errors} if status != 204 else b"")
    problem = refusal(vault.service().keys)
    assert (problem[0], message in problem[1]) == (code, True), problem
    assert problem[1].isprintable()
    assert len(vault.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        [],
        {"data": None},
        {"data": details(keys=None)},
        {"data": details(keys={"x": {}})},
        {"data": details(keys={"1": 1700000000})},
        {"data": details(keys={"1": {"public_key": "x"}})},
        {"data": details(min_decryption_version="1")},
    ],
)
def test_a_malformed_key_is_refused(vault: FakeVault, answer: object) -> None:
    """No answer of a server ends in an error of Python."""
    vault.key = (200, answer)
    assert refusal(vault.service().keys)[0] == "remote_failed"


def test_the_token_is_wrong_or_lacks_a_policy(vault: FakeVault) -> None:
    """A token that may look at itself lacks the policy, whose line is in the hint."""
    vault.key = vault.signed = (403, {"errors": ["permission denied"]})
    code, _, hint = refusal(vault.service().keys)
    assert code == "remote_refused"
    assert hint.endswith('path "transit/keys/main" { capabilities = ["read"] }')
    vault.own = (403, {"errors": ["permission denied"]})
    assert refusal(vault.service().keys)[0] == "remote_credentials"


def test_the_sources_of_the_token(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file or the program of the URI, then the environment, then a login."""
    file, program = tmp_path / "token", tmp_path / "program"
    file.write_text("of-a-file\n")
    program.write_text('#!/bin/sh\ncat; echo "of-a-$1"\n')
    program.chmod(0o700)
    (tmp_path / ".vault-token").write_text("of-a-login")
    assert used_token(vault, token_file=str(file)) == "of-a-file"
    assert used_token(vault, token_command=f"{program}%20program") == "of-a-program"
    monkeypatch.setenv("BAO_TOKEN", "of-bao")
    assert used_token(vault) == "of-bao"
    monkeypatch.delenv("BAO_TOKEN")
    assert used_token(vault) == TOKEN
    monkeypatch.delenv("VAULT_TOKEN")
    assert used_token(vault) == "of-a-login"
    (tmp_path / ".vault-token").unlink()

    def homeless() -> Path:
        raise RuntimeError

    for home in (Path.home, homeless):
        monkeypatch.setattr(Path, "home", home)
        code, message, hint = refusal(vault.service().keys)
        assert (code, "VAULT_TOKEN is not set" in message) == ("remote_credentials", True)
        assert "token-command=/PROGRAM" in hint


@pytest.mark.parametrize("source", ["TOKEN", "login"])
@pytest.mark.parametrize("program", ["VAULT", "BAO"])
def test_a_token_is_for_its_own_server(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, source: str
) -> None:
    """A pinned server gets no token of another one; a token of the URI is for the server there."""
    monkeypatch.delenv("VAULT_TOKEN")
    file = tmp_path / ".vault-token"
    file.write_text(TOKEN)
    if source == "TOKEN":
        monkeypatch.setenv(f"{program}_TOKEN", TOKEN)
    monkeypatch.setenv(f"{program}_ADDR", "https://vault.example:8200")
    code, message, hint = refusal(vault.service().keys)
    assert code == "remote_credentials"
    assert message.endswith(f"is for another server, that of {program}_ADDR")
    assert hint.startswith(f"set {program}_ADDR to the address in the store URI")
    assert vault.requests == []
    assert used_token(vault, token_file=str(file)) == TOKEN
    monkeypatch.setenv(f"{program}_ADDR", f"{vault.address}/")
    assert used_token(vault) == TOKEN


def test_the_variables_of_two_programs_are_not_mixed(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token of `VAULT_TOKEN` is not that of the server of `BAO_ADDR`, nor the reverse."""
    monkeypatch.setenv("BAO_ADDR", vault.address)
    here = Vault(
        parse_remote_uri("vault:transit/main"), timeout=timedelta(seconds=20), warn=lambda _: None
    )
    code, message, _ = refusal(here.keys)
    assert (code, "BAO_TOKEN is not set" in message) == ("remote_credentials", True)
    (tmp_path / ".vault-token").write_text("of-a-login")
    assert used_token(vault) == "of-a-login"
    monkeypatch.setenv("VAULT_ADDR", vault.address)
    monkeypatch.delenv("BAO_ADDR")
    monkeypatch.setenv("BAO_TOKEN", "of-bao")
    code, message, _ = refusal(here.keys)
    assert (code, "address is not known" in message) == ("remote_absent", True)


def test_a_login_that_cannot_be_read(
    vault: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, so the message is not that it is missing."""
    monkeypatch.delenv("VAULT_TOKEN")
    (tmp_path / ".vault-token").symlink_to(tmp_path / "gone")
    code, message, _ = refusal(vault.service().keys)
    assert (code, "cannot be read" in message) == ("remote_credentials", True)


def test_a_program_runs_once_for_all_calls(vault: FakeVault, tmp_path: Path) -> None:
    """The token is in memory until the command ends."""
    program, runs = tmp_path / "program", tmp_path / "runs"
    program.write_text(f"#!/bin/sh\necho x >> {runs}\necho t\n")
    program.chmod(0o700)
    service = vault.service(token_command=str(program))
    (entry,) = service.keys()
    service.sign(entry, [b""])
    assert runs.read_text() == "x\n"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "ended with status 3"),
        ("true", "is empty"),
        ("echo a; echo 4711", "is not a token in one line"),
        ("printf 'a\\0334711'", "is not a token in one line"),
    ],
)
def test_a_program_without_a_token(vault: FakeVault, tmp_path: Path, script: str, why: str) -> None:
    """No request is sent, and its output is not repeated."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    code, message, _ = refusal(vault.service(token_command=str(program)).keys)
    assert (code, why in message) == ("remote_credentials", True)
    gone = refusal(vault.service(token_command=f"{program}-4712").keys)
    assert (gone[0], "cannot be started" in gone[1]) == ("remote_credentials", True)
    assert vault.requests == []


def test_a_token_file_of_others(vault: FakeVault, tmp_path: Path) -> None:
    """A file that others can read works with a warning; one that is missing does not."""
    file, warnings = tmp_path / "token", list[str]()
    file.write_text("t")
    file.chmod(0o644)
    vault.service(warnings.append, token_file=str(file)).keys()
    assert warnings == [f"other users can read the token file {file}: chmod 600 {file}"]
    file.chmod(0o600)
    vault.service(warnings.append, token_file=str(file)).keys()
    assert len(warnings) == 1
    file.unlink()
    code, message, _ = refusal(vault.service(token_file=str(file)).keys)
    assert (code, "cannot be read" in message) == ("remote_credentials", True)


def test_the_environment_has_the_address_and_the_namespace(
    vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are recorded; a URI with an address takes no namespace of another server."""
    place = parse_remote_uri("vault:transit/main")
    here = Vault(place, timeout=timedelta(seconds=20), warn=lambda _: None)
    code, message, hint = refusal(here.keys)
    assert (code, "address is not known" in message) == ("remote_absent", True)
    assert "VAULT_ADDR" in hint
    monkeypatch.setenv("VAULT_ADDR", f"{vault.address}/")
    monkeypatch.setenv("VAULT_NAMESPACE", "team/")
    (entry,) = here.keys()
    assert entry.uri == f"{place.uri}?address={vault.address}&namespace=team&version=1"
    assert vault.requests[-1][1]["X-Vault-Namespace"] == "team"
    vault.service().keys()
    assert "X-Vault-Namespace" not in vault.requests[-1][1]
    for address, why in (
        ("http://vault.example:8200", "without TLS"),
        ("https://me:4711@vault.example", "not a URL"),
    ):
        monkeypatch.setenv("VAULT_ADDR", address)
        with pytest.raises(InvalidStore, match=why) as raised:
            here.keys()
        assert raised.value.message.startswith("the value of VAULT_ADDR is invalid: ")
        assert raised.value.hint == "set VAULT_ADDR=https://HOST:PORT"
        assert "4711" not in raised.value.message


def test_a_proxy_sees_no_token(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TLS it is not used; with TLS it only connects."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    vault.service().keys()
    vault.requests.clear()
    monkeypatch.setenv("https_proxy", vault.address)
    vault.address, vault.key = "https://vault.example:8200", (403, {})
    assert refusal(vault.service().keys)[0] == "remote_absent"
    ((path, headers, _),) = vault.requests
    assert (path, "X-Vault-Token" in headers) == ("vault.example:8200", False)


def test_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call has the deadline of the settings."""
    without_variables(monkeypatch, tmp_path)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    settings = Settings(keyring_timeout=timedelta(seconds=0.1))
    with create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = stores.open_store(settings, f"vault:transit/main?address={address}")
        assert isinstance(store, RemoteStore)
        code, message, _ = refusal(store.require_ready)
        assert (code, message) == ("remote_timeout", "Vault did not answer within 0.1 s")


def test_a_program_that_others_can_change_does_not_run(vault: FakeVault, tmp_path: Path) -> None:
    """Its folder counts, too, as for the module of a token."""
    folder, ran = tmp_path / "bin", tmp_path / "ran"
    folder.mkdir(0o700)
    program = folder / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\necho t\n")
    for exposed in (program, folder):
        program.chmod(0o700)
        exposed.chmod(0o777)
        with pytest.raises(UnsafeFile) as caught:
            vault.service(token_command=f"{program}%20--x").keys()
        assert caught.value.message.startswith("every user may write to the token command")
    assert (ran.exists(), vault.requests) == (False, [])


def test_a_program_that_hangs_is_ended(vault: FakeVault, tmp_path: Path) -> None:
    """The message names the program, not the server: it has half of the time of the call."""
    program, record = tmp_path / "program", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {record}; exec sleep 600\n")
    program.chmod(0o700)
    uri = f"vault:transit/main?address={vault.address}&token-command={program}"
    store = stores.open_store(Settings(keyring_timeout=timedelta(seconds=2)), uri)
    assert isinstance(store, RemoteStore)
    code, message, hint = refusal(store.require_ready)
    assert (code, vault.requests) == ("remote_credentials", [])
    assert message == "Vault needs a login: the token command took longer than 1 s"
    assert "keyring_timeout" in hint
    with pytest.raises(ProcessLookupError):
        os.kill(int(record.read_text()), 0)


def test_a_program_with_too_much_output_is_ended(vault: FakeVault, tmp_path: Path) -> None:
    """No more than a token is read; then its output is closed, so that it ends."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec head -c 1000000 /dev/zero\n")
    program.chmod(0o700)
    code, message, _ = refusal(vault.service(token_command=str(program)).keys)
    assert (code, "ended with status" in message) == ("remote_credentials", True)
    assert vault.requests == []


def test_the_client_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error has the command that installs it; the presence is unavailable."""
    monkeypatch.setitem(sys.modules, "hvac", None)
    code, _, hint = refusal(lambda: stores.open_store(Settings(), "vault:transit/main"))
    assert code == "remote_library_missing"
    assert hint == "install it: pip install 'polygent-issuer[vault]'"
    settings = Settings(stores={OURS.kid: "vault:transit/main"})
    assert stores.presence(settings, OURS.kid) is Presence.UNAVAILABLE


def test_only_a_vault_imports_the_client_library() -> None:
    """The URI alone does not."""
    program = (
        "import sys; from polygent_issuer import store_uri; from polygent_issuer.keys import "
        "remote, stores; store_uri.parse('vault:transit/main'); "
        "sys.exit(bool({'hvac', 'requests'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
