"""The fields of a row: how each is read from TOML and from a cell of CSV, and its name in hints."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from polygent_issuer import dates
from polygent_issuer.batch import row_values as values
from polygent_issuer.errors import InputRefused

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
    return Field(toml=partial(values.number, name), cell=partial(values.typed_number, name))


def _customer(cell: str) -> str:
    """A name; customers are found whatever its spaces are, and a new one gets plain ones."""
    return values.name(_NO_BREAK.sub(" ", cell))


def _features(cell: str) -> tuple[str, ...]:
    names = _SPACES.split(cell)
    if _NO_FEATURES not in names:
        return values.features(names)
    if len(names) > 1:
        raise InputRefused(
            f"{_NO_FEATURES} stands beside other features", hint="leave it out, or the others"
        )
    return ()


FIELDS: Final[Mapping[str, Field]] = {
    "customer": Field(toml=lambda value: values.name(values.text(value)), cell=_customer),
    "machine": _text(values.name),
    "machine_info": _text(values.path),
    "plan": _text(values.plan),
    "tier": _text(values.tier),
    "key": _text(values.name),
    "term": _text(dates.Term.parse),
    "expires": Field(toml=values.expires, cell=dates.parse_expires),
    "users": _number("users"),
    "session_hosts": _number("session_hosts"),
    "deploy_hosts": _number("deploy_hosts"),
    "allowed_domain": _text(values.domain),
    "features": Field(toml=lambda value: values.features(values.texts(value)), cell=_features),
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
_COMMAND: Final = re.compile(r"(polygent-issue[^;]*)")
_LESS: Final = re.compile(r"--remove-feature (\S+?)(?=[,;]|\s|$)")
_OPTION: Final = re.compile(r"--[a-z-]+")


def in_fields(hint: str | None) -> str | None:
    """Return a hint with fields in place of options; a whole command stays as it is."""
    if hint is None or "--" not in hint:
        return hint
    words = _COMMAND.split(hint)
    words[::2] = [
        _OPTION.sub(_field_of, _LESS.sub(r"features without \1", each)) for each in words[::2]
    ]
    return "".join(words)


def _field_of(option: re.Match[str]) -> str:
    return _FIELD_OF_OPTION.get(option[0], option[0])
