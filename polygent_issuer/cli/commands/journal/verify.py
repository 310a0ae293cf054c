"""`polygent-issue journal verify`: check the journal and registry for tampering."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.options.input_files import AgainstOption, noted_heads
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.errors import ExitCode, OutputProblem
from polygent_issuer.registry import journal, journal_check
from polygent_issuer.registry.journal_check import JournalCheck, head_text, noted_line
from polygent_issuer.registry.seals import CheckedSeal
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, counted, escape, run

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


def verify(
    invocation: Invocation,
    *,
    against: AgainstOption = None,
    note: Annotated[
        str | None, option("--note", "FILE", "Append the head to this file if the check passes.")
    ] = None,
) -> Report:
    """Check the journal and registry for tampering.

    The journal's hash chain is verified, and the registry is compared with the journal. The number
    of rows and the head are printed. Save the head outside this machine, with --note or by hand.
    With --against, a saved head also reveals truncation, a rewritten journal and an older copy.

    Each seal is checked: a signature of the head, which a rewritten journal does not have. Rows
    after the last seal are not sealed. Compare the kid of a seal with that of your servers' key.

    The head that --note saves is the one before the journal row about saving it.
    """
    heads = noted_heads(against)
    place = None if note is None else _place(invocation, note)
    check = journal_check.verify_registry(invocation.registry, against=heads)
    noted = None if check.problems else place
    if noted is not None:
        _note(invocation, check, noted)
    head, file = head_text(check.size, check.head), None if noted is None else str(noted)
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


def _text(check: JournalCheck, fields: Fields, *, is_saved: bool) -> Iterator[Block]:
    """Yield the problems and how to restore, or the advice to save the head."""
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


def _seal_json(each: CheckedSeal) -> dict[str, Any]:
    """Return a seal for programs; what it states is null unless it is authentic."""
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


def _seal_rows(check: JournalCheck) -> Iterator[tuple[str, str]]:
    """Yield what each seal covers, and what none covers."""
    for each in check.seals:
        if each.seal is not None and each.problem is None:
            rows = f"row {each.seal.seq}" if each.seal.seq == 1 else f"rows 1 to {each.seal.seq}"
            weak = ", weak" if each.weak else ""
            when = dates.instant(each.seal.at)
            yield "sealed", f"{rows} on {when} by {each.label} ({each.kid}){weak}"
    if check.unsealed_since is not None:
        count = check.size - check.sealed
        yield "not sealed", f"{counted(count, 'row')} since {dates.instant(check.unsealed_since)}"


def _weak(each: CheckedSeal) -> Line:
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


def _note(invocation: Invocation, check: JournalCheck, path: Path) -> None:
    """Append the head to the file, then record it; appending a head twice is harmless."""
    # The checked rows cannot change, so rows written in the meantime do not matter.
    decided = invocation.decide(lambda _: None)
    for finding in decided.behind:
        invocation.warn(Hint(f"{finding.message}: ", finding.hint or ""))
    registry_id = invocation.registry.id
    line = noted_line(check.size, check.head, now=invocation.now, registry_id=registry_id)
    files.append_line(path, line)
    head = head_text(check.size, check.head)
    details = {"size": check.size, "head": head, "file": str(path)}
    invocation.record_copy(decided, journal.HEAD_NOTED, details)
