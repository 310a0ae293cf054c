"""Options about the journal: heads to compare it with, and a period of it."""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from polygent_issuer.cli.options.common import option
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import Hint, escape, run

if TYPE_CHECKING:
    from polygent_issuer.registry.journal_check import JournalHead

_DATE_LENGTH: Final = len("2026-11-30")
_HEADS_LIMIT: Final = 16 * 1024 * 1024

AgainstOption = Annotated[
    str | None,
    option("--against", "HEAD|FILE", "Compare with a saved head or a file of heads (- for stdin)."),
]


def noted_heads(against: str | None) -> "tuple[JournalHead, ...]":
    """Return the heads of `--against`; none without the option.

    Raises:
        InputRefused: (`input_refused`) it is neither a head nor a file, or a line of the file has
            no head.
        UnreadableInput: (`unreadable_input`) the file cannot be read.
    """
    if against is None:
        return ()
    from polygent_issuer.files import reading
    from polygent_issuer.registry.journal_check import parse_head, parse_noted

    head = parse_head(against)
    if head is not None:
        return (head,)
    if against != "-" and not os.path.lexists(against):
        raise InputRefused(
            f"{escape(against)} is neither a head (SIZE:HASH) nor a file of heads",
            hint=Hint("copy a head from an earlier ", run("journal", "verify")),
        )
    data = reading.read_unmarked(against, limit=_HEADS_LIMIT, what="file of heads")
    name = "stdin" if against == "-" else escape(against)
    return parse_noted(data.decode("utf-8", "replace"), name)


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the first instant of a period and the one after it; None where it has no bound.

    Raises:
        InvalidTerms: (`invalid_terms`) not a date or an instant.
    """
    start = None if since is None else _instant(since)
    end = None if until is None else _instant(until)
    if end is not None and len(until or "") == _DATE_LENGTH:
        with suppress(OverflowError):  # nothing can be later than the last day of 9999
            end += timedelta(days=1)
    return start, end


def _instant(text: str) -> datetime:
    from polygent_issuer.terms.parsing import parse_date_or_instant  # its import takes 30 ms

    return parse_date_or_instant(text)
