"""The rules of a row's values, each for what is written: a text, a number, a list.

Each gives the value, or raises `InputRefused` with what is wrong and how it is written right.
Messages repeat what is written, escaped and short.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from polygent_issuer import dates
from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.files import inner_parts
from polygent_issuer.findings import FindingCode
from polygent_issuer.settings.kind import called
from polygent_issuer.terms import check_limit, parse_domain
from polygent_issuer.text import brief, nearest, nfc, shown
from polygent_issuer.verifier import AllowedDomain, Tier
from polygent_issuer.verifier.domain import MAX_DOMAIN
from polygent_issuer.verifier.names import display_name_problem, is_feature_name, is_slug

_LONGEST_REASON: Final = 1_000
_LARGEST_BITS: Final = 63  # TOML has no larger numbers, and Python would write them at length
_COUNT: Final = re.compile(r"[0-9]{1,9}")


def text(value: object) -> str:
    """What must be a text in TOML."""
    if isinstance(value, str):
        return value
    raise InputRefused(f"must be a text, not {called(value)}", hint="write it in quotes")


def texts(value: object) -> Sequence[str]:
    """What must be a list of texts in TOML."""
    if not isinstance(value, list):
        raise InputRefused(f"must be a list, not {called(value)}", hint='write it as ["a", "b"]')
    return [text(item) for item in value]


def name(written: str) -> str:
    """A display name, in NFC (FORMAT §1)."""
    composed = nfc(written)
    if problem := display_name_problem(composed):
        raise InputRefused(
            f"not a name: {brief(written)}: {problem}",
            hint="1 to 200 visible characters, in one line",
        )
    return composed


def path(written: str) -> str:
    """The path of a file beside the apply file, as it is written."""
    inner_parts(written)
    return written


def plan(written: str) -> str:
    """The name of a plan, there or not."""
    if is_slug(written):
        return written
    raise InputRefused(f"not a plan's name: {brief(written)}", hint="polygent-issue config show")


def tier(written: str) -> Tier:
    """A tier."""
    try:
        return Tier(written)
    except ValueError:
        told = f"no such tier: {brief(written)}"
        raise InputRefused(told, hint="standard or enterprise") from None


def expires(value: object) -> datetime:
    """When a license ends, in UTC: TOML's own dates and times, or as `--expires` (FORMAT §6)."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InputRefused(
            f"a time without an offset says no instant: {value.isoformat()}",
            hint="write a date as 2027-11-30, an instant as 2027-11-30T18:00:00Z",
        )
    return dates.parse_expires(value.isoformat() if isinstance(value, date) else text(value))


def number(field: str, value: object) -> int:
    """What must be a whole number in TOML, within FORMAT §1."""
    if type(value) is not int:
        raise InputRefused(f"must be a whole number, not {called(value)}", hint="write it as 25")
    if value.bit_length() > _LARGEST_BITS:
        raise InputRefused("the number is too large", hint="write a number up to 1,000,000")
    try:
        check_limit(field, value)
    except InvalidTerms as refused:
        raise InputRefused(refused.message, hint="write a number of this range") from None
    return value


def typed_number(field: str, written: str) -> int:
    """The same in a cell: which sign parts thousands there, nobody could tell."""
    if _COUNT.fullmatch(written):
        return number(field, int(written))
    raise InputRefused(
        f"not a whole number: {brief(written)}",
        hint="write it as 25: the digits 0 to 9 alone, no sign, point or separator",
    )


def domain(written: str) -> AllowedDomain:
    """An allowed domain (FORMAT §3)."""
    if len(written) > MAX_DOMAIN:
        told = f"longer than {MAX_DOMAIN} characters: {brief(written)}"
        raise InputRefused(told, hint="name one host")
    return parse_domain(written)


def features(names: Sequence[str]) -> tuple[str, ...]:
    """Features as FORMAT §1 spells them; whether they exist is the catalogue's to say."""
    for feature in names:
        if not is_feature_name(feature):
            raise InputRefused(
                f"not a feature's name: {brief(feature)}",
                hint="small letters, digits, single hyphens; in CSV spaces between the names",
            )
    return tuple(dict.fromkeys(names))


def codes(written: Sequence[str]) -> tuple[FindingCode, ...]:
    """Codes of findings, as `--accept` takes them."""
    return tuple(dict.fromkeys(map(_code, written)))


def reason(written: str) -> str | None:
    """A reason as the journal may keep it; a blank one is none."""
    if len(written) > _LONGEST_REASON:
        told = f"longer than {_LONGEST_REASON:,} characters: {brief(written)}"
        raise InputRefused(told, hint="say it in brief")
    if shown(written) != written:
        told = f"it has characters that cannot be shown: {brief(written)}"
        raise InputRefused(told, hint="plain text in one line")
    return written.strip() or None


def _code(written: str) -> FindingCode:
    try:
        return FindingCode(written)
    except ValueError:
        near = nearest(written.casefold().replace("_", "-"), FindingCode)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(FindingCode)}"
        raise InputRefused(f"no such finding: {brief(written)}", hint=hint) from None
