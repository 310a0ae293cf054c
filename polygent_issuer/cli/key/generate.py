"""`polygent-issue key generate`: a new signing key."""

from typing import Annotated

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.backup_place import backup_place
from polygent_issuer.cli.key.keeping import KeepingOptions, custodian, settings_in_force
from polygent_issuer.cli.key.key_view import KeptReport
from polygent_issuer.cli.passphrase import PassphraseOptions, source
from polygent_issuer.registry import Registry, keys

_FIRST = "main"


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
    held = settings_in_force(invocation)
    backup = backup_place(invocation, held, keeping)
    store = keeping.store or held.store
    custody = custodian(invocation, source(invocation, passphrases), store=store, backup=backup)
    kept = custody.generate(
        label=label or free_label(custody.registry), store_uri=store, backup=backup
    )
    return KeptReport(kept=kept, verb="generated")


def free_label(registry: Registry) -> str:
    """A label that no key has: main, then main-2."""
    with registry.reading() as db:
        taken = {name for key in keys.every(db) for name in (key.label, key.kid)}
    number, label = 1, _FIRST
    while label in taken:
        number += 1
        label = f"{_FIRST}-{number}"
    return label
