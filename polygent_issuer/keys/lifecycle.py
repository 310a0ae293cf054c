"""Generate, import and back up private keys.

A key is recorded only once it is saved. A new passphrase needs consent if it is short.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import (
    InputRefused,
    IssuerError,
    KeyUnavailable,
    OutputExists,
    OutputProblem,
)
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent, ConsentNeeded, Finding, FindingCode
from polygent_issuer.home import settings_editing
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import backups
from polygent_issuer.keys.file_store import FileStore
from polygent_issuer.keys.openssh import ImportedKey
from polygent_issuer.keys.passphrases import Passphrase, TerminalPassphrase
from polygent_issuer.keys.pkcs11_store import Pkcs11Store
from polygent_issuer.keys.remote import (
    RemoteStore,
    backup_impossible_existing,
    backup_impossible_new,
)
from polygent_issuer.keys.rotation import free_label, label_words, require_free_label
from polygent_issuer.keys.signer import generate_private_key, require_not_example
from polygent_issuer.keys.stores import explaining_loss, open_store, place_of, require_usable
from polygent_issuer.registry import Actor, KeyRecord, Registry, Writing, change, keys
from polygent_issuer.registry.change import Decided
from polygent_issuer.store_uri import FILE, KEYRING, FileLocation, file_location
from polygent_issuer.store_uri.remote import RemoteUri
from polygent_issuer.store_uri.token import TokenUri
from polygent_issuer.text import Hint, escape, run
from polygent_issuer.verifier.keys import Key

if TYPE_CHECKING:
    from polygent_issuer.keys.keyring_store import KeyringStore

    TakingStore = FileStore | KeyringStore | Pkcs11Store
    Store = TakingStore | RemoteStore

_AMPLE: Final = 12  # characters

T = TypeVar("T")


class Agreed(TypedDict):
    """The accepted findings and the reason of a journal row."""

    accepted: tuple[FindingCode, ...]
    reason: str | None


class NewPassphrase(Passphrase):
    """A source whose new passphrases need consent if they are short.

    If a key file and its backup share the passphrase, it is asked for once.
    """

    def __init__(
        self,
        source: Passphrase,
        obtain: Callable[[Sequence[Finding], Consent], Consent],
        consent: Consent,
        *,
        shared: bool,
    ) -> None:
        """Store the arguments; `obtain` returns consent to findings or raises `ConsentNeeded`."""
        self._source = source
        self._obtain = obtain
        self._shared = shared
        self._new: bytes | None = None
        self._consent = consent
        self._findings: tuple[Finding, ...] = ()

    @property
    def agreed(self) -> Agreed:
        """The accepted code and the reason, for the journal row of the key."""
        return {"accepted": self._consent.used(self._findings), "reason": self._consent.reason}

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """Return the passphrase of the source; a declined one at a terminal is asked for again.

        Raises:
            ConsentNeeded: (`consent_needed`) for a short new passphrase.
        """
        if not confirm:
            return self._source.get(purpose)
        if self._shared and self._new is not None:
            return self._new
        what = "the new key file and its backup" if self._shared else purpose
        while True:
            secret = self._source.get(what, confirm=True)
            try:
                self._require_ample(secret)
            except ConsentNeeded:
                if not isinstance(self._source, TerminalPassphrase):
                    raise
            else:
                self._new = secret
                return secret

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Unlock with the source."""
        return self._source.unlock(purpose, attempt)

    def _require_ample(self, secret: bytes) -> None:
        if self._findings or len(secret.decode(errors="replace")) >= _AMPLE:
            return
        weak = Finding(
            code=FindingCode.WEAK_PASSPHRASE,
            message=f"the new passphrase has fewer than {_AMPLE} characters",
            hint="choose a longer one, such as several words",
        )
        self._consent = self._obtain((weak,), self._consent)
        self._findings = (weak,)


def pinned_as(kid: str, known: Iterable[KeyRecord]) -> KeyRecord | None:
    """Return the record of a key among the pinned ones; None if it is not pinned."""
    return next((key for key in known if key.kid == kid), None)


