"""`polygent-issue journal`: show, verify or seal the journal of all changes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import PassphraseOptions, flag, option, whole_number
from polygent_issuer.cli.options.journal import AgainstOption, noted_heads, period
from polygent_issuer.cli.output.blocks import Block, Fields, Line
from polygent_issuer.cli.output.files import CsvOptions
from polygent_issuer.cli.output.records import JOURNAL_COLUMNS, journal_json, journal_table
from polygent_issuer.cli.output.result import Report, Result, json_lines
from polygent_issuer.errors import ExitCode, NotFound, OutputProblem, UsageProblem
from polygent_issuer.files import disk
from polygent_issuer.registry import Reading, journal
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, counted, escape, run

if TYPE_CHECKING:
    from polygent_issuer.keys.signer import Signer
    from polygent_issuer.registry.journal_check import JournalCheck
    from polygent_issuer.registry.seals import CheckedSeal

_RESTORE: Final = (
    Line("keep a copy of the registry, then restore the last good backup:"),
    Line(run("registry", "restore", "BACKUP")),
)
_ADVICE: Final = (
    Line("to detect truncation, save the head outside this machine:", "dim"),
    Line(run("journal", "verify", "--note", "FILE"), "dim", 1),
    Line("later, compare the journal with it:", "dim"),
    Line(run("journal", "verify", "--against", "FILE"), "dim", 1),
)


def show(
    invocation: Invocation,
    customer: str | None = option(
        "--customer", "NAME", "Show only rows about this customer.", candidates.customers
    ),
    since: str | None = option("--since", "DATE", "Show rows from this date or timestamp on."),
    until: str | None = option(
        "--until", "DATE", "Show rows up to this date (inclusive) or timestamp."
    ),
    *,
    after: int = option(
        "--after",
        "SEQ",
        "Show only rows after the one with this number.",
        parser=whole_number(0),
        default=0,
    ),
    ndjson: bool = flag("--ndjson", "Write each row as a JSON object on a line of its own."),
    form: CsvOptions,
) -> Result:
    """Show the journal.

    Each row shows who did what, when and why. The newest row is last. Dates are UTC: a day such as
    2026-11-30, or a timestamp such as 2026-11-30T09:30:00Z.

    For a log shipper, --ndjson --after SEQ writes the rows after the last one that it has.
    """
    as_csv = form.asked(invocation)
    if ndjson and (as_csv or invocation.as_json):
        raise UsageProblem(
            f"--ndjson and {'--csv' if as_csv else '--json'} are mutually exclusive",
            hint="give one of them",
        )
    start, end = period(since, until)
    about = None if customer is None else invocation.customer(customer, checked=False)
    with invocation.registry.reading(checked=False) as db:
        _require_row(db, after)
        rows = tuple(journal.rows(db, customer=about, since=start, until=end, after=after))
    items = map(journal_json, rows)
    if ndjson:
        return json_lines(items)
    if as_csv:
        return form.table(JOURNAL_COLUMNS, items, name="journal.csv")
    text = journal_table(rows) if rows else Line("no journal rows match", "dim")
    return Report({"rows": items}, [text], is_idle=not rows)


def _require_row(db: Reading, seq: int) -> None:
    """Refuse a number that the journal has not reached: its new rows would be left out silently."""
    size, _ = journal.head(db)
    if seq > size:
        raise NotFound(
            f"the journal has {size:,} rows and no row {seq:,}; a restored backup may lack it",
            hint=Hint("to see the last row: ", run("journal", "show", "--after", str(size - 1))),
        )


def verify(
    invocation: Invocation,
    *,
    against: AgainstOption = None,
    note: str | None = option(
        "--note", "FILE", "Append the head to this file if the check passes."
    ),
) -> Report:
    """Check the journal and registry for tampering.

    The journal's hash chain is verified, and the registry is compared with the journal. The number
    of rows and the head are printed. Save the head outside this machine, with --note or by hand.
    With --against, a saved head also reveals truncation, a rewritten journal and an older copy.

    Each seal is checked: a signature of the head, which a rewritten journal does not have. Rows
    after the last seal are not sealed. Compare the kid of a seal with that of your servers' key.

    The head that --note saves is the one before the journal row about saving it.
    """
    from polygent_issuer.registry import journal_check

    heads = noted_heads(against)
    place = None if note is None else _place(invocation, note)
    check = journal_check.verify_registry(invocation.registry, against=heads)
    noted = None if check.problems else place
    if noted is not None:
        _note(invocation, check, noted)
    head, file = (
        journal_check.head_text(check.size, check.head),
        None if noted is None else str(noted),
    )
    members = {
        "intact": not check.problems,
        "size": check.size,
        "head": head,
        "against": against,
        "heads_checked": len(heads),
        "noted": file,
        "seals": [_seal_json(each) for each in check.seals],
        "unsealed": check.size - check.sealed,
        "problems": list(check.problems),
    }
    checked = str(len(heads)) if heads and not check.problems else None
    fields = Fields(
        (
            ("rows", str(check.size)),
            ("head", head),
            ("saved heads matched", checked),
            ("head saved to", file),
            *_seal_rows(check),
        )
    )
    text = _text(check, fields, is_saved=against is not None or noted is not None)
    code = ExitCode.REGISTRY if check.problems else ExitCode.DONE
    return Report(members, text, code, is_idle=not check.problems)


def _text(check: "JournalCheck", fields: Fields, *, is_saved: bool) -> Iterator[Block]:
    if check.problems:
        yield Line("the journal or registry was changed from outside this tool", "bad")
        yield from (Line(problem, "bad", 1) for problem in check.problems)
        yield fields
        yield from _RESTORE
        return
    yield Line("journal and registry are intact", "good")
    yield fields
    yield from (_weak(each) for each in check.seals if each.weak)
    if not is_saved:
        yield from _ADVICE


def _seal_json(each: "CheckedSeal") -> dict[str, Any]:
    """Return a seal for programs; what it states is null unless it is authentic."""
    from polygent_issuer.registry.journal_check import head_text

    seal = each.seal
    return {
        "kid": each.kid,
        "key": each.label,
        "size": None if seal is None else seal.seq,
        "head": None if seal is None else head_text(seal.seq, seal.head),
        "at": None if seal is None else dates.instant(seal.at),
        "weak": each.weak,
        "problem": each.problem,
        "token": each.token,
    }


def _seal_rows(check: "JournalCheck") -> Iterator[tuple[str, str]]:
    for each in check.seals:
        if each.seal is not None and each.problem is None:
            rows = f"row {each.seal.seq}" if each.seal.seq == 1 else f"rows 1 to {each.seal.seq}"
            weak = ", weak" if each.weak else ""
            when = dates.instant(each.seal.at)
            yield "sealed", f"{rows} on {when} by {each.label} ({each.kid}){weak}"
    if check.unsealed_since is not None:
        count = check.size - check.sealed
        yield "not sealed", f"{counted(count, 'row')} since {dates.instant(check.unsealed_since)}"


def _weak(each: "CheckedSeal") -> Line:
    return Line(
        f"the key {each.label} is marked as compromised: anyone with it can make such a seal, so "
        "the seal proves nothing",
        "warn",
    )


def _place(invocation: Invocation, note: str) -> Path:
    """Return the path of the file of heads, which must be outside the home.

    Raises:
        OutputProblem: (`output_failed`) it is in the home.
    """
    path = Path(note).absolute()
    # Not Path.resolve, which has an exception of its own for a loop of links.
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(invocation.home)):
        raise OutputProblem(
            "the head cannot be saved in the home, where anyone who can edit the registry "
            f"can also edit the saved head: {escape(note)}",
            hint="save the head outside the home, best on another disk or machine",
        )
    return path


def _note(invocation: Invocation, check: "JournalCheck", path: Path) -> None:
    """Append the head to the file, then record it; appending a head twice is harmless."""
    from polygent_issuer.registry.journal_check import head_text, noted_line

    # The checked rows cannot change, so rows written in the meantime do not matter.
    decided = invocation.decide(lambda _: None)
    for finding in decided.behind:
        invocation.warn(Hint(f"{finding.message}: ", finding.hint or ""))
    registry_id = invocation.registry.id
    line = noted_line(check.size, check.head, now=invocation.now, registry_id=registry_id)
    disk.append_line(path, line)
    head = head_text(check.size, check.head)
    details = {"size": check.size, "head": head, "file": str(path)}
    invocation.record_copy(decided, journal.HEAD_NOTED, details)


def seal(invocation: Invocation, *, passphrases: PassphraseOptions) -> Report:
    """Sign the journal's head with the active key.

    A seal shows later that the journal was not rewritten up to its row. First the journal and
    registry are checked, as by journal verify; a journal with problems is not sealed.

    Commands that sign licenses with a key file or keyring seal the journal automatically. Use this
    command for other keys, and for changes since the last license.
    """
    from polygent_issuer.issuing.signing import choose_key
    from polygent_issuer.registry import journal_check

    source = passphrases.source(invocation)
    with invocation.registry.reading() as db:
        key = choose_key(db, None)

    def require_intact(db: Reading) -> None:
        problems = journal_check.verify(db).problems
        if problems:
            raise db.tampered(problems[0])

    def signer() -> "Signer":
        return invocation.signers_of([key], source)[key.kid]

    sealed = invocation.seal(key.kid, signer, require_intact)
    if sealed is None:
        line = Line("the whole journal is sealed already; nothing was signed")
        return Report({"sealed": False, "seal": None}, [line], is_idle=True)
    head = journal_check.head_text(sealed.seal.seq, sealed.seal.head)
    members: dict[str, Any] = {
        "sealed": True,
        "seal": {
            "kid": key.kid,
            "key": key.label,
            "size": sealed.seal.seq,
            "head": head,
            "at": dates.instant(sealed.seal.at),
            "token": sealed.token,
        },
    }
    fields = Fields(
        (("rows", str(sealed.seal.seq)), ("head", head), ("key", f"{key.label} ({key.kid})"))
    )
    return Report(members, [Line("sealed the journal", "good"), fields])
