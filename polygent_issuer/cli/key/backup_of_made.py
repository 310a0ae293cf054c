"""The backup of a key that is made here: one that is made in a token has none, and that is said."""

from pathlib import Path

from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.backup_place import backup_place
from polygent_issuer.cli.key.keeping import KeepingOptions
from polygent_issuer.cli.notes import note
from polygent_issuer.custody import is_in_token, no_backup_of_made
from polygent_issuer.errors import MissingInput
from polygent_issuer.settings import Settings


def backup_place_of_made(
    invocation: Invocation, held: Settings, options: KeepingOptions, store: str
) -> Path | None:
    """Where the backup of a key that is made here goes: in a token it has none, and that is said.

    Raises:
        MissingInput: (`missing_input`) when a backup is not possible and nobody has agreed.
        Declined: (`declined`) when somebody has not.
        IssuerError: else as `backup_place`.
    """
    if not is_in_token(store):
        return backup_place(invocation, held, options)
    if options.no_backup:
        return None
    refusal = no_backup_of_made(store)
    if not invocation.interactive:
        raise MissingInput(refusal.message, hint=refusal.hint)
    note("warning", refusal.message)
    prompts.go_ahead("make it all the same?")
    return None


def require_none_in_token(store: str, options: KeepingOptions) -> None:
    """Refuse a backup of a key that is made in a token, before anybody is asked anything.

    Raises:
        NotExtractable: (`not_extractable`) likewise.
    """
    if options.backup is not None and is_in_token(store):
        raise no_backup_of_made(store)
