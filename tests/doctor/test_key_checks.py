"""Checks of the keyring and of each signing key."""

import importlib
import os
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support import softhsm
from support.cli import PASSPHRASE, Desk
from support.licenses import Books
from support.rows import look, row, rows, state
from support.secret_service import SecretService, secret_service
from support.softhsm import PIN, SoftHsm

from polygent_issuer.doctor import State, key_checks
from polygent_issuer.doctor.key_checks import is_needed, keyring, keyring_overrides
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import keyring_backends
from polygent_issuer.keys.keyring_backends import KeyStatus
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import KeyRecord, keys
from polygent_issuer.verifier.keys import EXAMPLE_KID

AMPLE = timedelta(seconds=30)
SHORT = timedelta(milliseconds=200)
KID = "k" * 43
FILE = "file:/keys/main.key"


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A session bus on which no keyring runs."""
    with secret_service(daemon=False) as running:
        running.enter(monkeypatch)
        yield running


def key(kid: str = KID) -> KeyRecord:
    """A key of which only the kid matters."""
    return KeyRecord(
        kid=kid,
        label="main",
        public_pem=b"",
        created_at=None,  # type: ignore[arg-type] # not asked for
        active=True,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )


def test_an_unlocked_keyring_is_ready(service: SecretService) -> None:
    """The first that runs is the one that would keep a key."""
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message == ("Secret Service is ready; KWallet is not running")
    assert service.is_locked() is False


def test_a_locked_keyring_is_a_warning_and_stays_locked(service: SecretService) -> None:
    """It is not asked to unlock, so nobody is."""
    service.hold_prompts()
    service.lock()
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service is locked; ")
    assert verdict.fix == key_checks.UNLOCK
    assert service.is_locked() is True


def test_a_keyring_that_hangs_is_a_warning(service: SecretService) -> None:
    """It is waited for until the deadline."""
    service.stop()
    try:
        verdict = keyring(needed=True, timeout=SHORT)
    finally:
        service.cont()
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service did not answer within 0.2 s; ")
    assert verdict.fix == "restart the keyring service"


def test_no_keyring_at_all_is_a_warning_where_one_is_needed(bus: SecretService) -> None:
    """With the way out that needs no keyring."""
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service is not running; KWallet is not running")
    assert verdict.fix is not None
    assert "polygent-issue config set store file:~/polygent-keys/" in verdict.fix
    assert bus.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_the_first_keyring_that_runs_is_the_one_that_counts(
    bus: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desktop of KDE: that the other one does not run is no warning."""

    class Running(keyring_backends.KWalletKeyring):
        """A KWallet that is open and empty."""

        def probe(self, kid: str) -> KeyStatus:
            assert kid
            return KeyStatus(present=False, locked=False)

    found = (keyring_backends.SecretServiceKeyring(), Running())
    monkeypatch.setattr(keyring_backends, "for_platform", lambda: found)
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message.startswith("Secret Service is not running; KWallet is ready")
    assert bus.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_no_keyring_is_well_where_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps its keys in files is not nagged."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    verdict = keyring(needed=False, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message.startswith("not needed by any key: Secret Service is not running; ")


