"""What a dry run of many gives back: how much would be done, and how to do just that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.batch.review import Review
from polygent_issuer.cli.blocks import Block, Line
from polygent_issuer.cli.many.last_line import LastLine
from polygent_issuer.cli.many.review_view import review_blocks, review_json, unnamed_blocks
from polygent_issuer.errors import ExitCode


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviewed(LastLine):
    """What would be done; nothing was.

    Attributes:
        expectable: whether the command takes the digest of a review.
        report: the file that tells of each item.
        unnamed: the customers of whom no item tells.
    """

    review: Review
    expectable: bool = False
    report: Path | None = None
    unnamed: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """20 when an item is refused, as it would fail."""
        return ExitCode.BATCH if self.review.actions["refused"] else ExitCode.DONE

    def to_json(self) -> Mapping[str, Any]:
        """`summary`, with the digest where one is taken."""
        counts = review_json(self.review)
        digest = {"digest": self.review.digest} if self.expectable else {}
        return {"summary": {"dry_run": True, **counts, **digest, "unnamed": list(self.unnamed)}}

    def blocks(self) -> Iterable[Block]:
        """Counts, what is missing, the digest."""
        yield from review_blocks(self.review)
        yield from unnamed_blocks(self.unnamed)
        if self.report is not None:
            yield Line(f"report: {self.report}", "dim")
        if self.expectable:
            yield Line(f"digest {self.review.digest}")
            if self.review.issues:
                yield Line("to do exactly this: --expect DIGEST in place of --dry-run", "dim")
        yield Line("dry run: nothing was issued", "dim")
