"""Preview of a batch: show each decision, and with `--dry-run` return what would be done."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from polygent_issuer.batch.preview import Preview, PreviewItem, preview
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.batch import Batch
from polygent_issuer.cli.flows.batch.items import DECISIONS, preview_blocks, preview_json
from polygent_issuer.cli.flows.batch.progress import progress
from polygent_issuer.cli.flows.batch.report_file import ReportFile
from polygent_issuer.cli.output import streams
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.errors import ExitCode
from polygent_issuer.findings import Consent
from polygent_issuer.text import list_first

MOST_MISSING_CUSTOMERS: Final = 20
"""Customers without an item that are named; `--json` has all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewResult(Result):
    """The last line of a dry run; nothing was issued.

    Attributes:
        takes_digest: whether the command has `--expect`.
        report: the file with each item.
        missing_customers: whom no item names.
    """

    preview: Preview
    takes_digest: bool = False
    report: Path | None = None
    missing_customers: tuple[str, ...] = ()

    @property
    def in_lines(self) -> bool:
        """True: under `--json` one line, like those of the items."""
        return True

    @property
    def exit_code(self) -> ExitCode:
        """20 when an item is refused, as it would fail."""
        return ExitCode.BATCH if self.preview.actions["refused"] else ExitCode.DONE

    def to_json(self) -> Mapping[str, Any]:
        """`summary`, with the digest where one is taken."""
        counts = {**_counts(self.preview), "missing": dict(self.preview.missing)}
        digest = {"digest": self.preview.digest} if self.takes_digest else {}
        return {
            "summary": {
                "dry_run": True,
                **counts,
                **digest,
                "unnamed": list(self.missing_customers),
            }
        }

    def blocks(self) -> Iterable[Block]:
        """Counts, what is missing, the digest."""
        yield from total_blocks(self.preview)
        yield from missing_customers_blocks(self.missing_customers)
        if self.report is not None:
            yield Line(f"report: {self.report}", "dim")
        if self.takes_digest:
            yield Line(f"digest {self.preview.digest}")
            if self.preview.issues:
                yield Line("to do exactly this: --expect DIGEST in place of --dry-run", "dim")
        yield Line("dry run: nothing was issued", "dim")


def dry_run(
    invocation: Invocation, batch: Batch, consent: Consent, report: ReportFile | None
) -> PreviewResult:
    """Show what would be done for each item, and issue nothing.

    Raises:
        OutputExists, OutputProblem: when the report cannot be written.
    """

    def show(item: PreviewItem) -> None:
        if report is not None:
            report.add(preview_json(item, invocation.settings))
        if invocation.as_json:
            invocation.in_lines = True
            streams.write_json_line(preview_json(item, invocation.settings))
        else:
            streams.write_now(preview_blocks(item))

    total = preview_all(invocation, batch, consent, show)
    return PreviewResult(
        preview=total,
        takes_digest=batch.takes_digest,
        report=None if report is None else report.finish(),
        missing_customers=batch.missing_customers(),
    )


def preview_all(
    invocation: Invocation, batch: Batch, consent: Consent, show: Callable[[PreviewItem], None]
) -> Preview:
    """Decide every item, and show each as it is decided.

    Args:
        consent: what the operator accepted.
        show: is called with every item.
    """
    total = Preview()
    with progress(invocation, "reviewing", batch.total) as advance:
        for item in preview(invocation.registry, batch.jobs(consent), resumed=batch.expect):
            total.add(item)
            show(item)
            advance()
    return total


def total_blocks(total: Preview) -> Iterable[Block]:
    """Yield how much would be done, and what stands in its way."""
    words = [f"{word} {count:,}" for word, count in _counts(total).items()]
    if not total.issues and not total.actions["refused"]:
        words.insert(0, "nothing to do")
    yield Line(", ".join(words), "title")
    for code, count in sorted(total.missing.items()):
        yield Line(f"{code} stops {count:,} of them: --accept {code} --reason TEXT", "warn")


def missing_customers_blocks(slugs: tuple[str, ...]) -> Iterable[Block]:
    """Yield the first of the customers whom no item names."""
    if slugs:
        named = list_first(slugs, most=MOST_MISSING_CUSTOMERS)
        yield Line(f"not in the file, so left as they are: {named}")


def _counts(total: Preview) -> dict[str, int]:
    """Return how many of each there are, in the order of a summary, zeros left out."""
    counts = {word: total.actions[action] for action, word in DECISIONS.items()}
    counts |= {word: total.actions[word] for word in ("keep", "refused")}
    return {word: count for word, count in counts.items() if count}
