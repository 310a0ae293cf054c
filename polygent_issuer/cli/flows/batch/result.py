"""The result of a batch, and its preview on a screen, where what many items share is shown once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.items import Failed, Kept, Outcome, Preview, PreviewItem
from polygent_issuer.cli.output.blocks import Block, Line, Style, Table
from polygent_issuer.cli.output.proposal import change_text, days_text, upload_before
from polygent_issuer.cli.output.result import Report, hint_json
from polygent_issuer.errors import ExitCode
from polygent_issuer.findings import FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing.proposal import (
    Action,
    NewCustomer,
    OldFileNote,
    Proposal,
    old_file_notes,
)
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
HEADERS: Final = ("customer", "machine", "action", "last full day", "users", "changes")
NEW: Final = "NEW"
"""The mark of a customer that the batch adds."""


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


def _report_file(path: Path | None) -> list[Block]:
    return [] if path is None else [Line(f"report: {path}", "dim")]


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


def _missing_customers(slugs: tuple[str, ...]) -> Iterable[Block]:
    if slugs:
        first = list_first(slugs, most=MOST_MISSING_CUSTOMERS)
        yield Line(f"not in the file, so unchanged: {first}")


def _first_of(places: list[str]) -> str:
    more = len(places) - 1
    return f"{places[0]} and {more:,} more" if more else places[0]


class _Message(NamedTuple):
    place: str
    text: str
    hint: str | None = None


@dataclass(kw_only=True, slots=True)
class PreviewText:
    """The texts of the items of a preview.

    Attributes:
        most: the number of rows, and of messages of each kind, to show; None for all of them.
    """

    most: int | None = None
    _rows: list[tuple[str, ...]] = field(default_factory=list)
    _old_files: list[OldFileNote] = field(default_factory=list)
    _notes: list[_Message] = field(default_factory=list)
    _kept: list[_Message] = field(default_factory=list)
    _on_hold: list[_Message] = field(default_factory=list)
    _refused: list[_Message] = field(default_factory=list)
    _findings: dict[tuple[FindingCode, bool], list[_Message]] = field(default_factory=dict)
    _own: set[str] = field(default_factory=set)

    def add(self, item: PreviewItem) -> None:
        """Add the texts of one item."""
        place, note = item.job.place, item.decision.note
        if item.error is not None:
            self._refused.append(_Message(place, item.error.message, item.error.hint))
        elif note is not None:
            kept = self._on_hold if item.decision.on_hold else self._kept
            (self._notes if item.decision.proposals else kept).append(_Message(place, note))
        missing = {finding.code for finding in item.missing}
        for proposal in item.decision.proposals:
            self._rows.append(_row(proposal))
            for each in proposal.notes:
                if isinstance(each, OldFileNote):
                    self._old_files.append(each)
                else:
                    self._notes.append(_Message(place, each))
            for finding in proposal.findings:
                key = finding.code, finding.code in missing
                self._findings.setdefault(key, []).append(_Message(place, finding.message))
                if finding.code in missing & item.job.own.accepted:
                    self._own.add(place)

    def blocks(self) -> Iterator[Block]:
        """Yield the table by customer and machine, the notes, the findings and refused items."""
        rows = sorted(self._rows)
        if shown := rows[: self.most]:
            yield Table(HEADERS, shown).without_repeated("changes")
        yield from self._more(len(rows))
        yield from (Line(text, "dim") for text in old_file_notes(self._old_files))
        yield from self._messages(self._notes, "dim", "{places}: ")
        yield from self._messages(self._kept, "dim", "keep {places}: ")
        yield from self._messages(self._on_hold, "warn", "skip {places}: ")
        for (code, is_missing), messages in sorted(self._findings.items()):
            accepted = "" if is_missing else " (accepted)"
            form = f"{code}{accepted} for {{places}}: "
            yield from self._messages(messages, "warn", form)
        if self._own:
            places = _list_places(self._own)
            flags = "--expect or --accept-from-file"
            yield Line(f"{places}: the row accepts it; to honour that: {flags}", "dim")
        yield from self._messages(self._refused, "bad", "refused {places}: ")

    def _messages(self, messages: Sequence[_Message], style: Style, form: str) -> Iterator[Block]:
        """Yield each text once with the items that it is about, and each hint once."""
        places: dict[tuple[str, str | None], list[str]] = {}
        for place, text, hint in messages:
            places.setdefault((text, hint), []).append(place)
        named = list(places.items())
        hinted: set[str] = set()
        for (text, hint), items in named[: self.most]:
            first = _list_places(items)
            yield Line(Hint(form.format(places=first), text), style)
            if hint and hint not in hinted:
                hinted.add(hint)
                yield Line(Hint("hint: ", hint), indent=1)
        yield from self._more(len(named))

    def _more(self, count: int) -> Iterator[Block]:
        if self.most is not None and count > self.most:
            yield Line(f"and {count - self.most:,} more: --dry-run shows all", "dim")


def _list_places(places: Iterable[str]) -> str:
    """List the first places of some, with semicolons, since a place may have a comma."""
    return list_first(sorted(set(places)), separator="; ")


def _row(proposal: Proposal) -> tuple[str, ...]:
    customer, users = proposal.license.sub, str(proposal.license.limits.users)
    changes = []
    for each in proposal.differences if proposal.replaced else ():
        if each.key == "users":
            users = f"{each.old} → {each.new}"
        else:
            changes.append(change_text(each))
    if isinstance(proposal.customer, NewCustomer):
        changes.append(proposal.customer.name)
    if not proposal.replaced:
        changes.append(str(proposal.license.tier))
    return (
        f"{customer} {NEW}" if isinstance(proposal.customer, NewCustomer) else customer,
        proposal.machine.label if proposal.machine else "any",
        DECISIONS[proposal.action],
        days_text(proposal),
        users,
        ", ".join(changes),
    )
