"""How a restoration looks, before it and after it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.output import Result
from polygent_issuer.registry.candidate import Candidate
from polygent_issuer.registry.comparison import Present, number
from polygent_issuer.registry.noted_heads import head_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored(Result):
    """The registry that is in force now.

    Attributes:
        source: the backup.
        size, head: what it held.
        replaced: what was there before; None when nothing was.
        kept: where that lies now.
        unkept: labels of keys whose private half the settings do not name.
    """

    source: Path
    size: int
    head: str
    replaced: Present | None
    kept: Path | None
    unkept: tuple[str, ...]

    def to_json(self) -> Mapping[str, Any]:
        """The backup's `size` and `head`, and what it replaced."""
        gone = self.replaced
        readable = gone is not None and gone.readable
        return {
            "file": str(self.source),
            "size": self.size,
            "head": head_text(self.size, self.head),
            "replaced": head_text(gone.size, gone.head) if gone and readable else None,
            "journal_rows_lost": gone.rows_lost if gone and readable else None,
            "licenses_lost": gone.licenses_lost if gone and readable else None,
            "kept": None if self.kept is None else str(self.kept),
            "keys_to_import": list(self.unkept),
        }

    def blocks(self) -> Iterable[Block]:
        """What is in force, where the old one is, and what is still to do."""
        yield Line(f"restored the registry from {self.source}", "good")
        kept = None if self.kept is None else str(self.kept)
        head = head_text(self.size, self.head)
        yield Fields((("rows", str(self.size)), ("head", head), ("the one before", kept)))
        if self.replaced is not None and self.replaced.licenses_lost:
            yield Line("licenses that it lacks come back from their files:", "warn")
            yield Line("polygent-issue registry import FILE", indent=1)
        for label in self.unkept:
            yield Line(f"the settings do not name where the private half of {label} is:", "warn")
            yield Line("polygent-issue key import FILE-OF-ITS-BACKUP", indent=1)


def preview(candidate: Candidate, present: Present | None, path: Path) -> Iterable[Block]:
    """What would be restored over what."""
    yield Line(f"backup {candidate.source}", "title")
    head = head_text(candidate.size, candidate.head)
    yield Fields(
        (("registry", candidate.registry_id), ("rows", str(candidate.size)), ("head", head))
    )
    yield Line(f"in place of {path}", "title")
    if present is None:
        yield Line("there is none yet", indent=1)
    elif not present.readable:
        yield Line("it cannot be read", "bad", 1)
    else:
        rows, licenses = present.rows_lost, present.licenses_lost
        lost = f"{number(rows, 'journal row')}, {number(licenses, 'license')}"
        yield Fields(
            (
                ("registry", present.registry_id),
                ("rows", str(present.size)),
                ("lost", lost if present.rows_lost else "nothing"),
            )
        )
