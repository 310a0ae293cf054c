"""A license: the entitlements of a customer, as a value and as a file's payload (FORMAT §1)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, TypeVar

from .domain import AllowedDomain
from .errors import InvalidDomain, invalid_claim, quoted
from .jws import loads_object
from .tables import ENTERPRISE_FEATURES, FILLERS, FORBIDDEN, FORBIDDEN_AT_EDGES

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
VERSION: Final = 1
MAX_EXP: Final = 253_402_300_799
"""The last second of year 9999."""
MAX_DISPLAY_NAME: Final = 200
MAX_FEATURE_NAME: Final = 64
MAX_REPLACES: Final = 100
MAX_LIMIT: Final = 1_000_000
_PLAIN = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_FEATURE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LICENSE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_FINGERPRINT = re.compile(r"[!-~]{8,256}")
_HEXADECIMAL = re.compile(r"(?:[Ss][Hh][Aa]256:)?[0-9A-Fa-f]+")


class Tier(StrEnum):
    """The two kinds of license."""

    STANDARD = "standard"
    ENTERPRISE = "enterprise"


_T = TypeVar("_T", str, int, list[object], dict[str, object])

_TIERS: Final = {str(tier): tier for tier in Tier}
_NEWER: Final = "the file was made for a newer version of the product: update the server first"
_KINDS: Final[dict[type, str]] = {
    str: "a string",
    int: "an integer",
    list: "an array",
    dict: "an object",
}
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The most users and agent hosts at the same time; no host may connect if its limit is 0."""

    users: int
    session_hosts: int
    deploy_hosts: int

    @classmethod
    def from_claims(cls, claims: Mapping[str, object]) -> "Limits":
        """Read the claim `limits`.

        Raises:
            LicenseError: (`invalid_claims`) when it breaks FORMAT §1.
        """
        limits = _require(claims, "limits", dict)
        return cls(
            users=_limit(limits, "users", least=1),
            session_hosts=_limit(limits, "sessionHosts", least=0),
            deploy_hosts=_limit(limits, "deployHosts", least=0),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class License:
    """The claims of a license, each by its name in FORMAT §1, in snake case.

    `from_claims` and `from_payload` refuse claims that break FORMAT §1 to §3. The constructor
    checks nothing: to check a license that you build yourself, read its payload back.

    Attributes:
        iss: the issuer.
        sub: the customer's slug.
        jti: the license ID, a UUID in lower case; the license's identity.
        iat: issued at, seconds since 1970 UTC.
        exp: expires at, seconds since 1970 UTC; the license is expired from this second on.
        customer: the customer's name for people.
        features: sorted; may include some that this version does not know.
        machine_fingerprint: canonical (FORMAT §4); only of a standard license.
        allowed_domain: optional, only of an enterprise license.
        replaces: the IDs of licenses that this one supersedes, in the order of the file.
        ver: the version of the format.
    """

    iss: str
    sub: str
    jti: str
    iat: int
    exp: int
    customer: str
    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    machine_fingerprint: str | None = None
    allowed_domain: AllowedDomain | None = None
    replaces: tuple[str, ...] = ()
    ver: int = VERSION

    @property
    def issued_at(self) -> datetime:
        """Return `iat` in UTC."""
        return _instant(self.iat)

    @property
    def expires_at(self) -> datetime:
        """Return `exp` in UTC, the first instant at which the license is expired."""
        return _instant(self.exp)

    @classmethod
    def from_payload(cls, payload: bytes) -> "License":
        """Read the license in the payload of a file.

        Raises:
            LicenseError: (`malformed`) when the payload is not JSON of FORMAT §1;
                (`invalid_claims`) when a claim breaks FORMAT §1 to §3.
        """
        return cls.from_claims(loads_object(payload, what="the payload"))

    @classmethod
    def from_claims(cls, claims: Mapping[str, object]) -> "License":
        """Read the license that these claims describe; names that FORMAT lacks are ignored.

        Raises:
            LicenseError: (`invalid_claims`) when a claim breaks FORMAT §1 to §3.
        """
        _check_version(claims)
        tier = _tier(claims)
        iat = _integer(claims, "iat", least=1, most=MAX_EXP - 1)
        jti = _word(claims, "jti", is_license_id)
        return cls(
            iss=_display_name(claims, "iss"),
            sub=_word(claims, "sub", is_slug),
            jti=jti,
            iat=iat,
            exp=_integer(claims, "exp", least=iat + 1, most=MAX_EXP),
            customer=_display_name(claims, "customer"),
            tier=tier,
            features=_features(claims, tier),
            limits=Limits.from_claims(claims),
            machine_fingerprint=_machine_fingerprint(claims, tier),
            allowed_domain=_allowed_domain(claims, tier),
            replaces=_replaces(claims, jti),
        )

    def to_claims(self) -> dict[str, Any]:
        """Return the claims by their names in the file, features sorted, absent ones left out."""
        claims: dict[str, Any] = {
            "ver": self.ver,
            "iss": self.iss,
            "sub": self.sub,
            "jti": self.jti,
            "iat": self.iat,
            "exp": self.exp,
            "customer": self.customer,
            "tier": str(self.tier),
            "features": sorted(self.features),
            "limits": {
                "users": self.limits.users,
                "sessionHosts": self.limits.session_hosts,
                "deployHosts": self.limits.deploy_hosts,
            },
        }
        if self.machine_fingerprint is not None:
            claims["machineFingerprint"] = self.machine_fingerprint
        if self.allowed_domain is not None:
            claims["allowedDomain"] = self.allowed_domain.text
        if self.replaces:
            claims["replaces"] = list(self.replaces)
        return claims

    def to_payload(self) -> bytes:
        """Return the payload of FORMAT §1, "Issuing": sorted names, no white space, UTF-8.

        Raises:
            LicenseError: (`invalid_claims`) when a text has a lone surrogate, which UTF-8 lacks.
        """
        try:
            return _encode(self.to_claims()).encode()
        except UnicodeEncodeError:
            raise invalid_claim("payload", "a claim has a lone surrogate") from None


@lru_cache(maxsize=1024)  # many licenses share few instants
def _instant(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _characters(ranges: tuple[tuple[int, int], ...]) -> str:
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


FORBIDDEN_CHARACTER: Final = re.compile(_characters(FORBIDDEN))
_EDGE = re.compile(_characters(FORBIDDEN_AT_EDGES))


def display_name_problem(text: str, most: int = MAX_DISPLAY_NAME) -> str | None:
    """Return why a text is not a display name (FORMAT §1), or None if it is one.

    `most` is the number of code points that it may have.
    """
    if _PLAIN.fullmatch(text):
        return None
    if not 1 <= len(text) <= most:
        return f"must have 1 to {most:,} characters, has {len(text):,}"
    if match := FORBIDDEN_CHARACTER.search(text):
        return f"character U+{ord(match[0]):04X} is not allowed"
    for character in (text[0], text[-1]):
        if _EDGE.match(character):
            return f"must not begin or end with U+{ord(character):04X}"
    return None


def is_slug(text: str) -> bool:
    """Return whether a text is a customer's slug (FORMAT §1, `sub`)."""
    return _SLUG.fullmatch(text) is not None


@lru_cache(maxsize=64)  # licenses share few names
def is_feature_name(text: str) -> bool:
    """Return whether a text can name a feature, known or not (FORMAT §1, `features`)."""
    return len(text) <= MAX_FEATURE_NAME and _FEATURE.fullmatch(text) is not None


def is_license_id(text: str) -> bool:
    """Return whether a text is a license ID (FORMAT §1, `jti`)."""
    return _LICENSE_ID.fullmatch(text) is not None


def canonical_fingerprint(text: str) -> str | None:
    """Return the canonical form of a machine's fingerprint (FORMAT §4), or None without one."""
    trimmed = text.strip(" \t\r\n")
    if not _FINGERPRINT.fullmatch(trimmed):
        return None
    return trimmed.lower() if _HEXADECIMAL.fullmatch(trimmed) else trimmed


def is_placeholder(text: str) -> bool:
    """Return whether an id is one repeated character or a vendor's filler text, in any spelling."""
    bare = plain(text)
    return len(set(bare)) <= 1 or bare in _plain_fillers()


def plain(text: str) -> str:
    """Return the letters and digits in lower case; a text without any is returned whole."""
    text = text.strip().lower()
    return _PUNCTUATION.sub("", text) or text


@cache
def _plain_fillers() -> frozenset[str]:
    return frozenset(map(plain, FILLERS))


# The rule of each claim: its type, then its value. A bool is not an integer, and `null` is not an
# absent claim. Each function raises `LicenseError` (`invalid_claims`) with the claim's dotted path.


def _require(claims: Mapping[str, object], name: str, kind: type[_T]) -> _T:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        why = f"must be {_KINDS[kind]}" if name in claims else "is missing"
        raise invalid_claim(name, why)
    return value


def _display_name(claims: Mapping[str, object], name: str) -> str:
    text = _require(claims, name, str)
    if problem := display_name_problem(text):
        raise invalid_claim(name, problem)
    return text


def _word(claims: Mapping[str, object], name: str, is_right: Callable[[str], bool]) -> str:
    text = _require(claims, name, str)
    if not is_right(text):
        raise invalid_claim(name, f"{quoted(text)} is not of the required form")
    return text


def _integer(claims: Mapping[str, object], name: str, *, least: int, most: int) -> int:
    number = _require(claims, name, int)
    if not least <= number <= most:
        raise invalid_claim(name, f"must be {least} to {most}")
    return number


def _limit(limits: Mapping[str, object], name: str, *, least: int) -> int:
    number = limits.get(name)
    if type(number) is not int or not least <= number <= MAX_LIMIT:
        raise invalid_claim(f"limits.{name}", f"must be an integer, {least} to {MAX_LIMIT}")
    return number


def _words(
    claims: Mapping[str, object], name: str, is_right: Callable[[str], bool]
) -> Sequence[str]:
    entries: list[str] = []
    for number, item in enumerate(_require(claims, name, list)):
        if not isinstance(item, str):
            raise invalid_claim(f"{name}[{number}]", "must be a string")
        if not is_right(item):
            raise invalid_claim(f"{name}[{number}]", f"{quoted(item)} is not of the required form")
        entries.append(item)
    if len(set(entries)) != len(entries):
        raise invalid_claim(name, "has the same entry twice")
    return entries


def _check_version(claims: Mapping[str, object]) -> None:
    """Check `ver` before any other claim, since other versions may define those differently."""
    ver = claims.get("ver")
    if type(ver) is int and ver == VERSION:
        return
    if "ver" not in claims:
        raise invalid_claim("ver", "is missing")
    newer = type(ver) is int and ver > VERSION
    raise invalid_claim("ver", f"must be {VERSION}", hint=_NEWER if newer else None)


def _tier(claims: Mapping[str, object]) -> Tier:
    tier = _TIERS.get(_require(claims, "tier", str))
    if tier is None:
        raise invalid_claim("tier", "must be standard or enterprise")
    return tier


def _features(claims: Mapping[str, object], tier: Tier) -> tuple[str, ...]:
    names = _words(claims, "features", is_feature_name)
    if tier is Tier.STANDARD:
        for name in ENTERPRISE_FEATURES:
            if name in names:
                raise invalid_claim("features", f"{name} needs the tier enterprise")
    return tuple(sorted(names))


def _machine_fingerprint(claims: Mapping[str, object], tier: Tier) -> str | None:
    if tier is Tier.ENTERPRISE:
        if "machineFingerprint" in claims:
            raise invalid_claim("machineFingerprint", "must be absent from an enterprise license")
        return None
    text = _require(claims, "machineFingerprint", str)
    if canonical_fingerprint(text) != text:
        raise invalid_claim("machineFingerprint", f"{quoted(text)} is not in canonical form")
    return text


def _allowed_domain(claims: Mapping[str, object], tier: Tier) -> AllowedDomain | None:
    if "allowedDomain" not in claims:
        return None
    if tier is Tier.STANDARD:
        raise invalid_claim("allowedDomain", "must be absent from a standard license")
    try:
        return AllowedDomain.parse(_require(claims, "allowedDomain", str))
    except InvalidDomain as error:
        raise invalid_claim("allowedDomain", error.message) from None


def _replaces(claims: Mapping[str, object], jti: str) -> tuple[str, ...]:
    if "replaces" not in claims:
        return ()
    replaced = _words(claims, "replaces", is_license_id)
    if not 1 <= len(replaced) <= MAX_REPLACES:
        raise invalid_claim("replaces", f"must have 1 to {MAX_REPLACES} license IDs")
    if jti in replaced:
        raise invalid_claim("replaces", "has the license's own ID")
    return tuple(replaced)
