"""What a command left alone in the folders that it read: counted, and the first ones named."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polygent_issuer.cli.blocks import Block, Line

if TYPE_CHECKING:
    from polygent_issuer.batch.sources import LeftAlone

_NAMED = 5

Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Also read the sub-folders of folders.")
]


def to_json(left_alone: "Sequence[LeftAlone]") -> list[dict[str, Any]]:
    """Each with its path, the code of the reason, and what it is."""
    return [
        {"file": each.name, "reason": str(each.reason), "message": each.message}
        for each in left_alone
    ]


def blocks(left_alone: "Sequence[LeftAlone]") -> Iterator[Block]:
    """How many, and a line for each of the first; nothing where nothing was left alone."""
    if not left_alone:
        return
    yield Line(f"not read, since not a license file: {len(left_alone):,}", "warn")
    for each in left_alone[:_NAMED]:
        yield Line(f"{each.name}: {each.message}", "dim", 1)
    if len(left_alone) > _NAMED:
        yield Line(f"and {len(left_alone) - _NAMED:,} more (--json names all)", "dim", 1)
