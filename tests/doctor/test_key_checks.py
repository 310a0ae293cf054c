"""Checks of the keyring and of each signing key."""

import importlib
import os
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from socket import AF_UNIX, socket

import pytest
from support import softhsm
from support.cli import PASSPHRASE, Desk
from support.disks import folder_on_another_disk
from support.doctor_rows import look, row, rows, state
from support.licenses import Books
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
    """A session bus without a keyring."""
    with secret_service(daemon=False) as running:
        running.enter(monkeypatch)
        yield running


def key(kid: str = KID) -> KeyRecord:
    """Return a key with this kid."""
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
    """The first running keyring would store a key."""
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message == ("Secret Service is ready; KWallet is not running")
    assert service.is_locked() is False


def test_a_locked_keyring_is_a_warning_and_stays_locked(service: SecretService) -> None:
    """The check does not try to unlock the keyring."""
    service.hold_prompts()
    service.lock()
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service is locked; ")
    assert verdict.fix == key_checks.UNLOCK
    assert service.is_locked() is True


def test_a_keyring_that_hangs_is_a_warning(service: SecretService) -> None:
    """The check waits until the deadline."""
    service.stop()
    try:
        verdict = keyring(needed=True, timeout=SHORT)
    finally:
        service.cont()
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service did not answer within 0.2 s; ")
    assert verdict.fix == "restart the keyring service"


