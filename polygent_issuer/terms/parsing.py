"""The one place that reads a tier, a count, a feature, a name, a term, a date, a domain.

Options, rows of apply files and settings read their values here, and add only their field's name to
the error. Each function raises `InvalidTerms` (`invalid_terms`), which repeats what was written,
escaped and short, and says how it is written right. Dates are ISO 8601 calendar dates, instants are
RFC 3339 (FORMAT §6); every moment that is read is in UTC.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.terms.dates import TOO_LATE, Term, midnight, to_seconds
from polygent_issuer.text import escape_short, nfc
from polygent_issuer.verifier.errors import InvalidDomain
from polygent_issuer.verifier.identifiers import (
    AllowedDomain,
    Tier,
    display_name_problem,
    is_feature_name,
    is_slug,
)
from polygent_issuer.verifier.license import MAX_LIMIT

_DATE_HINT: Final = "write a date as 2027-11-30, an instant as 2027-11-30T18:00:00Z"
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_INSTANT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_TERM: Final = re.compile(r"([1-9][0-9]{0,6})(y|mo|d)")
_COUNT: Final = re.compile(r"-?[0-9]{1,18}")
_LARGEST_BITS: Final = 63  # TOML promises no larger numbers, and Python writes none at length


def parse_tier(text: str) -> Tier:
    """Read `standard` or `enterprise`."""
    try:
        return Tier(text)
    except ValueError:
        raise InvalidTerms(
            f"no such tier: {escape_short(text)}", hint="standard or enterprise"
        ) from None


def parse_count(text: str) -> int:
    """Read a whole number; its range is `check_limit`'s.

    Which sign parts thousands depends on the country, so none does.
    """
    if _COUNT.fullmatch(text):
        return int(text)
    raise InvalidTerms(
        f"not a whole number: {escape_short(text)}",
        hint="write it as 25: the digits 0 to 9 alone, no sign, point or separator",
    )


def check_limit(name: str, value: int) -> None:
    """Check a limit by FORMAT §1: `users` from 1, hosts from 0, to a million."""
    if value.bit_length() > _LARGEST_BITS:
        raise InvalidTerms("the number is too large", hint="write a number up to 1,000,000")
    lowest = 1 if name == "users" else 0
    if not lowest <= value <= MAX_LIMIT:
        raise InvalidTerms(
            f"{name.replace('_', ' ')} must be {lowest} to {MAX_LIMIT:,}, not {value}",
            hint=Hint(option(f"--{name.replace('_', '-')}", "N"), " within that range"),
        )


def parse_features(names: Iterable[str]) -> tuple[str, ...]:
    """Read names of features (FORMAT §1), each once; the catalogue says whether they exist."""
    known = tuple(dict.fromkeys(names))
    for name in known:
        if not is_feature_name(name):
            raise InvalidTerms(
                f"not a feature's name: {escape_short(name)}",
                hint="small letters, digits, single hyphens between them",
            )
    return known


def parse_name(text: str) -> str:
    """Read a display name, composed to NFC (FORMAT §1)."""
    name = nfc(text)
    if problem := display_name_problem(name):
        raise InvalidTerms(problem, hint="a name of 1 to 200 visible characters")
    return name


def parse_plan_name(text: str) -> str:
    """Read the name of a plan, there or not."""
    if is_slug(text):
        return text
    raise InvalidTerms(f"not a plan's name: {escape_short(text)}", hint=run("config", "show"))


def parse_domain(text: str) -> AllowedDomain:
    """Read an allowed domain (FORMAT §3); ASCII capitals are lowered.

    Letters outside ASCII are refused: only the A-label says which name of the DNS is meant.
    """
    if not text.isascii():
        raise InvalidTerms(
            f"the allowed domain {escape_short(text)} has characters outside ASCII",
            hint="write the A-label as the DNS has it: it begins with xn--",
        )
    try:
        return AllowedDomain.parse(text.lower())
    except InvalidDomain as refused:
        raise InvalidTerms(
            refused.message,
            hint="write it like api.acme.internal or *.acme.internal: the name alone, without "
            "scheme, port, path or a dot at its end",
        ) from None


def parse_term(text: str) -> Term:
    """Read `1y`, `6mo` or `90d`."""
    match = _TERM.fullmatch(text)
    if match is None:
        raise InvalidTerms(f"not a term: {escape_short(text)}", hint="write it as 1y, 6mo or 90d")
    number, unit = int(match[1]), match[2]
    if unit == "y":
        return Term(years=number)
    return Term(months=number) if unit == "mo" else Term(days=number)


def parse_expires(text: str) -> datetime:
    """Read an expiry: a date, all of which is covered, or an instant, taken as it is.

    Refused are a part of a second, and what lies outside 1970 to 9999.
    """
    day = _calendar_date(text)
    try:
        expires = parse_instant(text) if day is None else midnight(day) + timedelta(days=1)
    except OverflowError:
        raise InvalidTerms(
            f"expires too late: {escape_short(text)}: {TOO_LATE}", hint="name an earlier day"
        ) from None
    if expires.microsecond:
        raise InvalidTerms(
            f"a license expires at a whole second, not at {escape_short(text)}",
            hint="leave the fraction out",
        )
    to_seconds(expires)  # refuses what no license can name
    return expires


def parse_date_or_instant(text: str) -> datetime:
    """Read a moment; a date means its 00:00 UTC."""
    day = _calendar_date(text)
    return parse_instant(text) if day is None else midnight(day)


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant; the offset is required, digits past the microsecond are dropped.

    Refused is what lies outside the years 1 to 9999 in UTC.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise InvalidTerms(f"not a date or an instant: {escape_short(text)}", hint=_DATE_HINT)
    *numbers, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidTerms(f"no such time: {escape_short(text)}", hint=_DATE_HINT) from None


def _calendar_date(text: str) -> date | None:
    """Read an ISO date; None when the text is not written as one."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise InvalidTerms(f"no such day: {escape_short(text)}", hint=_DATE_HINT) from None
