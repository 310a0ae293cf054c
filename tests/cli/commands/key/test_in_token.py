"""Keys in a token, from `key generate` to the third renewal, with a real SoftHSM token."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)
from joserfc import jws
from joserfc.jwk import ECKey
from support import softhsm
from support.cli import PASSPHRASE, Desk
from support.desk_state import tree
from support.forks import ANY_TIME
from support.keys import kid_of
from support.softhsm import MODULE, PIN, SoftHsm
from support.terminal import terminal

from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import HomeProblem
from polygent_issuer.home.settings import settings_path
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.registry import keys
from polygent_issuer.text import for_shell

VARIABLE = "POLYGENT_ISSUER_PASSPHRASE_FILE"
ENTERPRISE = ("sign", "--customer", "Globex", "--tier", "enterprise")


@pytest.fixture
def at_hand(empty_desk: Desk, hsm: SoftHsm) -> Desk:
    """Create a desk without a home whose passphrase source is the PIN."""
    empty_desk.environ[VARIABLE] = str(hsm.pin_file)
    return empty_desk


@pytest.fixture
def desk(at_hand: Desk, hsm: SoftHsm) -> Desk:
    """Create a desk with one key that was generated in the token."""
    at_hand.output.mkdir()
    at_hand.ok("init", "--issuer", "Polygent Ltd", "--output", str(at_hand.output))
    at_hand.ok("key", "generate", "hard", "--store", hsm.uri, "--no-backup")
    return at_hand


def error(desk: Desk, *argv: str) -> tuple[int, str, str]:
    """Return exit code, code and hint of a refusal; check that the PIN is not printed."""
    outcome = desk.run(*argv, "--json")
    assert PIN not in outcome.text + outcome.err
    refusal = outcome.json["error"]
    return outcome.code, refusal["code"], refusal["hint"]


def wrong_pin(desk: Desk) -> None:
    """Replace the PIN in the desk's passphrase source."""
    (desk.folder / "wrong").write_text("0000-not-the-pin")
    desk.environ[VARIABLE] = str(desk.folder / "wrong")


def test_a_key_in_a_token_signs_and_renews(desk: Desk, hsm: SoftHsm) -> None:
    """Two other libraries verify its licenses, and the journal names the store."""
    signed = desk.ok(*ENTERPRISE, "--json").json["licenses"][0]
    renewed = desk.ok(
        *("renew", "globex", "--accept", "not-due", "--reason", "early", "--json")
    ).json["licenses"][0]
    pem = desk.ok("key", "export-public", "hard").out
    public = load_pem_public_key(pem)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for issued in (signed, renewed):
        file = Path(issued["file"])
        token = file.read_bytes().strip()
        claims = jwt.decode(
            token, public, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
        )
        assert claims["jti"] == issued["id"]
        jws.deserialize_compact(token, ECKey.import_key(pem), algorithms=["ES256"])
        assert desk.run("verify", str(file)).code == 0
    row = desk.ok("journal", "show", "--json").json["rows"][1]
    assert (row["event"], row["details"]) == ("key-generated", {"store": "pkcs11", "backup": False})
    assert hsm.objects() == [("Private Key", "hard"), ("Public Key", "hard")]


def test_a_token_seals_the_journal_only_on_request(desk: Desk) -> None:
    """Another signature may need a person's touch, so a license alone makes no seal."""
    desk.ok(*ENTERPRISE)
    assert desk.ok("journal", "verify", "--json").json["seals"] == []
    first = desk.ok("journal", "seal", "--json", after=timedelta(hours=1))
    assert first.json["seal"]["key"] == "hard"
    only = "this is its first seal (with a key in a token only journal seal makes one)"
    assert f"had no seal of it: either {only}, or somebody removed the seal; to check" in first.err
    result = desk.ok("journal", "verify", "--json").json
    assert ([each["key"] for each in result["seals"]], result["unsealed"]) == (["hard"], 0)


