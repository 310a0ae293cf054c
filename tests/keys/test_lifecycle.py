"""Generate, import and back up keys."""

import base64
import dataclasses
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.passphrases import Given, new
from support.registries import ACTOR, NOW
from support.secret_service import SecretService

from polygent_issuer.errors import (
    InputRefused,
    InvalidSettings,
    IssuerError,
    KeyUnavailable,
    OutputExists,
    OutputProblem,
)
from polygent_issuer.files import publication
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import openssh, passphrases, signer
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.lifecycle import KeyLifecycle, check_importable
from polygent_issuer.keys.openssh import ImportedKey, read_private_key
from polygent_issuer.keys.signer import generate_private_key, public_key_of
from polygent_issuer.keys.stores import signer_for
from polygent_issuer.registry import KeyRecord, journal, keys
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.verifier.keys import Key


def pinned(key_lifecycle: KeyLifecycle) -> tuple[KeyRecord, ...]:
    """Return every key of the registry."""
    with key_lifecycle.registry.reading() as db:
        return keys.every(db)


def journalled(key_lifecycle: KeyLifecycle) -> list[JournalRow]:
    """Return the journal events after the registry was created."""
    with key_lifecycle.registry.reading() as db:
        return [row for row in journal.rows(db) if row.event != "registry-created"]


def places(key_lifecycle: KeyLifecycle) -> dict[str, str]:
    """Return the stores in the settings file."""
    return dict(settings.load(key_lifecycle.home, {}).settings.stores)


def pem(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS#8."""
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def imported_key(key_lifecycle: KeyLifecycle, data: bytes) -> ImportedKey:
    """Return a private key as `import_key` expects it."""
    return read_private_key(data, key_lifecycle.passphrase)


def nothing_recorded(key_lifecycle: KeyLifecycle) -> bool:
    """Return whether registry, journal and settings have no key."""
    return not (pinned(key_lifecycle) or journalled(key_lifecycle) or places(key_lifecycle))


@pytest.mark.usefixtures("service")
def test_a_key_is_generated_in_the_keyring(key_lifecycle: KeyLifecycle, passphrase: Given) -> None:
    """The key is saved, named in the settings, pinned, active and journalled, without a prompt."""
    stored = key_lifecycle.generate(label="Main", store_uri=None, backup=None)
    assert stored.uri == "keyring:"
    assert stored.backup is None
    assert stored.is_new
    assert pinned(key_lifecycle) == (stored.key,)
    assert (stored.key.label, stored.key.active, stored.key.backed_up_at) == ("Main", True, None)
    assert stored.key.created_at == NOW
    assert places(key_lifecycle) == {stored.key.kid: "keyring:"}
    (row,) = journalled(key_lifecycle)
    assert (row.event, row.kid, row.operator) == ("key-generated", stored.key.kid, ACTOR.operator)
    assert passphrase.asked == []
    signer = signer_for(
        key_lifecycle.settings, stored.key, passphrase=passphrases.NoPassphrase(), warn=pytest.fail
    )
    assert stored.key.public_key.verifies(signer.sign(b"data"), b"data")


def test_a_key_is_generated_in_a_file_with_a_backup(
    key_lifecycle: KeyLifecycle, passphrase: Given, tmp_path: Path
) -> None:
    """Key and backup are two encrypted files with mode 0600; the registry records the backup."""
    folder = tmp_path / "with space"
    folder.mkdir()
    stored = key_lifecycle.generate(
        label="Main", store_uri=f"file:{folder}/main.key", backup=tmp_path / "backup.key"
    )
    assert stored.uri == f"file:{folder}/main.key"
    assert stored.backup == tmp_path / "backup.key"
    assert stored.key.backed_up_at == NOW
    assert places(key_lifecycle) == {stored.key.kid: stored.uri}
    for path in (folder / "main.key", stored.backup):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read_private_key(path.read_bytes(), passphrase).private_key.curve.name == "secp256r1"
        assert openssh.parse_openssh(path.read_bytes()).public_key == stored.key.public_key
    assert passphrase.asked[:2] == [
        ("the new backup backup.key", True),
        ("the new key file main.key", True),
    ]
    (row,) = journalled(key_lifecycle)
    assert {"store": "file", "backup": True} in row.body.values()


def test_the_settings_choose_the_store(key_lifecycle: KeyLifecycle, tmp_path: Path) -> None:
    """Without `--store` the store of the settings is used; in a folder the file gets a name."""
    chosen = dataclasses.replace(key_lifecycle, settings=Settings(store=f"file:{tmp_path}/keys/"))
    stored = chosen.generate(label="Main", store_uri=None, backup=None)
    assert stored.uri == f"file:{tmp_path}/keys/main-{stored.key.kid[:8]}.key"
    assert places(key_lifecycle) == {stored.key.kid: stored.uri}


def test_only_the_first_key_becomes_active(key_lifecycle: KeyLifecycle, tmp_path: Path) -> None:
    """Later keys are not activated."""
    first, second = (
        key_lifecycle.generate(label=label, store_uri=f"file:{tmp_path}/{label}.key", backup=None)
        for label in ("one", "two")
    )
    assert (first.key.active, second.key.active) == (True, False)


@pytest.mark.parametrize("label", ["", " Main", "Ma\x1bin", "x" * 201, "Main"])
def test_a_label_is_refused_before_a_key_is_made(
    label: str, key_lifecycle: KeyLifecycle, tmp_path: Path
) -> None:
    """An invalid or used label is refused, and nothing is written."""
    key_lifecycle.generate(label="Main", store_uri=f"file:{tmp_path}/main.key", backup=None)
    with pytest.raises(InputRefused):
        key_lifecycle.generate(label=label, store_uri=f"file:{tmp_path}/new.key", backup=None)
    assert not (tmp_path / "new.key").exists()
    assert len(pinned(key_lifecycle)) == 1


def test_a_backup_that_exists_is_refused_before_a_key_is_made(
    key_lifecycle: KeyLifecycle, passphrase: Given, tmp_path: Path
) -> None:
    """An existing file or link as backup path is refused before any prompt."""
    (tmp_path / "taken.key").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExists):
        key_lifecycle.generate(
            label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "taken.key"
        )
    assert not (tmp_path / "main.key").exists()
    assert passphrase.asked == []
    assert nothing_recorded(key_lifecycle)


