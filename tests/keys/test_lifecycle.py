"""Generating, importing and backing up keys."""

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
from support.passphrases import Given
from support.registries import ACTOR, NOW
from support.secret_service import SecretService

from polygent_issuer import files
from polygent_issuer.errors import (
    InputRefused,
    InvalidSettings,
    IssuerError,
    KeyUnavailable,
    OutputExists,
    OutputProblem,
)
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import file_store, passphrases, signing
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.lifecycle import (
    ImportedKey,
    KeyLifecycle,
    check_importable,
    read_private_key,
)
from polygent_issuer.keys.signer import generate_private_key, public_key_of
from polygent_issuer.keys.signing import signer_for
from polygent_issuer.registry import JournalRow, KeyRecord, journal, keys
from polygent_issuer.verifier.keys import Key


def pinned(custodian: KeyLifecycle) -> tuple[KeyRecord, ...]:
    """Every key of the registry."""
    with custodian.registry.reading() as db:
        return keys.every(db)


def journalled(custodian: KeyLifecycle) -> list[JournalRow]:
    """What was journalled after the registry was made."""
    with custodian.registry.reading() as db:
        return [row for row in journal.rows(db) if row.event != "registry-created"]


def places(custodian: KeyLifecycle) -> dict[str, str]:
    """Each key's place as the settings have it on disk."""
    return dict(settings.load(custodian.home, {}).settings.stores)


def pem(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8, not encrypted."""
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def incoming(custodian: KeyLifecycle, data: bytes) -> ImportedKey:
    """The key of a file, as `import_key` takes it."""
    return read_private_key(data, custodian.passphrase)


def nothing_recorded(custodian: KeyLifecycle) -> bool:
    """Neither registry, journal nor settings know a key."""
    return not (pinned(custodian) or journalled(custodian) or places(custodian))


@pytest.mark.usefixtures("service")
def test_generates_into_the_keyring(custodian: KeyLifecycle, passphrase: Given) -> None:
    """Saved, named in the settings, pinned, active, journalled; no passphrase is asked."""
    kept = custodian.generate(label="Main", store_uri=None, backup=None)
    assert kept.uri == "keyring:"
    assert kept.backup is None
    assert kept.is_new
    assert pinned(custodian) == (kept.key,)
    assert (kept.key.label, kept.key.active, kept.key.backed_up_at) == ("Main", True, None)
    assert kept.key.created_at == NOW
    assert places(custodian) == {kept.key.kid: "keyring:"}
    (row,) = journalled(custodian)
    assert (row.event, row.kid, row.operator) == ("key-generated", kept.key.kid, ACTOR.operator)
    assert passphrase.asked == []
    signer = signer_for(
        custodian.settings, kept.key, passphrase=passphrases.NoPassphrase(), warn=pytest.fail
    )
    assert kept.key.public_key.verifies(signer.sign(b"data"), b"data")


def test_generates_into_a_file_with_a_backup(
    custodian: KeyLifecycle, passphrase: Given, tmp_path: Path
) -> None:
    """Both are sealed files of their own, 0600; the registry notes the backup."""
    folder = tmp_path / "with space"
    folder.mkdir()
    kept = custodian.generate(
        label="Main", store_uri=f"file:{folder}/main.key", backup=tmp_path / "backup.key"
    )
    assert kept.uri == f"file:{folder}/main.key"
    assert kept.backup == tmp_path / "backup.key"
    assert kept.key.backed_up_at == NOW
    assert places(custodian) == {kept.key.kid: kept.uri}
    for path in (folder / "main.key", kept.backup):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read_private_key(path.read_bytes(), passphrase).private_key.curve.name == "secp256r1"
        assert file_store.parse_openssh(path.read_bytes()).public_key == kept.key.public_key
    assert passphrase.asked[:2] == [
        ("the new backup backup.key", True),
        ("the new key file main.key", True),
    ]
    (row,) = journalled(custodian)
    assert {"store": "file", "backup": True} in row.body.values()


def test_the_settings_choose_the_place(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """Without `--store` the key goes where the settings say; a folder names the file."""
    chosen = dataclasses.replace(custodian, settings=Settings(store=f"file:{tmp_path}/keys/"))
    kept = chosen.generate(label="Main", store_uri=None, backup=None)
    assert kept.uri == f"file:{tmp_path}/keys/main-{kept.key.kid[:8]}.key"
    assert places(custodian) == {kept.key.kid: kept.uri}


def test_only_the_first_key_becomes_active(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """Later keys wait."""
    first, second = (
        custodian.generate(label=label, store_uri=f"file:{tmp_path}/{label}.key", backup=None)
        for label in ("one", "two")
    )
    assert (first.key.active, second.key.active) == (True, False)


@pytest.mark.parametrize("label", ["", " Main", "Ma\x1bin", "x" * 201, "Main"])
def test_a_label_is_refused_before_a_key_is_made(
    label: str, custodian: KeyLifecycle, tmp_path: Path
) -> None:
    """No display name, or another key's: nothing is written anywhere."""
    custodian.generate(label="Main", store_uri=f"file:{tmp_path}/main.key", backup=None)
    with pytest.raises(InputRefused):
        custodian.generate(label=label, store_uri=f"file:{tmp_path}/new.key", backup=None)
    assert not (tmp_path / "new.key").exists()
    assert len(pinned(custodian)) == 1


def test_a_backup_that_exists_is_refused_before_a_key_is_made(
    custodian: KeyLifecycle, passphrase: Given, tmp_path: Path
) -> None:
    """A taken name, a dangling link too, stops everything before any question."""
    (tmp_path / "taken.key").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExists):
        custodian.generate(
            label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "taken.key"
        )
    assert not (tmp_path / "main.key").exists()
    assert passphrase.asked == []
    assert nothing_recorded(custodian)