def test_generate_prints_the_store(at_hand: Desk, hsm: SoftHsm) -> None:
    """The exact URI is stored in the settings, and the alternative to a backup is printed."""
    outcome = at_hand.ok("key", "generate", "hard", "--store", hsm.uri, "--no-backup")
    (key,) = at_hand.ok("key", "list", "--json").json["keys"]
    assert key["store"] in outcome.text
    assert f'"{key["store"]}"' in settings_path(at_hand.home).read_text()
    assert key["store"].endswith(f"?module-path={MODULE}")
    assert "cannot export the key from a token" in outcome.text
    listed = at_hand.ok("key", "list").text
    assert key["store"].partition("?")[0] in listed
    assert "module-path" not in listed
    for file in at_hand.home.rglob("*"):
        assert not file.is_file() or PIN.encode() not in file.read_bytes()


def test_key_show_asks_for_no_pin(desk: Desk, hsm: SoftHsm) -> None:
    """The key is reported without a PIN; without the token its store is unavailable."""
    wrong_pin(desk)
    assert desk.ok("key", "show", "hard", "--json").json["key"]["presence"] == "present"
    hsm.remove()
    assert desk.ok("key", "show", "hard", "--json").json["key"]["presence"] == "unavailable"
    assert "(its key store is unavailable)" in desk.ok("key", "show", "hard").text


