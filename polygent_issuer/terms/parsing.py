"""Plans, terms and their changes, and the one parser of each value in them.

Options, rows of apply files and settings all parse their values here, and only add the name of
their field to the error. Each parser raises `InvalidTerms` (`invalid_terms`) with the text, escaped
and shortened; the hint shows a valid value. Dates are ISO 8601 calendar dates unless the command
names another form, instants are RFC 3339 (FORMAT §6). Every result is in UTC.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Self

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import TOO_LATE, Term, midnight, to_seconds
from polygent_issuer.text import did_you_mean, escape, escape_short, nfc, run
from polygent_issuer.verifier.domain import AllowedDomain
from polygent_issuer.verifier.errors import InvalidDomain
from polygent_issuer.verifier.license import (
    MAX_LIMIT,
    License,
    Limits,
    Tier,
    display_name_problem,
    is_feature_name,
    is_slug,
)
from polygent_issuer.verifier.tables import ENTERPRISE_FEATURES, FEATURES

_ENDS: Final = ", and no space at either end"
_DATE_HINT: Final = "write a date as 2027-11-30, an instant as 2027-11-30T18:00:00Z"
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DATE_FORMAT: Final = re.compile("%([dmY])([-./])%([dmY])([-./])%([dmY])")
_DATE_PARTS: Final = {"d": "(?P<d>[0-9]{1,2})", "m": "(?P<m>[0-9]{1,2})", "Y": "(?P<Y>[0-9]{4})"}
_INSTANT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_TERM: Final = re.compile(r"([1-9][0-9]{0,6})(y|mo|d)")
_COUNT: Final = re.compile(r"-?[0-9]{1,18}")
_LARGEST_BITS: Final = 63  # the largest integers of TOML; Python cannot print much larger ones
MAX_NOTE: Final = 1_000
"""The number of characters that a note may have."""
LIMITS = ("users", "session_hosts", "deploy_hosts")
"""The names of the limits, in the order of the command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A preset of terms for first licenses. Batches do not renew a trial (not `renewable`)."""

    name: str
    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    term: Term
    renewable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The entitlements of a license: all but its dates and its machine. Features are sorted."""

    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    allowed_domain: AllowedDomain | None = None

    @classmethod
    def of(cls, license: License) -> Self:
        """Return the terms of a license."""
        return cls(
            tier=license.tier,
            features=tuple(sorted(license.features)),
            limits=license.limits,
            allowed_domain=license.allowed_domain,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The terms that are given on the command line or in a batch's row; the rest is *as now*.

    A given term is a decision of the operator and never a finding.

    Attributes:
        plan: replaces tier, features and limits; the other options override it.
        features: the whole set (`--feature` of a first license); empty means no features.
        add_features, remove_features: changes of the current set.
        term, expires: the duration, or the expiry in UTC; only one of the two.
        basis: the start of the term: `expiry` (the current one), `now`, or an instant in UTC.
        order_id, note: kept in the registry; they change no term.
    """

    plan: Plan | None = None
    tier: Tier | None = None
    users: int | None = None
    session_hosts: int | None = None
    deploy_hosts: int | None = None
    allowed_domain: AllowedDomain | None = None
    no_allowed_domain: bool = False
    features: tuple[str, ...] | None = None
    add_features: tuple[str, ...] = ()
    remove_features: tuple[str, ...] = ()
    term: Term | None = None
    expires: datetime | None = None
    basis: str | datetime | None = None
    order_id: str | None = None
    note: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The given options for terms by name, in the order of the command line."""
        named = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        named = [name for name in named if name not in ("order_id", "note")]
        return tuple(_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in named)

    @property
    def makes_enterprise(self) -> bool:
        """True if the given tier, or else the tier of the given plan, is enterprise."""
        return (self.tier or (self.plan and self.plan.tier)) is Tier.ENTERPRISE

    @property
    def implied_tier(self) -> Tier | None:
        """The given tier, else that of the given plan, else enterprise if a domain is allowed."""
        given = self.tier or (self.plan and self.plan.tier)
        return given or (Tier.ENTERPRISE if self.allowed_domain else None)

    @property
    def names_domain(self) -> bool:
        """True if an allowed domain, or none, is given."""
        return self.allowed_domain is not None or self.no_allowed_domain

    @property
    def typed_features(self) -> frozenset[str]:
        """The features that are set or added by name."""
        return frozenset((*(self.features or ()), *self.add_features))

    def names_feature(self, name: str) -> bool:
        """Return whether the options decide if this feature is removed."""
        return self.features is not None or name in self.remove_features


_OPTIONS = {
    "features": "--feature",
    "add_features": "--add-feature",
    "remove_features": "--remove-feature",
    "basis": "--from",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The names of all features, and of those that need the enterprise tier."""

    names: frozenset[str]
    enterprise: frozenset[str]

    def require_known(self, names: Iterable[str]) -> None:
        """Refuse an unknown feature (`invalid_terms`); the hint names the most similar one."""
        for name in names:
            if name not in self.names:
                names = sorted(self.names)
                listed = ", ".join(names)
                known = f"known features: {listed}; add newer ones to the setting features"
                hint = did_you_mean(name.casefold(), names, known)
                raise InvalidTerms(f"unknown feature {escape(name)}", hint=hint)

    def enterprise_only(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names that need the enterprise tier, sorted."""
        return tuple(sorted(self.enterprise.intersection(names)))


def catalogue(extra: Iterable[str] = ()) -> Catalogue:
    """Return the catalogue of FORMAT §2 with the features of newer modules from the settings.

    An enterprise feature stays one even if `extra` contains it.
    """
    names = frozenset((*FEATURES, *ENTERPRISE_FEATURES, *extra))
    return Catalogue(names=names, enterprise=frozenset(ENTERPRISE_FEATURES))


def parse_tier(text: str) -> Tier:
    """Parse `standard` or `enterprise`."""
    try:
        return Tier(text)
    except ValueError:
        raise InvalidTerms(
            f"unknown tier: {escape_short(text)}", hint="write standard or enterprise"
        ) from None


def parse_count(text: str) -> int:
    """Parse a whole number without thousands separators; `check_limit` checks its range."""
    if _COUNT.fullmatch(text):
        return int(text)
    raise InvalidTerms(
        f"not a whole number: {escape_short(text)}",
        hint="write it as 25, with the digits 0 to 9 only",
    )


def check_limit(name: str, value: int) -> None:
    """Check the range of a limit (FORMAT §1): `users` from 1, hosts from 0, to 1,000,000."""
    if value.bit_length() > _LARGEST_BITS:
        raise InvalidTerms("the number is too large", hint="write a number up to 1,000,000")
    lowest = 1 if name == "users" else 0
    if not lowest <= value <= MAX_LIMIT:
        raise InvalidTerms(
            f"{name.replace('_', ' ')} must be {lowest} to {MAX_LIMIT:,}, not {value}",
            hint="choose a number within that range",
        )


def parse_features(names: Iterable[str]) -> tuple[str, ...]:
    """Parse names of features (FORMAT §1) and remove duplicates; unknown ones are allowed."""
    known = tuple(dict.fromkeys(names))
    for name in known:
        if not is_feature_name(name):
            raise InvalidTerms(
                f"not a feature name: {escape_short(name)}",
                hint="use lower-case letters and digits, with single hyphens between them",
            )
    return known


def parse_name(text: str) -> str:
    """Parse a display name or an order id, and normalize it to NFC (FORMAT §1)."""
    name = nfc(text)
    if problem := display_name_problem(name):
        raise InvalidTerms(problem, hint=f"use 1 to 200 visible characters{_ENDS}")
    return name


def parse_note(text: str) -> str:
    """Parse a note: a display name (FORMAT §1) of up to 1,000 characters."""
    note = nfc(text)
    if problem := display_name_problem(note, MAX_NOTE):
        line = f"use 1 to {MAX_NOTE:,} visible characters in one line"
        raise InvalidTerms(problem, hint=line + _ENDS)
    return note


def parse_plan_name(text: str) -> str:
    """Parse the name of a plan, which need not exist."""
    if is_slug(text):
        return text
    raise InvalidTerms(f"not a plan name: {escape_short(text)}", hint=run("config", "show"))


def parse_domain(text: str) -> AllowedDomain:
    """Parse an allowed domain (FORMAT §3); ASCII letters become lower case.

    Characters outside ASCII are refused, because only the A-label is unambiguous in the DNS.
    """
    if not text.isascii():
        raise InvalidTerms(
            f"the allowed domain {escape_short(text)} has characters outside ASCII",
            hint="write it as A-labels, such as xn--bcher-kva.example",
        )
    try:
        return AllowedDomain.parse(text.lower())
    except InvalidDomain as refused:
        raise InvalidTerms(
            refused.message,
            hint="write only the name, such as api.acme.internal or *.acme.internal, without "
            "scheme, port, path or final dot",
        ) from None


def parse_term(text: str) -> Term:
    """Parse `1y`, `6mo` or `90d`."""
    match = _TERM.fullmatch(text)
    if match is None:
        raise InvalidTerms(f"not a term: {escape_short(text)}", hint="write it as 1y, 6mo or 90d")
    number, unit = int(match[1]), match[2]
    if unit == "y":
        return Term(years=number)
    return Term(months=number) if unit == "mo" else Term(days=number)


@dataclass(frozen=True, kw_only=True, slots=True)
class DateFormat:
    """The form of the dates of one file, such as `%d.%m.%Y`; its `pattern` has d, m and Y."""

    text: str
    pattern: re.Pattern[str]

    def parse(self, text: str) -> date | None:
        """Parse a date in this form; None for an instant."""
        match = self.pattern.fullmatch(text)
        if match is None and _INSTANT.fullmatch(text):
            return None
        hint = f"write each date in the form {self.text}, as --date-format states"
        if match is None:
            raise InvalidTerms(f"not a date in that form: {escape_short(text)}", hint=hint)
        try:
            return date(int(match["Y"]), int(match["m"]), int(match["d"]))
        except ValueError:
            hint = f"check day and month; the form is {self.text}, as --date-format states"
            raise InvalidTerms(f"no such day: {escape_short(text)}", hint=hint) from None


def parse_date_format(text: str) -> DateFormat:
    """Parse the form of dates: `%d`, `%m` and `%Y` in any order, with `-`, `.` or `/` between."""
    match = _DATE_FORMAT.fullmatch(text)
    if match is None or set(match.group(1, 3, 5)) != set("dmY"):
        raise InvalidTerms(
            f"not a date format: {escape_short(text)}",
            hint="write %d, %m and %Y once each, with -, . or / between them: %d.%m.%Y",
        )
    parts = (_DATE_PARTS.get(part) or re.escape(part) for part in match.groups())
    return DateFormat(text=text, pattern=re.compile("".join(parts)))


def parse_expires(text: str, date_format: DateFormat | None = None) -> datetime:
    """Parse an expiry: an instant, or a date, which is covered completely.

    A part of a second, and an instant outside the years 1970 to 9999, are refused.

    Args:
        date_format: the form of dates, which are ISO dates by default.
    """
    day = _calendar_date(text) if date_format is None else date_format.parse(text)
    try:
        expires = parse_instant(text) if day is None else midnight(day) + timedelta(days=1)
    except OverflowError:
        raise InvalidTerms(
            f"expires too late: {escape_short(text)}: {TOO_LATE}", hint="give an earlier day"
        ) from None
    if expires.microsecond:
        raise InvalidTerms(
            f"an expiry is in whole seconds, not {escape_short(text)}",
            hint="leave the fraction out",
        )
    to_seconds(expires)  # refuses dates before 1970
    return expires


def parse_date_or_instant(text: str) -> datetime:
    """Parse an instant, or a date, which means its 00:00 UTC."""
    day = _calendar_date(text)
    return parse_instant(text) if day is None else midnight(day)


def parse_day(text: str) -> date:
    """Parse an ISO date."""
    day = _calendar_date(text)
    if day is None:
        raise InvalidTerms(f"not a date: {escape_short(text)}", hint="write it as 2027-11-30")
    return day


def parse_instant(text: str) -> datetime:
    """Parse an RFC 3339 instant with an offset; digits after the microsecond are dropped.

    An instant outside the years 1 to 9999 in UTC is refused.
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
    """Parse an ISO date; None for any other text."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise InvalidTerms(f"no such day: {escape_short(text)}", hint=_DATE_HINT) from None
