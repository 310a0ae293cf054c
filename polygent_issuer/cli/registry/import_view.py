"""How an import looks, before it and after it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polygent_issuer.batch.import_validation import RejectedFile
from polygent_issuer.batch.rebuild import LOST, Imported, Outcome, Rebuild, There
from polygent_issuer.batch.sources import Skipped
from polygent_issuer.cli import skipped
from polygent_issuer.cli.blocks import Block, Fields, Line, Table
from polygent_issuer.cli.hint_json import hint_json
from polygent_issuer.cli.output import Result
from polygent_issuer.errors import ExitCode

_MOST = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport(Result):
    """What became of each file.

    Attributes:
        done: False for a dry run.
        skipped: what else is in the folders.
    """

    rebuild: Rebuild
    done: bool
    skipped: Sequence[Skipped]

    @property
    def exit_code(self) -> ExitCode:
        """20 when a file was refused."""
        return ExitCode.BATCH if self.rebuild.refused else ExitCode.DONE

    def to_json(self) -> Mapping[str, Any]:
        """Each file with its outcome, and what was added."""
        rebuild = self.rebuild
        return {
            "done": self.done,
            "files": [_item(each) for each in rebuild.outcomes],
            "imported": len(rebuild.new),
            "refused": len(rebuild.refused),
            "keys": [key.kid for key in rebuild.keys],
            "customers": dict(rebuild.customers),
            "machines": len(rebuild.machines),
            "replaced": dict(rebuild.replaced),
            "missing": [{"license": old, "replaced_by": new} for old, new in rebuild.missing],
            "skipped": skipped.to_json(self.skipped),
        }

    def blocks(self) -> Iterable[Block]:
        """What was added, what was refused and why, and what cannot come back."""
        rebuild = self.rebuild
        if not rebuild.new:
            there = _there(rebuild)
            are = "is" if there == 1 else "are"
            told = f"; {there} of the files {are} in the registry already" if there else ""
            yield Line(f"nothing to import{told}")
        elif self.done:
            yield Line(f"imported {_licenses(len(rebuild.new))}", "good")
        else:
            yield Line(f"would import {_licenses(len(rebuild.new))}; nothing was written", "dim")
        yield from _told(rebuild)
        yield from skipped.blocks(self.skipped)
        if self.done and rebuild.new:
            yield Line(f"not in any file, so to be done by hand: {LOST}", "warn")
            yield Line("a renewal asks for --term, since no file says it", "dim")
        if self.done and rebuild.keys:
            yield Line("the key's private half, if it is not here: polygent-issue key import FILE")


def preview(rebuild: Rebuild, others: Sequence[Skipped]) -> Iterable[Block]:
    """Yield the licenses to import, and the files that were skipped."""
    yield Line(f"to import: {_licenses(len(rebuild.new))}", "title")
    yield from _told(rebuild)
    yield from skipped.blocks(others)
    yield Line(f"not in any file: {LOST}", "dim")


def _told(rebuild: Rebuild) -> Iterable[Block]:
    there = _there(rebuild) if rebuild.new else 0
    yield Fields(
        (
            ("keys pinned", ", ".join(key.kid for key in rebuild.keys) or None),
            ("new customers", _some([f"{n} ({s})" for s, n in rebuild.customers.items()])),
            ("new machines", str(len(rebuild.machines)) if rebuild.machines else None),
            ("replaced", str(len(rebuild.replaced)) if rebuild.replaced else None),
            ("there already", str(there) if there else None),
        )
    )
    if rebuild.refused:
        yield Line(f"refused: {len(rebuild.refused)}", "bad")
        rows = tuple((each.name, each.code, each.message) for each in rebuild.refused)
        yield Table(("file", "code", "why"), rows)
        hinted: dict[str, list[str]] = {}
        for each in rebuild.refused:
            if each.hint:
                hinted.setdefault(each.hint, []).append(each.name)
        for hint, names in hinted.items():
            yield Line(f"hint for {_some(names)}: {hint}", "dim")
    for old, new in rebuild.missing[:_MOST]:
        yield Line(f"no file of license {old}, which {new[:8]} replaced", "warn")
    if len(rebuild.missing) > _MOST:
        yield Line(f"and of {len(rebuild.missing) - _MOST} more", "warn")


def _there(rebuild: Rebuild) -> int:
    return sum(isinstance(each, There) for each in rebuild.outcomes)


def _some(names: list[str]) -> str | None:
    more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more if names else None


def _licenses(count: int) -> str:
    return f"{count} license{'' if count == 1 else 's'}"


def _item(each: Outcome) -> dict[str, Any]:
    if isinstance(each, RejectedFile):
        told = {"code": each.code, "message": each.message, **hint_json(each.hint)}
        return {"file": each.name, "outcome": "refused", **told}
    outcome = "imported" if isinstance(each, Imported) else "there"
    held = each.license
    return {"file": each.name, "outcome": outcome, "license": held.jti, "customer": held.sub}
