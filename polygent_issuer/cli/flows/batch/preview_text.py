"""The preview of a batch on a screen, where what many items share is shown once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from polygent_issuer.batch.items import PreviewItem
from polygent_issuer.cli.flows.batch.result import DECISIONS
from polygent_issuer.cli.output.blocks import Block, Line, Style, Table
from polygent_issuer.cli.output.proposal import change_text, days_text
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing.proposal import NewCustomer, OldFileNote, Proposal, old_file_notes
from polygent_issuer.text import Hint, list_first

HEADERS: Final = ("customer", "machine", "action", "last full day", "users", "changes")
NEW: Final = "NEW"
"""The mark of a customer that the batch adds."""


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
