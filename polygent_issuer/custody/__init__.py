"""Keystore and registry together: a key is recorded only once it is safely kept.

The order of making or importing one: the private half is saved and read back, then its backup is
written and read back, then its place goes into the operator's settings, and last the public half
is pinned in the registry, with its journal row, in one commit. A crash in between leaves at most a
private half that nothing names; never a pinned key whose private half is nowhere.

When the backup fails, the private half is taken back out of a file or a token, nothing is recorded,
and the same command can be repeated. Out of a keyring nothing is taken: a private half there that
nothing names would be worse than a key that still needs its backup, so that key is recorded, which
the error and `doctor` say.
"""

from polygent_issuer.custody.activation import signing_command
from polygent_issuer.custody.errors import BackupFailed, CompromisedKey, ExampleKey, RetiredKey
from polygent_issuer.custody.in_token import (
    is_in_token,
    no_backup_of_made,
    require_ready,
    require_room_for_new,
    require_secret_for_token,
)
from polygent_issuer.custody.incoming import Incoming, read_incoming, require_welcome
from polygent_issuer.custody.keeping import Custodian, Kept
from polygent_issuer.custody.labels import free_label, require_free, typed
from polygent_issuer.custody.signing import (
    place_of,
    presence,
    require_not_example,
    require_usable,
    signer_for,
)

__all__ = [
    "BackupFailed",
    "CompromisedKey",
    "Custodian",
    "ExampleKey",
    "Incoming",
    "Kept",
    "RetiredKey",
    "free_label",
    "is_in_token",
    "no_backup_of_made",
    "place_of",
    "presence",
    "read_incoming",
    "require_free",
    "require_not_example",
    "require_ready",
    "require_room_for_new",
    "require_secret_for_token",
    "require_usable",
    "require_welcome",
    "signer_for",
    "signing_command",
    "typed",
]