@pytest.mark.usefixtures("service")
def test_a_missing_passphrase_leaves_no_key_behind(
    key_lifecycle: KeyLifecycle, tmp_path: Path
) -> None:
    """The passphrase of the backup is read before the keyring gets a key."""
    saved: list[object] = []
    unattended = dataclasses.replace(key_lifecycle, passphrase=new(passphrases.NoPassphrase()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeyringStore, "save", lambda *_, **__: saved.append(1))
        with pytest.raises(KeyUnavailable) as raised:
            unattended.generate(label="Main", store_uri=None, backup=tmp_path / "backup.key")
    assert raised.value.code == "passphrase_needed"
    assert saved == []
    assert nothing_recorded(key_lifecycle)


@pytest.mark.parametrize("step", ["key file", "backup", "settings", "registry"])
def test_a_failure_at_any_step_pins_nothing(
    step: str, key_lifecycle: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any failure, no key is pinned without a stored private key."""
    written: list[Path] = []
    write_private = publication.write_private

    def fail(*_: object, **__: object) -> None:
        raise IssuerError("failed here")

    def write(data: bytes, path: Path) -> Path:
        if path.name == ("main.key" if step == "key file" else "backup.key"):
            fail()
        written.append(path)
        return write_private(data, path)

    if step == "settings":
        monkeypatch.setattr(settings_editing, "set_value", fail)
    elif step == "registry":
        monkeypatch.setattr(keys, "add", fail)
    else:
        monkeypatch.setattr(publication, "write_private", write)
    with pytest.raises(IssuerError, match="failed here"):
        key_lifecycle.generate(
            label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "backup.key"
        )
    assert pinned(key_lifecycle) == ()
    assert journalled(key_lifecycle) == []
    assert places(key_lifecycle) == {}
    assert settings.load(key_lifecycle.home, {}).settings.backups == {}
    assert not [path for path in written if path.exists()]
    assert written == ([tmp_path / "main.key"] if step == "backup" else [])


@pytest.mark.usefixtures("service")
def test_a_failed_backup_leaves_a_recorded_key(key_lifecycle: KeyLifecycle) -> None:
    """A key in the keyring is not removed, so it is pinned; the error names the missing backup."""
    with pytest.raises(
        OutputProblem,
        check=lambda error: error.code == "backup_failed",
        match="the key -x was stored, but its backup failed",
    ) as no:
        key_lifecycle.generate(label="-x", store_uri=None, backup=Path("/proc/backup.key"))
    (key,) = pinned(key_lifecycle)
    assert (no.value.code, no.value.exit_code) == ("backup_failed", 8)
    assert no.value.hint == "back it up now: polygent-issue key backup -- -x FILE"
    assert (key.backed_up_at, places(key_lifecycle)[key.kid]) == (None, "keyring:")


def test_a_key_is_imported(key_lifecycle: KeyLifecycle, passphrase: Given, tmp_path: Path) -> None:
    """The public key is pinned, and the private key is stored in our format."""
    private_key = generate_private_key()
    key = Key.from_public_key(private_key.public_key())
    stored = key_lifecycle.import_key(
        imported_key(key_lifecycle, pem(private_key)),
        label="Old",
        store_uri=f"file:{tmp_path}/old.key",
        backup=None,
    )
    assert stored.is_new
    assert stored.key.public_key == key
    assert places(key_lifecycle) == {key.kid: stored.uri}
    assert [row.event for row in journalled(key_lifecycle)] == ["key-imported"]
    sealed = (tmp_path / "old.key").read_bytes()
    assert (
        read_private_key(sealed, passphrase).private_key.private_numbers()
        == private_key.private_numbers()
    )


def test_an_import_without_a_label_gets_a_free_one(
    key_lifecycle: KeyLifecycle, tmp_path: Path
) -> None:
    """An imported key without a label gets a free one."""
    for number, label in enumerate(("main", "main-2")):
        stored = key_lifecycle.import_key(
            imported_key(key_lifecycle, pem(generate_private_key())),
            label=None,
            store_uri=f"file:{tmp_path}/{number}.key",
            backup=None,
        )
        assert stored.key.label == label


def test_a_backup_is_imported_again(key_lifecycle: KeyLifecycle, tmp_path: Path) -> None:
    """A restored backup keeps label and pin; its store is recorded."""
    made = key_lifecycle.generate(
        label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "backup.key"
    )
    (tmp_path / "main.key").unlink()
    again = key_lifecycle.import_key(
        imported_key(key_lifecycle, (tmp_path / "backup.key").read_bytes()),
        label=None,
        store_uri=f"file:{tmp_path}/again.key",
        backup=None,
    )
    assert not again.is_new
    assert again.key == made.key
    assert places(key_lifecycle) == {made.key.kid: f"file:{tmp_path}/again.key"}
    assert [row.event for row in journalled(key_lifecycle)] == ["key-generated", "key-imported"]


def test_the_example_key_is_not_imported(
    key_lifecycle: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example key, simulated by another key here, is refused."""
    private_key = generate_private_key()
    kid = Key.from_public_key(private_key.public_key()).kid
    monkeypatch.setattr(signer, "EXAMPLE_KID", kid)
    with pytest.raises(KeyUnavailable) as raised:
        key_lifecycle.import_key(
            imported_key(key_lifecycle, pem(private_key)),
            label="Old",
            store_uri=f"file:{tmp_path}/a.key",
            backup=None,
        )
    assert raised.value.code == "example_key"
    assert not (tmp_path / "a.key").exists()
    assert nothing_recorded(key_lifecycle)


def test_a_compromised_key_is_not_imported_again(
    key_lifecycle: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that may not sign cannot be imported again."""
    made = key_lifecycle.generate(
        label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "backup.key"
    )
    marked = made.key._replace(compromised=True)
    monkeypatch.setattr(keys, "every", lambda _db: (marked,))
    with pytest.raises(KeyUnavailable) as raised:
        key_lifecycle.import_key(
            imported_key(key_lifecycle, (tmp_path / "backup.key").read_bytes()),
            label=None,
            store_uri=f"file:{tmp_path}/again.key",
            backup=None,
        )
    assert raised.value.code == "key_compromised"
    assert not (tmp_path / "again.key").exists()


@pytest.mark.usefixtures("service")
def test_a_key_of_the_keyring_is_backed_up(key_lifecycle: KeyLifecycle, tmp_path: Path) -> None:
    """The backup is encrypted, can be imported, and is recorded with its time."""
    stored = key_lifecycle.generate(label="Main", store_uri=None, backup=None)
    written = key_lifecycle.back_up(stored.key, tmp_path)
    assert written == tmp_path / f"main-{stored.key.kid[:8]}.key"
    copy = read_private_key(written.read_bytes(), key_lifecycle.passphrase).private_key
    assert public_key_of(copy) == stored.key.public_key
    (record,) = pinned(key_lifecycle)
    assert record.backed_up_at == NOW
    assert [row.event for row in journalled(key_lifecycle)] == ["key-generated", "key-backed-up"]


@pytest.mark.usefixtures("service")
def test_a_failed_backup_is_not_recorded(key_lifecycle: KeyLifecycle, tmp_path: Path) -> None:
    """`doctor` keeps reporting the missing backup."""
    stored = key_lifecycle.generate(label="Main", store_uri=None, backup=None)
    with pytest.raises(IssuerError):
        key_lifecycle.back_up(stored.key, tmp_path / "none" / "backup.key")
    (record,) = pinned(key_lifecycle)
    assert record.backed_up_at is None
    assert [row.event for row in journalled(key_lifecycle)] == ["key-generated"]


def test_nothing_secret_is_left_anywhere(
    service: SecretService,
    key_lifecycle: KeyLifecycle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither home, folders nor keyring contain the unencrypted key or the passphrase."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    private_key = generate_private_key()
    raw = private_key.private_numbers().private_value.to_bytes(32, "big")
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    stored = key_lifecycle.import_key(
        imported_key(key_lifecycle, pem(private_key)),
        label="Main",
        store_uri="keyring:",
        backup=tmp_path / "backup.key",
    )
    key_lifecycle.back_up(stored.key, tmp_path / "second.key")
    secrets = [raw, raw.hex().encode(), base64.b64encode(raw), der, base64.b64encode(der)]
    secrets.append(key_lifecycle.passphrase.get("the search"))
    folders = (tmp_path, Path(service.environ["HOME"]), Path(service.environ["XDG_RUNTIME_DIR"]))
    searched = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                searched += 1
                assert not any(secret in path.read_bytes() for secret in secrets), path
    assert searched >= 5
    assert list(temporary.iterdir()) == []
    assert not any(secret in f"{stored!r}{key_lifecycle!r}".encode() for secret in secrets)


class Meanwhile(Given):
    """A passphrase source that runs an action while the passphrase is typed."""

    def __init__(self, secret: bytes, happens: Callable[[], object]) -> None:
        super().__init__(secret)
        self._happens = happens

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        if purpose.startswith("the new key file"):
            self._happens()
        return super().get(purpose, confirm=confirm)


def fails_after(
    key_lifecycle: KeyLifecycle, folder: Path, happens: Callable[[], object]
) -> IssuerError:
    """Return the error of generating a key with a backup after an action at the prompt."""
    careful = dataclasses.replace(
        key_lifecycle, passphrase=new(Meanwhile(b"a long passphrase", happens))
    )
    store, backup = f"file:{folder}/main.key", folder / "backup" / "main.key"
    backup.parent.mkdir()
    with pytest.raises(IssuerError) as caught:
        careful.generate(label="Main", store_uri=store, backup=backup)
    return caught.value


@pytest.mark.parametrize("lost", ["backup", "settings", "label"])
def test_a_failure_half_way_is_rolled_back(
    key_lifecycle: KeyLifecycle, tmp_path: Path, lost: str
) -> None:
    """A removed disk, broken settings or a used label leave everything as before.

    The same command can then be repeated.
    """
    path = settings.settings_path(key_lifecycle.home)
    store = f"file:{tmp_path}/other.key"
    happens: dict[str, Callable[[], object]] = {
        "backup": (tmp_path / "backup").rmdir,
        "settings": lambda: path.write_text("["),
        "label": lambda: key_lifecycle.generate(label="Main", store_uri=store, backup=None),
    }
    fails_after(key_lifecycle, tmp_path, happens[lost])
    assert not (tmp_path / "main.key").exists()
    assert not list(tmp_path.glob("backup/*"))
    assert len(pinned(key_lifecycle)) == len(places_or_none(path)) == (1 if lost == "label" else 0)


def places_or_none(path: Path) -> dict[str, str]:
    """Return the stores of a settings file that may be broken."""
    if path.exists() and path.read_text() == "[":
        return {}
    return dict(settings.load(path.parent, {}).settings.stores)


def test_a_roll_back_restores_the_earlier_store(
    key_lifecycle: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the registry is lost, a failed import keeps the store in the settings."""
    coming = imported_key(key_lifecycle, pem(generate_private_key()))
    settings_editing.set_value(key_lifecycle.home, f"stores.{coming.kid}", "keyring:")
    again = dataclasses.replace(
        key_lifecycle, settings=settings.load(key_lifecycle.home, {}).settings
    )

    def fail(*_: object, **__: object) -> None:
        raise IssuerError("failed here")

    monkeypatch.setattr(keys, "add", fail)
    with pytest.raises(IssuerError, match="failed here"):
        again.import_key(coming, label="Main", store_uri=f"file:{tmp_path}/main.key", backup=None)
    assert not (tmp_path / "main.key").exists()
    assert places(key_lifecycle) == {coming.kid: "keyring:"}


def test_a_key_that_may_be_recorded_is_not_removed(
    key_lifecycle: KeyLifecycle, tmp_path: Path
) -> None:
    """If the registry cannot be read, the key file is not removed."""
    fails_after(key_lifecycle, tmp_path, key_lifecycle.registry.close)
    assert openssh.OPENSSH in (tmp_path / "main.key").read_bytes()
    assert openssh.OPENSSH in (tmp_path / "backup" / "main.key").read_bytes()


def test_a_copy_of_a_pinned_key_stays(key_lifecycle: KeyLifecycle, tmp_path: Path) -> None:
    """A second operator's copy is not removed, even if the settings could not be written."""
    data = pem(generate_private_key())
    first = imported_key(key_lifecycle, data)
    key_lifecycle.import_key(first, label="Main", store_uri=f"file:{tmp_path}/1.key", backup=None)
    settings.settings_path(key_lifecycle.home).write_text("[")
    with pytest.raises(InvalidSettings):
        key_lifecycle.import_key(first, label=None, store_uri=f"file:{tmp_path}/2.key", backup=None)
    assert (tmp_path / "1.key").exists()
    assert (tmp_path / "2.key").exists()


SECRET = b"correct horse battery staple"


@pytest.mark.parametrize(
    "form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
@pytest.mark.parametrize("sealed", [True, False])
def test_the_format_and_encryption_of_a_file_are_recognised(
    form: PrivateFormat, *, sealed: bool
) -> None:
    """Only an encrypted file in the OpenSSH format counts as a backup."""
    private_key = generate_private_key()
    encryption = BestAvailableEncryption(SECRET) if sealed else NoEncryption()
    given = Given(SECRET)
    imported_key = read_private_key(
        private_key.private_bytes(Encoding.PEM, form, encryption), given
    )
    assert imported_key.kid == Key.from_public_key(private_key.public_key()).kid
    assert imported_key.private_key.private_numbers() == private_key.private_numbers()
    assert imported_key.plaintext is not sealed
    assert imported_key.is_backup is (sealed and form is PrivateFormat.OpenSSH)
    assert given.asked == ([("the key file", False)] if sealed else [])


def test_nothing_of_the_key_is_shown() -> None:
    """`repr` shows only the kid."""
    private_key = generate_private_key()
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    imported_key = read_private_key(pem, Given(SECRET))
    assert "private_key" not in repr(imported_key)
    assert imported_key.kid in repr(imported_key)


def test_the_label_of_an_imported_key() -> None:
    """A pinned key keeps its label; a new one gets the given, the suggested or a free one."""
    key = Key.from_public_key(generate_private_key().public_key())
    pinned = KeyRecord(
        kid=key.kid,
        label="Hers",
        public_pem=key.to_pem(),
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
        active=True,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )
    known = (pinned,)
    assert check_importable(key.kid, None, known, suggested_label="other") == "Hers"
    assert check_importable(key.kid, "Hers", known) == "Hers"
    with pytest.raises(InputRefused, match="already in the registry as Hers"):
        check_importable(key.kid, "other", known)
    assert check_importable("new", "said", known, suggested_label="other") == "said"
    assert check_importable("new", None, known, suggested_label="other") == "other"
    assert check_importable("new", None, known, suggested_label="Hers") == "main"
    with pytest.raises(InputRefused, match="is already used by another key"):
        check_importable("new", "Hers", known)
