"""What only rows have, or TOML writes in its own way; the rest is read by `terms.parsing`.

Each gives the value, or raises `InputRefused` with what is wrong and how it is written right.
Messages repeat what is written, escaped and short.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.files import inner_parts
from polygent_issuer.findings import FindingCode
from polygent_issuer.home.setting_types import type_name
from polygent_issuer.terms.parsing import check_limit, parse_expires
from polygent_issuer.text import escape, escape_short, nearest

_LONGEST_REASON: Final = 1_000


def text(value: object) -> str:
    """What must be a text in TOML."""
    if isinstance(value, str):
        return value
    raise InputRefused(f"must be a text, not {type_name(value)}", hint="write it in quotes")


def texts(value: object) -> Sequence[str]:
    """What must be a list of texts in TOML."""
    if not isinstance(value, list):
        raise InputRefused(f"must be a list, not {type_name(value)}", hint='write it as ["a", "b"]')
    return [text(item) for item in value]


def path(written: str) -> str:
    """The path of a file beside the apply file, as it is written."""
    inner_parts(written)
    return written


def expires(value: object) -> datetime:
    """When a license ends, in UTC: TOML's own dates and times, or as `--expires` (FORMAT §6)."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InputRefused(
            f"a time without an offset says no instant: {value.isoformat()}",
            hint="write a date as 2027-11-30, an instant as 2027-11-30T18:00:00Z",
        )
    return parse_expires(value.isoformat() if isinstance(value, date) else text(value))


def number(field: str, value: object) -> int:
    """What must be a whole number in TOML, within FORMAT §1."""
    if type(value) is not int:
        raise InputRefused(f"must be a whole number, not {type_name(value)}", hint="write it as 25")
    check_limit(field, value)
    return value


def codes(written: Sequence[str]) -> tuple[FindingCode, ...]:
    """Codes of findings, as `--accept` takes them."""
    return tuple(dict.fromkeys(map(_code, written)))


def reason(written: str) -> str | None:
    """A reason as the journal may keep it; a blank one is none."""
    if len(written) > _LONGEST_REASON:
        told = f"longer than {_LONGEST_REASON:,} characters: {escape_short(written)}"
        raise InputRefused(told, hint="say it in brief")
    if escape(written) != written:
        told = f"it has characters that cannot be shown: {escape_short(written)}"
        raise InputRefused(told, hint="plain text in one line")
    return written.strip() or None


def _code(written: str) -> FindingCode:
    try:
        return FindingCode(written)
    except ValueError:
        near = nearest(written.casefold().replace("_", "-"), FindingCode)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(FindingCode)}"
        raise InputRefused(f"no such finding: {escape_short(written)}", hint=hint) from None
