"""Which public keys a check trusts: the files that were named, else the registry's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polygent_issuer.cli.context import Invocation

if TYPE_CHECKING:
    from polygent_issuer.verifier import KeySet

PublicKeyFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--public-key",
        metavar="FILE",
        help="Trust this PEM or JWKS instead of the registry's keys; repeatable.",
        readable=False,  # reading it says what is wrong
    ),
]
_LIMIT = 64 * 1024


def from_files(invocation: Invocation, paths: list[Path]) -> "KeySet":
    """The keys of PEM and JWKS files; the example key is allowed, and said loudly.

    Raises:
        UnreadableInput: (`unreadable_input`) a file cannot be read.
        InvalidKey: (`invalid_key`) it holds no key that may be trusted.
    """
    from polygent_issuer import files
    from polygent_issuer.verifier import EXAMPLE_KID, Key, KeySet

    found: dict[str, Key] = {}
    for path in paths:
        data = files.read_unmarked(str(path), limit=_LIMIT, what="public key")
        read = KeySet.from_jwks if data.lstrip().startswith(b"{") else KeySet.from_pem
        found.update({key.kid: key for key in read(data, allow_example=True)})
    if EXAMPLE_KID in found:
        invocation.warn(
            "this is the example key: its private half is public, and what it signed proves nothing"
        )
    return KeySet.of(*found.values(), allow_example=True)
