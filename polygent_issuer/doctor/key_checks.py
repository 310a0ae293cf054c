"""Checks of the keyring and of each signing key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.doctor.context import NotChecked, Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode, IssuerError, KeyUnavailable
from polygent_issuer.files.reading import UnsafeFile
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import keyring_backends, passphrases, pkcs11_store, rotation, signing
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.signer import Presence
from polygent_issuer.keys.signing import place_of
from polygent_issuer.registry import KeyRecord, LicenseStatus, Registry, licenses
from polygent_issuer.text import escape

TITLES: Final[Mapping[str, str]] = {
    keyring_backends.SECRET_SERVICE: "Secret Service",
    keyring_backends.KWALLET: "KWallet",
    keyring_backends.MACOS: "Keychain",
    keyring_backends.WINDOWS: "Credential Manager",
}
UNLOCK: Final = "unlock it by logging in to the desktop; signing asks for it, too"

_ANY: Final = "any"  # a kid that no key has
_IMPORT: Final = run("key", "import", "BACKUP")
_SETTINGS: Final = run("config", "show")


def is_needed(settings: Settings, usable: Iterable[KeyRecord] | None) -> bool:
    """Return whether signing needs a keyring.

    Args:
        settings: name the store of each key.
        usable: the keys that may sign; None when the registry cannot be read.
    """
    if usable is None:
        return store_uri.KEYRING in (*settings.stores.values(), settings.store)
    # Without a key the next one is made where the settings say.
    stores = [place_of(settings, key.kid) for key in usable] or [settings.store]
    return store_uri.KEYRING in stores


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """The state of one keyring; `fix` is None for one that would take a key at once."""

    title: str
    state: str
    runs: bool = True
    fix: str | None = None


def keyring(*, needed: bool, timeout: timedelta) -> Verdict:
    """Check that a keyring runs and is unlocked, without a prompt.

    Args:
        needed: whether any key is or would be in one; else nothing about it is wrong.
        timeout: of each call.
    """
    try:
        probes = tuple(_probe(backend, timeout) for backend in keyring_backends.for_platform())
    except KeyUnavailable as error:
        return refused(error) if needed else ok(f"no key needs one: {error.message}")
    message = "; ".join(f"{probe.title} {probe.state}" for probe in probes)
    message += "; any other is refused"
    if not needed:
        return ok(f"no key needs one: {message}")
    # As signing does it: the first one that runs is taken, even if it does not answer.
    chosen = next((probe for probe in probes if probe.runs), probes[0])
    return ok(message) if chosen.fix is None else warn(message, chosen.fix)


def _probe(backend: keyring_backends.SystemKeyring, timeout: timedelta) -> _Probe:
    title = TITLES[backend.backend_name]
    store = KeyringStore(timeout=timeout, keyrings=(backend,))
    try:
        store.require_room()
    except KeyUnavailable as error:
        if error.code == "keyring_absent":
            elsewhere = Hint(
                "log in to a session that has one, or keep new keys in files: ",
                run("config", "set", "store", store_uri.EXAMPLE_FILE_URI),
            )
            return _Probe(title=title, state="does not run here", runs=False, fix=elsewhere)
        if error.code == "keyring_timeout":
            state = f"did not answer within {timeout.total_seconds():g} s"
            return _Probe(title=title, state=state, fix="restart the keyring's service")
        return _Probe(title=title, state="answers with an error", fix="look into its own log")
    if store.presence(_ANY) is Presence.LOCKED:
        return _Probe(title=title, state="is locked", fix=UNLOCK)
    return _Probe(title=title, state="is ready")


def keyring_overrides(names: Iterable[str]) -> Verdict:
    """Report what would choose another keyring; only backends of the allow-list are used.

    Args:
        names: of all variables of the environment.
    """
    overrides = [f"{escape(name)} is ignored" for name in keyring_backends.redirections(names)]
    overrides += [f"{escape(m)} is refused" for m in keyring_backends.third_party_backends()]
    return ok("; ".join(overrides) or "no variable, file or plug-in would choose another keyring")


def usable(known: Iterable[KeyRecord]) -> tuple[KeyRecord, ...]:
    """Return the keys that may sign; the published example is among them, to be refused by name."""
    return tuple(key for key in known if key.may_sign)


def active(known: Sequence[KeyRecord]) -> Verdict:
    """Check that a key is active."""
    candidates = usable(known)
    if not candidates:
        return warn("there is no signing key", run("key", "generate", "main", "--backup", "FILE"))
    active_key = next((key for key in known if key.active), None)
    if active_key is None:
        first = rotation.label_words(candidates[0].label)
        return warn("no key is active, so none signs", run("key", "use", *first))
    return ok(f"{escape(active_key.label)} signs; keys in all: {len(known)}")


def private_keys(known: Iterable[KeyRecord], settings: Settings) -> tuple[Verdict, ...]:
    """Check for each key that may sign that its private key is here, without a prompt."""
    verdicts = tuple(_private_key(key, settings) for key in usable(known))
    return verdicts or (ok("no key is to be looked for"),)


def backups(known: Iterable[KeyRecord], settings: Settings) -> tuple[Verdict, ...]:
    """Check for each key that may sign that it has a backup."""
    verdicts = tuple(_backup(key, place_of(settings, key.kid)) for key in usable(known))
    return verdicts or (ok("no key is to be backed up"),)


def compromised(known: Iterable[KeyRecord], registry: Registry) -> tuple[Verdict, ...]:
    """Check for each compromised key that no current license is signed with it."""
    verdicts = tuple(_compromised(key, registry) for key in known if key.compromised)
    return verdicts or (ok("no key is marked as compromised"),)


def _private_key(key: KeyRecord, settings: Settings) -> Verdict:
    try:
        signing.require_not_example(key.kid)
        _ = key.public_key
    except IssuerError as error:
        return refused(error)
    place = place_of(settings, key.kid)
    try:
        token = store_uri.parse(place)
        if isinstance(token, store_uri.TokenUri):
            pkcs11_store.require_ready(settings, token)
    except IssuerError as error:
        # The exit code of signing, which differs for a file that others can change.
        exit_code = error.exit_code if isinstance(error, UnsafeFile) else ExitCode.KEY
        message = f"{escape(key.label)}: {error.message}"
        return _unusable(key, message, error.hint or _SETTINGS, exit_code)
    return _in_store(key, place, settings)


def _in_store(key: KeyRecord, place: str, settings: Settings) -> Verdict:
    name = f"{escape(key.label)} ({escape(place)})"
    presence = signing.presence(settings, key.kid)
    if presence is Presence.PRESENT:
        return ok(f"{name}: it is there")
    if presence is Presence.LOCKED:
        return warn(f"{name}: it is locked", UNLOCK)
    if place.startswith(store_uri.FILE):
        return _key_file(key, settings)
    if store_uri.is_token_uri(place):
        fix = Hint(
            "plug in the token that holds it; which one the settings name: ",
            _SETTINGS,
            "; or, if it has a backup: ",
            run("key", "import", "BACKUP", "--store", "URI"),
        )
        return _unusable(key, f"{name}: the token shows no such key", fix)
    if presence is Presence.ABSENT:
        return _unusable(key, f"{name}: it is not there", _IMPORT)
    # A keyring that does not answer cannot take a key either.
    fix = run("key", "import", "BACKUP", "--store", store_uri.EXAMPLE_FILE_URI)
    return _unusable(key, f"{name}: it is not within reach", fix)


def _unusable(
    key: KeyRecord, message: str, fix: str, exit_code: ExitCode = ExitCode.KEY
) -> Verdict:
    """Report a key that cannot sign: a failure only for the active one."""
    return fail(message, fix, exit_code) if key.active else warn(message, fix)


def _key_file(key: KeyRecord, settings: Settings) -> Verdict:
    """Report why a key file cannot be used: open it as for signing, up to its passphrase."""
    try:
        signing.signer_for(
            settings, key, passphrase=passphrases.NoPassphrase(), warn=lambda _: None
        )
    except (KeyUnavailable, UnsafeFile) as error:
        message = f"{escape(key.label)}: {error.message}"
        return _unusable(key, message, error.hint or _IMPORT, error.exit_code)
    raise NotChecked("the key file has come back")


def _backup(key: KeyRecord, place: str) -> Verdict:
    name = escape(key.label)
    if store_uri.is_token_uri(place):
        return ok(f"{name} is in hardware, which lets no copy out")
    if key.backed_up_at is not None:
        return ok(f"{name} was backed up on {key.backed_up_at.date().isoformat()}")
    return warn(
        f"{name} has no backup: a lost key means new licenses for everybody",
        run("key", "backup", *rotation.label_words(key.label), "FILE"),
    )


def _compromised(key: KeyRecord, registry: Registry) -> Verdict:
    name = escape(key.label)
    with registry.reading(checked=False) as db:
        count = sum(1 for _ in licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT))
    if not count:
        return ok(f"{name} is compromised, and no current license is signed with it")
    return fail(
        f"{name} is compromised; current licenses that are signed with it: {count}; reissue them "
        "with another key, and take it out of the servers",
        run("license", "list", f"--key={key.label}", "--status", "current"),
        ExitCode.KEY,
    )
