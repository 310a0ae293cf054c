"""`polygent-issue key generate`: a new signing key."""

from typing import Annotated

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.backup_of_made import backup_place_of_made, require_none_in_token
from polygent_issuer.cli.key.keeping import KeepingOptions, custodian, known_keys, settings_in_force
from polygent_issuer.cli.key.kept_view import KeptReport
from polygent_issuer.cli.key.store_place import Again, require_backup, require_store
from polygent_issuer.cli.passphrase import PassphraseOptions, source
from polygent_issuer.custody import free_label, require_free, require_room_for_new


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
    require_room_for_new(store)
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
