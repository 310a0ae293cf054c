"""`polygent-issue journal verify`: does the journal stand, and the registry as it says?"""

import os
from pathlib import Path
from typing import Annotated

import typer

from polygent_issuer import files
from polygent_issuer.cli.against import AgainstOption, noted_heads
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.journal.verify_view import Verification
from polygent_issuer.errors import OutputProblem
from polygent_issuer.registry import change, journal
from polygent_issuer.registry.journal import JournalCheck
from polygent_issuer.registry.noted_heads import head_text, noted_line
from polygent_issuer.text import shown


def verify(
    invocation: Invocation,
    *,
    against: AgainstOption = None,
    note: Annotated[
        str | None,
        typer.Option(
            "--note", metavar="FILE", help="When all is well, add the head to FILE, kept elsewhere."
        ),
    ] = None,
) -> Verification:
    """Find edits of the journal and of the registry that it vouches for.

    Prints how many rows there are and the head, to be kept elsewhere: given with --against later,
    it finds rows that were cut off, a journal that was written anew and a restored older copy. The
    head that --note notes is the one before the journal row that tells of the noting.
    """
    heads = noted_heads(against)
    place = None if note is None else _place(invocation, note)
    with invocation.registry.reading(checked=False) as db:
        check = journal.verify(db, against=heads)
    noted = None if check.problems else place
    if noted is not None:
        _note(invocation, check, noted)
    return Verification(check=check, against=against, checked=len(heads), noted=noted)


def _place(invocation: Invocation, note: str) -> Path:
    """Where the head is noted: never in the home, where the registry lies."""
    path = Path(note).absolute()
    # Not Path.resolve, which has an exception of its own for a loop of links.
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(invocation.home)):
        raise OutputProblem(
            f"{shown(note)} lies in the home: whoever changes the registry there changes it, too",
            hint="note the head on another disk, or in a folder that only others may write to",
        )
    return path


def _note(invocation: Invocation, check: JournalCheck, path: Path) -> None:
    """Write the head down, then journal that; a head that is noted twice is no harm."""
    registry, now = invocation.registry, invocation.now
    # What was checked stays so, whatever is written meanwhile.
    decided = invocation.decide(lambda _: None)
    for finding in decided.behind:
        invocation.warn(f"{finding.message}: {finding.hint}")
    line = noted_line(check.size, check.head, now=now, registry_id=registry.id)
    files.append_line(path, line)
    details = {
        "size": check.size,
        "head": head_text(check.size, check.head),
        "file": str(path),
    }
    change.carry_out(decided, lambda db: db.record(journal.HEAD_NOTED, details=details))
