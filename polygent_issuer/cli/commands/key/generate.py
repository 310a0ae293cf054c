"""`polygent-issue key generate`: generate a signing key."""

from typing import Annotated

from polygent_issuer.cli.consent import ConsentOptions, parse_consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows import key_storage
from polygent_issuer.cli.options.common import PassphraseOptions, argument, passphrase_source
from polygent_issuer.cli.output.result import Report
from polygent_issuer.keys.remote import backup_impossible_new, check_new_key_uri
from polygent_issuer.keys.rotation import free_label, require_free_label
from polygent_issuer.store_uri import stays


def generate(
    invocation: Invocation,
    label: Annotated[
        str | None, argument("[LABEL]", "Set the label of the key (default: main).")
    ] = None,
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
    settings, consent = key_storage.current_settings(invocation), parse_consent(consents)
    passphrase = passphrase_source(invocation, passphrases)
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
