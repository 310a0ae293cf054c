"""Change the passphrase of a key file, and of its backups that have the same one.

Each file is replaced atomically: the new one is written, read back, opened and compared first. So
after a crash at any point, the old or the new passphrase opens each of them.
"""

from dataclasses import dataclass
from pathlib import Path

from polygent_issuer import store_uri
from polygent_issuer.errors import IssuerError, KeyUnavailable, OutputProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import backups
from polygent_issuer.keys.file_store import FileStore
from polygent_issuer.keys.lifecycle import KeyLifecycle
from polygent_issuer.keys.passphrases import Passphrase, PassphraseRefused
from polygent_issuer.keys.rotation import label_words
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.keys.stores import explaining_loss, place_of, require_usable
from polygent_issuer.registry import KeyRecord, Writing, change
from polygent_issuer.store_uri import FileLocation
from polygent_issuer.store_uri.remote import RemoteUri
from polygent_issuer.store_uri.token import TokenUri
from polygent_issuer.text import Hint, escape, for_shell, run


@dataclass(frozen=True, kw_only=True, slots=True)
class UnchangedBackup:
    """A backup that keeps its passphrase, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PassphraseChange:
    """The result of a change.

    Attributes:
        file: the key file, which has the new passphrase.
        backups: the backups that have it, too.
        unchanged: the backups that do not.
    """

    file: Path
    backups: tuple[Path, ...]
    unchanged: tuple[UnchangedBackup, ...]


class _OldPassphrase(Passphrase):
    """The passphrase that opened the key file."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:  # noqa: ARG002
        return self._secret


def change_passphrase(
    lifecycle: KeyLifecycle, key: KeyRecord, *, old: Passphrase
) -> PassphraseChange:
    """Change the passphrase of a key file from `old` to the new one of the lifecycle.

    Raises:
        KeyUnavailable: (`no_passphrase`) for a key that is not in a file; (`passphrase_refused`)
            for the same passphrase; each code of the store's `load`.
        ConsentNeeded: (`consent_needed`) for a weak new passphrase.
        OutputProblem: (`output_failed`) when nothing was changed; (`not_recorded`) when the file
            was replaced, but the disk or the registry failed afterwards.
    """
    require_usable(key)
    place = require_in_file(lifecycle.settings, key)
    store = FileStore(place, passphrase=old, warn=lifecycle.warn)
    with explaining_loss(lifecycle.settings, key):
        store.require_replaceable(key.kid)
    signer, secret = store.open(key.public_key)
    new = lifecycle.passphrase.get(f"the key file of {escape(key.label)} from now on", confirm=True)
    if new == secret:
        raise PassphraseRefused(
            "the new passphrase is the present one", hint="choose another passphrase"
        )
    replacement = store.reseal(signer, new)
    _replace(lifecycle, key, replacement)
    changed, unchanged = [], []
    for path in lifecycle.settings.backups.get(key.kid, ()):
        if store.has_file(key.kid, path):
            changed.append(path)
            continue
        try:
            _reseal_backup(lifecycle, path, signer, _OldPassphrase(secret), new)
        except IssuerError as problem:
            unchanged.append(UnchangedBackup(path=path, reason=backups.reason(problem)))
        else:
            changed.append(path)
    return PassphraseChange(
        file=replacement.target, backups=tuple(changed), unchanged=tuple(unchanged)
    )


def require_in_file(settings: Settings, key: KeyRecord) -> FileLocation:
    """Return the place of a key if it is a file.

    Raises:
        KeyUnavailable: (`no_passphrase`) otherwise; the hint names the protection of that place.
    """
    place, name = store_uri.parse(place_of(settings, key.kid)), escape(key.label)
    if isinstance(place, FileLocation):
        return place
    if isinstance(place, TokenUri):
        tool = f"pkcs11-tool --module {for_shell(str(place.module))} --login --change-pin"
        message = f"the key {name} is in a token, which has a PIN instead of a passphrase"
        hint = Hint(f"change the PIN with the tool of the token, such as {tool}")
    elif isinstance(place, RemoteUri):
        message = f"the key {name} is in {place.where}, which has no passphrase of this tool"
        hint = Hint("protect the key there, with the service's own means")
    else:
        message = f"the key {name} is in the keyring, which has a password for all of its entries"
        hint = Hint(
            "change it in the keyring manager; for a backup with a new passphrase: ",
            run("key", "backup", *label_words(key.label), "FILE"),
        )
    raise KeyUnavailable(message, hint=hint, code="no_passphrase")


def _replace(lifecycle: KeyLifecycle, key: KeyRecord, replacement: publication.Replacement) -> None:
    """Replace the key file within the transaction that records it, just before its end."""
    replaced = False

    def write(db: Writing) -> None:
        nonlocal replaced
        db.record("key-passphrase-changed", kid=key.kid, **lifecycle.passphrase.agreed)
        replacement.rename()
        replaced = True
        disk.sync_folder(replacement.target.parent)

    try:
        decided = change.decide(
            lifecycle.registry, lambda _: None, now=lifecycle.now, actor=lifecycle.actor
        )
        change.carry_out(decided.unasked(), write)
    except BaseException as problem:
        if not replaced:
            replacement.discard()
        if not replaced or not isinstance(problem, IssuerError):
            raise
        raise OutputProblem(
            f"{escape(str(replacement.target))} has the new passphrase, but this could not be "
            f"recorded: {problem.message}",
            hint="use the new passphrase; if it does not open the file, the old one does",
            code="not_recorded",
        ) from None


def _reseal_backup(
    lifecycle: KeyLifecycle, path: Path, signer: SoftwareSigner, old: Passphrase, new: bytes
) -> None:
    """Replace a backup by one with the new passphrase, if the old one opens it."""
    store = backups.store(path, passphrase=old)
    store.open(signer.public_key)
    replacement = store.reseal(signer, new)
    replacement.rename()
    try:
        disk.sync_folder(replacement.target.parent)
    except OutputProblem as problem:
        lifecycle.warn(
            f"the backup {escape(str(path))} has the new passphrase, but its disk failed: "
            f"{problem.message}"
        )
