"""Making, importing and backing up keys: recorded only once they are safely kept."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer import store_uri as location
from polygent_issuer.errors import IssuerError, KeyUnavailable, OutputExists, OutputProblem
from polygent_issuer.files import disk
from polygent_issuer.hints import run
from polygent_issuer.home import settings_editing
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.errors import BackupFailed
from polygent_issuer.keys.incoming import ImportedKey, check_importable
from polygent_issuer.keys.labels import require_free, typed
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.pkcs11_rules import backup_impossible_existing, backup_impossible_new
from polygent_issuer.keys.pkcs11_store import Pkcs11Store
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.keys.signing import place_of, require_not_example, require_usable
from polygent_issuer.keys.stores import open_store
from polygent_issuer.registry import Actor, KeyRecord, Registry, Writing, change, keys
from polygent_issuer.registry.change import Decided
from polygent_issuer.store_uri import FileLocation, TokenUri
from polygent_issuer.text import escape
from polygent_issuer.verifier.keys import Key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from polygent_issuer.keys.file_store import FileStore
    from polygent_issuer.keys.keyring_store import KeyringStore

    Store = FileStore | KeyringStore | Pkcs11Store


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredKey:
    """A key that is safely kept and pinned.

    Attributes:
        key: the registry's record of its public half.
        uri: the store URI of its private half.
        backup: the file of its backup, if one was written.
        is_new: whether this pinned it; a second operator's copy of a pinned key does not.
    """

    key: KeyRecord
    uri: str
    backup: Path | None
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyLifecycle:
    """Where keys are kept, and on whose behalf.

    Attributes:
        registry: where public halves are pinned.
        home: the folder of the settings that name each private half's place.
        settings: those settings as they were loaded.
        passphrase: of key files and backups; the PIN of tokens.
        warn: is told what is risky but not refused.
        now: the instant of what is recorded, aware.
        actor: who acts.
    """

    registry: Registry
    home: Path
    settings: Settings
    passphrase: Passphrase
    warn: Callable[[str], None]
    now: datetime
    actor: Actor

    def generate(self, *, label: str, store_uri: str | None, backup: Path | None) -> StoredKey:
        """Make a key; the first one of a registry becomes active by itself.

        Args:
            label: its name for people, a display name that no other key has.
            store_uri: where its private half goes; None is the place that the settings name.
            backup: a new file, or a folder, for an encrypted copy; None for no backup now.

        Raises:
            InputRefused: (`input_refused`) for a label that cannot be used.
            OutputExists, OutputProblem: (`output_exists`, `output_failed`) for the key file or the
                backup; nothing is recorded then.
            BackupFailed: (`backup_failed`) when the key is kept in the keyring and recorded, but
                its backup could not be written.
            NotExtractable: (`not_extractable`) for a backup of a key that is made in a token.
            KeyUnavailable: each code of the key store; nothing is recorded then.
        """
        decided = self._decide(lambda known: require_free(label, known))
        store = self._store(store_uri or self.settings.store)
        if isinstance(store, Pkcs11Store):
            if backup is not None:
                raise backup_impossible_new(store.uri)
            with store.generating(label=label) as held:
                return self._record(held.key, "key-generated", decided, held.uri, None)
        return self._keep(generate_private_key(), "key-generated", decided, store_uri, backup)

    def import_key(
        self,
        incoming: ImportedKey,
        *,
        label: str | None,
        store_uri: str | None,
        backup: Path | None,
    ) -> StoredKey:
        """Take over a private key that was read from a file.

        A key that is pinned already keeps its label: this is a restored backup, or a second
        operator's copy.

        Args:
            incoming: the key; `read_incoming` gives it.
            label: for a key that is not pinned yet; None is a free one.
            store_uri: where its private half goes; None is the place that the settings name for
                this key, or else for new ones.
            backup: as for `generate`.

        Raises:
            RetiredKey, CompromisedKey, InputRefused: as `require_welcome`.
            OutputExists, OutputProblem, BackupFailed, KeyUnavailable: as for `generate`.
        """
        decided = self._decide(lambda known: check_importable(incoming.kid, label, known))
        return self._keep(incoming.private_key, "key-imported", decided, store_uri, backup)

    def adopt(self, place: TokenUri | FileLocation, *, label: str | None) -> StoredKey:
        """Take over a key where it is: in a token, or in a file that a container has mounted.

        Args:
            place: the file; or the token, and the key in it unless it holds only one.
            label: for a key that is not pinned yet; None is the token's, or a free one.

        Raises:
            ExampleKey, RetiredKey, CompromisedKey, InputRefused: as `require_welcome`.
            KeyUnavailable: each code of `Pkcs11Store.adopt` and `FileStore.adopt`; nothing is
                recorded then.
        """
        held = self._holder(place).adopt()
        require_not_example(held.key.kid)
        decided = self._decide(
            lambda known: check_importable(held.key.kid, label, known, wish=held.label)
        )
        return self._record(held.key, "key-imported", decided, held.uri, None)

    def back_up(self, key: KeyRecord, path: Path) -> Path:
        """Write an encrypted copy of a key's private half: a new file, or one in a folder.

        Returns:
            The file: OpenSSH format under bcrypt, mode 0600; `import_key` reads it.

        Raises:
            OutputExists, OutputProblem: (`output_exists`, `output_failed`) for the file.
            NotExtractable: (`not_extractable`) for a key in a token.
            KeyUnavailable: each code of loading the key.
        """
        require_usable(key)
        store = self._store(place_of(self.settings, key.kid))
        if isinstance(store, Pkcs11Store):
            raise backup_impossible_existing(key.label)
        secret = self._backup_passphrase(path)
        signer = store.load(key.public_key)
        written = self._write_backup(signer.private_key, key.label, path, secret)

        def note(db: Writing) -> None:
            keys.note_backup(db, key.kid)
            db.record("key-backed-up", kid=key.kid)

        # It is written, whatever the registry says by now.
        decided = change.decide(self.registry, lambda _: None, now=self.now, actor=self.actor)
        change.carry_out(decided, note)
        return written

    def _keep(
        self,
        private_key: "ec.EllipticCurvePrivateKey",
        event: str,
        decided: Decided[str],
        store_uri: str | None,
        backup: Path | None,
    ) -> StoredKey:
        label = decided.decision
        public_key = Key.from_public_key(private_key.public_key())
        # Asked first: a missing passphrase shall not leave a key behind in the keyring.
        secret = None if backup is None else self._backup_passphrase(backup)
        store = self._store(store_uri or place_of(self.settings, public_key.kid))
        written, failed = None, None
        with _placed(store, private_key, label) as uri:
            try:
                if backup is not None and secret is not None:
                    try:
                        written = self._write_backup(private_key, label, backup, secret)
                    except (OutputProblem, KeyUnavailable) as problem:
                        if uri != location.KEYRING:
                            raise
                        failed = problem  # nothing takes an entry out again, so it gets its name
                kept = self._record(public_key, event, decided, uri, written)
            except BaseException:
                self._take_back(public_key.kid, uri, written)
                raise
        if failed is not None:
            raise BackupFailed(
                f"the key {escape(kept.key.label)} is kept, but it has no backup yet: "
                f"{failed.message}",
                hint=run("key", "backup", *typed(kept.key.label), "FILE"),
            )
        return kept

    def _take_back(self, kid: str, uri: str, backup: Path | None) -> None:
        """Remove the files of a key that was not recorded: the same command can then be repeated.

        What the registry knows, or may know, stays; and so does an entry of the keyring, which is
        in nobody's way.
        """
        with suppress(IssuerError):
            if any(key.kid == kid for key in self._known()):
                return
            if backup is not None:
                disk.remove(backup)
            if uri.startswith(location.FILE):
                disk.remove(Path(uri.removeprefix(location.FILE)))
            # A registry that was lost is no reason to forget where its keys are.
            before = self.settings.stores.get(kid, "")
            settings_editing.set_value(self.home, f"stores.{kid}", before)

    def _record(
        self, key: Key, event: str, decided: Decided[str], uri: str, backup: Path | None
    ) -> StoredKey:
        settings_editing.set_value(self.home, f"stores.{key.kid}", uri)

        def write(db: Writing) -> StoredKey:
            is_new = all(known.kid != key.kid for known in keys.every(db))
            if is_new:
                keys.add(db, key=key, label=decided.decision)
            if backup is not None:
                keys.note_backup(db, key.kid)
            place = uri.partition(":")[0]
            db.record(event, kid=key.kid, details={"store": place, "backup": backup is not None})
            record = keys.find(db, key.kid)
            return StoredKey(key=record, uri=uri, backup=backup, is_new=is_new)

        return change.carry_out(decided, write, undone="the key was not recorded")

    def _decide(self, label: Callable[[tuple[KeyRecord, ...]], str]) -> Decided[str]:
        """The label that a key gets, by the keys that are known."""
        return change.decide(
            self.registry, lambda db: label(keys.every(db)), now=self.now, actor=self.actor
        )

    def _holder(self, place: TokenUri | FileLocation) -> "FileStore | Pkcs11Store":
        if isinstance(place, TokenUri):
            timeout = self.settings.keyring_timeout
            return Pkcs11Store(place, passphrase=self.passphrase, timeout=timeout, warn=self.warn)
        from polygent_issuer.keys.file_store import FileStore  # noqa: PLC0415 -- one of two

        return FileStore(place, passphrase=self.passphrase, warn=self.warn)

    def _store(self, uri: str) -> "Store":
        return open_store(
            uri,
            passphrase=self.passphrase,
            timeout=self.settings.keyring_timeout,
            warn=self.warn,
        )

    def _known(self) -> tuple[KeyRecord, ...]:
        with self.registry.reading() as db:
            return keys.every(db)

    def _backup_passphrase(self, path: Path) -> bytes:
        """Ask for it before a key is made or unlocked; a name that is taken needs none."""
        if not location.file_location(path).folder and os.path.lexists(path):
            raise OutputExists(
                f"{escape(str(path))} exists already", hint="name another file for the backup"
            )
        return self.passphrase.get(f"the new backup {escape(path.name)}", confirm=True)

    def _write_backup(
        self, private_key: "ec.EllipticCurvePrivateKey", label: str, path: Path, secret: bytes
    ) -> Path:
        from polygent_issuer.keys.file_store import FileStore  # noqa: PLC0415 -- only backups

        backups = FileStore(
            location.file_location(path), passphrase=passphrases.known(secret), warn=self.warn
        )
        return backups.write(private_key, label=label)


@contextmanager
def _placed(store: "Store", private_key: "ec.EllipticCurvePrivateKey", label: str) -> Iterator[str]:
    """Keep a key; in a token it stays only if the block ends well."""
    if isinstance(store, Pkcs11Store):
        with store.taking(private_key, label=label) as held:
            yield held.uri
    else:
        yield store.save(private_key, label=label)