def check_importable(
    kid: str, label: str | None, known: tuple[KeyRecord, ...], *, suggested_label: str = ""
) -> str:
    """Return the label under which a key can be imported.

    Without a `label` it is the label of the pinned key, else the suggested or another free one.

    Raises:
        KeyUnavailable: (`key_retired`, `key_compromised`).
        InputRefused: (`input_refused`) for a label that is invalid, in use, or not the pinned one.
    """
    pinned = pinned_as(kid, known)
    if pinned is None:
        new = free_label(known, suggested_label) if label is None else label
        return require_free_label(new, known)
    require_usable(pinned)
    if label not in (None, pinned.label):
        raise InputRefused(
            f"this key is already in the registry as {escape(pinned.label)}",
            hint="omit --label: the label of a key cannot be changed",
        )
    return pinned.label


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """A key that is in its store and pinned; not new if the registry already had it."""

    key: KeyRecord
    uri: str
    backup: Path | None
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyLifecycle:
    """Generate, import and back up keys.

    Attributes:
        settings: of the home.
        passphrase: of key files and backups, or the PIN of a token. The journal records consent to
            a weak new one.
    """

    registry: Registry
    home: Path
    settings: Settings
    passphrase: NewPassphrase
    warn: Callable[[str], None]
    now: datetime
    actor: Actor

    def generate(self, *, label: str, store_uri: str | None, backup: Path | None) -> StoredKey:
        """Generate a key; the first one of a registry becomes active.

        Args:
            store_uri: of its private key; None uses the store of the settings.
            backup: a new file, or a folder, for an encrypted copy; None makes no backup.

        Raises:
            InputRefused: (`input_refused`) for a label that cannot be used.
            ConsentNeeded: (`consent_needed`) for a weak new passphrase.
            OutputProblem: (`output_exists`, `output_failed`) when nothing was recorded;
                (`backup_failed`) when the key is in the keyring and recorded without a backup.
            KeyUnavailable: (`not_extractable`) for a backup of a key in a token;
                (`store_read_only`) for a service; each code of the key store. Nothing was
                recorded.
        """
        decided = self._decide(lambda known: require_free_label(label, known))
        store = self._open_store(store_uri or self.settings.store)
        if isinstance(store, Pkcs11Store):
            if backup is not None:
                raise backup_impossible_new(store.uri)
            with store.generating(label=label) as entry:
                return self._record(entry.key, "key-generated", decided, entry.uri, None)
        return self._store(generate_private_key(), "key-generated", decided, store_uri, backup)

    def import_key(
        self,
        imported: ImportedKey,
        *,
        label: str | None,
        store_uri: str | None,
        backup: Path | None,
    ) -> StoredKey:
        """Import a private key that was read from a file.

        Args:
            label: of a key that is not pinned yet; None uses a free one.
            store_uri: of its private key; None uses the store of this key in the settings.
            backup: as for `generate`.

        Raises:
            InputRefused, ConsentNeeded, KeyUnavailable, OutputProblem: as `check_importable` and
                `generate`.
        """
        decided = self._decide(lambda known: check_importable(imported.kid, label, known))
        return self._store(imported.private_key, "key-imported", decided, store_uri, backup)

    def adopt(self, place: TokenUri | RemoteUri | FileLocation, *, label: str | None) -> StoredKey:
        """Import a key without copying it: it stays in its token, service or mounted file.

        A key that is not pinned yet gets `label`; None uses the label there, or a free one.

        Raises:
            KeyUnavailable, InputRefused: (`example_key`), and as `check_importable` and the store's
                `adopt`. Nothing was recorded.
        """
        store = self._open_store(place.uri)
        assert isinstance(store, FileStore | Pkcs11Store | RemoteStore)  # noqa: S101 -- the type of the place
        entry = store.adopt()
        require_not_example(entry.key.kid)
        decided = self._decide(
            lambda known: check_importable(entry.key.kid, label, known, suggested_label=entry.label)
        )
        return self._record(entry.key, "key-imported", decided, entry.uri, None)

    def back_up(self, key: KeyRecord, path: Path) -> Path:
        """Write an encrypted copy of a private key to a new file, or to a file in a folder.

        Raises:
            OutputExists, OutputProblem: (`output_exists`, `output_failed`) for the file.
            ConsentNeeded: (`consent_needed`) for a weak new passphrase.
            KeyUnavailable: (`not_extractable`) for a key that never leaves its place; each code of
                the store's `load`.
        """
        require_usable(key)
        store = self._open_store(place_of(self.settings, key.kid))
        if isinstance(store, Pkcs11Store | RemoteStore):
            raise backup_impossible_existing(key.label, store.uri)
        _require_free(path)
        with explaining_loss(self.settings, key):
            signer = store.load(key.public_key)
        secret = self._backup_passphrase(path)
        backup = self._write_backup(signer.private_key, key.label, path, secret)

        def note(db: Writing) -> None:
            keys.note_backup(db, key.kid)
            db.record("key-backed-up", kid=key.kid, **self.passphrase.agreed)

        # The backup exists now, so it is recorded even if the registry has changed.
        decided = change.decide(self.registry, lambda _: None, now=self.now, actor=self.actor)
        change.carry_out(decided.unasked(), note)
        backups.try_to_remember(self.home, key, backup, self.warn)
        return backup

    def _store(
        self,
        private_key: ec.EllipticCurvePrivateKey,
        event: str,
        decided: Decided[str],
        store_uri: str | None,
        backup_path: Path | None,
    ) -> StoredKey:
        label = decided.decision
        public_key = Key.from_public_key(private_key.public_key())
        # Asked first, so that a missing passphrase does not leave a key in the keyring.
        secret = None
        if backup_path is not None:
            _require_free(backup_path)
            secret = self._backup_passphrase(backup_path)
        store = self._open_store(store_uri or place_of(self.settings, public_key.kid))
        if isinstance(store, RemoteStore):
            store.require_room()
        backup, failure = None, None
        with _saved(store, private_key, label) as uri:
            try:
                if backup_path is not None and secret is not None:
                    try:
                        backup = self._write_backup(private_key, label, backup_path, secret)
                    except (OutputProblem, KeyUnavailable) as problem:
                        if uri != KEYRING:
                            raise
                        failure = problem  # a keyring entry is not removed, so it is recorded
                stored = self._record(public_key, event, decided, uri, backup)
            except BaseException:
                self._roll_back(public_key.kid, uri, backup)
                raise
        if failure is not None:
            raise OutputProblem(
                f"the key {escape(stored.key.label)} was stored, but its backup failed: "
                f"{failure.message}",
                hint=Hint(
                    "back it up now: ", run("key", "backup", *label_words(stored.key.label), "FILE")
                ),
                code="backup_failed",
            )
        return stored

    def _roll_back(self, kid: str, uri: str, backup: Path | None) -> None:
        """Remove the files of a key that was not recorded, so that the command can be repeated.

        A key that the registry has, or may have, is not touched, and neither is a keyring entry.
        """
        with suppress(IssuerError):
            with self.registry.reading() as db:
                if pinned_as(kid, keys.every(db)):
                    return
            if backup is not None:
                disk.remove(backup)
            if uri.startswith(FILE):
                disk.remove(Path(uri.removeprefix(FILE)))
            # The previous store stays in the settings: it finds keys after a registry is lost.
            before = self.settings.stores.get(kid, "")
            settings_editing.set_value(self.home, f"stores.{kid}", before)
            backups.replace(self.home, kid, self.settings.backups.get(kid, ()))

    def _record(
        self, key: Key, event: str, decided: Decided[str], uri: str, backup: Path | None
    ) -> StoredKey:
        settings_editing.set_value(self.home, f"stores.{key.kid}", uri)
        if backup is not None:
            backups.remember(self.home, key.kid, backup)

        def write(db: Writing) -> StoredKey:
            is_new = pinned_as(key.kid, keys.every(db)) is None
            if is_new:
                keys.add(db, key=key, label=decided.decision)
            if backup is not None:
                keys.note_backup(db, key.kid)
            scheme = uri.partition(":")[0]
            details = {"store": scheme, "backup": backup is not None}
            db.record(event, kid=key.kid, details=details, **self.passphrase.agreed)
            record = keys.find(db, key.kid)
            return StoredKey(key=record, uri=uri, backup=backup, is_new=is_new)

        return change.carry_out(decided.unasked(), write, undone="the key was not recorded")

    def _decide(self, choose_label: Callable[[tuple[KeyRecord, ...]], str]) -> Decided[str]:
        return change.decide(
            self.registry, lambda db: choose_label(keys.every(db)), now=self.now, actor=self.actor
        )

    def _open_store(self, uri: str) -> "Store":
        return open_store(self.settings, uri, passphrase=self.passphrase, warn=self.warn)

    def _backup_passphrase(self, path: Path) -> bytes:
        return self.passphrase.get(f"the new backup {escape(path.name)}", confirm=True)

    def _write_backup(
        self, private_key: ec.EllipticCurvePrivateKey, label: str, path: Path, secret: bytes
    ) -> Path:
        place = file_location(path)
        store = FileStore(place, passphrase=self.passphrase, warn=self.warn)
        return store.write(private_key, label=label, secret=secret)


def _require_free(backup: Path) -> None:
    if not file_location(backup).folder and os.path.lexists(backup):
        raise OutputExists(
            f"{escape(str(backup))} already exists", hint="choose another file for the backup"
        )


@contextmanager
def _saved(
    store: "TakingStore", private_key: ec.EllipticCurvePrivateKey, label: str
) -> Iterator[str]:
    """Save a key. If the block fails, it is removed again from a token."""
    if isinstance(store, Pkcs11Store):
        with store.taking(private_key, label=label) as entry:
            yield entry.uri
    else:
        yield store.save(private_key, label=label)
