"""Keys in a real OpenBao server: its transit engine, its tokens and its TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.keys import refusal, store
from support.openbao import POLICY, OpenBao, openbao, without_variables

from polygent_issuer.keys.signer import Presence

pytestmark = pytest.mark.slow

DATA = b"eyJhbGciOiJFUzI1NiJ9.e30"


@pytest.fixture(scope="module")
def server() -> Iterator[OpenBao]:
    """One server for all tests, each with its own keys."""
    with openbao() as running:
        yield running


@pytest.fixture
def bao(server: OpenBao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenBao:
    """Make the server that of the environment, with its root token."""
    without_variables(monkeypatch, tmp_path)
    server.enter(monkeypatch)
    return server


def test_a_key_signs(bao: OpenBao) -> None:
    """The import pins the address and the version; each signature is ES256."""
    bao.generate("signs")
    entry = store("vault:transit/signs").adopt()
    assert (entry.uri, entry.label) == (bao.uri("signs", version=1), "signs")
    assert store(entry.uri).adopt() == entry
    signer = store(entry.uri).load(entry.key)
    for item in (b"", DATA):
        assert entry.key.verifies(signer.sign(item), item)
    assert store(entry.uri).presence(entry.key.kid) is Presence.PRESENT
    assert store(entry.uri).presence("x" * 43) is Presence.ABSENT


def test_many_signatures_take_few_requests(bao: OpenBao) -> None:
    """200 a request, in order."""
    bao.generate("many")
    entry = store("vault:transit/many").adopt()
    items = [str(number).encode() for number in range(201)]
    signatures = store(entry.uri).load(entry.key).sign_many(items)
    assert all(entry.key.verifies(s, item) for s, item in zip(signatures, items, strict=True))


def test_a_rotation_changes_nothing_for_a_pinned_version(bao: OpenBao) -> None:
    """The old version signs on; a new import names a version, which has another kid."""
    bao.generate("rotated")
    first = store("vault:transit/rotated").adopt()
    signer = store(first.uri).load(first.key)
    bao.rotate("rotated")
    assert first.key.verifies(signer.sign(DATA), DATA)
    assert store("vault:transit/rotated").load(first.key).sign(DATA)
    code, message, hint = refusal(store("vault:transit/rotated").adopt)
    assert (code, message[:6]) == ("key_ambiguous", "2 keys")
    assert hint.index("version=2") < hint.index("version=1")
    second = store("vault:transit/rotated?version=2").adopt()
    assert (second.uri, second.label) == (bao.uri("rotated", version=2), "rotated-v2")
    assert refusal(lambda: store(second.uri).load(first.key))[0] == "key_mismatch"


@pytest.mark.parametrize("setting", ["min_decryption_version", "min_encryption_version"])
def test_a_version_that_may_not_sign_is_missing(bao: OpenBao, setting: str) -> None:
    """Also if that changes between two signatures; the hint names the settings."""
    key = setting.replace("_", "-")
    bao.generate(key)
    entry = store(f"vault:transit/{key}").adopt()
    signer = store(entry.uri).load(entry.key)
    bao.rotate(key)
    bao.configure(key, **{setting: 2})
    for call in (lambda: signer.sign(DATA), lambda: store(entry.uri).load(entry.key)):
        code, _, hint = refusal(call)
        assert (code, setting in hint) == ("no_such_key", True)
    assert store(entry.uri).presence(entry.key.kid) is Presence.ABSENT
    assert store(f"vault:transit/{key}").adopt().uri.endswith("version=2")


def test_a_missing_key_and_a_missing_engine(bao: OpenBao) -> None:
    """Both are not there; a key that was deleted and made again is another one."""
    bao.generate("again")
    entry = store("vault:transit/again").adopt()
    signer = store(entry.uri).load(entry.key)
    for uri in ("vault:transit/none", "vault:none/again", "vault:transit/again?version=2"):
        assert refusal(store(uri).adopt)[0] == "no_such_key"
    bao.configure("again", deletion_allowed=True)
    bao.delete("again")
    assert refusal(lambda: signer.sign(DATA))[0] in ("no_such_key", "remote_failed")
    bao.generate("again")
    assert refusal(lambda: store(entry.uri).load(entry.key))[0] == "key_mismatch"


@pytest.mark.parametrize("setting", ["exportable", "allow_plaintext_backup"])
def test_a_key_that_can_leave_is_refused(bao: OpenBao, setting: str) -> None:
    """The import and `doctor` refuse it, with the setting; a pinned one signs on."""
    key = f"leaves-{setting}"
    bao.generate(key)
    entry = store(f"vault:transit/{key}").adopt()
    bao.configure(key, **{setting: True})
    again = store(entry.uri)
    for call in (again.adopt, again.require_ready, lambda: again.require_ready(entry.key)):
        code, message, hint = refusal(call)
        assert (code, setting in message) == ("remote_exportable", True)
        assert "vault write -f transit/keys/KEY type=ecdsa-p256" in hint
    assert again.load(entry.key).sign(DATA)


@pytest.mark.parametrize("kind", ["ecdsa-p384", "ed25519", "aes256-gcm96", "rsa-2048"])
def test_another_type_of_key_is_refused(bao: OpenBao, kind: str) -> None:
    """The message names the type."""
    bao.generate(kind, type=kind)
    code, message, _ = refusal(store(f"vault:transit/{kind}").adopt)
    assert (code, kind in message) == ("unsupported_key", True)


def test_the_policy_of_the_guide_suffices(bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each line of it missing, the refusal has that line."""
    bao.generate("policy")
    whole = POLICY.format(key="policy")
    monkeypatch.setenv("VAULT_TOKEN", bao.token(whole))
    entry = store("vault:transit/policy").adopt()
    assert store(entry.uri).load(entry.key).sign_many([DATA] * 3)
    for line in whole.strip().splitlines():
        monkeypatch.setenv("VAULT_TOKEN", bao.token(whole.replace(line, "")))
        code, message, hint = refusal(store(entry.uri).adopt)
        assert (code, message) == ("remote_refused", "Vault refused to sign")
        assert hint.endswith(line)