def test_a_missing_keyring_is_a_warning_if_needed(bus: SecretService) -> None:
    """The fix does not need a keyring."""
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service is not running; KWallet is not running")
    assert verdict.fix is not None
    assert "polygent-issue config set store file:~/polygent-keys/" in verdict.fix
    assert bus.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_only_the_first_running_keyring_counts(
    bus: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On KDE, the missing Secret Service is not a warning."""

    class Running(keyring_backends.KWalletKeyring):
        """A KWallet that is open and empty."""

        def probe(self, kid: str) -> KeyStatus:
            assert kid
            return KeyStatus(present=False, locked=False)

    result = (keyring_backends.SecretServiceKeyring(), Running())
    monkeypatch.setattr(keyring_backends, "for_platform", lambda: result)
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message.startswith("Secret Service is not running; KWallet is ready")
    assert bus.environ["DBUS_SESSION_BUS_ADDRESS"]


def test_a_missing_keyring_is_ok_if_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with keys in files gets no warning."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    verdict = keyring(needed=False, timeout=AMPLE)
    assert verdict.state is State.OK
    assert verdict.message.startswith("not needed by any key: Secret Service is not running; ")


def test_a_keyring_that_answers_with_an_error_is_a_warning(
    service: SecretService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is reported without the class of the library's error."""
    import secretstorage  # noqa: PLC0415

    def broken(_: object) -> bool:
        raise secretstorage.SecretStorageException

    assert service.is_locked() is False
    monkeypatch.setattr(secretstorage, "check_service_availability", broken)
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("Secret Service returned an error; ")


def test_an_environment_that_breaks_a_backend_is_exit_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fix names the variable; without need of a keyring the row is ok."""
    monkeypatch.setenv("KEYRING_PROPERTY_PRIORITY", "9")
    verdict = keyring(needed=True, timeout=AMPLE)
    assert verdict.state is State.FAIL
    assert verdict.exit_code == 6
    assert verdict.fix == "unset every KEYRING_PROPERTY_* variable"
    assert keyring(needed=False, timeout=AMPLE).state is State.OK


def test_overrides_of_the_keyring_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables and the config file are ignored; their values are not shown."""
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
    """A real distribution that registers a backend is named."""
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
    """The stores of existing keys count, or the default store without a key."""
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
    """Generate a key in its own file."""
    path = desk.folder / f"{label}.key"
    desk.ok("key", "generate", label, "--store", f"file:{path}", *(more or ("--no-backup",)))
    return path


def the_key(books: Books) -> KeyRecord:
    """Return the only key of the registry."""
    with books.reading() as db:
        return keys.every(db)[0]


def test_without_a_key_there_is_one_warning(desk: Desk) -> None:
    """The fix generates a key; the other key rows are ok."""
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 0
    assert row(outcome, "active-key")["mend"] == "polygent-issue key generate main --backup FILE"
    for name in ("key", "key-backup", "compromised-key"):
        assert row(outcome, name)["state"] == "ok"


def test_a_key_in_a_file_with_a_backup_is_ok(desk: Desk) -> None:
    """The row names the store, and the passphrase is not needed."""
    path = generate(desk, "main", "--backup", str(desk.folder / "backup"))
    desk.passphrase_file.unlink()
    outcome = desk.run("doctor", "--json")
    assert row(outcome, "active-key")["message"] == "main is active; number of keys: 1"
    assert row(outcome, "key")["message"] == f"main (file:{path}): available"
    assert row(outcome, "key-backup")["message"] == (
        f"main: the backup {desk.folder}/backup is on the disk of the private key, "
        "so both can fail together"
    )
    assert row(outcome, "keyring")["state"] == "ok"
    assert row(outcome, "keyring")["message"].startswith("not needed by any key: ")


def test_a_key_without_a_backup_is_a_warning(desk: Desk) -> None:
    """The printed command makes the backup, also for a label with a space."""
    generate(desk, "my key")
    result = look(desk, "key-backup")
    assert result["state"] == "warn"
    assert result["mend"] == "polygent-issue key backup 'my key' FILE"
    words = shlex.split(result["mend"])
    desk.ok(*words[1:-1], str(desk.folder / "backup"))
    assert "the backup" in look(desk, "key-backup")["message"]


def test_a_key_that_is_not_available_gets_no_command_for_a_backup(desk: Desk) -> None:
    """Without the key file `key backup` would fail, so the fix refers to the check of the key."""
    path = generate(desk)
    path.unlink()
    result = look(desk, "key-backup")
    assert result["state"] == "warn"
    assert result["mend"] == "make the private key available first (the check key has its fix)"


def test_a_lost_backup_of_a_lost_key_has_no_command_for_another(desk: Desk) -> None:
    """The fix is only to connect the disk, or to forget the backup."""
    path, backup = generate(desk), desk.folder / "backup"
    desk.ok("key", "backup", "main", str(backup))
    path.unlink()
    assert look(desk, "key-backup")["mend"].startswith("make the private key available first")
    backup.unlink()
    assert look(desk, "key-backup")["mend"].startswith("connect its disk; to forget ")


def test_a_label_like_an_option_follows_two_hyphens(desk: Desk) -> None:
    """The printed command works for a label that begins with a hyphen."""
    desk.ok("key", "generate", "--no-backup", "--store", f"file:{desk.folder}/k", "--", "-x")
    words = shlex.split(look(desk, "key-backup")["mend"])
    desk.ok(*words[1:-1], str(desk.folder / "backup"))
    assert "the backup" in look(desk, "key-backup")["message"]


def test_a_backup_is_at_its_place_on_another_disk(desk: Desk) -> None:
    """It is ok there; a lost one is a warning, whose command forgets it."""
    generate(desk)
    with folder_on_another_disk(desk.folder) as folder:
        desk.ok("key", "backup", "main", f"{folder}/b")
        assert look(desk, "key-backup")["state"] == "ok"
        Path(f"{folder}/b").write_text("rubbish")
        assert "cannot be read" in look(desk, "key-backup")["message"]
    result = look(desk, "key-backup")
    assert (result["state"], result["message"]) == ("warn", f"main: the backup {folder}/b is gone")
    forget = shlex.split(result["mend"].partition("to forget the recorded ones: ")[2])
    desk.ok(*forget[1:])
    assert look(desk, "key-backup")["message"] == "main was backed up on 2026-11-30"


def test_a_key_in_a_token_needs_no_backup() -> None:
    """A key in a token cannot be backed up, and gets no warning."""
    settings = Settings(stores={"k" * 43: "pkcs11:token=t;object=main"})
    (verdict,) = key_checks.backups((_record("k" * 43),), settings, Path("/"))
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
    return made._replace(**more)  # type: ignore[arg-type] # as the test has it


@pytest.mark.parametrize(
    ("content", "reason", "fix"),
    [
        (None, "does not exist", "polygent-issue key import BACKUP"),
        (b"rubbish", "is not an OpenSSH private key file", "key import BACKUP"),
        (b"-----BEGIN PRIVATE KEY-----\n", "not protected", "polygent-issue key import "),
    ],
)
def test_an_unusable_key_file_is_exit_6(
    desk: Desk, content: bytes | None, reason: str, fix: str
) -> None:
    """The message is that of signing, without a prompt."""
    path = generate(desk)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 6
    result = row(outcome, "key")
    assert result["state"] == "fail"
    assert reason in result["message"]
    assert fix in result["mend"]


def test_another_key_in_the_file_is_exit_6(desk: Desk) -> None:
    """The file must have the pinned key."""
    path = generate(desk)
    other = generate(desk, "other")
    os.replace(other, path)  # noqa: PTH105
    result = {
        row_["message"].split(":")[0]: row_ for row_ in rows(desk.run("doctor", "--json"), "key")
    }
    assert result["main"]["state"] == "fail"
    assert "the key store returned the key" in result["main"]["message"]
    # The other key is not active, so its loss does not stop a command.
    assert result["other"]["state"] == "warn"
    assert "does not exist" in result["other"]["message"]


def test_a_key_in_the_keyring_has_three_states(desk: Desk, service: SecretService) -> None:
    """The key is available, locked or missing; no state prompts."""
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


def test_a_key_missing_from_the_keyring_is_exit_6(books: Books, service: SecretService) -> None:
    """The key is pinned, but the keyring has no entry for it."""
    assert not service.is_locked()
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 6
    result = row(outcome, "key")
    assert result["message"] == "main (keyring:): the private key is missing"
    command = "polygent-issue key import BACKUP"
    assert result["mend"].startswith(f"if it has a backup: {command}; otherwise installed licenses")


def test_an_unavailable_keyring_is_exit_6(books: Books) -> None:
    """The fix imports the backup into a file."""
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 6
    result = row(outcome, "key")
    assert result["message"] == "main (keyring:): the key store is unavailable"
    assert result["mend"].endswith("key import BACKUP --store file:~/polygent-keys/")
    assert row(outcome, "keyring")["state"] == "warn"


def test_a_hung_keyring_ends_in_time(books: Books, service: SecretService) -> None:
    """The check ends in seconds, even if the setting is longer."""
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
    """The desk with one key that was generated in a token; the PIN is not available."""
    desk.passphrase_file.write_text(PIN)
    desk.ok("key", "generate", "hard", "--store", hsm.uri, "--no-backup")
    desk.passphrase_file.unlink()
    return desk


def test_a_key_in_a_token_is_ok(in_token: Desk, hsm: SoftHsm) -> None:
    """The key is found without the PIN."""
    assert look(in_token, "key")["message"].endswith(": available")
    assert not hsm.noted_a_wrong_pin()


def test_a_missing_module_is_reported(in_token: Desk) -> None:
    """The message is that of signing."""
    [kid] = in_token.ok("key", "list", "--json").json["keys"]
    place = "pkcs11:token=vault?module-path=/nonexistent.so"
    in_token.ok("config", "set", f"stores.{kid['kid']}", place)
    outcome = in_token.run("doctor", "--json")
    assert outcome.code == 6
    result = row(outcome, "key")
    assert result["message"] == (
        "hard: the PKCS#11 module /nonexistent.so cannot be found: no such file or directory"
    )
    assert result["mend"].startswith("check module-path")


def test_a_missing_token_is_reported(in_token: Desk, hsm: SoftHsm) -> None:
    """The fix has the command that lists the connected tokens."""
    hsm.remove()
    result = look(in_token, "key")
    assert result["state"] == "fail"
    assert "the token vault, serial " in result["message"]
    assert result["mend"].startswith("plug it in, or list the tokens of the module: pkcs11-tool ")


def test_a_token_with_a_locked_pin_is_a_failure(in_token: Desk, hsm: SoftHsm) -> None:
    """The public key is visible, but no license can be signed."""
    hsm.set_flags(softhsm.LOCKED)
    result = look(in_token, "key")
    assert result["state"] == "fail"
    assert "is locked after too many wrong attempts" in result["message"]
    assert "SO PIN" in result["mend"]


def test_a_token_without_the_key_is_the_wrong_one(in_token: Desk, hsm: SoftHsm) -> None:
    """The fix is another token, or the backup."""
    hsm.tool("--delete-object", "--type", "pubkey", "--label", "hard")
    result = look(in_token, "key")
    assert result["state"] == "fail"
    assert result["message"].endswith(": the key is not in the token")
    assert result["mend"] == (
        "plug in the right token; its name is in the settings: polygent-issue config show; "
        "or, if the key has a backup: polygent-issue key import BACKUP --store URI"
    )


def test_without_the_library_its_installation_is_the_fix(
    in_token: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token cannot be checked then."""
    for module in ("module", "objects", "session"):
        monkeypatch.delitem(sys.modules, f"polygent_issuer.keys.pkcs11_{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    result = look(in_token, "key")
    assert "python-pkcs11, which is not installed" in result["message"]
    assert result["mend"] == "install it: pip install 'polygent-issuer[pkcs11]'"


def test_a_missing_token_of_an_inactive_key_is_a_warning() -> None:
    """An inactive key stops no command yet; an invalid store URI is reported."""
    signer = SoftwareSigner(generate_private_key())
    record = _record(signer.kid, public_pem=signer.public_key.to_pem(), active=False)
    settings = Settings(stores={signer.kid: "pkcs11:token=none"})
    (verdict,) = key_checks.private_keys((record,), settings)
    assert verdict.state is State.WARN
    assert verdict.message.startswith("main: ")
    assert "?module-path=" in (verdict.fix or "")


def test_the_example_key_is_exit_6(books: Books) -> None:
    """The example key, which was written into the registry by force, is a failure."""
    key = the_key(books)
    (verdict,) = key_checks.private_keys((key._replace(kid=EXAMPLE_KID),), Settings())
    assert verdict.state is State.FAIL
    assert verdict.exit_code == 6
    assert "the example key" in verdict.message


@pytest.mark.sqlite("edits rows of the file")
def test_a_public_key_with_another_kid_is_exit_7(books: Books) -> None:
    """A damaged registry is detected before a key store is opened."""
    with closing(sqlite3.connect(books.path)) as raw:
        pem = SoftwareSigner(generate_private_key()).public_key.to_pem()
        raw.execute("UPDATE keys SET public_pem = ?", (pem,))
        raw.commit()
    outcome = books.desk.run("doctor", "--quick", "--json")
    assert outcome.code == 7
    assert "does not belong to" in row(outcome, "key")["message"]
    assert row(outcome, "key")["mend"].endswith(" journal verify")


def test_keys_without_an_active_one_are_a_warning(books: Books) -> None:
    """The fix activates a key."""
    with books.writing() as db:
        db.update("keys", books.signer.kid, active=0)
        db.record("test")
    result = look(books.desk, "active-key")
    assert result["state"] == "warn"
    words = shlex.split(result["mend"])
    books.desk.ok(*words[1:], "--accept", "key-rollout", "--reason", "x")
    assert state(books.desk, "active-key") == "ok"


def test_retired_keys_are_not_checked(books: Books) -> None:
    """A retired key needs neither its private key nor a backup."""
    with books.writing() as db:
        db.update("keys", books.signer.kid, active=0, retired_at=db.at)
        db.record("key-retired", kid=books.signer.kid)
    outcome = books.desk.run("doctor", "--json")
    assert row(outcome, "active-key")["message"] == "no signing key exists"
    assert row(outcome, "key")["message"] == "no private keys to check"
    assert row(outcome, "key-backup")["message"] == "no keys to back up"


def test_current_licenses_under_a_compromised_key_are_exit_6(books: Books) -> None:
    """The row fails until no current license is signed with the key."""
    other = SoftwareSigner(generate_private_key())
    books.key("other", other)
    acme = books.customer()
    first = books.license(acme)
    with books.writing() as db:
        db.update("keys", books.signer.kid, active=0, retired_at=db.at, compromised=1)
        db.record("key-compromised", kid=books.signer.kid)
    result = look(books.desk, "compromised-key")
    assert result["state"] == "fail"
    assert "signed with it (current: 1)" in result["message"]
    assert result["mend"].endswith("license list --key=main --status current")
    assert books.desk.run("doctor", "--json").code == 6
    books.desk.now += timedelta(minutes=1)
    books.license(acme, replaces=first, signer=other)
    result = look(books.desk, "compromised-key")
    assert result["state"] == "ok"
    assert result["message"] == ("main is compromised, but no current license is signed with it")


def test_an_agent_that_hangs_is_asked_once(tmp_path: Path) -> None:
    """Each of its keys is reported, but the check waits for one deadline only; others are asked."""
    known = [
        key(signer.kid)._replace(public_pem=signer.public_key.to_pem())
        for signer in (SoftwareSigner(generate_private_key()) for _ in range(3))
    ]
    with ExitStack() as closing:
        sockets = []
        for name in ("a", "b"):
            silent = closing.enter_context(socket(AF_UNIX))
            silent.bind(str(tmp_path / name))
            silent.listen()
            silent.settimeout(0)
            sockets.append(silent)
        names = "a", "a", "b"
        stores = {
            each.kid: f"agent:key{number}?socket={tmp_path / name}"
            for number, (each, name) in enumerate(zip(known, names, strict=True))
        }
        settings = Settings(stores=stores, keyring_timeout=timedelta(milliseconds=50))
        verdicts = key_checks.private_keys(known, settings)
        for silent in sockets:
            silent.accept()[0].close()
            with pytest.raises(BlockingIOError):
                silent.accept()
    assert [each.message for each in verdicts] == [
        "main: the SSH agent did not answer within 0.05 s"
    ] * 3
