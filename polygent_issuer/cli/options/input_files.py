"""Options that name input files, their contents, and a report of skipped files."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag, option
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.batch.sources import Skipped
    from polygent_issuer.cli.output.blocks import Block
    from polygent_issuer.machine_info.document import ReceivedDocument
    from polygent_issuer.registry.journal_check import JournalHead
    from polygent_issuer.verifier import KeySet

MachineInfoFile = Annotated[
    str | None, option("--machine-info", "FILE", "Read a machine-info.json (- for stdin).")
]

PublicKeyFiles = Annotated[
    list[Path] | None,
    option(
        "--public-key",
        "FILE",
        "Trust this PEM or JWKS file instead of the registry's keys (repeatable).",
        readable=False,  # reading the file gives a better message
    ),
]

AgainstOption = Annotated[
    str | None,
    option("--against", "HEAD|FILE", "Compare with a saved head or a file of heads (- for stdin)."),
]

Recursive = Annotated[bool, flag("--recursive", "Include subfolders.", short="-r")]

_PUBLIC_KEY_LIMIT: Final = 64 * 1024
_HEADS_LIMIT: Final = 16 * 1024 * 1024
_MOST_SKIPPED: Final = 5


def read_document(source: str | None) -> "ReceivedDocument | None":
    """Read and check a machine-info document (FORMAT §4).

    Raises:
        UnreadableInput: (`unreadable_input`) the file cannot be read.
        InvalidMachineInfo: (`invalid_machine_info`) the document violates §4.
    """
    if source is None:
        return None
    from polygent_issuer import files
    from polygent_issuer.machine_info import document

    content = files.read_bounded(source, limit=document.LIMIT, what="machine-info document")
    return document.ReceivedDocument(content=content, info=document.parse(content))


def read_public_keys(invocation: Invocation, paths: list[Path]) -> "KeySet":
    """Read the keys of PEM and JWKS files; warn about the example key.

    Raises:
        UnreadableInput: (`unreadable_input`) a file cannot be read.
        InvalidKey: (`invalid_key`) a file has no key that may be trusted.
    """
    from polygent_issuer import files
    from polygent_issuer.verifier import EXAMPLE_KID, Key, KeySet

    keys: dict[str, Key] = {}
    for path in paths:
        data = files.read_unmarked(str(path), limit=_PUBLIC_KEY_LIMIT, what="public key")
        read = KeySet.from_jwks if data.lstrip().startswith(b"{") else KeySet.from_pem
        keys.update({key.kid: key for key in read(data, allow_example=True)})
    if EXAMPLE_KID in keys:
        invocation.warn(
            "this is the example key: its private key is published, so its signatures prove nothing"
        )
    return KeySet.of(*keys.values(), allow_example=True)


def noted_heads(against: str | None) -> "tuple[JournalHead, ...]":
    """Return the heads of `--against`; none without the option.

    Raises:
        InputRefused: (`input_refused`) it is neither a head nor a file, or a line of the file has
            no head.
        UnreadableInput: (`unreadable_input`) the file cannot be read.
    """
    if against is None:
        return ()
    from polygent_issuer import files
    from polygent_issuer.registry.journal_check import parse_head, parse_noted

    head = parse_head(against)
    if head is not None:
        return (head,)
    if against != "-" and not os.path.lexists(against):
        raise InputRefused(
            f"{escape(against)} is neither a head (SIZE:HASH) nor a file of heads",
            hint=Hint("copy a head from an earlier ", run("journal", "verify")),
        )
    data = files.read_unmarked(against, limit=_HEADS_LIMIT, what="file of heads")
    name = "stdin" if against == "-" else escape(against)
    return parse_noted(data.decode("utf-8", "replace"), name)


def skipped_json(skipped: "Sequence[Skipped]") -> list[dict[str, Any]]:
    """Return the skipped files, each with the reason as a code and as text."""
    return [
        {"file": each.name, "reason": str(each.reason), "message": each.message} for each in skipped
    ]


def skipped_blocks(skipped: "Sequence[Skipped]") -> "Iterator[Block]":
    """Yield the number of skipped files, and the first five of them."""
    from polygent_issuer.cli.output.blocks import Line

    if not skipped:
        return
    yield Line(f"skipped: {len(skipped):,}", "warn")
    for each in skipped[:_MOST_SKIPPED]:
        yield Line(f"{each.name}: {each.message}", "dim", 1)
    if len(skipped) > _MOST_SKIPPED:
        yield Line(f"and {len(skipped) - _MOST_SKIPPED:,} more (--json lists all)", "dim", 1)