@pytest.mark.usefixtures("service")
def test_a_missing_passphrase_leaves_no_key_behind(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """The backup's passphrase is asked for before the keyring gets a key."""
    saved: list[object] = []
    nobody = dataclasses.replace(custodian, passphrase=passphrases.NoPassphrase())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeyringStore, "save", lambda *_, **__: saved.append(1))
        with pytest.raises(KeyUnavailable) as raised:
            nobody.generate(label="Main", store_uri=None, backup=tmp_path / "backup.key")
    assert raised.value.code == "passphrase_needed"
    assert saved == []
    assert nothing_recorded(custodian)


@pytest.mark.parametrize("step", ["key file", "backup", "settings", "registry"])
def test_a_failure_at_any_step_pins_nothing(
    step: str, custodian: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, no key is pinned whose private half is not kept and named."""
    written: list[Path] = []
    write_private = files.write_private

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
        monkeypatch.setattr(files, "write_private", write)
    with pytest.raises(IssuerError, match="failed here"):
        custodian.generate(
            label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "backup.key"
        )
    assert pinned(custodian) == ()
    assert journalled(custodian) == []
    assert places(custodian) == {}
    assert not [path for path in written if path.exists()]
    assert written == ([tmp_path / "main.key"] if step == "backup" else [])


@pytest.mark.usefixtures("service")
def test_a_backup_that_fails_leaves_a_key_with_a_name(custodian: KeyLifecycle) -> None:
    """Nothing takes a key out of the keyring again, so it is pinned; the error says what lacks."""
    with pytest.raises(
        OutputProblem,
        check=lambda error: error.code == "backup_failed",
        match="the key -x was stored, but its backup failed",
    ) as no:
        custodian.generate(label="-x", store_uri=None, backup=Path("/proc/backup.key"))
    (key,) = pinned(custodian)
    assert (no.value.code, no.value.exit_code) == ("backup_failed", 8)
    assert no.value.hint == "back it up now: polygent-issue key backup -- -x FILE"
    assert (key.backed_up_at, places(custodian)[key.kid]) == (None, "keyring:")


def test_imports_a_key(custodian: KeyLifecycle, passphrase: Given, tmp_path: Path) -> None:
    """The public half of the file is pinned, its private half kept in our own form."""
    private_key = generate_private_key()
    key = Key.from_public_key(private_key.public_key())
    kept = custodian.import_key(
        incoming(custodian, pem(private_key)),
        label="Old",
        store_uri=f"file:{tmp_path}/old.key",
        backup=None,
    )
    assert kept.is_new
    assert kept.key.public_key == key
    assert places(custodian) == {key.kid: kept.uri}
    assert [row.event for row in journalled(custodian)] == ["key-imported"]
    sealed = (tmp_path / "old.key").read_bytes()
    assert (
        read_private_key(sealed, passphrase).private_key.private_numbers()
        == private_key.private_numbers()
    )


def test_an_import_without_a_label_gets_a_free_one(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """As a key that is made does."""
    for number, label in enumerate(("main", "main-2")):
        kept = custodian.import_key(
            incoming(custodian, pem(generate_private_key())),
            label=None,
            store_uri=f"file:{tmp_path}/{number}.key",
            backup=None,
        )
        assert kept.key.label == label


def test_a_backup_is_imported_again(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """A restored backup, or a second operator's copy, keeps label and pin; its place is noted."""
    made = custodian.generate(
        label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "backup.key"
    )
    (tmp_path / "main.key").unlink()
    again = custodian.import_key(
        incoming(custodian, (tmp_path / "backup.key").read_bytes()),
        label=None,
        store_uri=f"file:{tmp_path}/again.key",
        backup=None,
    )
    assert not again.is_new
    assert again.key == made.key
    assert places(custodian) == {made.key.kid: f"file:{tmp_path}/again.key"}
    assert [row.event for row in journalled(custodian)] == ["key-generated", "key-imported"]


def test_the_example_key_is_not_imported(
    custodian: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can sign with it; a key of our own plays its part here."""
    private_key = generate_private_key()
    kid = Key.from_public_key(private_key.public_key()).kid
    monkeypatch.setattr(signing, "EXAMPLE_KID", kid)
    with pytest.raises(KeyUnavailable) as raised:
        custodian.import_key(
            incoming(custodian, pem(private_key)),
            label="Old",
            store_uri=f"file:{tmp_path}/a.key",
            backup=None,
        )
    assert raised.value.code == "example_key"
    assert not (tmp_path / "a.key").exists()
    assert nothing_recorded(custodian)


def test_a_compromised_key_is_not_imported_again(
    custodian: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may not sign is not taken over once more."""
    made = custodian.generate(
        label="Main", store_uri=f"file:{tmp_path}/main.key", backup=tmp_path / "backup.key"
    )
    marked = dataclasses.replace(made.key, compromised=True)
    monkeypatch.setattr(keys, "every", lambda _db: (marked,))
    with pytest.raises(KeyUnavailable) as raised:
        custodian.import_key(
            incoming(custodian, (tmp_path / "backup.key").read_bytes()),
            label=None,
            store_uri=f"file:{tmp_path}/again.key",
            backup=None,
        )
    assert raised.value.code == "key_compromised"
    assert not (tmp_path / "again.key").exists()


@pytest.mark.usefixtures("service")
def test_backs_up_a_key_of_the_keyring(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """A sealed copy that imports, noted with its instant."""
    kept = custodian.generate(label="Main", store_uri=None, backup=None)
    written = custodian.back_up(kept.key, tmp_path)
    assert written == tmp_path / f"main-{kept.key.kid[:8]}.key"
    copy = read_private_key(written.read_bytes(), custodian.passphrase).private_key
    assert public_key_of(copy) == kept.key.public_key
    (record,) = pinned(custodian)
    assert record.backed_up_at == NOW
    assert [row.event for row in journalled(custodian)] == ["key-generated", "key-backed-up"]


@pytest.mark.usefixtures("service")
def test_a_backup_that_cannot_be_written_is_not_noted(
    custodian: KeyLifecycle, tmp_path: Path
) -> None:
    """`doctor` goes on nagging."""
    kept = custodian.generate(label="Main", store_uri=None, backup=None)
    with pytest.raises(IssuerError):
        custodian.back_up(kept.key, tmp_path / "none" / "backup.key")
    (record,) = pinned(custodian)
    assert record.backed_up_at is None
    assert [row.event for row in journalled(custodian)] == ["key-generated"]


def test_nothing_secret_is_left_anywhere(
    service: SecretService, custodian: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the home, the folders or the keyring holds the key or the passphrase."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    private_key = generate_private_key()
    raw = private_key.private_numbers().private_value.to_bytes(32, "big")
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    kept = custodian.import_key(
        incoming(custodian, pem(private_key)),
        label="Main",
        store_uri="keyring:",
        backup=tmp_path / "backup.key",
    )
    custodian.back_up(kept.key, tmp_path / "second.key")
    secrets = [raw, raw.hex().encode(), base64.b64encode(raw), der, base64.b64encode(der)]
    secrets.append(custodian.passphrase.get("the search"))
    folders = (tmp_path, Path(service.environ["HOME"]), Path(service.environ["XDG_RUNTIME_DIR"]))
    searched = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                searched += 1
                assert not any(secret in path.read_bytes() for secret in secrets), path
    assert searched >= 5
    assert list(temporary.iterdir()) == []
    assert not any(secret in f"{kept!r}{custodian!r}".encode() for secret in secrets)


class Meanwhile(Given):
    """Somebody to whom something happens while she types the passphrase of the key file."""

    def __init__(self, secret: bytes, happens: Callable[[], object]) -> None:
        super().__init__(secret)
        self._happens = happens

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        if purpose.startswith("the new key file"):
            self._happens()
        return super().get(purpose, confirm=confirm)


def fails_after(
    custodian: KeyLifecycle, folder: Path, happens: Callable[[], object]
) -> IssuerError:
    """How a key with a backup is refused to which that happens meanwhile."""
    careful = dataclasses.replace(custodian, passphrase=Meanwhile(b"a long passphrase", happens))
    store, backup = f"file:{folder}/main.key", folder / "backup" / "main.key"
    backup.parent.mkdir()
    with pytest.raises(IssuerError) as caught:
        careful.generate(label="Main", store_uri=store, backup=backup)
    return caught.value


@pytest.mark.parametrize("lost", ["backup", "settings", "label"])
def test_what_fails_half_way_is_taken_back(
    custodian: KeyLifecycle, tmp_path: Path, lost: str
) -> None:
    """A disk that is pulled out, settings that break, a label that somebody takes: as before.

    So the same command can be given again.
    """
    path = settings.settings_path(custodian.home)
    store = f"file:{tmp_path}/other.key"
    happens: dict[str, Callable[[], object]] = {
        "backup": (tmp_path / "backup").rmdir,
        "settings": lambda: path.write_text("["),
        "label": lambda: custodian.generate(label="Main", store_uri=store, backup=None),
    }
    fails_after(custodian, tmp_path, happens[lost])
    assert not (tmp_path / "main.key").exists()
    assert not list(tmp_path.glob("backup/*"))
    assert len(pinned(custodian)) == len(places_or_none(path)) == (1 if lost == "label" else 0)


def places_or_none(path: Path) -> dict[str, str]:
    """The places of a settings file that may be broken."""
    if path.exists() and path.read_text() == "[":
        return {}
    return dict(settings.load(path.parent, {}).settings.stores)


def test_what_is_taken_back_forgets_no_earlier_place(
    custodian: KeyLifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry was lost, the settings say where the key is: a failed import keeps that."""
    coming = incoming(custodian, pem(generate_private_key()))
    settings_editing.set_value(custodian.home, f"stores.{coming.kid}", "keyring:")
    again = dataclasses.replace(custodian, settings=settings.load(custodian.home, {}).settings)

    def fail(*_: object, **__: object) -> None:
        raise IssuerError("failed here")

    monkeypatch.setattr(keys, "add", fail)
    with pytest.raises(IssuerError, match="failed here"):
        again.import_key(coming, label="Main", store_uri=f"file:{tmp_path}/main.key", backup=None)
    assert not (tmp_path / "main.key").exists()
    assert places(custodian) == {coming.kid: "keyring:"}


def test_what_may_be_recorded_is_never_taken_back(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """When the registry cannot be asked whether it knows the key, its file stays."""
    fails_after(custodian, tmp_path, custodian.registry.close)
    assert file_store.OPENSSH in (tmp_path / "main.key").read_bytes()
    assert file_store.OPENSSH in (tmp_path / "backup" / "main.key").read_bytes()


def test_a_copy_of_a_pinned_key_stays(custodian: KeyLifecycle, tmp_path: Path) -> None:
    """A second operator's copy, though her settings could not be written: nothing is removed."""
    data = pem(generate_private_key())
    first = incoming(custodian, data)
    custodian.import_key(first, label="Main", store_uri=f"file:{tmp_path}/1.key", backup=None)
    settings.settings_path(custodian.home).write_text("[")
    with pytest.raises(InvalidSettings):
        custodian.import_key(first, label=None, store_uri=f"file:{tmp_path}/2.key", backup=None)
    assert (tmp_path / "1.key").exists()
    assert (tmp_path / "2.key").exists()


SECRET = b"correct horse battery staple"


@pytest.mark.parametrize(
    "form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
@pytest.mark.parametrize("sealed", [True, False])
def test_what_the_file_is(form: PrivateFormat, *, sealed: bool) -> None:
    """In plain text or not; a backup is what is both encrypted and in the format of backups."""
    private_key = generate_private_key()
    encryption = BestAvailableEncryption(SECRET) if sealed else NoEncryption()
    given = Given(SECRET)
    incoming = read_private_key(private_key.private_bytes(Encoding.PEM, form, encryption), given)
    assert incoming.kid == Key.from_public_key(private_key.public_key()).kid
    assert incoming.private_key.private_numbers() == private_key.private_numbers()
    assert incoming.plaintext is not sealed
    assert incoming.is_backup is (sealed and form is PrivateFormat.OpenSSH)
    assert given.asked == ([("the key file", False)] if sealed else [])


def test_nothing_of_the_key_is_shown() -> None:
    """`repr` has its kid alone."""
    private_key = generate_private_key()
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    incoming = read_private_key(pem, Given(SECRET))
    assert "private_key" not in repr(incoming)
    assert incoming.kid in repr(incoming)


def test_the_label_that_a_key_will_have() -> None:
    """A pinned key keeps its own; a new one has what was said, else the wish if free, else main."""
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
