"""Keys in files: the OpenSSH private key format under bcrypt, mode 0600.

In an emergency, without this tool: `ssh-keygen -p -m PKCS8 -f COPY` makes a key of it that any
library reads.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer import files
from polygent_issuer.errors import (
    InvalidStore,
    IssuerError,
    KeyUnavailable,
    OutputExists,
    OutputProblem,
)
from polygent_issuer.files import disk, ownership
from polygent_issuer.files.disk import is_folder, reason
from polygent_issuer.files.ownership import UnsafeFile
from polygent_issuer.files.publication import KEPT
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys import errors, private_keys
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import Presence, SoftwareSigner, StoreEntry
from polygent_issuer.store_uri import EXAMPLE_FILE_URI, FILE, FileLocation
from polygent_issuer.text import escape, slugify
from polygent_issuer.verifier.keys import Key

KID_LETTERS: Final = 8


class FileStore:
    """One key's file, or a folder with a file for each key.

    Args:
        location: where.
        passphrase: of the files.
        warn: prints a warning.
        rounds: of bcrypt for files that are written; None is `private_keys.ROUNDS`.
    """

    def __init__(
        self,
        location: FileLocation,
        *,
        passphrase: Passphrase,
        warn: Callable[[str], None],
        rounds: int | None = None,
    ) -> None:
        """Read nothing yet."""
        self._location = location
        self._passphrase = passphrase
        self._warn = warn
        self._rounds = private_keys.ROUNDS if rounds is None else rounds

    @property
    def uri(self) -> str:
        """`file:` and the absolute path; a folder ends with a slash."""
        return self._location.uri

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:
        """Write a new key file as `write` does; return the URI to record.

        Raises:
            UnsafeFile: (`unsafe_file`) when its disk lets another user change it; it is removed.
        """
        path = self.write(private_key, label=label)
        try:
            ownership.require_unexposed(path, "key file")
        except UnsafeFile as unsafe:
            disk.remove(path)
            raise UnsafeFile(
                f"{unsafe.message}, so it was removed again",
                hint="name a place on a disk that keeps owners and modes",
            ) from None
        return f"{FILE}{path}"

    def write(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> Path:
        """Write a new key file (0600, never over anything), read it back and compare.

        Args:
            private_key: on P-256.
            label: names the file when the store is a folder.

        Raises:
            PassphraseNeeded, PassphraseRefused: (`passphrase_needed`, `passphrase_refused`).
            OutputExists: (`output_exists`) when the name is taken.
            OutputProblem: (`output_failed`) when it cannot be written.
            NotKept: (`not_kept`) when what is read back is not what was written.
        """
        public_key = private_keys.public_key(private_key)
        path = self._new_path(public_key.kid, label)
        secret = self._passphrase.get(f"the new key file {escape(path.name)}", confirm=True)
        files.write_private(
            private_keys.seal_openssh(private_key, secret, rounds=self._rounds), path
        )
        try:
            envelope = self._envelope(path, trusted=False)
            private_keys.signer(private_keys.unseal_openssh(envelope, secret), public_key)
        except KeyUnavailable:
            raise errors.NotKept(
                f"the key file {escape(str(path))} does not hold what was written",
                hint="check the disk, or name another place for it",
            ) from None
        return path

    def require_room(self) -> None:
        """Check without a prompt what `save` would refuse in any case.

        Raises:
            OutputExists: (`output_exists`) when the name of a key's file is taken.
            OutputProblem: (`output_failed`) when its folder is not there.
        """
        path = self._location.path
        if not self._location.folder and os.path.lexists(path):
            raise OutputExists(f"{escape(str(path))} exists already", hint=KEPT)
        if not is_folder(path.parent):
            raise OutputProblem(f"there is no folder {escape(str(path.parent))}", hint="make it")

    def load(self, pinned: Key) -> SoftwareSigner:
        """Unlock the private key of a pinned public key.

        Raises:
            NoSuchKey: (`no_such_key`) when there is no such file.
            UnsafeFile: (`unsafe_file`) when another user owns it or may write to it.
            KeyUnavailable: (`key_unavailable`) when it cannot be read.
            PlaintextKey: (`plaintext_key`) when it has no passphrase.
            UnsupportedKey: (`unsupported_key`) when it asks for more than 1,024 rounds.
            KeyMismatch: (`key_mismatch`) when it is another key.
            KeyDamaged: (`key_damaged`) when it is no key file.
            PassphraseNeeded, PassphraseRefused, WrongPassphrase: (`passphrase_needed`,
                `passphrase_refused`, `wrong_passphrase`).
        """
        path = self._path(pinned.kid)
        envelope = self._envelope(path, warn=self._warn)
        if envelope.public_key != pinned:
            raise private_keys.mismatch(envelope.public_key, pinned)
        return private_keys.signer(self._unseal(envelope, path), pinned)

    def adopt(self) -> StoreEntry:
        """Return the key that is in the file already; the file stays as it is.

        Raises:
            InvalidStore: (`invalid_store`) for a folder, which has no one key.
            KeyUnavailable: each code of `load`, except `key_mismatch`.
        """
        path = self._location.path
        if self._location.folder:
            raise InvalidStore(
                f"{escape(str(path))} is a folder, and one key is meant", hint="name its file"
            )
        envelope = self._envelope(path, warn=self._warn)
        private_keys.signer(self._unseal(envelope, path), envelope.public_key)
        return StoreEntry(key=envelope.public_key, uri=self.uri)

    def presence(self, kid: str) -> Presence:
        """Return whether the file of a key is there, without its passphrase; never raises."""
        try:
            stored = self._envelope(self._path(kid)).public_key.kid
        except errors.NoSuchKey:
            return Presence.ABSENT
        except IssuerError:
            return Presence.UNAVAILABLE
        return Presence.PRESENT if stored == kid else Presence.ABSENT

    def _unseal(self, envelope: private_keys.Envelope, path: Path) -> ec.EllipticCurvePrivateKey:
        purpose = f"the key file {escape(path.name)}"
        return self._passphrase.unlock(purpose, partial(private_keys.unseal_openssh, envelope))

    def _new_path(self, kid: str, label: str) -> Path:
        path = self._location.path
        if not self._location.folder:
            return path
        with suppress(OSError):  # the write reports what is wrong with it
            path.mkdir(mode=0o700, exist_ok=True)
        # A label without letters and digits gives "key".
        name = slugify(f"key {label}").removeprefix("key-")
        return path / f"{name}{_suffix(kid)}"

    def _path(self, kid: str) -> Path:
        if not self._location.folder:
            return self._location.path
        folder, suffix = self._location.path, _suffix(kid)
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 -- names alone
        except OSError as error:
            raise _unreadable(folder, error) from None
        for path in (folder / name for name in names if name.endswith(suffix)):
            with suppress(KeyUnavailable):
                if self._envelope(path).public_key.kid == kid:
                    return path
        raise _no_such_key(folder / f"*{suffix}")

    def _envelope(
        self, path: Path, *, warn: Callable[[str], None] | None = None, trusted: bool = True
    ) -> private_keys.Envelope:
        """Read the unencrypted part of a key file. Links are followed, since containers mount so.

        A backup is read with `trusted=False`: its disk may have neither owners nor modes.
        """
        try:
            with os.fdopen(files.open_regular(path), "rb") as stream:
                if trusted:
                    ownership.require_unexposed(path, "key file", opened=stream.fileno())
                data = stream.read(private_keys.FILE_LIMIT + 1)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        warning = files.secret_warning(str(path), what="key file")
        if warn is not None and warning is not None:
            warn(warning)
        return _sealed(data, path)


def _sealed(data: bytes, path: Path) -> private_keys.Envelope:
    """Return the envelope of an encrypted file; refuse any other file."""
    try:
        data = files.without_mark(data, f"the key file {escape(str(path))}")
    except files.NotUtf8 as refused:
        raise errors.KeyDamaged(refused.message, hint=refused.hint) from None
    too_long = len(data) > private_keys.FILE_LIMIT
    if too_long or b"PRIVATE KEY-----" not in data or b"ENCRYPTED" in data:
        raise errors.KeyDamaged(
            f"{escape(str(path))} is no OpenSSH private key file",
            hint=Hint(
                "move it away, then take the key in from it or from its backup: ",
                run("key", "import", "BACKUP"),
            ),
        )
    envelope = private_keys.parse_openssh(data) if private_keys.is_openssh(data) else None
    if envelope is None or envelope.is_plaintext:
        raise errors.PlaintextKey(
            f"the key file {escape(str(path))} has no passphrase",
            hint=Hint(
                "take it into another place, then destroy the file: ",
                run("key", "import", str(path), "--store", EXAMPLE_FILE_URI),
            ),
        )
    return envelope


def _suffix(kid: str) -> str:
    return f"-{kid[:KID_LETTERS]}.key"


def _no_such_key(path: Path) -> errors.NoSuchKey:
    return errors.NoSuchKey(
        f"there is no key file {escape(str(path))}",
        hint=Hint("restore it from its backup: ", run("key", "import", "BACKUP")),
    )


def _unreadable(path: Path, error: Exception) -> KeyUnavailable:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return _no_such_key(path)
    if isinstance(error, files.NotRegular):
        return errors.KeyDamaged(
            f"the key file {escape(str(path))} cannot be read: {reason(error)}",
            hint=Hint("move it away, then restore the key: ", run("key", "import", "BACKUP")),
        )
    return KeyUnavailable(
        f"the key file {escape(str(path))} cannot be read: {reason(error)}",
        hint="check the permissions of the file and of its folders",
    )