def test_a_keyring_that_answers_with_an_error_is_a_warning(
    service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its class of error is the libraries' business; that it failed is said."""
    import secretstorage  # noqa: PLC0415

    def broken(_: object) -> bool:
        raise secretstorage.SecretStorageException

    assert service.is_locked() is False
    monkeypatch.setattr(secretstorage, "check_service_availability", broken)
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service returned an error; ")


def test_an_environment_that_bends_a_backend_is_exit_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to unset; where no key needs a keyring nothing is wrong."""
    monkeypatch.setenv("KEYRING_PROPERTY_PRIORITY", "9")
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.FAIL
    assert verdict.exit_code == 6
    assert verdict.fix == "unset every KEYRING_PROPERTY_* variable"
    assert keyring(needed=False, timeout=AMPLE).state is State.OK


def test_what_would_choose_another_keyring_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables and the configuration file are ignored; their values are not shown."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert (
        keyring_overrides({}).message
        == "no environment variable, config file or plug-in overrides the keyring"
    )
    config = tmp_path / "python_keyring" / "keyringrc.cfg"
    config.parent.mkdir()
    config.write_text("[backend]\ndefault-keyring=keyring.backends.null.Keyring\n")
    verdict = keyring_overrides(["PYTHON_KEYRING_BACKEND", "KEYRING_PROPERTY_APPID", "PATH"])
    assert verdict.state is State.OK
    assert verdict.message == (
        f"KEYRING_PROPERTY_APPID is ignored; PYTHON_KEYRING_BACKEND is ignored; {config} is ignored"
    )


def test_a_plug_in_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real distribution on the path that offers a backend."""
    info = tmp_path / "keyrings_alt-5.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: keyrings.alt\nVersion: 5.0\n")
    (info / "entry_points.txt").write_text("[keyring.backends]\nfile = keyrings.alt.file\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert keyring_backends.third_party_backends() == ("keyrings.alt.file",)
    assert keyring_overrides({}).message.endswith("keyrings.alt.file is refused")


@pytest.mark.parametrize(
    ("settings", "usable", "needed"),
    [
        (Settings(), (), True),
        (Settings(store="file:/keys/"), (), False),
        (Settings(), (key(),), True),
        (Settings(stores={KID: FILE}), (key(),), False),
        (Settings(stores={KID: FILE}), (key(), key("o" * 43)), True),
        (Settings(store="file:/keys/", stores={KID: "keyring:"}), (key(),), True),
        (Settings(store="file:/keys/", stores={"o" * 43: "keyring:"}), (key(),), False),
        (Settings(stores={KID: FILE}), None, True),
        (Settings(store=FILE, stores={KID: FILE}), None, False),
    ],
)
def test_a_keyring_is_needed_for_a_key_in_it(
    settings: Settings,
    usable: tuple[KeyRecord, ...] | None,
    needed: bool,  # noqa: FBT001
) -> None:
    """A key that is there, the next one where there is none, or whatever the settings name."""
    assert is_needed(settings, usable) is needed


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A home without a key, and a passphrase."""
    empty = Desk(tmp_path)
    empty.passphrase_file.write_text(PASSPHRASE)
    empty.passphrase_file.chmod(0o600)
    empty.ok("init", "--issuer", "Polygent Ltd")
    return empty


def generate(desk: Desk, label: str = "main", *more: str) -> Path:
    """Make a key in a file of its own."""
    path = desk.folder / f"{label}.key"
    desk.ok("key", "generate", label, "--store", f"file:{path}", *(more or ("--no-backup",)))
    return path


def the_key(books: Books) -> KeyRecord:
    """The one key of the books."""
    with books.reading() as db:
        return keys.every(db)[0]


def test_without_a_key_there_is_one_warning(desk: Desk) -> None:
    """With the command that makes one; the other rows on keys have nothing to say."""
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 0
    assert row(outcome, "active-key")["mend"] == (
        f"polygent-issue --home {desk.home} key generate main --backup FILE"
    )
    for name in ("key", "key-backup", "compromised-key"):
        assert row(outcome, name)["state"] == "ok"


def test_a_key_in_a_file_with_a_backup_is_well(desk: Desk) -> None:
    """Its place is named; nothing asked for its passphrase."""
    path = generate(desk, "main", "--backup", str(desk.folder / "backup"))
    desk.passphrase_file.unlink()
    outcome = desk.run("doctor", "--json")
    assert row(outcome, "active-key")["message"] == "main is active; number of keys: 1"
    assert row(outcome, "key")["message"] == f"main (file:{path}): available"
    assert row(outcome, "key-backup")["message"] == "main was backed up on 2026-11-30"
    assert row(outcome, "keyring")["state"] == "ok"
    assert row(outcome, "keyring")["message"].startswith("not needed by any key: ")


def test_a_key_without_a_backup_is_a_warning_until_there_is_one(desk: Desk) -> None:
    """The printed command makes it, also for a label that a shell would split."""
    generate(desk, "my key")
    found = look(desk, "key-backup")
    assert found["state"] == "warn"
    assert found["mend"] == f"polygent-issue --home {desk.home} key backup 'my key' FILE"
    words = shlex.split(found["mend"])
    desk.ok(*words[1:-1], str(desk.folder / "backup"))
    assert state(desk, "key-backup") == "ok"


def test_a_label_that_looks_like_an_option_is_typed_after_two_hyphens(desk: Desk) -> None:
    """So that the printed command means the key."""
    desk.ok("key", "generate", "--no-backup", "--store", f"file:{desk.folder}/k", "--", "-x")
    words = shlex.split(look(desk, "key-backup")["mend"])
    desk.ok(*words[1:-1], str(desk.folder / "backup"))
    assert state(desk, "key-backup") == "ok"


def test_a_key_in_hardware_is_not_nagged_about() -> None:
    """The command would be refused."""
    held = Settings(stores={"k" * 43: "pkcs11:token=t;object=main"})
    (verdict,) = key_checks.backups((_record("k" * 43),), held)
    assert verdict.state is State.OK
    assert "stored in a token" in verdict.message


def _record(kid: str, **more: object) -> KeyRecord:
    made = KeyRecord(
        kid=kid,
        label="main",
        public_pem=SoftwareSigner(generate_private_key()).public_key.to_pem(),
        created_at=None,  # type: ignore[arg-type] # not asked for
        active=True,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )
    return replace(made, **more)  # type: ignore[arg-type] # as the test has it


@pytest.mark.parametrize(
    ("content", "told", "mended"),
    [
        (None, "does not exist", "polygent-issue key import BACKUP"),
        (b"rubbish", "is not an OpenSSH private key file", "key import BACKUP"),
        (b"-----BEGIN PRIVATE KEY-----\n", "not protected", "polygent-issue key import "),
    ],
)
def test_a_key_file_that_gives_no_key_is_exit_6(
    desk: Desk, content: bytes | None, told: str, mended: str
) -> None:
    """The same words as signing would end with, and no prompt."""
    path = generate(desk)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 6
    found = row(outcome, "key")
    assert found["state"] == "fail"
    assert told in found["message"]
    assert mended.replace("polygent-issue ", f"polygent-issue --home {desk.home} ") in found["mend"]


def test_another_key_in_the_file_is_exit_6(desk: Desk) -> None:
    """The pin says which it must be."""
    path = generate(desk)
    other = generate(desk, "other")
    os.replace(other, path)  # noqa: PTH105
    found = {
        said["message"].split(":")[0]: said for said in rows(desk.run("doctor", "--json"), "key")
    }
    assert found["main"]["state"] == "fail"
    assert "the key store returned the key" in found["main"]["message"]
    # The other does not sign yet, so its loss stops nobody.
    assert found["other"]["state"] == "warn"
    assert "does not exist" in found["other"]["message"]


def test_a_key_in_the_keyring(desk: Desk, service: SecretService) -> None:
    """There, locked, gone: three states, and no prompt in any."""
    service.hold_prompts()
    desk.ok("key", "generate", "main", "--no-backup")
    outcome = desk.run("doctor", "--json")
    assert row(outcome, "key")["message"] == "main (keyring:): available"
    assert row(outcome, "keyring")["state"] == "ok"
    service.lock()
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 0
    assert row(outcome, "key")["state"] == row(outcome, "keyring")["state"] == "warn"
    assert "unlock the keyring" in row(outcome, "key")["mend"]
    assert service.is_locked()


def test_a_key_that_is_gone_from_the_keyring_is_exit_6(
    books: Books, service: SecretService
) -> None:
    """The registry pins it, and the keyring answers that it has none."""
    assert not service.is_locked()
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 6
    found = row(outcome, "key")
    assert found["message"] == "main (keyring:): the private key is missing"
    assert found["mend"] == f"polygent-issue --home {books.desk.home} key import BACKUP"


def test_a_keyring_out_of_reach_is_exit_6(books: Books) -> None:
    """A file takes the key in where no keyring can."""
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 6
    found = row(outcome, "key")
    assert found["message"] == "main (keyring:): the key store is unavailable"
    assert found["mend"].endswith("key import BACKUP --store file:~/polygent-keys/")
    assert row(outcome, "keyring")["state"] == "warn"


def test_a_hung_keyring_ends_in_time(books: Books, service: SecretService) -> None:
    """However long the settings would wait."""
    books.desk.ok("config", "set", "keyring_timeout", "1s")
    service.stop()
    try:
        outcome = books.desk.run("doctor", "--json")
    finally:
        service.cont()
    assert "did not answer within 1 s" in row(outcome, "keyring")["message"]
    assert row(outcome, "key")["message"].endswith("the key store is unavailable")


@pytest.fixture
def in_token(desk: Desk, hsm: SoftHsm) -> Desk:
    """The desk with one key, which was made in the token; nobody gives the PIN from now on."""
    desk.passphrase_file.write_text(PIN)
    desk.ok("key", "generate", "hard", "--store", hsm.uri, "--no-backup")
    desk.passphrase_file.unlink()
    return desk


def test_a_key_in_a_token_is_well(in_token: Desk, hsm: SoftHsm) -> None:
    """It is seen without the PIN."""
    assert look(in_token, "key")["message"].endswith(": available")
    assert not hsm.noted_a_wrong_pin()


def test_a_module_that_is_not_there_is_not_a_token_to_plug_in(in_token: Desk) -> None:
    """The same words as signing would end with."""
    [kid] = in_token.ok("key", "list", "--json").json["keys"]
    place = "pkcs11:token=vault?module-path=/nonexistent.so"
    in_token.ok("config", "set", f"stores.{kid['kid']}", place)
    outcome = in_token.run("doctor", "--json")
    assert outcome.code == 6
    found = row(outcome, "key")
    assert found["message"] == (
        "hard: the PKCS#11 module /nonexistent.so cannot be found: no such file or directory"
    )
    assert found["mend"].startswith("check module-path")


def test_a_token_that_is_not_there_is_to_be_plugged_in(in_token: Desk, hsm: SoftHsm) -> None:
    """With the command that lists those that are."""
    hsm.remove()
    found = look(in_token, "key")
    assert found["state"] == "fail"
    assert "the token vault, serial " in found["message"]
    assert found["mend"].startswith("plug it in, or list the tokens of the module: pkcs11-tool ")


def test_a_token_whose_pin_is_locked_gives_no_key(in_token: Desk, hsm: SoftHsm) -> None:
    """Though it shows it: no license could be signed."""
    hsm.set_flags(softhsm.LOCKED)
    found = look(in_token, "key")
    assert found["state"] == "fail"
    assert "is locked after too many wrong attempts" in found["message"]
    assert "SO PIN" in found["mend"]


def test_a_token_without_the_key_is_the_wrong_one(in_token: Desk, hsm: SoftHsm) -> None:
    """It is plugged in already, so the mend is another one, or the backup."""
    hsm.tool("--delete-object", "--type", "pubkey", "--label", "hard")
    found = look(in_token, "key")
    assert found["state"] == "fail"
    assert found["message"].endswith(": the key is not in the token")
    home = f"polygent-issue --home {in_token.home}"
    assert found["mend"] == (
        f"plug in the right token; its name is in the settings: {home} config show; "
        f"or, if the key has a backup: {home} key import BACKUP --store URI"
    )


def test_without_the_library_its_installation_is_the_mend(
    in_token: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be said of the token then."""
    for module in ("module", "objects", "session", "store"):
        monkeypatch.delitem(sys.modules, f"polygent_issuer.keys.pkcs11_{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    found = look(in_token, "key")
    assert "python-pkcs11, which is not installed" in found["message"]
    assert found["mend"] == "install it: pip install 'polygent-issuer[pkcs11]'"


def test_a_token_of_a_key_that_does_not_sign_is_a_warning() -> None:
    """Its loss stops nobody yet; and a place that is none is told as such."""
    signer = SoftwareSigner(generate_private_key())
    record = _record(signer.kid, public_pem=signer.public_key.to_pem(), active=False)
    held = Settings(stores={signer.kid: "pkcs11:token=none"})
    (verdict,) = key_checks.private_keys((record,), held)
    assert (verdict.state, verdict.message) == (
        State.WARN,
        "main: invalid pkcs11: URI: the PKCS#11 module is missing",
    )
    assert verdict.fix == "add ?module-path=/PATH/TO/MODULE.so"


def test_the_example_key_is_exit_6(books: Books) -> None:
    """Anybody can sign with it; it was put there by force."""
    key = the_key(books)
    (verdict,) = key_checks.private_keys((replace(key, kid=EXAMPLE_KID),), Settings())
    assert verdict.state is State.FAIL
    assert verdict.exit_code == 6
    assert "the example key" in verdict.message


def test_a_public_half_that_is_not_the_kids_is_exit_7(books: Books) -> None:
    """Damage of the registry, found before anything is asked of a key store."""
    with closing(sqlite3.connect(books.path)) as raw:
        pem = SoftwareSigner(generate_private_key()).public_key.to_pem()
        raw.execute("UPDATE keys SET public_pem = ?", (pem,))
        raw.commit()
    outcome = books.desk.run("doctor", "--quick", "--json")
    assert outcome.code == 7
    assert "is another one" in row(outcome, "key")["message"]
    assert row(outcome, "key")["mend"].endswith(" journal verify")


def test_keys_of_which_none_is_active_are_a_warning(books: Books) -> None:
    """With the command that lets one sign."""
    with books.writing() as db:
        db.update("keys", books.signer.kid, active=0)
        db.record("test")
    found = look(books.desk, "active-key")
    assert found["state"] == "warn"
    words = shlex.split(found["mend"])
    books.desk.ok(*words[1:], "--accept", "key-rollout", "--reason", "x")
    assert state(books.desk, "active-key") == "ok"


def test_retired_keys_are_left_alone(books: Books) -> None:
    """They sign no more: no place, no backup is asked of them."""
    with books.writing() as db:
        db.update("keys", books.signer.kid, active=0, retired_at=db.at)
        db.record("key-retired", kid=books.signer.kid)
    outcome = books.desk.run("doctor", "--json")
    assert row(outcome, "active-key")["message"] == "no signing key exists"
    assert row(outcome, "key")["message"] == "no private keys to check"
    assert row(outcome, "key-backup")["message"] == "no keys to back up"


def test_current_licenses_under_a_compromised_key_are_exit_6(books: Books) -> None:
    """Others may hold that key; until none is left the row stays."""
    other = SoftwareSigner(generate_private_key())
    books.key("other", other)
    acme = books.customer()
    first = books.license(acme)
    with books.writing() as db:
        db.update("keys", books.signer.kid, active=0, retired_at=db.at, compromised=1)
        db.record("key-compromised", kid=books.signer.kid)
    found = look(books.desk, "compromised-key")
    assert found["state"] == "fail"
    assert "current licenses signed with it: 1;" in found["message"]
    assert found["mend"].endswith("license list --key=main --status current")
    assert books.desk.run("doctor", "--json").code == 6
    books.desk.now += timedelta(minutes=1)
    books.license(acme, replaces=first, signer=other)
    found = look(books.desk, "compromised-key")
    assert found["state"] == "ok"
    assert found["message"] == ("main is compromised, but no current license is signed with it")
