"""Keys in files: encrypted, in the OpenSSH format, mode 0600.

A file that needs hours of bcrypt rounds, or that holds another key, is refused before the
passphrase prompt. The format has no MAC, so the decrypted key is compared with the pinned key.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import (
    InvalidStore,
    IssuerError,
    KeyUnavailable,
    OutputExists,
    OutputProblem,
)
from polygent_issuer.files import disk, publication, reading
from polygent_issuer.files.publication import NEVER_OVERWRITTEN
from polygent_issuer.files.reading import UnsafeFile
from polygent_issuer.keys.openssh import (
    OPENSSH,
    Envelope,
    parse_openssh,
    seal_openssh,
    unseal_openssh,
)
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signer import (
    IMPORT,
    Presence,
    SoftwareSigner,
    StoreEntry,
    mismatch,
    pinned_signer,
    public_key_of,
)
from polygent_issuer.store_uri import EXAMPLE_FILE_URI, FILE, FileLocation
from polygent_issuer.text import Hint, escape, run, slugify
from polygent_issuer.verifier.keys import Key

ROUNDS: Final = 64
"""Rounds of bcrypt in new files: about 0.6 s for each guess at the passphrase."""
FILE_LIMIT: Final = 16 * 1024
"""The size limit of a key file, in bytes; a P-256 key takes about 550."""


class FileStore:
    """The file of one key, or a folder with a file for each key."""

    def __init__(
        self,
        location: FileLocation,
        *,
        passphrase: Passphrase,
        warn: Callable[[str], None],
        backup: bool = False,
    ) -> None:
        """Store the arguments; nothing is read yet.

        The disk of a `backup` may support neither owners nor modes, so they are not checked.
        """
        self._location = location
        self._passphrase = passphrase
        self._warn = warn
        self._trusted = not backup

    @property
    def uri(self) -> str:
        """`file:` and the absolute path; a folder ends with a slash."""
        return self._location.uri

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:
        """Write a new key file with `write`; return the URI to record.

        Raises:
            UnsafeFile: (`unsafe_file`) when another user could change the file, which is removed.
        """
        path = self.write(private_key, label=label)
        try:
            reading.require_unexposed(path, "key file")
        except UnsafeFile as unsafe:
            disk.remove(path)
            raise UnsafeFile(
                f"{unsafe.message}, so it was removed again",
                hint="choose a path on a disk that supports file owners and modes",
            ) from None
        return f"{FILE}{path}"

    def write(
        self, private_key: ec.EllipticCurvePrivateKey, *, label: str, secret: bytes | None = None
    ) -> Path:
        """Write a new key file (mode 0600, never overwriting), read it back and compare.

        In a folder the file is named after `label`. `secret` is the passphrase; None asks for one.

        Raises:
            OutputProblem, KeyUnavailable: (`output_exists`, `output_failed`, `passphrase_needed`,
                `passphrase_refused`), or (`not_kept`) when the file reads back differently.
        """
        public_key = public_key_of(private_key)
        path = self._new_path(public_key.kid, label)
        if secret is None:
            secret = self._passphrase.get(f"the new key file {escape(path.name)}", confirm=True)
        publication.write_private(seal_openssh(private_key, secret, rounds=ROUNDS), path)
        self._require_opens(path, secret, public_key)
        return path

    def reseal(self, signer: SoftwareSigner, secret: bytes) -> publication.Replacement:
        """Write the key with another passphrase next to its file, read it back and compare.

        The caller replaces the file, or discards the new one.

        Raises:
            OutputProblem: (`output_failed`) for the new file.
            KeyUnavailable: (`not_kept`) when it reads back differently; it is removed.
        """
        data = seal_openssh(signer.private_key, secret, rounds=ROUNDS)
        replacement = publication.prepare_replacement(data, self._path(signer.kid))
        try:
            self._require_opens(replacement.temp, secret, signer.public_key)
        except BaseException:
            replacement.discard()
            raise
        return replacement

    def require_room(self) -> None:
        """Check without a prompt whether `save` can succeed.

        Raises:
            OutputProblem: (`output_exists`), or (`output_failed`) when the folder is missing.
        """
        path = self._location.path
        if not self._location.folder and os.path.lexists(path):
            raise OutputExists(f"{escape(str(path))} already exists", hint=NEVER_OVERWRITTEN)
        if not disk.is_folder(path.parent):
            raise OutputProblem(
                f"the folder {escape(str(path.parent))} does not exist",
                hint="create it, or choose another path",
            )

    def load(self, pinned: Key) -> SoftwareSigner:
        """Unlock the private key of a pinned public key.

        Raises:
            UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
            KeyUnavailable: (`no_such_key`, `key_unavailable`, `plaintext_key`, `unsupported_key`,
                `key_damaged`, `key_mismatch`) before the passphrase prompt;
                (`passphrase_needed`, `passphrase_refused`, `wrong_passphrase`).
        """
        return self.open(pinned)[0]

    def open(self, pinned: Key) -> tuple[SoftwareSigner, bytes]:
        """Unlock as `load` does; return the passphrase, too."""
        path = self._path(pinned.kid)
        envelope = self._envelope(path, warn=self._trusted)
        if envelope.public_key != pinned:
            raise mismatch(envelope.public_key, pinned)
        return self._unlocked(envelope, path)

    def adopt(self) -> StoreEntry:
        """Return the key that is already in the file; the file is not changed.

        Raises:
            InvalidStore, KeyUnavailable: (`invalid_store`) for a folder; each code of `load`.
        """
        path = self._location.path
        if self._location.folder:
            raise InvalidStore(
                f"{escape(str(path))} is a folder, but the path of one key file is needed",
                hint="give the path of the key file, without a slash at the end",
            )
        envelope = self._envelope(path, warn=True)
        return StoreEntry(key=self._unlocked(envelope, path)[0].public_key, uri=self.uri)

    def presence(self, kid: str) -> Presence:
        """Return whether the file of a key exists; needs no passphrase and never raises."""
        try:
            stored = self._envelope(self._path(kid)).public_key.kid
        except IssuerError as problem:
            return Presence.ABSENT if problem.code == "no_such_key" else Presence.UNAVAILABLE
        return Presence.PRESENT if stored == kid else Presence.ABSENT

    def has_file(self, kid: str, path: Path) -> bool:
        """Return whether a path is the file of a key, or a link to it; never raises."""
        try:
            return os.path.samefile(self._path(kid), path)  # noqa: PTH121 -- as for every kind of path
        except (OSError, ValueError, IssuerError):
            return False

    def require_replaceable(self, kid: str) -> None:
        """Check without a prompt that the file of a key can be replaced.

        Raises:
            KeyUnavailable: (`no_such_key`, `key_unavailable`, `plaintext_key`, `key_damaged`).
            OutputProblem: (`output_failed`) without permission to write into its folder.
        """
        path = self._path(kid)
        self._envelope(path)
        real = Path(os.path.realpath(path))
        publication.require_folder(real.parent, "run the command where the key file can be changed")

    def _unlocked(self, envelope: Envelope, path: Path) -> tuple[SoftwareSigner, bytes]:
        purpose = f"the {'key file' if self._trusted else 'backup'} {escape(path.name)}"
        private_key, secret = self._passphrase.unlock(
            purpose, lambda secret: (unseal_openssh(envelope, secret), secret)
        )
        return pinned_signer(private_key, envelope.public_key), secret

    def _require_opens(self, path: Path, secret: bytes, public_key: Key) -> None:
        """Read a new file back and compare its key; else `not_kept`."""
        try:
            pinned_signer(unseal_openssh(self._envelope(path, trusted=False), secret), public_key)
        except KeyUnavailable:
            raise KeyUnavailable(
                f"the key read back from the key file {escape(str(path))} does not match",
                hint="check the disk, or choose another path",
                code="not_kept",
            ) from None

    def _new_path(self, kid: str, label: str) -> Path:
        path = self._location.path
        if not self._location.folder:
            return path
        with suppress(OSError):  # the write reports the problem
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

    def _envelope(self, path: Path, *, warn: bool = False, trusted: bool = True) -> Envelope:
        """Read the unencrypted part of a key file.

        Symbolic links are followed, since containers mount secrets as links. Owner and mode are not
        checked with `trusted=False`, nor those of a backup.
        """
        try:
            with os.fdopen(reading.open_regular(path), "rb") as stream:
                if trusted and self._trusted:
                    reading.require_unexposed(path, "key file", opened=stream.fileno())
                data = stream.read(FILE_LIMIT + 1)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        warning = reading.secret_warning(str(path), what="key file")
        if warn and warning is not None:
            self._warn(warning)
        return _encrypted(data, path)


def _encrypted(data: bytes, path: Path) -> Envelope:
    """Return the envelope of an encrypted key file.

    Raises:
        KeyUnavailable: (`key_damaged`, `plaintext_key`, `unsupported_key`) for any other file.
    """
    name = escape(str(path))
    try:
        data = reading.without_mark(data, f"the key file {name}")
    except reading.NotUtf8 as refused:
        raise KeyUnavailable(refused.message, hint=refused.hint, code="key_damaged") from None
    if len(data) > FILE_LIMIT or b"PRIVATE KEY-----" not in data or b"ENCRYPTED" in data:
        raise KeyUnavailable(
            f"{name} is not an OpenSSH private key file",
            hint=Hint("move it away, then import the key from it or from a backup: ", IMPORT),
            code="key_damaged",
        )
    envelope = parse_openssh(data) if OPENSSH in data else None
    if envelope is None or envelope.is_plaintext:
        raise KeyUnavailable(
            f"the key file {name} is not protected by a passphrase",
            hint=Hint(
                "import it into another file, then delete this one securely: ",
                run("key", "import", str(path), "--store", EXAMPLE_FILE_URI),
            ),
            code="plaintext_key",
        )
    return envelope


def _suffix(kid: str) -> str:
    return f"-{kid[:8]}.key"


def _no_such_key(path: Path) -> KeyUnavailable:
    return KeyUnavailable(
        f"the key file {escape(str(path))} does not exist",
        hint=Hint("restore it from its backup: ", IMPORT),
        code="no_such_key",
    )


def _unreadable(path: Path, error: Exception) -> KeyUnavailable:
    if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _no_such_key(path)
    message = f"the key file {escape(str(path))} cannot be read: {disk.reason(error)}"
    if isinstance(error, reading.NotRegular):
        hint = Hint("move it away, then restore the key: ", IMPORT)
        return KeyUnavailable(message, hint=hint, code="key_damaged")
    return KeyUnavailable(message, hint="check the permissions of the file and of its folders")
