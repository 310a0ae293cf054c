"""Checks of the keyring and of each signing key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.doctor.verdict import NotChecked, Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode, IssuerError, KeyUnavailable
from polygent_issuer.files.ownership import UnsafeFile
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import (
    keyring_allowlist,
    keyring_backends,
    labels,
    passphrases,
    pkcs11_rules,
    signing,
)
from polygent_issuer.keys.errors import KeyringAbsent, KeyringTimeout
from polygent_issuer.keys.keyring_backends import SystemKeyring
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.signing import place_of
from polygent_issuer.keys.store import Presence
from polygent_issuer.registry import KeyRecord, LicenseStatus, Registry, licenses
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape

TITLES: Final[Mapping[str, str]] = {
    keyring_allowlist.SECRET_SERVICE: "Secret Service",
    keyring_allowlist.KWALLET: "KWallet",
    keyring_allowlist.MACOS: "Keychain",
    keyring_allowlist.WINDOWS: "Credential Manager",
}
_NO_KID: Final = "any"
_ELSEWHERE: Final = Hint(
    "log in to a session that has one, or keep new keys in files: ",
    run("config", "set", "store", store_uri.EXAMPLE_FILE_URI),
)
UNLOCK: Final = "unlock it by logging in to the desktop; signing asks for it, too"


def is_needed(settings: Settings, usable: Iterable[KeyRecord] | None) -> bool:
    """Whether signing needs a keyring.

    Args:
        settings: name the place of each key.
        usable: the keys that may sign; None when the registry does not tell.
    """
    if usable is None:
        places = [*settings.stores.values(), settings.store]
    else:
        # Without a key the next one is made where the settings say.
        places = [settings.stores.get(key.kid, settings.store) for key in usable]
        places = places or [settings.store]
    return store_uri.KEYRING in places


def keyring(*, needed: bool, timeout: timedelta) -> Verdict:
    """Which keyring would keep a key, and whether it is locked; asked without a prompt.

    Args:
        needed: whether any key is or would be in one; else nothing about it is wrong.
        timeout: how long each call may take.
    """
    try:
        looks = tuple(_look(vault, timeout) for vault in keyring_backends.for_platform())
    except KeyUnavailable as error:
        return refused(error) if needed else ok(f"no key needs one: {error.message}")
    told = "; ".join(f"{look.title} {look.state}" for look in looks)
    told += "; any other is refused"
    if not needed:
        return ok(f"no key needs one: {told}")
    # As signing does it: the first one that runs is taken, even if it does not answer.
    taken = next((look for look in looks if look.runs), looks[0])
    return ok(told) if taken.mend is None else warn(told, taken.mend)


def choosing(names: Iterable[str]) -> Verdict:
    """What would choose another keyring, and why it does not: the list is of exact classes.

    Args:
        names: of all variables of the environment.
    """
    told = [f"{escape(what)} is ignored" for what in keyring_allowlist.redirections(names)]
    told += [f"{escape(module)} is refused" for module in keyring_allowlist.strangers()]
    return ok("; ".join(told) or "no variable, file or plug-in would choose another keyring")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """How one keyring is; `mend` is None for one that would keep a key at once."""

    title: str
    state: str
    runs: bool = True
    mend: str | None = None


def _look(vault: SystemKeyring, timeout: timedelta) -> _Look:
    title = TITLES[vault.backend_name]
    store = KeyringStore(timeout=timeout, vaults=(vault,))
    try:
        store.require_room()
    except KeyringAbsent:
        return _Look(title=title, state="does not run here", runs=False, mend=_ELSEWHERE)
    except KeyringTimeout:
        told = f"did not answer within {timeout.total_seconds():g} s"
        return _Look(title=title, state=told, mend="restart the keyring's service")
    except KeyUnavailable:
        return _Look(title=title, state="answers with an error", mend="look into its own log")
    if store.presence(_NO_KID) is Presence.LOCKED:
        return _Look(title=title, state="is locked", mend=UNLOCK)
    return _Look(title=title, state="is ready")


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
        first = labels.typed(usable(known)[0].label)
        return warn("no key is active, so none signs", run("key", "use", *first))
    return ok(f"{escape(signing.label)} signs; keys in all: {len(known)}")


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
    return tuple(_backup(key, signing.place_of(settings, key.kid)) for key in found)


def compromised(known: Iterable[KeyRecord], registry: Registry) -> tuple[Verdict, ...]:
    """For each compromised key: how many current licenses hang on it; servers must drop it."""
    marked = tuple(key for key in known if key.compromised)
    if not marked:
        return (ok("no key is marked as compromised"),)
    return tuple(_hanging(key, registry) for key in marked)


def _private_half(key: KeyRecord, settings: Settings) -> Verdict:
    try:
        signing.require_not_example(key.kid)
        _ = key.public_key
    except IssuerError as error:
        return refused(error)
    place = place_of(settings, key.kid)
    try:
        _require_token(place, settings)
    except IssuerError as error:
        message = f"{escape(key.label)}: {error.message}"
        return _lost(key, message, error.hint or _SETTINGS, _exit_code(error))
    return _in_its_store(key, place, settings)


def _in_its_store(key: KeyRecord, place: str, settings: Settings) -> Verdict:
    name = f"{escape(key.label)} ({escape(place)})"
    presence = signing.presence(settings, key.kid)
    if presence is Presence.PRESENT:
        return ok(f"{name}: it is there")
    if presence is Presence.LOCKED:
        return warn(f"{name}: it is locked", UNLOCK)
    if place.startswith(store_uri.FILE):
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
    return "it is not within reach", run(
        "key", "import", "BACKUP", "--store", store_uri.EXAMPLE_FILE_URI
    )


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
    token = store_uri.parse(place)
    if isinstance(token, TokenUri):
        pkcs11_rules.require_ready(settings, token)


def _of_file(key: KeyRecord, settings: Settings) -> tuple[str, str, ExitCode]:
    """Why a key file gives no key: it is opened as for signing, up to its passphrase."""
    try:
        signing.signer_for(settings, key, passphrase=passphrases.absent(), warn=lambda _: None)
    except (KeyUnavailable, UnsafeFile) as error:
        return f"{escape(key.label)}: {error.message}", error.hint or _IMPORT, error.exit_code
    raise NotChecked("the key file has come back")


def _backup(key: KeyRecord, place: str) -> Verdict:
    name = escape(key.label)
    if place.startswith(_IN_HARDWARE):
        return ok(f"{name} is in hardware, which lets no copy out")
    if key.backed_up_at is not None:
        return ok(f"{name} was backed up on {key.backed_up_at.date().isoformat()}")
    return warn(
        f"{name} has no backup: a lost key means new licenses for everybody",
        run("key", "backup", *labels.typed(key.label), "FILE"),
    )


def _hanging(key: KeyRecord, registry: Registry) -> Verdict:
    name = escape(key.label)
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
