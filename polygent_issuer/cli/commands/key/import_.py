"""`polygent-issue key import`: a private key from elsewhere, or from its backup."""

from typing import Annotated

import typer

from polygent_issuer import files, store_uri
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.key_backup import backup_place
from polygent_issuer.cli.flows.key_place import Again, require_backup, require_store
from polygent_issuer.cli.flows.key_storage import (
    KeepingOptions,
    KeptReport,
    custodian,
    known_keys,
    settings_in_force,
)
from polygent_issuer.cli.options.passphrase import PassphraseOptions, source
from polygent_issuer.errors import UsageProblem
from polygent_issuer.keys.incoming import check_importable, read_incoming
from polygent_issuer.keys.passphrases import Passphrase, or_terminal
from polygent_issuer.keys.pkcs11_rules import is_in_token, require_ready, require_secret_for_token
from polygent_issuer.keys.signing import place_of
from polygent_issuer.store_uri import TokenUri, is_token_uri
from polygent_issuer.text import escape


def adopt(
    invocation: Invocation,
    uri: str,
    label: str | None,
    keeping: KeepingOptions,
    passphrase: Passphrase,
) -> KeptReport:
    """Pin the public half of a key where it is, or note where a pinned key is.

    It is in a token, or in a file that is not to be copied: a secret that a container mounts.

    Raises:
        UsageProblem: (`usage`) when something is said that only a copy of the key could follow.
        InvalidStore: (`invalid_store`) for a URI that is not exactly right.
        KeyUnavailable: each code of a token and its key; no home is made then.
    """
    if keeping.store is not None or keeping.backup is not None:
        given = "--backup" if keeping.store is None else "--store"
        raise UsageProblem(
            f"a key that is named by its place stays there, so {given} has no meaning for it",
            hint=f"leave out {given}; or name its file without file: to have it copied",
        )
    held, place = settings_in_force(invocation), store_uri.parse(uri)
    assert not isinstance(place, store_uri.KeyringLocation)  # noqa: S101 - it has no such URI
    known_keys(invocation)  # refuses a home that cannot be used
    if isinstance(place, TokenUri):
        require_ready(held, place)
    custody = custodian(invocation, passphrase, store=uri, backup=None)
    return KeptReport(kept=custody.adopt(place, label=label), verb="took in")


_LIMIT = 16 * 1024
_STDIN = "-"


def import_private(
    invocation: Invocation,
    key_file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="PKCS#8, SEC1 or OpenSSH; - is stdin; or a pkcs11: or file: URI.",
        ),
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
    the one of the new key file, too, unless a terminal is asked. FILE itself is left as it is. A
    pkcs11: or file: URI instead names a key that stays where it is: in a token, or in a file that
    a container has mounted.
    """
    if is_token_uri(key_file) or key_file.startswith(store_uri.FILE):
        return adopt(invocation, key_file, label, keeping, source(invocation, passphrases))
    held, passphrase = settings_in_force(invocation), source(invocation, passphrases)
    again = Again(
        command="key import",
        argument=key_file,
        label=label,
        keeping=keeping,
        passphrases=passphrases,
    )
    require_backup(again)
    data = files.read_unmarked(key_file, limit=_LIMIT, what="private key")
    if warning := files.secret_warning(key_file, what="private key"):
        invocation.warn(warning)
    known = known_keys(invocation)
    incoming = read_incoming(data, passphrase)
    pinned = incoming.pinned(known)
    name = check_importable(incoming.kid, label, known)
    store = keeping.store or place_of(held, incoming.kid)
    require_store(held, store, again)
    # The file of a pinned key is a backup already.
    decided = pinned is None or keeping.backup is not None
    backup = backup_place(invocation, held, keeping) if decided else None
    if is_in_token(store):
        others = (not incoming.plaintext, "file"), (backup is not None, "backup")
        require_secret_for_token(passphrase, [what for needed, what in others if needed])
    if invocation.interactive and not incoming.plaintext:
        passphrase = or_terminal(passphrase)  # it opened FILE, but may be none for a new file
    custody = custodian(invocation, passphrase, store=store, backup=backup)
    kept = custody.import_key(incoming, label=name, store_uri=store, backup=backup)
    origin = "the file that it came from" if key_file == _STDIN else escape(key_file)
    former = held.stores.get(incoming.kid, kept.uri)
    if incoming.plaintext:
        invocation.warn(f"{origin} is a plaintext copy of the key, which remains: destroy it")
    if is_in_token(kept.uri) and not is_in_token(former):
        invocation.warn(f"{former} still holds the key: destroy it there, too")
    return KeptReport(
        kept=kept, verb="imported", origin_as_backup=origin if incoming.is_backup else None
    )
