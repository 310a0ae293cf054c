"""The fields of a row: how each is read from TOML and from a cell of CSV, and its name in hints."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from polygent_issuer.batch import row_values as values
from polygent_issuer.errors import InputRefused, InvalidTerms
from polygent_issuer.hints import Hint, Option
from polygent_issuer.terms.parsing import (
    parse_count,
    parse_domain,
    parse_expires,
    parse_features,
    parse_name,
    parse_plan_name,
    parse_term,
    parse_tier,
)

_NO_FEATURES: Final = "none"
SPACE: Final = " \t\r\n\u00a0\u2007\u202f"
"""White space of a cell. Spreadsheets and text copied from web pages have no-break spaces."""
_SPACES: Final = re.compile(f"[{SPACE}]+")
_NO_BREAK: Final = re.compile("[\u00a0\u2007\u202f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """What reads a value of TOML, and what the text of a cell, which is trimmed and not empty.

    Both raise `InputRefused`.
    """

    toml: Callable[[Any], Any]
    cell: Callable[[str], Any]


def _text(rule: Callable[[str], object]) -> Field:
    return Field(toml=lambda value: rule(values.text(value)), cell=rule)


def _number(name: str) -> Field:
    number = partial(values.number, name)
    return Field(toml=number, cell=lambda cell: number(parse_count(cell)))


def _customer(cell: str) -> str:
    """A name; customers are found whatever its spaces are, and a new one gets plain ones."""
    return parse_name(_NO_BREAK.sub(" ", cell))


def _features(cell: str) -> tuple[str, ...]:
    names = _SPACES.split(cell)
    if _NO_FEATURES not in names:
        try:
            return parse_features(names)
        except InvalidTerms as refused:
            hint = f"{refused.hint}; in CSV spaces between the names"
            raise InvalidTerms(refused.message, hint=hint) from None
    if len(names) > 1:
        raise InputRefused(
            f"{_NO_FEATURES} stands beside other features", hint="leave it out, or the others"
        )
    return ()


FIELDS: Final[Mapping[str, Field]] = {
    "customer": Field(toml=lambda value: parse_name(values.text(value)), cell=_customer),
    "machine": _text(parse_name),
    "machine_info": _text(values.path),
    "plan": _text(parse_plan_name),
    "tier": _text(parse_tier),
    "key": _text(parse_name),
    "term": _text(parse_term),
    "expires": Field(toml=values.expires, cell=parse_expires),
    "users": _number("users"),
    "session_hosts": _number("session_hosts"),
    "deploy_hosts": _number("deploy_hosts"),
    "allowed_domain": _text(parse_domain),
    "features": Field(toml=lambda value: parse_features(values.texts(value)), cell=_features),
    "accept": Field(
        toml=lambda value: values.codes(values.texts(value)),
        cell=lambda cell: values.codes(_SPACES.split(cell)),
    ),
    "reason": _text(values.reason),
}
"""By their names: the long options with underscores."""

# A row's own `accept` may not count, so these stay options of `apply`.
_ALWAYS_OPTIONS: Final = ("accept", "reason")
_FIELD_OF_OPTION: Final = {
    **{f"--{name.replace('_', '-')}": name for name in FIELDS if name not in _ALWAYS_OPTIONS},
    "--label": "machine",
    "--feature": "features",
}


def in_fields(hint: str | None) -> str | None:
    """Return a hint with fields in place of options; a whole command stays as it is."""
    return hint.with_options(_field) if isinstance(hint, Hint) else hint


def _field(option: Option) -> str:
    if option.name == "--remove-feature" and option.value:
        return f"features without {option.value}"
    name = _FIELD_OF_OPTION.get(option.name, option.name)
    return f"{name} {option.value}" if option.value else name
