"""`polygent-issue key import`: a private key from elsewhere, or from its backup."""

from typing import Annotated

import typer

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.backup_place import backup_place
from polygent_issuer.cli.key.keeping import KeepingOptions, custodian, settings_in_force
from polygent_issuer.cli.key.key_view import KeptReport
from polygent_issuer.cli.passphrase import PassphraseOptions, source

_LIMIT = 16 * 1024


def import_private(
    invocation: Invocation,
    key_file: Annotated[
        str, typer.Argument(metavar="FILE", help="PKCS#8, SEC1 or OpenSSH; - is stdin.")
    ],
    label: Annotated[
        str | None, typer.Option("--label", metavar="LABEL", help="What to call a new key.")
    ] = None,
    *,
    keeping: KeepingOptions,
    passphrases: PassphraseOptions,
) -> KeptReport:
    """Take in a private key: one from elsewhere, a backup, or a second operator's copy.

    A key that the registry knows keeps its label. FILE may be encrypted; its passphrase then is
    the one of the new key file, too, unless a terminal is asked. FILE itself is left as it is.
    """
    held = settings_in_force(invocation)
    backup = backup_place(invocation, held, keeping)
    store = keeping.store or held.store
    data = files.read_bounded(key_file, limit=_LIMIT, what="private key")
    custody = custodian(invocation, source(invocation, passphrases), store=store, backup=backup)
    kept = custody.import_key(data, label=label, store_uri=store, backup=backup)
    return KeptReport(kept=kept, verb="imported")
