"""`polygent-issue key generate`: a new signing key."""

from typing import Annotated

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_backup import backup_place_of_made, require_none_in_token
from polygent_issuer.cli.flows.key_place import Again, require_backup, require_store
from polygent_issuer.cli.flows.key_storage import (
    KeepingOptions,
    KeptReport,
    custodian,
    known_keys,
    settings_in_force,
)
from polygent_issuer.cli.options.passphrase import PassphraseOptions, source
from polygent_issuer.keys.labels import free_label, require_free
from polygent_issuer.keys.pkcs11_rules import check_new_key_uri


def generate(
    invocation: Invocation,
    label: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="What to call it; main by default.")
    ] = None,
    *,
    keeping: KeepingOptions,
    passphrases: PassphraseOptions,
) -> KeptReport:
    """Make a signing key, in the keyring, in an encrypted file or inside a token.

    The first key signs at once, a later one after `key use`. A home is made when there is none.
    A key file and its backup have one passphrase; the keyring's key needs one for its backup. A
    key that is made in a token never leaves it and has no backup; the passphrase is the token's
    PIN.
    """
    held, passphrase = settings_in_force(invocation), source(invocation, passphrases)
    store = keeping.store or held.store
    check_new_key_uri(store)
    require_none_in_token(store, keeping)
    known = known_keys(invocation)
    name = require_free(free_label(known) if label is None else label, known)
    again = Again(command="key generate", argument=name, keeping=keeping, passphrases=passphrases)
    require_backup(again)
    require_store(held, store, again)
    backup = backup_place_of_made(invocation, held, keeping, store)
    custody = custodian(invocation, passphrase, store=store, backup=backup)
    kept = custody.generate(label=name, store_uri=store, backup=backup)
    return KeptReport(kept=kept, verb="generated")
