"""Plans, terms, changes; the one place that reads a tier, count, feature, name, term, date, domain.

Options, rows of apply files and settings read their values here, and add only their field's name to
the error. Each function raises `InvalidTerms` (`invalid_terms`), which repeats what was written,
escaped and short, and says how it is written right. Dates are ISO 8601 calendar dates, instants are
RFC 3339 (FORMAT §6); every moment that is read is in UTC.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, Self

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.terms.dates import TOO_LATE, Term, midnight, to_seconds
from polygent_issuer.text import did_you_mean, escape, escape_short, nfc
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

_DATE_HINT: Final = "write a date as 2027-11-30, an instant as 2027-11-30T18:00:00Z"
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_INSTANT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_TERM: Final = re.compile(r"([1-9][0-9]{0,6})(y|mo|d)")
_COUNT: Final = re.compile(r"-?[0-9]{1,18}")
_LARGEST_BITS: Final = 63  # TOML promises no larger numbers, and Python writes none at length
LIMITS = ("users", "session_hosts", "deploy_hosts")
"""The limits by their names here, in the order of the command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A preset for first licenses, not for renewals; batches skip what is not renewable: trials."""

    name: str
    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    term: Term
    renewable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a license entitles to, apart from its dates and its machine; features are sorted."""

    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    allowed_domain: AllowedDomain | None = None

    @classmethod
    def of(cls, license: License) -> Self:  # noqa: A002 - the noun of the field
        """The terms of a license."""
        return cls(
            tier=license.tier,
            features=tuple(sorted(license.features)),
            limits=license.limits,
            allowed_domain=license.allowed_domain,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What was typed on the command line, or stands in a batch's row; the rest is *as now*.

    What is named here is the operator's decision and never a finding.

    Attributes:
        plan: replaces tier, features and limits; the options beside it win over it.
        features: exactly these (`--feature` of a first license); empty means none at all.
        add_features, remove_features: beside those there are, or no more of these.
        term, expires: how long, or until when, in UTC; one of the two.
        basis: what the term counts from: `expiry` (the present one), `now`, or a moment in UTC.
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

    @property
    def named(self) -> tuple[str, ...]:
        """The options that were given, as they are typed, in the order of the command line."""
        named = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        return tuple(_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in named)

    @property
    def makes_enterprise(self) -> bool:
        """Whether the tier, or the plan's, was said to be enterprise."""
        return (self.tier or (self.plan.tier if self.plan else None)) is Tier.ENTERPRISE

    @property
    def names_domain(self) -> bool:
        """Whether it was the operator's word which hosts are allowed, or that all are."""
        return self.allowed_domain is not None or self.no_allowed_domain

    @property
    def typed_features(self) -> frozenset[str]:
        """The features that were asked for by name."""
        return frozenset((*(self.features or ()), *self.add_features))

    def names_feature(self, name: str) -> bool:
        """Whether it was the operator's word that this feature stays or goes."""
        return self.features is not None or name in self.remove_features


_OPTIONS = {
    "features": "--feature",
    "add_features": "--add-feature",
    "remove_features": "--remove-feature",
    "basis": "--from",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The names that exist, and those among them that only the enterprise tier may have."""

    names: frozenset[str]
    enterprise: frozenset[str]

    def require_known(self, names: Iterable[str]) -> None:
        """Refuse a name that no server knows (`invalid_terms`), with the nearest known."""
        for name in names:
            if name not in self.names:
                names = sorted(self.names)
                known = f"known are {', '.join(names)}; newer modules: the setting features"
                hint = did_you_mean(name.casefold(), names, known)
                raise InvalidTerms(f"unknown feature {escape(name)}", hint=hint)

    def enterprise_only(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that a standard license cannot have, sorted."""
        return tuple(sorted(self.enterprise.intersection(names)))


def catalogue(extra: Iterable[str] = ()) -> Catalogue:
    """The catalogue of FORMAT §2 and the newer modules that the settings name.

    A name of the catalogue among `extra` changes nothing: what is enterprise only stays so.
    """
    names = frozenset((*FEATURES, *ENTERPRISE_FEATURES, *extra))
    return Catalogue(names=names, enterprise=frozenset(ENTERPRISE_FEATURES))


def parse_tier(text: str) -> Tier:
    """Read `standard` or `enterprise`."""
    try:
        return Tier(text)
    except ValueError:
        raise InvalidTerms(
            f"no such tier: {escape_short(text)}", hint="standard or enterprise"
        ) from None


def parse_count(text: str) -> int:
    """Read a whole number, without a sign for thousands; its range is `check_limit`'s."""
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
                f"not a feature name: {escape_short(name)}",
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
    raise InvalidTerms(f"not a plan name: {escape_short(text)}", hint=run("config", "show"))


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
