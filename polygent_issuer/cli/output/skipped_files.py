"""Text and JSON of the files that a command skipped in folders."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polygent_issuer.cli.output.model import Block, Line

if TYPE_CHECKING:
    from polygent_issuer.batch.sources import Skipped

_NAMED = 5

Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Also read the sub-folders of folders.")
]


def to_json(skipped: "Sequence[Skipped]") -> list[dict[str, Any]]:
    """Return each with its path, the code of the reason, and the reason for people."""
    return [
        {"file": each.name, "reason": str(each.reason), "message": each.message} for each in skipped
    ]


def blocks(skipped: "Sequence[Skipped]") -> Iterator[Block]:
    """Yield their number and the first five; nothing if nothing was skipped."""
    if not skipped:
        return
    yield Line(f"skipped: {len(skipped):,}", "warn")
    for each in skipped[:_NAMED]:
        yield Line(f"{each.name}: {each.message}", "dim", 1)
    if len(skipped) > _NAMED:
        yield Line(f"and {len(skipped) - _NAMED:,} more (--json names all)", "dim", 1)