def test_a_wrong_token(bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never part of a message."""
    bao.generate("token")
    monkeypatch.setenv("VAULT_TOKEN", "wrong-token-4711")
    code, message, hint = refusal(store("vault:transit/token").adopt)
    assert (code, "wrong, expired or revoked" in message) == ("remote_credentials", True)
    assert "vault login" in hint
    assert "4711" not in message + hint
    revoked = bao.token(POLICY.format(key="token"))
    monkeypatch.setenv("VAULT_TOKEN", revoked)
    entry = store("vault:transit/token").adopt()
    signer = store(entry.uri).load(entry.key)
    signer.sign(DATA)
    bao.call("auth/token/revoke", {"token": revoked})
    assert refusal(lambda: signer.sign(DATA))[0] == "remote_credentials"


def test_a_sealed_and_a_stopped_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are absent, with the command that unseals the server."""
    without_variables(monkeypatch, tmp_path)
    with openbao() as own:
        own.enter(monkeypatch)
        own.generate("k")
        entry = store("vault:transit/k").adopt()
        signer = store(entry.uri).load(entry.key)
        own.call("sys/seal", {})
        code, message, hint = refusal(lambda: signer.sign(DATA))
        assert code == "remote_absent"
        assert message == f"Vault cannot be reached: {own.address}: Vault is sealed"
        assert "vault operator unseal" in hint
        assert store(entry.uri).presence(entry.key.kid) is Presence.UNAVAILABLE
        own.stop()
        code, message, hint = refusal(lambda: signer.sign(DATA))
        assert code == "remote_absent"
        assert message == f"Vault cannot be reached: {own.address}: no connection"
        assert "start the server" in hint


def test_tls_is_always_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the CA's certificate the request fails; an option or a variable names it."""
    without_variables(monkeypatch, tmp_path)
    certificates = tmp_path / "tls"
    certificates.mkdir()
    with openbao(certificates) as own:
        own.enter(monkeypatch)
        own.generate("k")
        code, message, hint = refusal(store("vault:transit/k").adopt)
        assert (code, "certificate is not valid" in message) == ("remote_absent", True)
        assert "ca-file=/PATH" in hint
        uri = f"vault:transit/k?ca-file={own.ca_file}"
        assert store(uri).adopt().uri.endswith(f"version=1&ca-file={own.ca_file}")
        monkeypatch.setenv("VAULT_CACERT", str(own.ca_file))
        assert store("vault:transit/k").adopt().label == "k"
        monkeypatch.setenv("VAULT_ADDR", own.address.replace("127.0.0.1", "127.0.0.2"))
        assert refusal(store("vault:transit/k").adopt)[0] == "remote_absent"
