"""`--since` and `--until`: a day or an instant; a last day is included."""

from contextlib import suppress
from datetime import datetime, timedelta

_DATE_LENGTH = len("2026-11-30")


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
