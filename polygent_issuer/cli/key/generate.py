"""`polygent-issue key generate`: a new signing key."""

from typing import Annotated

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.backup_place import backup_place, require_sound
from polygent_issuer.cli.key.keeping import KeepingOptions, custodian, known_keys, settings_in_force
from polygent_issuer.cli.key.key_view import KeptReport
from polygent_issuer.cli.key.store_place import Again, require_store
from polygent_issuer.cli.passphrase import PassphraseOptions, source
from polygent_issuer.custody import free_label, require_free


def generate(
    invocation: Invocation,
    label: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="What to call it; main by default.")
    ] = None,
    *,
    keeping: KeepingOptions,
    passphrases: PassphraseOptions,
) -> KeptReport:
    """Make a signing key, in the keyring or in an encrypted file.

    The first key signs at once, a later one after `key use`. A home is made when there is none.
    A key file and its backup have one passphrase; the keyring's key needs one for its backup.
    """
    held, passphrase = settings_in_force(invocation), source(invocation, passphrases)
    store = keeping.store or held.store
    require_sound(keeping)
    known = known_keys(invocation)
    name = free_label(known) if label is None else label
    require_free(name, known)
    again = Again(command="key generate", argument=name, keeping=keeping, passphrases=passphrases)
    require_store(held, store, again)
    backup = backup_place(invocation, held, keeping)
    custody = custodian(invocation, passphrase, store=store, backup=backup)
    kept = custody.generate(label=name, store_uri=store, backup=backup)
    return KeptReport(kept=kept, verb="generated")
