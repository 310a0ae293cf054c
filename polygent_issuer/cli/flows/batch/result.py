"""The results of a batch as text and JSON: of each item, and of the whole with the next step."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.items import Done, Failed, Kept, Outcome, Preview, PreviewItem
from polygent_issuer.cli.output.blocks import Block, Line, Table, at_home
from polygent_issuer.cli.output.proposal import (
    change_text,
    days_text,
    issued_json,
    proposal_json,
    upload_before,
)
from polygent_issuer.cli.output.result import Report, error_json, hint_json
from polygent_issuer.errors import ExitCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import Action, NewCustomer, Proposal
from polygent_issuer.text import Hint, counted, list_first, run

MOST_FAILURES: Final = 50
"""The maximum number of failures in the table; `--report` has all of them."""

DONE: Final = {Action.SIGN: "issued", Action.RENEW: "renewed", Action.REISSUE: "reissued"}
"""The past participle of each action."""

DECISIONS: Final = {Action.SIGN: "issue", Action.RENEW: "renew", Action.REISSUE: "reissue"}
"""The name of each action in a preview."""

WORDS: Final = (*DONE.values(), "kept", "skipped", "failed")
"""The names of the counts."""

MOST_MISSING_CUSTOMERS: Final = 20
"""The maximum number of customers without an item to name; `--json` has all of them."""
_NOT_REPEATED: Final = {"--dry-run": 0, "--expect": 1, "--report": 1, "--home": 1}
"""Options that `repeated` leaves out, with the number of their values."""

Drafts = Mapping[str, tuple[Path, ...]]
"""The mail drafts of each license, by its ID."""


def preview_json(item: PreviewItem, settings: Settings) -> dict[str, Any]:
    """Return the preview for programs.

    `decision` is in `DECISIONS`, or `keep`, `skip` or `refused`.
    """
    if item.error is not None:
        error = error_json(item.error)
        return {"item": item.job.place, "decision": "refused", "licenses": [], "error": error}
    words = [DECISIONS[proposal.action] for proposal in item.decision.proposals]
    return {
        "item": item.job.place,
        "decision": words[0] if words else "skip" if item.decision.on_hold else "keep",
        "licenses": [proposal_json(each, settings) for each in item.decision.proposals],
        "missing": sorted({str(finding.code) for finding in item.missing}),
        "note": item.decision.note and at_home(item.decision.note),
    }


def outcome_blocks(
    outcome: Outcome, drafts: Drafts, archive: Path | None = None
) -> Iterable[Block]:
    """Yield one line for each issued license, or for an item with a note.

    Args:
        drafts: the mail drafts, by the ID of the license.
        archive: the archive of the batch, if there is one.
    """
    if isinstance(outcome, Kept):
        if outcome.decision.note is not None:
            note = Hint(f"{outcome.word} {outcome.job.place}: ", outcome.decision.note)
            yield Line(note, "warn" if outcome.decision.on_hold else "dim")
        return
    for each in outcome.issued:
        word = DONE[each.proposal.action]
        yield Line(f"{word} {outcome.job.place}: {_change(each.proposal)}", "good")
        if each.path is not None:
            where = each.path if archive is None else each.path.name
            yield Line(f"file: {where}", indent=1)
        for draft in drafts.get(each.proposal.license.jti, ()):
            yield Line(f"mail draft: {draft}", indent=1)
    if isinstance(outcome, Done) and outcome.note is not None:
        yield Line(outcome.note, "dim", 1)


def outcome_json(
    outcome: Outcome, settings: Settings, drafts: Drafts, archive: Path | None = None
) -> dict[str, Any]:
    """Return the outcome for programs; `outcome` is `done`, `kept`, `skipped` or `failed`.

    Args:
        drafts, archive: as for `outcome_blocks`.
    """
    word = outcome.word if isinstance(outcome, Kept) else type(outcome).__name__.lower()
    members: dict[str, Any] = {"outcome": word, "item": outcome.job.place}
    if isinstance(outcome, Kept):
        note = outcome.decision.note
        return {**members, "licenses": [], "note": note and at_home(note)}
    members["licenses"] = [
        issued_json(
            each,
            settings,
            drafts=drafts.get(each.proposal.license.jti, ()),
            agreed=outcome.job.consent,
        )
        | _within_archive(each.path, archive)
        for each in outcome.issued
    ]
    if isinstance(outcome, Failed):
        members["error"] = error_json(outcome.error)
    return members


@dataclass(kw_only=True, slots=True)
class BatchCounts:
    """Counts of acknowledged items.

    Attributes:
        done: licenses by `issued`, `renewed`, `reissued`; items by `kept`, `skipped`, `failed`.
        failures: the first failures, for the table.
        last: the last license that was issued.
    """

    done: Counter[str] = field(default_factory=Counter)
    last: Proposal | None = None
    failures: list[Failed] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        if isinstance(outcome, Kept):
            self.done[outcome.word] += 1
            return
        for each in outcome.issued:
            self.done[DONE[each.proposal.action]] += 1
            self.last = each.proposal
        if isinstance(outcome, Failed):
            self.done["failed"] += 1
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(outcome)

    @property
    def issued(self) -> int:
        """The number of issued licenses."""
        return sum(self.done[word] for word in DONE.values())

    @property
    def exit_code(self) -> ExitCode:
        """20 if an item failed."""
        return ExitCode.BATCH if self.done["failed"] else ExitCode.DONE

    def text(self, *, complete: bool = True) -> str:
        """Return `renewed 3, kept 2, failed 1`; `nothing to do` if a complete batch did nothing."""
        words = [f"{word} {self.done[word]:,}" for word in WORDS if self.done[word]]
        if not self.issued and not self.done["failed"]:
            words.insert(0, "nothing to do" if complete else "nothing was issued")
        return ", ".join(words)

    def failure_blocks(self) -> Iterable[Block]:
        """Yield a table of failures with reasons, then each hint once."""
        if not self.failures:
            return
        rows = tuple((each.job.place, each.error.message) for each in self.failures)
        yield Table(("failed", "reason"), rows)
        if (rest := self.done["failed"] - len(self.failures)) > 0:
            yield Line(f"and {rest:,} more: --report FILE lists them all", "warn")
        hinted: dict[str, list[str]] = {}
        for each in self.failures:
            if each.error.hint:
                hinted.setdefault(each.error.hint, []).append(each.job.place)
        for hint, places in hinted.items():
            yield Line(Hint(f"hint for {_first_of(places)}: ", hint))


def batch_report(
    counts: BatchCounts,
    settings: Settings,
    *,
    file: Path | None = None,
    bundle: Bundle | None = None,
    interrupted: bool = False,
    stopped: bool = False,
    missing_customers: tuple[str, ...] = (),
) -> Report:
    """Return the end of a batch: the counts, whether it is complete, and the next step.

    Args:
        counts: the outcomes.
        settings: those of the home.
        file: the report file.
        bundle: the archive, if there is one.
        interrupted: Ctrl-C ended the batch.
        stopped: an error ended the batch; it is reported after this.
        missing_customers: the slugs of customers without an item.
    """
    complete = not (interrupted or stopped)
    archive = bundle if bundle is not None and bundle.written else None
    summary = {
        "dry_run": False,
        "complete": complete,
        **{word: counts.done[word] for word in WORDS},
        "archive": archive and {"file": str(archive.target), "licenses": archive.written},
        "unnamed": list(missing_customers),
    }
    text = [
        *counts.failure_blocks(),
        Line(counts.text(complete=complete), "title"),
        *_missing_customers(missing_customers),
    ]
    if counts.last is not None:
        text.append(Line(Hint("upload before ", upload_before(counts.last.license, settings))))
    if archive is not None:
        text.append(
            Line(f"archive: {archive.target}, {counted(archive.written, 'license')}", "good")
        )
    text += _report_file(file)
    if not complete:
        ended = "interrupted;" if interrupted else "stopped by an error; fix it, and"
        text.append(Line(f"{ended} run the same command again to continue", "warn"))
    elif counts.issued:
        sent = ["--all"] if archive is None else ["--bundle", str(archive.target)]
        text += [
            Line(
                Hint("next: list unsent licenses with ", run("license", "list", "--unsent")), "dim"
            ),
            Line(Hint("after sending them: ", run("license", "sent", *sent)), "dim"),
        ]
    return Report(
        {"summary": summary},
        text,
        ExitCode.INTERRUPTED if interrupted else counts.exit_code,
        in_lines=True,
        is_idle=complete and not counts.issued and not counts.done["failed"],
    )


def preview_report(
    preview: Preview, argv: Sequence[str], *, file: Path | None, missing_customers: tuple[str, ...]
) -> Report:
    """Return the end of a dry run, with the digest and the command that issues this preview.

    Args:
        preview: the decisions; a refused item would fail, so it means exit 20.
        argv: the words of the command line.
        file: the report file.
        missing_customers: the slugs of customers without an item.
    """
    refused = preview.actions["refused"]
    command = repeated(argv, "--expect", preview.digest) if preview.issues else None
    summary = {
        "dry_run": True,
        **_decisions(preview),
        "missing": dict(preview.missing),
        "digest": preview.digest,
        **hint_json(command, "next"),
        "unnamed": list(missing_customers),
    }
    text = [
        *total_blocks(preview),
        *_missing_customers(missing_customers),
        *_report_file(file),
        Line("dry run: nothing was issued", "dim"),
    ]
    if command is not None:
        text.append(Line(Hint("to issue exactly this: ", command)))
    return Report(
        {"summary": summary},
        text,
        ExitCode.BATCH if refused else ExitCode.DONE,
        in_lines=True,
        is_idle=not preview.issues and not refused,
    )


def repeated(argv: Sequence[str], *more: str) -> Hint:
    """Return a command line again, with other options for the preview.

    The report of a dry run exists, so its option would stop the run. Hints get `--home` anyway.
    """
    words, rest = list[str](), list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return run(*words, *more, word, *rest)
        name, equals, _ = word.partition("=")
        if name not in _NOT_REPEATED:
            words.append(word)
        elif not equals:
            del rest[: _NOT_REPEATED[name]]
    return run(*words, *more)


def total_blocks(total: Preview) -> Iterable[Block]:
    """Yield the counts of the preview, and the findings that stop items."""
    words = [f"{word} {count:,}" for word, count in _decisions(total).items()]
    if not total.issues and not total.actions["refused"]:
        words.insert(0, "nothing to do")
    yield Line(", ".join(words), "title")
    for code, count in sorted(total.missing.items()):
        items = counted(count, "item")
        yield Line(f"consent needed for {items}: --accept {code} --reason TEXT", "warn")


def _decisions(total: Preview) -> dict[str, int]:
    """Return the counts in the order of a summary, without zeros."""
    counts = {word: total.actions[action] for action, word in DECISIONS.items()}
    counts |= {word: total.actions[word] for word in ("keep", "skip", "refused")}
    return {word: count for word, count in counts.items() if count}


def _report_file(path: Path | None) -> list[Block]:
    return [] if path is None else [Line(f"report: {path}", "dim")]


def _missing_customers(slugs: tuple[str, ...]) -> Iterable[Block]:
    if slugs:
        first = list_first(slugs, most=MOST_MISSING_CUSTOMERS)
        yield Line(f"not in the file, so unchanged: {first}")


def _first_of(places: list[str]) -> str:
    more = len(places) - 1
    return f"{places[0]} and {more:,} more" if more else places[0]


def _change(proposal: Proposal) -> str:
    """Return old → new in one line: the last full day, then other changes."""
    days, customer = days_text(proposal), proposal.customer
    day = days if "→" in days else f"until {days}"
    if isinstance(customer, NewCustomer):
        return f"NEW customer {customer.name} ({customer.slug}), {proposal.license.tier}, {day}"
    if not proposal.replaced:
        return f"{proposal.license.tier}, {day}"
    return ", ".join((day, *map(change_text, proposal.differences)))


def _within_archive(path: Path | None, archive: Path | None) -> dict[str, str]:
    """Return the archive of a file and its name there; nothing for a file in a folder."""
    if path is None or archive is None:
        return {}
    return {"archive": str(archive), "file": path.name}
