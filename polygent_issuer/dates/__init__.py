"""Times for people: terms, expiries, instants (FORMAT §6).

Every moment is aware and every result in UTC; `terms.parsing` reads them. A naive datetime is the
caller's mistake (`ValueError`); whatever else cannot be is `InvalidTerms` (`invalid_terms`).
"""

from polygent_issuer.dates.expiry import (
    ASSUMED_UPLOAD_WINDOW,
    days,
    days_left,
    describe_expiry,
    describe_instant,
    last_full_day,
    upload_deadline,
)
from polygent_issuer.dates.moments import (
    MAX_EXP,
    TOO_LATE,
    from_seconds,
    in_utc,
    instant,
    known_zone,
    midnight,
    parse_zone,
    to_seconds,
)
from polygent_issuer.dates.term import Term, term_end

__all__ = [
    "ASSUMED_UPLOAD_WINDOW",
    "MAX_EXP",
    "TOO_LATE",
    "Term",
    "days",
    "days_left",
    "describe_expiry",
    "describe_instant",
    "from_seconds",
    "in_utc",
    "instant",
    "known_zone",
    "last_full_day",
    "midnight",
    "parse_zone",
    "term_end",
    "to_seconds",
    "upload_deadline",
]
