"""`polygent-issue customer import`: add and change customers from a CSV file."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from polygent_issuer.batch import customer_import
from polygent_issuer.batch.customer_import import RowImport
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    YesButFindings,
    argument,
    flag,
    option,
)
from polygent_issuer.cli.output.blocks import Block, Line
from polygent_issuer.cli.output.records import outdated_json, outdated_lines
from polygent_issuer.cli.output.result import Report, finding_json, write_blocks
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.issuing.customer_changes import OutdatedLicense, value_text
from polygent_issuer.registry import change

_MOST_SHOWN: Final = 20
"""The maximum number of rows on a screen; a dry run lists all."""


def import_file(
    invocation: Invocation,
    file: str = argument("FILE", "Read customers from a CSV file (- for stdin)."),
    *,
    mapping: list[str] | None = option(
        "--map", "HEADER=COLUMN", "Read the column HEADER as COLUMN (repeatable)."
    ),
    consents: ConsentOptions,
    dry_run: bool = flag("--dry-run", "Show what would change, then stop."),
    yes: YesButFindings = False,
) -> Report:
    """Add and change customers from a CSV file.

    The columns are slug, name, contacts, time_zone, crm and notes, in any order and without regard
    to case, spaces, hyphens and underscores. Several contacts in a cell are separated by
    semicolons. An empty cell changes nothing. customer export writes such a file.

    A row changes the customer with its slug, or else the one with its name; otherwise it adds a
    customer. A name changes only in a row with the slug. If any row is wrong, nothing is written
    and every problem is printed.
    """
    typed, columns = consents.parse(), customer_import.parse_mapping(mapping or ())
    rows = customer_import.read(file, columns)
    decided = invocation.decide(lambda db: customer_import.decide(db, rows, now=invocation.now))
    plan = _Plan(rows=decided.decision)
    if dry_run or not plan.needed:
        return _report(plan, Consent(), typed, done=not dry_run)
    findings = (*plan.findings, *decided.behind)
    agreed = _obtain(invocation, plan, findings, typed)
    prompts.confirm_or_cancel(invocation, "import these?", yes=yes, default=True)
    change.carry_out(
        decided,
        lambda db: customer_import.carry_out(db, plan.rows, decided.behind, agreed),
        undone="nothing was imported",
    )
    return _report(plan, agreed, agreed, done=True, shown=invocation.interactive)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    rows: Sequence[RowImport]

    @property
    def needed(self) -> Sequence[RowImport]:
        """The rows that add or change a customer."""
        return [each for each in self.rows if each.outcome != "unchanged"]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all rows."""
        return tuple(finding for each in self.rows for finding in each.findings)

    @property
    def outdated(self) -> list[OutdatedLicense]:
        """The running licenses with an old name."""
        updates = (each.update for each in self.rows if each.update is not None)
        return [license_ for update in updates for license_ in update.still_named]

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows by outcome."""
        counts = Counter(each.outcome for each in self.rows)
        return {"added": counts["new"], **{name: counts[name] for name in ("changed", "unchanged")}}


def _obtain(
    invocation: Invocation, plan: _Plan, findings: tuple[Finding, ...], typed: Consent
) -> Consent:
    """Return the consent to all findings; a terminal shows the rows and asks once for each code."""
    if not invocation.interactive:
        return prompts.obtain_consent(invocation, findings, typed)
    write_blocks([*_row_lines(plan.needed, _MOST_SHOWN), *_totals(plan, done=False)], sys.stderr)
    missing = Counter(str(finding.code) for finding in typed.missing(findings))
    agreed = prompts.obtain_consent_for_many(missing, typed)
    require(findings, agreed)
    return agreed


def _report(
    plan: _Plan, agreed: Consent, typed: Consent, *, done: bool, shown: bool = False
) -> Report:
    members = {
        "done": done,
        **plan.counts,
        "customers": map(_row_json, plan.rows),
        "still_named": [outdated_json(each) for each in plan.outdated],
        "accepted": [str(code) for code in agreed.used(plan.findings)],
    }
    return Report(members, _text(plan, typed, done=done, shown=shown))


def _text(plan: _Plan, typed: Consent, *, done: bool, shown: bool) -> Iterable[Block]:
    if not shown:
        yield from _row_lines(plan.needed, _MOST_SHOWN if done else len(plan.rows))
    yield from _totals(plan, done=done)
    if not plan.needed:
        yield Line("nothing to do", "dim")
    elif not done:
        missing = typed.missing(plan.findings)
        for code in dict.fromkeys(finding.code for finding in missing):
            yield Line(f"consent needed: --accept {code} --reason TEXT", "warn")
        yield Line("dry run: nothing was written", "dim")
    if done:
        yield from outdated_lines(plan.outdated, "the old name")


def _totals(plan: _Plan, *, done: bool) -> Iterable[Block]:
    names = {} if done else {"added": "add", "changed": "change"}
    words = (f"{names.get(name, name)} {count:,}" for name, count in plan.counts.items() if count)
    yield Line(", ".join(words) or "the file has no rows", "title")


def _row_lines(rows: Sequence[RowImport], most: int) -> Iterable[Block]:
    for each in rows[:most]:
        changes = ((name.replace("_", " "), old, new) for name, old, new in _changes(each))
        values = [f"{name} {_change(old, new)}" for name, old, new in changes]
        word = "NEW" if each.outcome == "new" else each.outcome
        name = f"line {each.row.line}: {word} {each.customer.name} ({each.customer.slug})"
        yield Line(f"{name}: {', '.join(values)}" if values else name)
        for finding in each.findings:
            message = finding.message.removeprefix(f"line {each.row.line}: ")
            yield Line(f"{finding.code}: {message}", "warn", 1)
    if len(rows) > most:
        yield Line(f"and {len(rows) - most:,} more; --dry-run lists all of them", "dim")


def _changes(each: RowImport) -> list[tuple[str, str | None, str | None]]:
    if each.update is not None:
        return [(name, old, new) for name, (old, new) in each.update.changes.items()]
    return [(name, None, value_text(value)) for name, value in each.columns.items()]


def _change(old: str | None, new: str | None) -> str:
    return f"{old} → {new}" if old else f"{new}"


def _row_json(each: RowImport) -> dict[str, Any]:
    return {
        "line": each.row.line,
        "outcome": each.outcome,
        "slug": each.customer.slug,
        "name": each.customer.name,
        "changes": [{"name": name, "old": old, "new": new} for name, old, new in _changes(each)],
        "findings": [finding_json(finding) for finding in each.findings],
    }
