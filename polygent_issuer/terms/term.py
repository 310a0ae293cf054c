"""Terms: how long a license runs, in calendar units, and where that ends (FORMAT §6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import TOO_LATE, in_utc, midnight

_DAY: Final = timedelta(days=1)
_MONTHS: Final = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """How long a license runs: calendar years, or calendar months, or days; exactly one of them."""

    years: int = 0
    months: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        """Hold that exactly one unit is used, and forwards."""
        used = [number for number in (self.years, self.months, self.days) if number]
        if len(used) != 1 or used[0] < 0:
            raise InvalidTerms("a term is a number of years, of months or of days")

    def __str__(self) -> str:
        """Spell the term as `terms.parsing` reads it."""
        if self.years:
            return f"{self.years}y"
        return f"{self.months}mo" if self.months else f"{self.days}d"

    def duration_days(self, base: datetime) -> int:
        """Count the days from `base` to the end of the term; a begun day counts."""
        return -((base - term_end(base, self)) // _DAY)


def term_end(base: datetime, term: Term) -> datetime:
    """Add a term to a moment, so that no license ends in the middle of a day (FORMAT §6).

    Calendar years and months; a day that does not exist becomes the first of the next month (the
    time of day stays); then up to the next 00:00 UTC, where a midnight is its own.

    Raises:
        InvalidTerms: (`invalid_terms`) when that is past the year 9999.
    """
    start = in_utc(base)
    try:
        end = start + timedelta(days=term.days) if term.days else _months_later(start, term)
        begun = midnight(end.date())
        return begun if begun == end else begun + _DAY
    except OverflowError:
        raise InvalidTerms(
            f"the term {term} ends too late: {TOO_LATE}", hint="choose a shorter term"
        ) from None


def _months_later(start: datetime, term: Term) -> datetime:
    months = start.year * _MONTHS + (start.month - 1) + term.years * _MONTHS + term.months
    try:
        return start.replace(year=months // _MONTHS, month=months % _MONTHS + 1)
    except ValueError:  # no such day, or no such year
        months += 1
    try:
        return start.replace(year=months // _MONTHS, month=months % _MONTHS + 1, day=1)
    except ValueError:
        raise OverflowError from None
