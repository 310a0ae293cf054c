"""Checks of the keyring and of each signing key."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from polygent_issuer import store_uri
from polygent_issuer.doctor.context import NotChecked, Verdict, fail, ok, refused, warn
from polygent_issuer.errors import ExitCode, IssuerError, KeyUnavailable
from polygent_issuer.files.reading import UnsafeFile
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys import backups as key_backups
from polygent_issuer.keys import keyring_backends, passphrases, rotation, stores
from polygent_issuer.keys.keyring_store import KeyringStore
from polygent_issuer.keys.pkcs11_store import Pkcs11Store
from polygent_issuer.keys.remote import RemoteStore
from polygent_issuer.keys.signer import Presence, require_not_example
from polygent_issuer.keys.stores import place_of
from polygent_issuer.registry import KeyRecord, LicenseStatus, Registry, licenses
from polygent_issuer.text import Command, Hint, escape, run

TITLES: Final[Mapping[str, str]] = {
    keyring_backends.SECRET_SERVICE: "Secret Service",
    keyring_backends.KWALLET: "KWallet",
    keyring_backends.MACOS: "Keychain",
    keyring_backends.WINDOWS: "Credential Manager",
}
UNLOCK: Final = "log in to the desktop to unlock the keyring, or answer its prompt when you sign"

_ANY: Final = "any"  # a kid that no key has
_IMPORT: Final = run("key", "import", "BACKUP")
_SETTINGS: Final = run("config", "show")
_UNAVAILABLE: Final = "make the private key available first (the check key has its fix)"


def is_needed(settings: Settings, usable: Iterable[KeyRecord] | None) -> bool:
    """Return whether signing needs a keyring; `usable` are the keys if the registry can be read."""
    if usable is None:
        return store_uri.KEYRING in (*settings.stores.values(), settings.store)
    # Without a key, the next one is stored in the default store of the settings.
    places = [place_of(settings, key.kid) for key in usable] or [settings.store]
    return store_uri.KEYRING in places


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """The state of one keyring. One that can store a key at once has the `fix` None."""

    title: str
    state: str
    runs: bool = True
    fix: str | None = None


def keyring(*, needed: bool, timeout: timedelta) -> Verdict:
    """Check without a prompt that a keyring is running and unlocked.

    Only if a key is, or would be, stored in a keyring (`needed`), a problem is reported.
    """
    try:
        probes = tuple(_probe(backend, timeout) for backend in keyring_backends.for_platform())
    except KeyUnavailable as error:
        return refused(error) if needed else ok(f"not needed by any key: {error.message}")
    message = "; ".join(f"{probe.title} {probe.state}" for probe in probes)
    if not needed:
        return ok(f"not needed by any key: {message}")
    # Signing uses the first running keyring, even if it does not answer.
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
                "log in to a desktop session, or store new keys in files: ",
                run("config", "set", "store", store_uri.EXAMPLE_FILE_URI),
            )
            return _Probe(title=title, state="is not running", runs=False, fix=elsewhere)
        state, fix = "returned an error", "check the log of the keyring service"
        if error.code == "keyring_timeout":
            state = f"did not answer within {timeout.total_seconds():g} s"
            fix = "restart the keyring service"
        return _Probe(title=title, state=state, fix=fix)
    if store.presence(_ANY) is Presence.LOCKED:
        return _Probe(title=title, state="is locked", fix=UNLOCK)
    return _Probe(title=title, state="is ready")


def keyring_overrides(names: Iterable[str]) -> Verdict:
    """Report attempts to override the keyring; only backends of the allow-list are used."""
    overrides = [f"{escape(name)} is ignored" for name in keyring_backends.redirections(names)]
    overrides += [f"{escape(m)} is refused" for m in keyring_backends.third_party_backends()]
    return ok(
        "; ".join(overrides)
        or "no environment variable, config file or plug-in overrides the keyring"
    )


def usable(known: Iterable[KeyRecord]) -> tuple[KeyRecord, ...]:
    """Return the keys that may sign, and the published example key, which a later check refuses."""
    return tuple(key for key in known if key.may_sign)


def within_roles(verdict: Verdict) -> Verdict:
    """Return a verdict for a user of a team's registry who may not change its keys.

    A fix that would import a key that the registry has already becomes the setting with its place;
    another one names the role that it needs.
    """
    if not isinstance(verdict.fix, Hint):
        return verdict
    words = [part.words for part in verdict.fix.parts if isinstance(part, Command)]
    if verdict.kid and any(each[:2] == ("key", "import") for each in words):
        place = run("config", "set", f"stores.{verdict.kid}", "URI")
        return replace(verdict, fix=Hint("name the place of your private key: ", place))
    if any(each[0] == "key" for each in words):
        instead = "let a user with the role key-admin do it: "
        return replace(verdict, fix=Hint(instead, verdict.fix))
    return verdict


def active(known: Sequence[KeyRecord]) -> Verdict:
    """Check that a key is active."""
    candidates = usable(known)
    if not candidates:
        return warn("no signing key exists", run("key", "generate", "main", "--backup", "FILE"))
    active_key = next((key for key in known if key.active), None)
    if active_key is None:
        first = rotation.label_words(candidates[0].label)
        return warn("no key is active, so nothing can be signed", run("key", "use", *first))
    return ok(f"{escape(active_key.label)} is active; number of keys: {len(known)}")


def private_keys(known: Iterable[KeyRecord], settings: Settings) -> tuple[Verdict, ...]:
    """Check without a prompt that the private key of each key that may sign is available."""
    hanging: dict[str, KeyUnavailable] = {}
    verdicts = tuple(
        replace(_private_key(key, settings, hanging), kid=key.kid) for key in usable(known)
    )
    return verdicts or (ok("no private keys to check"),)


def backups(known: Iterable[KeyRecord], settings: Settings, home: Path) -> tuple[Verdict, ...]:
    """Check that each key that may sign has a backup, which is in reach and on another disk."""
    verdicts = tuple(v for key in usable(known) for v in _backups(key, settings, home))
    return verdicts or (ok("no keys to back up"),)


def compromised(known: Iterable[KeyRecord], registry: Registry) -> tuple[Verdict, ...]:
    """Check that no current license is signed with a compromised key."""
    verdicts = tuple(_compromised(key, registry) for key in known if key.compromised)
    return verdicts or (ok("no key is marked as compromised"),)


def _private_key(key: KeyRecord, settings: Settings, hanging: dict[str, KeyUnavailable]) -> Verdict:
    """Check one key; services in `hanging` did not answer, and are not asked again."""
    try:
        require_not_example(key.kid)
        _ = key.public_key
    except IssuerError as error:
        return refused(error)
    place = place_of(settings, key.kid)
    try:
        if store_uri.stays(place):
            store = stores.open_store(settings, place)
            if isinstance(store, Pkcs11Store):
                store.require_ready()
            elif isinstance(store, RemoteStore):
                _require_ready(store, key, hanging)
    except IssuerError as error:
        # Signing has another exit code for a file that other users can change.
        exit_code = error.exit_code if isinstance(error, UnsafeFile) else ExitCode.KEY
        message = f"{escape(key.label)}: {error.message}"
        return _unusable(key, message, error.hint or _SETTINGS, exit_code)
    return _in_store(key, place, settings)


def _require_ready(store: RemoteStore, key: KeyRecord, hanging: dict[str, KeyUnavailable]) -> None:
    if store.endpoint in hanging:
        raise hanging[store.endpoint]
    try:
        store.require_ready(key.public_key)
    except KeyUnavailable as error:
        if error.code == "remote_timeout":
            hanging[store.endpoint] = error
        raise


def _in_store(key: KeyRecord, place: str, settings: Settings) -> Verdict:
    name = f"{escape(key.label)} ({escape(place)})"
    presence = stores.presence(settings, key.kid)
    if presence is Presence.PRESENT:
        return ok(f"{name}: available")
    if presence is Presence.LOCKED:
        return warn(f"{name}: locked", UNLOCK)
    if place.startswith(store_uri.FILE):
        return _key_file(key, settings)
    if place.startswith(store_uri.PKCS11):
        fix = Hint(
            "plug in the right token; its name is in the settings: ",
            _SETTINGS,
            "; or, if the key has a backup: ",
            run("key", "import", "BACKUP", "--store", "URI"),
        )
        return _unusable(key, f"{name}: the key is not in the token", fix)
    if presence is Presence.ABSENT:
        fix = _IMPORT if stores.has_backup(settings, key) else stores.LOST
        return _unusable(key, f"{name}: the private key is missing", fix)
    # A keyring that does not answer cannot store a key either.
    fix = run("key", "import", "BACKUP", "--store", store_uri.EXAMPLE_FILE_URI)
    return _unusable(key, f"{name}: the key store is unavailable", fix)


def _unusable(
    key: KeyRecord, message: str, fix: str, exit_code: ExitCode = ExitCode.KEY
) -> Verdict:
    """Report a key that cannot sign: a failure for the active key, a warning for another."""
    return fail(message, fix, exit_code) if key.active else warn(message, fix)


def _key_file(key: KeyRecord, settings: Settings) -> Verdict:
    """Report why a key file cannot be used: open it without a passphrase, as signing does."""
    try:
        stores.signer_for(settings, key, passphrase=passphrases.NoPassphrase(), warn=lambda _: None)
    except (KeyUnavailable, UnsafeFile) as error:
        message = f"{escape(key.label)}: {error.message}"
        return _unusable(key, message, error.hint or _IMPORT, error.exit_code)
    raise NotChecked("the key file appeared during the check")


def _backups(key: KeyRecord, settings: Settings, home: Path) -> Iterator[Verdict]:
    name, recorded = escape(key.label), key_backups.recorded(settings, home, key.kid)
    for backup in recorded:
        place = escape(str(backup.path))
        if backup.risk is None:
            yield ok(f"{name} has the backup {place}")
        else:
            yield warn(
                f"{name}: the backup {place} {backup.risk}", _backup_fix(key, backup, settings)
            )
    if recorded:
        return
    if store_uri.stays(place := place_of(settings, key.kid)):
        yield ok(f"{name} is stored in {store_uri.where(place)} and cannot be backed up")
    elif key.backed_up_at is not None:
        yield ok(f"{name} was backed up on {key.backed_up_at.date().isoformat()}")
    else:
        yield warn(
            f"{name} has no backup: if you lose the key, servers need a new public key before "
            "the next renewal",
            _write_backup("", key, settings) or _UNAVAILABLE,
        )


def _backup_fix(key: KeyRecord, backup: key_backups.Backup, settings: Settings) -> str:
    if backup.presence is Presence.PRESENT:
        return _write_backup("write one on another disk: ", key, settings) or _UNAVAILABLE
    if backup.presence is not Presence.ABSENT:
        return run("key", "backup", "--check", *rotation.label_words(key.label))
    return Hint(
        "connect its disk",
        _write_backup(", or write another one: ", key, settings),
        "; to forget the recorded ones: ",
        run("config", "set", f"backups.{key.kid}", "none"),
    )


def _write_backup(before: str, key: KeyRecord, settings: Settings) -> Hint:
    """Return the command that writes a backup; empty if the private key is not available."""
    if stores.presence(settings, key.kid) not in (Presence.PRESENT, Presence.LOCKED):
        return Hint()
    return Hint(before, run("key", "backup", *rotation.label_words(key.label), "FILE"))


def _compromised(key: KeyRecord, registry: Registry) -> Verdict:
    name = escape(key.label)
    with registry.reading(checked=False) as db:
        count = sum(1 for _ in licenses.select(db, kid=key.kid, status=LicenseStatus.CURRENT))
    if not count:
        return ok(f"{name} is compromised, but no current license is signed with it")
    return fail(
        f"{name} is compromised: reissue the licenses that are signed with it (current: {count}) "
        "with another key, and remove the key from your servers",
        run("license", "list", f"--key={key.label}", "--status", "current"),
        ExitCode.KEY,
    )
