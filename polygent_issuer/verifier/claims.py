"""The rule of each claim: its type, then what it may say (FORMAT §1 to §3).

Each raises `LicenseError` (`invalid_claims`) with the claim's dotted path in the message. A bool
is not an integer, `null` is not an absent claim.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from .domain import AllowedDomain
from .errors import InvalidDomain, invalid_claim, quoted
from .features import ENTERPRISE_FEATURES, Tier
from .identifiers import canonical_fingerprint, display_name_problem, is_feature_name, is_license_id

VERSION: Final = 1
MAX_REPLACES: Final = 100
MAX_LIMIT: Final = 1_000_000

T = TypeVar("T", str, int, list[object], dict[str, object])

_TIERS: Final = {str(tier): tier for tier in Tier}
_NEWER: Final = "the file was made for a newer version of the product: update the server first"
_KINDS: Final[dict[type, str]] = {
    str: "a string",
    int: "an integer",
    list: "an array",
    dict: "an object",
}


def require(claims: Mapping[str, object], name: str, kind: type[T]) -> T:
    """The claim `name`, which must be there and of this JSON type."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        why = f"must be {_KINDS[kind]}" if name in claims else "is missing"
        raise invalid_claim(name, why)
    return value


def display_name(claims: Mapping[str, object], name: str) -> str:
    """A claim that people read: `iss`, `customer`."""
    text = require(claims, name, str)
    if problem := display_name_problem(text):
        raise invalid_claim(name, problem)
    return text


def word(claims: Mapping[str, object], name: str, is_right: Callable[[str], bool]) -> str:
    """A claim with a grammar: `sub`, `jti`."""
    text = require(claims, name, str)
    if not is_right(text):
        raise invalid_claim(name, f"{quoted(text)} is not of the required form")
    return text


def integer(claims: Mapping[str, object], name: str, *, least: int, most: int) -> int:
    """An integer from `least` to `most`, both included: `iat`, `exp`."""
    number = require(claims, name, int)
    if not least <= number <= most:
        raise invalid_claim(name, f"must be {least} to {most}")
    return number


def limit(limits: Mapping[str, object], name: str, *, least: int) -> int:
    """One of the claim `limits`: an integer from `least` to a million."""
    number = limits.get(name)
    if type(number) is not int or not least <= number <= MAX_LIMIT:
        raise invalid_claim(f"limits.{name}", f"must be an integer, {least} to {MAX_LIMIT}")
    return number


def words(
    claims: Mapping[str, object], name: str, is_right: Callable[[str], bool]
) -> Sequence[str]:
    """An array of unique strings, each with the same grammar: `features`, `replaces`."""
    found: list[str] = []
    for item in require(claims, name, list):
        if not isinstance(item, str):
            raise invalid_claim(f"{name}[{len(found)}]", "must be a string")
        if not is_right(item):
            why = f"{quoted(item)} is not of the required form"
            raise invalid_claim(f"{name}[{len(found)}]", why)
        found.append(item)
    if len(set(found)) != len(found):
        raise invalid_claim(name, "holds the same entry twice")
    return found


def check_version(claims: Mapping[str, object]) -> None:
    """Judge `ver`, before any other claim: a newer file may mean something else by the rest."""
    ver = claims.get("ver")
    if type(ver) is int and ver == VERSION:
        return
    if "ver" not in claims:
        raise invalid_claim("ver", "is missing")
    newer = type(ver) is int and ver > VERSION
    raise invalid_claim("ver", f"must be {VERSION}", hint=_NEWER if newer else None)


def tier(claims: Mapping[str, object]) -> Tier:
    """The claim `tier`."""
    found = _TIERS.get(require(claims, "tier", str))
    if found is None:
        raise invalid_claim("tier", "must be standard or enterprise")
    return found


def features(claims: Mapping[str, object], level: Tier) -> tuple[str, ...]:
    """The claim `features`, sorted; those of enterprise alone are refused on standard."""
    found = words(claims, "features", is_feature_name)
    if level is Tier.STANDARD:
        for name in ENTERPRISE_FEATURES:
            if name in found:
                raise invalid_claim("features", f"{name} needs the tier enterprise")
    return tuple(sorted(found))


def machine_fingerprint(claims: Mapping[str, object], level: Tier) -> str | None:
    """The claim `machineFingerprint`: required on standard, absent from enterprise."""
    if level is Tier.ENTERPRISE:
        if "machineFingerprint" in claims:
            raise invalid_claim("machineFingerprint", "must be absent from an enterprise license")
        return None
    text = require(claims, "machineFingerprint", str)
    if canonical_fingerprint(text) != text:
        raise invalid_claim("machineFingerprint", f"{quoted(text)} is not in canonical form")
    return text


def allowed_domain(claims: Mapping[str, object], level: Tier) -> AllowedDomain | None:
    """The claim `allowedDomain`: optional on enterprise, absent from standard."""
    if "allowedDomain" not in claims:
        return None
    if level is Tier.STANDARD:
        raise invalid_claim("allowedDomain", "must be absent from a standard license")
    try:
        return AllowedDomain.parse(require(claims, "allowedDomain", str))
    except InvalidDomain as error:
        raise invalid_claim("allowedDomain", error.message) from None


def replaces(claims: Mapping[str, object], jti: str) -> tuple[str, ...]:
    """The claim `replaces`: 1 to 100 ids, the license's own not among them, or ()."""
    if "replaces" not in claims:
        return ()
    replaced = words(claims, "replaces", is_license_id)
    if not 1 <= len(replaced) <= MAX_REPLACES:
        raise invalid_claim("replaces", f"must hold 1 to {MAX_REPLACES} license ids")
    if jti in replaced:
        raise invalid_claim("replaces", "holds the license's own id")
    return tuple(replaced)
