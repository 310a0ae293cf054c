"""Signing keys: is there one, where is its private half, is there a backup."""

from collections.abc import Iterable, Sequence
from typing import Final

from polygent_issuer import custody
from polygent_issuer.doctor.keyrings import UNLOCK
from polygent_issuer.doctor.verdict import NotChecked, Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode, IssuerError, KeyUnavailable
from polygent_issuer.files.ownership import UnsafeFile
from polygent_issuer.hints import Hint, run
from polygent_issuer.keystore import Presence, location, passphrases
from polygent_issuer.registry import KeyRecord, LicenseStatus, Registry, licenses
from polygent_issuer.settings import Settings
from polygent_issuer.settings.token_uri import TokenUri
from polygent_issuer.text import shown

_IN_HARDWARE: Final = "pkcs11:"
_IMPORT: Final = run("key", "import", "BACKUP")
_SETTINGS: Final = run("config", "show")
_OTHER_TOKEN: Final = Hint(
    "plug in the token that holds it; which one the settings name: ",
    _SETTINGS,
    "; or, if it has a backup: ",
    run("key", "import", "BACKUP", "--store", "URI"),
)


def usable(known: Iterable[KeyRecord]) -> tuple[KeyRecord, ...]:
    """The keys that may sign; the published example is among them, to be refused by name."""
    return tuple(key for key in known if key.may_sign)


def active(known: Sequence[KeyRecord]) -> Verdict:
    """Whether some key signs unless another is named."""
    if not usable(known):
        return warn("there is no signing key", run("key", "generate", "main", "--backup", "FILE"))
    signing = next((key for key in known if key.active), None)
    if signing is None:
        first = custody.typed(usable(known)[0].label)
        return warn("no key is active, so none signs", run("key", "use", *first))
    return ok(f"{shown(signing.label)} signs; keys in all: {len(known)}")


def private_halves(known: Iterable[KeyRecord], settings: Settings) -> tuple[Verdict, ...]:
    """For each key that may sign: whether it is sound, and whether its private half is here.

    Its store is asked without a prompt, for as long as the settings let a keyring take.
    """
    found = usable(known)
    if not found:
        return (ok("no key is to be looked for"),)
    return tuple(_private_half(key, settings) for key in found)


def backups(known: Iterable[KeyRecord], settings: Settings) -> tuple[Verdict, ...]:
    """For each key that may sign: whether a lost machine is a lost key."""
    found = usable(known)
    if not found:
        return (ok("no key is to be backed up"),)
    return tuple(_backup(key, custody.place_of(settings, key.kid)) for key in found)


def compromised(known: Iterable[KeyRecord], registry: Registry) -> tuple[Verdict, ...]:
    """For each compromised key: how many current licenses hang on it; servers must drop it."""
    marked = tuple(key for key in known if key.compromised)
    if not marked:
        return (ok("no key is marked as compromised"),)
    return tuple(_hanging(key, registry) for key in marked)


def _private_half(key: KeyRecord, settings: Settings) -> Verdict:
    try:
        custody.require_not_example(key.kid)
        _ = key.public_key
    except IssuerError as error:
        return refused(error)
    place = custody.place_of(settings, key.kid)
    try:
        _require_token(place, settings)
    except IssuerError as error:
        message = f"{shown(key.label)}: {error.message}"
        return _lost(key, message, error.hint or _SETTINGS, _exit_code(error))
    return _in_its_store(key, place, settings)


def _in_its_store(key: KeyRecord, place: str, settings: Settings) -> Verdict:
    name = f"{shown(key.label)} ({shown(place)})"
    presence = custody.presence(settings, key.kid)
    if presence is Presence.PRESENT:
        return ok(f"{name}: it is there")
    if presence is Presence.LOCKED:
        return warn(f"{name}: it is locked", UNLOCK)
    if place.startswith(location.FILE):
        return _lost(key, *_of_file(key, settings))
    told, mend = _elsewhere(place, presence)
    return _lost(key, f"{name}: {told}", mend)


def _elsewhere(place: str, presence: Presence) -> tuple[str, str]:
    """What a token or a keyring that does not give the key means, and what mends it."""
    if place.startswith(_IN_HARDWARE):
        return "the token shows no such key", _OTHER_TOKEN
    if presence is Presence.ABSENT:
        return "it is not there", _IMPORT
    # A keyring that cannot be asked can take nothing in either.
    return "it is not within reach", run("key", "import", "BACKUP", "--store", location.EXAMPLE)


def _lost(key: KeyRecord, message: str, fix: str, exit_code: ExitCode = ExitCode.KEY) -> Verdict:
    """Report a key that cannot sign: a failure only for the active one."""
    return fail(message, fix, exit_code) if key.active else warn(message, fix)


def _exit_code(error: IssuerError) -> ExitCode:
    """Return the exit code of signing, which differs for a file that others can change."""
    return error.exit_code if isinstance(error, UnsafeFile) else ExitCode.KEY


def _require_token(place: str, settings: Settings) -> None:
    """Hold that a token is as for signing, up to its PIN; any other place passes.

    Raises:
        InvalidStore: (`invalid_store`) for what is no key store.
        KeyUnavailable: each code of `custody.require_ready`.
    """
    token = location.parse(place)
    if isinstance(token, TokenUri):
        custody.require_ready(settings, token)


def _of_file(key: KeyRecord, settings: Settings) -> tuple[str, str, ExitCode]:
    """Why a key file gives no key: it is opened as for signing, up to its passphrase."""
    try:
        custody.signer_for(settings, key, passphrase=passphrases.absent(), warn=lambda _: None)
    except (KeyUnavailable, UnsafeFile) as error:
        return f"{shown(key.label)}: {error.message}", error.hint or _IMPORT, error.exit_code
    raise NotChecked("the key file has come back")


def _backup(key: KeyRecord, place: str) -> Verdict:
    name = shown(key.label)
    if place.startswith(_IN_HARDWARE):
        return ok(f"{name} is in hardware, which lets no copy out")
    if key.backed_up_at is not None:
        return ok(f"{name} was backed up on {key.backed_up_at.date().isoformat()}")
    return warn(
        f"{name} has no backup: a lost key means new licenses for everybody",
        run("key", "backup", *custody.typed(key.label), "FILE"),
    )


def _hanging(key: KeyRecord, registry: Registry) -> Verdict:
    name = shown(key.label)
    with registry.reading(checked=False) as db:
        current = licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT)
        count = sum(1 for _ in current)
    if not count:
        return ok(f"{name} is compromised, and no current license is signed with it")
    return fail(
        f"{name} is compromised; current licenses that are signed with it: {count}; reissue them "
        "with another key, and take it out of the servers",
        run("license", "list", f"--key={key.label}", "--status", "current"),
        ExitCode.KEY,
    )
