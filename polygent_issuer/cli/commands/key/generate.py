"""`polygent-issue key generate` and `import`: generate a private key, or import one."""

import os

from polygent_issuer import store_uri
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows import key_storage
from polygent_issuer.cli.options.common import ConsentOptions, PassphraseOptions, argument, option
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import UsageProblem
from polygent_issuer.files import reading
from polygent_issuer.findings import Consent
from polygent_issuer.keys.lifecycle import check_importable, pinned_as
from polygent_issuer.keys.openssh import read_private_key
from polygent_issuer.keys.passphrases import Passphrase, or_terminal
from polygent_issuer.keys.pkcs11_store import Pkcs11Store, require_secret_for_token
from polygent_issuer.keys.remote import RemoteStore, backup_impossible_new, check_new_key_uri
from polygent_issuer.keys.rotation import free_label, require_free_label
from polygent_issuer.keys.stores import open_store, place_of
from polygent_issuer.store_uri import stays
from polygent_issuer.text import escape

_LIMIT = 16 * 1024


def generate(
    invocation: Invocation,
    label: str | None = argument(
        "[LABEL]", "Set the label of the key (default: main).", default=None
    ),
    *,
    storage: key_storage.StorageOptions,
    passphrases: PassphraseOptions,
    consents: ConsentOptions,
) -> Report:
    """Generate a signing key.

    The key is stored in the keyring, in an encrypted file or in a token. The first key becomes
    active at once; a later one when you run `key use`. A missing home is created.

    A key file and its backup have the same passphrase. A key in the keyring needs a passphrase
    only for its backup. A key generated in a token cannot be backed up, and its passphrase is the
    PIN of the token. A passphrase of fewer than 12 characters needs consent (weak-passphrase).
    """
    settings, consent = key_storage.current_settings(invocation), consents.parse()
    passphrase = passphrases.source(invocation)
    store = storage.store or settings.store
    check_new_key_uri(store)
    if storage.backup is not None and stays(store):
        raise backup_impossible_new(store)
    known = key_storage.known_keys(invocation)
    name = require_free_label(free_label(known) if label is None else label, known)
    retry = key_storage.RetryCommand(
        command="key generate",
        argument=name,
        storage=storage,
        passphrases=passphrases,
        consents=consents,
    )
    key_storage.require_backup(retry)
    key_storage.require_store(settings, store, retry)
    backup = key_storage.backup_path_of_new(invocation, settings, storage, store)
    lifecycle = key_storage.key_lifecycle(
        invocation, passphrase, consent, store=store, backup=backup
    )
    stored = lifecycle.generate(label=name, store_uri=store, backup=backup)
    return key_storage.stored_key(stored, "generated")


def _adopt(
    invocation: Invocation,
    uri: str,
    label: str | None,
    storage: key_storage.StorageOptions,
    passphrase: Passphrase,
    *,
    consent: Consent,
) -> Report:
    """Register a private key that stays in its token or service, or in a mounted file."""
    if storage.store is not None or storage.backup is not None:
        option = "--backup" if storage.store is None else "--store"
        raise UsageProblem(
            f"{option} cannot be combined with the URI of a key, which stays in place",
            hint=f"leave out {option}; or to copy the key, give its file without file:",
        )
    settings, place = key_storage.current_settings(invocation), store_uri.parse(uri)
    assert not isinstance(place, store_uri.KeyringLocation)  # noqa: S101 - not with these URIs
    key_storage.known_keys(invocation)  # raises if the home cannot be used
    if isinstance(store := open_store(settings, uri), Pkcs11Store | RemoteStore):
        store.require_ready()
    lifecycle = key_storage.key_lifecycle(invocation, passphrase, consent, store=uri, backup=None)
    return key_storage.stored_key(lifecycle.adopt(place, label=label), "registered")


def import_private(
    invocation: Invocation,
    key_file: str = argument("FILE", "Import this key file (- for stdin), or a key by its URI."),
    label: str | None = option("--label", "LABEL", "Set the label of a new key."),
    *,
    storage: key_storage.StorageOptions,
    passphrases: PassphraseOptions,
    consents: ConsentOptions,
) -> Report:
    """Import a private key.

    FILE is a key in PKCS#8, SEC1 or OpenSSH form, such as a backup. It is not changed. If it is
    encrypted, a passphrase from an option also encrypts the new key file; on a terminal there is
    a second prompt. A short new passphrase needs consent (weak-passphrase). A known key keeps its
    label. A URI registers a key that stays in place: pkcs11: in a token, agent: in an SSH agent,
    vault: in Vault or OpenBao, awskms: in AWS KMS, file: in a mounted file.
    """
    passphrase, consent = passphrases.source(invocation), consents.parse()
    if store_uri.stays(key_file) or key_file.startswith(store_uri.FILE):
        return _adopt(invocation, key_file, label, storage, passphrase, consent=consent)
    if store_uri.is_like_uri(key_file) and not os.path.lexists(key_file):
        store_uri.parse(key_file)  # a misspelt URI may contain a secret, so it is not a path
    settings = key_storage.current_settings(invocation)
    retry = key_storage.RetryCommand(
        command="key import",
        argument=key_file,
        label=label,
        storage=storage,
        passphrases=passphrases,
        consents=consents,
    )
    key_storage.require_backup(retry)
    data = reading.read_unmarked(key_file, limit=_LIMIT, what="private key")
    known = key_storage.known_keys(invocation)
    imported = read_private_key(data, passphrase)
    if warning := reading.secret_warning(key_file, what="private key"):
        invocation.warn(warning)
    name = check_importable(imported.kid, label, known)
    store = storage.store or place_of(settings, imported.kid)
    key_storage.require_store(settings, store, retry)
    # If the registry has the key, FILE is a backup already.
    wants_backup = pinned_as(imported.kid, known) is None or storage.backup is not None
    backup = key_storage.backup_path(invocation, settings, storage) if wants_backup else None
    if store_uri.stays(store):
        others = (not imported.plaintext, "file"), (backup is not None, "backup")
        require_secret_for_token(passphrase, [what for needed, what in others if needed])
    if invocation.interactive and not imported.plaintext:
        passphrase = or_terminal(passphrase)  # the new file may get another passphrase than FILE
    lifecycle = key_storage.key_lifecycle(
        invocation, passphrase, consent, store=store, backup=backup
    )
    stored = lifecycle.import_key(imported, label=name, store_uri=store, backup=backup)
    origin = "the source of the key" if key_file == "-" else escape(key_file)
    former = settings.stores.get(imported.kid, stored.uri)
    _warn_of_other_copies(invocation, origin if imported.plaintext else None, former, stored.uri)
    backup_file = origin if imported.is_backup else None
    return key_storage.stored_key(stored, "imported", origin_as_backup=backup_file)


def _warn_of_other_copies(
    invocation: Invocation, unencrypted: str | None, former: str, present: str
) -> None:
    """Warn of an unencrypted file with the key, and of a key store that it was in before."""
    if unencrypted is not None:
        invocation.warn(f"{unencrypted} still has the key unencrypted; delete it securely")
    if store_uri.stays(present) and not store_uri.stays(former):
        invocation.warn(f"{former} still has the key; delete it there, too")