def test_a_wrong_pin_signs_nothing(
    desk: Desk, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is exit 6 after one attempt, counted by a PKCS#11 spy; nothing is written."""
    log = desk.folder / "spy"
    spy = hsm.spied(monkeypatch, log).module
    settings = settings_path(desk.home)
    settings.write_text(settings.read_text().replace(str(MODULE), str(spy)))
    wrong_pin(desk)
    before = tree(desk.output)
    code, name, hint = error(desk, *ENTERPRISE)
    assert (code, name) == (6, "pin_incorrect")
    assert "check the PIN before" in hint
    assert softhsm.calls(log, "C_Login") == 1
    assert tree(desk.output) == before
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_a_removed_token_signs_nothing(
    desk: Desk, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token removed before or after its PIN issues nothing, with a hint."""
    signers_of = Invocation.signers_of

    def unlock_and_pull_out(*given: Any) -> Any:
        signers = signers_of(*given)
        hsm.remove()
        return signers

    monkeypatch.setattr(Invocation, "signers_of", unlock_and_pull_out)
    code, name, hint = error(desk, *ENTERPRISE)
    assert (code, name) == (6, "token_removed")
    assert "plug the token in again" in hint
    assert error(desk, *ENTERPRISE)[:2] == (6, "token_absent")
    assert tree(desk.output) == {}
    assert desk.ok("license", "list", "--json").json["licenses"] == []


def test_going_without_a_backup_needs_an_option(at_hand: Desk, hsm: SoftHsm) -> None:
    """A script gets the option, and a hint for the way with a backup."""
    generate = ("key", "generate", "hard", "--store", hsm.uri)
    code, name, hint = error(at_hand, *generate)
    assert (code, name) == (3, "missing_input")
    assert "--no-backup" in hint
    assert f"polygent-issue key import FILE --store {for_shell(hsm.uri)}" in hint
    code, name, _ = error(at_hand, *generate, "--backup", str(at_hand.folder / "b"))
    assert (code, name) == (6, "not_extractable")
    assert not at_hand.home.exists()
    assert hsm.objects() == []


def test_a_terminal_asks_about_the_missing_backup(at_hand: Desk, hsm: SoftHsm) -> None:
    """The PIN is not shown, and a no creates nothing."""
    argv = ("key", "generate", "hard", "--store", hsm.uri)
    with terminal(at_hand, *argv, environ=hsm.environ) as person:
        person.sees("keys generated in a token cannot be backed up")
        person.sees("generate it anyway? [y/N]")
        person.types("n")
        assert person.ends() == 130
    assert hsm.objects() == []
    with terminal(at_hand, *argv, environ=hsm.environ) as person:
        person.sees("generate it anyway? [y/N]")
        person.types("y")
        person.sees("passphrase for the token vault (its user PIN): ")
        person.types_secretly(PIN)
        person.sees("generated the key hard")
        assert person.ends() == 0
    assert PIN not in person.screen


def test_a_key_of_a_file_moves_into_the_token(at_hand: Desk, hsm: SoftHsm) -> None:
    """The key of a file with a backup signs in the token; its copies are warned of."""
    at_hand.passphrase_file.write_text(PASSPHRASE)
    del at_hand.environ[VARIABLE]
    backup = str(at_hand.folder / "b")
    file_store = f"file:{at_hand.folder}/main.key"
    at_hand.ok("key", "generate", "main", "--store", file_store, "--backup", backup)
    code, name, hint = error(at_hand, "key", "import", backup, "--store", hsm.uri)
    assert (code, name) == (2, "usage")
    assert "on a terminal" in hint
    assert not hsm.noted_a_wrong_pin()
    argv = ("key", "import", backup, "--store", hsm.uri)
    with terminal(at_hand, *argv, environ=hsm.environ) as person:
        person.sees("passphrase for the key file: ")
        person.types_secretly(PASSPHRASE)
        person.sees("passphrase for the token vault (its user PIN): ")
        person.types_secretly(PIN)
        person.sees(f"{file_store} still has the key; delete it there, too")
        person.sees("imported the key main")
        assert person.ends() == 0
    (key,) = at_hand.ok("key", "list", "--json").json["keys"]
    assert key["kid"] == kid_of(Path(backup))
    assert key["store"].startswith("pkcs11:token=vault;")
    at_hand.environ[VARIABLE] = str(hsm.pin_file)
    at_hand.now = datetime.now(UTC)  # as in the process at the terminal
    at_hand.ok(*ENTERPRISE, "--output", str(at_hand.folder))


def test_an_unencrypted_key_needs_only_the_pin(at_hand: Desk, hsm: SoftHsm) -> None:
    """One secret suffices without a backup, which the PIN never encrypts."""
    plain = generate_private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (at_hand.folder / "plain.pem").write_bytes(plain)
    argv = ("key", "import", str(at_hand.folder / "plain.pem"), "--label", "moved")
    into = ("--store", hsm.uri)
    code, name, hint = error(at_hand, *argv, *into, "--backup", str(at_hand.folder / "b"))
    assert (code, name) == (2, "usage")
    assert hint.endswith("or add --no-backup")
    outcome = at_hand.ok(*argv, *into, "--no-backup")
    assert "still has the key unencrypted" in outcome.err
    assert hsm.objects() == [("Private Key", "moved"), ("Public Key", "moved")]
    assert not (at_hand.folder / "b").exists()


def test_a_key_generated_elsewhere_is_registered(at_hand: Desk, hsm: SoftHsm) -> None:
    """It keeps its own label and signs; a second operator registers it, too."""
    hsm.ceremony("root-2026", "aabb")
    uri = hsm.uri.replace("?", ";object=root-2026?")
    taken = at_hand.ok("key", "import", uri, "--json").json
    key = taken["key"]
    assert (key["label"], key["active"], taken["new"]) == ("root-2026", True, True)
    assert ";id=%AA%BB?" in key["store"]
    at_hand.ok(*ENTERPRISE, "--output", str(at_hand.folder))
    settings = settings_path(at_hand.home)
    settings.write_text(settings.read_text().partition("[stores]")[0])
    again = at_hand.ok("key", "import", uri)
    assert "registered the key root-2026" in again.text
    assert " already" in again.text
    assert at_hand.ok("key", "show", "root-2026", "--json").json["key"]["presence"] == "present"
    assert error(at_hand, "key", "import", uri, "--label", "x")[:2] == (3, "input_refused")


def test_an_unusable_label_is_refused(at_hand: Desk, hsm: SoftHsm) -> None:
    """The token's label may be in use, or contain control characters."""
    hsm.ceremony("one", "01")
    hsm.ceremony("one", "02")
    hsm.ceremony("\u202eone", "03")
    labels = [
        at_hand.ok("key", "import", hsm.uri.replace("?", f";id=%{key_id}?"), "--json").json["key"]
        for key_id in ("01", "02", "03")
    ]
    assert [key["label"] for key in labels] == ["one", "main", "main-2"]


@pytest.mark.parametrize("option", ["--store", "--backup"])
def test_a_key_in_place_takes_no_store_or_backup(at_hand: Desk, hsm: SoftHsm, option: str) -> None:
    """`--store` and `--backup` are refused for it."""
    code, name, hint = error(at_hand, "key", "import", hsm.uri, option, hsm.uri)
    copied = "or to copy the key, give its file without file:"
    assert (code, name, hint) == (2, "usage", f"leave out {option}; {copied}")


def test_a_missing_token_creates_nothing(at_hand: Desk, hsm: SoftHsm) -> None:
    """No home is created, and all refusals come before prompts."""
    elsewhere = hsm.uri.replace("vault", "other")
    for argv in (
        ("key", "import", elsewhere),
        ("key", "generate", "x", "--store", elsewhere, "--no-backup"),
    ):
        assert error(at_hand, *argv)[:2] == (6, "token_absent")
    for store in (f"{hsm.uri}&pin-value={PIN}", hsm.uri.replace("?", ";object=x?"), "pkcs11:"):
        argv = ("key", "generate", "x", "--store", store, "--no-backup")
        assert error(at_hand, *argv)[:2] == (3, "invalid_store")
    assert error(at_hand, "key", "import", f"{hsm.uri}&pin-value={PIN}")[:2] == (3, "invalid_store")
    assert not at_hand.home.exists()


def test_a_key_generated_in_a_token_has_no_backup(desk: Desk) -> None:
    """It is exit 6 before the PIN, with an alternative and without a file."""
    wrong_pin(desk)
    code, name, hint = error(desk, "key", "backup", "hard", str(desk.folder / "b"))
    assert (code, name) == (6, "not_extractable")
    assert "key generate spare --store file:~/polygent-keys/ --backup FILE" in hint
    assert not (desk.folder / "b").exists()


def test_an_unrecorded_key_is_deleted_from_the_token(
    desk: Desk, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the registry refuses it last, the token is as before."""

    def refuse(*_args: object, **_named: object) -> None:
        raise HomeProblem("the disk is full", hint="make room")

    monkeypatch.setattr(keys, "add", refuse)
    assert error(desk, "key", "generate", "two", "--store", hsm.uri, "--no-backup")[0] == 7
    assert hsm.objects() == [("Private Key", "hard"), ("Public Key", "hard")]


def test_the_default_store_may_be_a_token(at_hand: Desk, hsm: SoftHsm) -> None:
    """With such a setting the next command printed by `init` works."""
    next_step = at_hand.ok("init", "--store", hsm.uri, "--json").json["next"]
    assert next_step.endswith("key generate --no-backup")
    at_hand.ok("key", "generate", "--no-backup")
    assert hsm.objects() == [("Private Key", "main"), ("Public Key", "main")]


def test_a_hanging_token_times_out(desk: Desk, hsm: SoftHsm) -> None:
    """The installed command ends while the module waits for a lock, with a hint."""
    desk.ok("config", "set", "keyring_timeout", "1s")
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home)]
    environ = {**os.environ, **hsm.environ, VARIABLE: str(hsm.pin_file)}
    with hsm.hanging():
        done = subprocess.run(
            [*command, *ENTERPRISE, *ANY_TIME],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 6
    assert "the token did not answer within 1 s" in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_needs_no_library(desk: Desk) -> None:
    """Verification needs neither the token nor PKCS#11."""
    issued = desk.ok(*ENTERPRISE, "--json").json["licenses"][0]["file"]
    script = (
        "import sys; from polygent_issuer.cli.main import run; "
        f"code = run(['--home', {str(desk.home)!r}, 'verify', {issued!r}, '--at', '2026-12-01']); "
        "assert code == 0; assert not [m for m in sys.modules if m.startswith('pkcs11')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
