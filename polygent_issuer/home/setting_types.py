"""The types of settings: read, check and write their values, also those of a plan.

Folders and key stores are always absolute paths, so that they do not depend on the current folder.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from polygent_issuer import email_address, registry_uri, store_uri
from polygent_issuer.errors import InvalidSettings, InvalidStore, InvalidTerms
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import (
    LIMITS,
    Catalogue,
    Plan,
    check_limit,
    parse_count,
    parse_features,
    parse_name,
    parse_plan_name,
    parse_term,
    parse_tier,
)
from polygent_issuer.text import BACKSLASH, did_you_mean, escape, nfc
from polygent_issuer.verifier import tables
from polygent_issuer.verifier.license import Limits, Tier, is_slug

T = TypeVar("T")
TomlValue = str | int | bool | list[str]

_CALLED: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
HUNDRED_YEARS = timedelta(days=36_525)
_DURATION_HINT = "write it as 7d, 36h or 20s"
_DURATION_SPELLING = re.compile(r"([1-9][0-9]{0,9})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
# Control characters that TOML makes of the backslashes in a Windows path: "C:\new\temp".
_ESCAPES = re.compile(r"[\x08\t\n\f\r\x1b]")


def _as_typed(text: str, _path: str) -> TomlValue:
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingType:
    """A type of setting: reads values from TOML and from typed text, and writes them as text.

    Attributes:
        example: a value in TOML, for hints.
        read: returns the checked value of a TOML value, given the dotted path for messages.
        typed: returns the TOML value of typed text, given the dotted path for messages.
        text: returns the text to type for a value.
    """

    example: str
    read: Callable[[Any, str], Any]
    typed: Callable[[str, str], TomlValue] = _as_typed
    text: Callable[[Any], str] = str


def type_name(value: object) -> str:
    """Return the name of a TOML value's type, for a message."""
    return _CALLED.get(type(value), "a date or time")


def invalid(path: str, why: str, hint: str | None = None) -> InvalidSettings:
    """Return the error for an invalid value at a dotted path."""
    return InvalidSettings(f"{path}: {why}", hint=hint)


@contextmanager
def prefixed(path: str) -> Iterator[None]:
    """Put a dotted path, or the name of a file, before the message of an error raised within.

    Raises:
        InvalidSettings: (`invalid_settings`) in place of the original error.
    """
    try:
        yield
    except (InvalidTerms, InvalidSettings, InvalidStore) as refused:
        raise invalid(path, refused.message, refused.hint) from None


def _require(kind: type[T], value: object, path: str, example: str | None = None) -> T:
    """Return the value if it has exactly this type; a `bool` is not an `int`."""
    if type(value) is kind:
        return value
    hint = f"write it as {example}" if example else None
    raise invalid(path, f"must be {_CALLED[kind]}, not {type_name(value)}", hint)


def table_at(value: object, path: str) -> dict[str, Any]:
    """Return the value if it is a table."""
    return _require(dict, value, path, f"[{path}]")


def refuse_unknown(keys: Iterable[str], known: Iterable[str], path: str = "") -> None:
    """Refuse an unknown key; the hint names the most similar known one.

    Raises:
        InvalidSettings: (`invalid_settings`) naming its dotted path.
    """
    names = sorted(known)
    where = f"{path}." if path else ""
    for key in keys:
        if key not in names:
            typed, every = key.casefold().replace("-", "_"), f"known settings: {', '.join(names)}"
            hint = did_you_mean(typed, names, every, within=where)
            raise invalid(f"{where}{escape(key)}", "unknown setting", hint)


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as `7d`, `36h` or `20s`.

    Raises:
        InvalidTerms: (`invalid_terms`) for any other spelling, for zero, and above 100 years.
    """
    match = _DURATION_SPELLING.fullmatch(text)
    if match is None:
        raise InvalidTerms(f"not a duration: {escape(text)}", hint=_DURATION_HINT)
    number, unit = int(match[1]), _UNITS[match[2]]
    if number > HUNDRED_YEARS // unit:
        raise InvalidTerms(f"longer than 100 years: {text}", hint=_DURATION_HINT)
    return number * unit


def duration_text(length: timedelta) -> str:
    """Write whole seconds as `parse_duration` reads them, in the largest unit up to days."""
    unit = next((u for u in ("d", "h", "m") if not length % _UNITS[u]), "s")
    return f"{length // _UNITS[unit]}{unit}"


def _parsed(parse: Callable[[str], Any], example: str) -> SettingType:
    """Return the type of a text that `parse` reads; errors name the dotted path."""

    def read(value: object, path: str) -> Any:  # noqa: ANN401 - depends on `parse`
        text = _require(str, value, path, example)
        with prefixed(path):
            return parse(text)

    return SettingType(example=example, read=read)


def _parse_mailbox(text: str) -> str:
    text = nfc(text)
    if email_address.parse_address(text) is None:
        raise InvalidSettings(
            f"not an email address: {escape(text)}",
            hint="write it as licenses@polygent.example, or Polygent <licenses@polygent.example>",
        )
    return text


def _duration(longest: timedelta, example: str) -> SettingType:
    def parse(text: str) -> timedelta:
        length = parse_duration(text)
        if length > longest:
            raise InvalidTerms(f"must be at most {duration_text(longest)}")
        return length

    return replace(_parsed(parse, example), text=duration_text)


def _parse_term(text: str) -> Term:
    term = parse_term(text)
    if term.years > 100 or term.months > 1_200 or term.days > HUNDRED_YEARS.days:  # noqa: PLR2004 - 100 years
        raise InvalidTerms("must be at most 100 years")
    return term


def _list(parse: Callable[[list[str]], tuple[Any, ...]], example: str) -> SettingType:
    """Return the type of a list of texts that `parse` reads; errors name the dotted path."""

    def read(value: object, path: str) -> tuple[Any, ...]:
        items = _require(list, value, path, example)
        texts = [_require(str, item, path, example) for item in items]
        with prefixed(path):
            return parse(texts)

    def typed(text: str, path: str) -> list[str]:
        if not text.lstrip().startswith("["):
            return [item.strip() for item in text.split(",")] if text.strip() else []
        try:
            (items,) = tomllib.loads(f"x = {text}").values()
        except (ValueError, RecursionError):
            as_typed = example.strip('["]').replace('", "', ",")
            raise invalid(path, "must be a list", f"type {as_typed} or {example}") from None
        read(items, path)
        return [str(item) for item in items]

    return SettingType(
        example=example, read=read, typed=typed, text=lambda items: ",".join(map(str, items))
    )


def _limit(name: str) -> SettingType:
    def read(value: object, path: str) -> int:
        count = _require(int, value, path, "25")
        with prefixed(path):
            check_limit(name, count)
        return count

    def typed(text: str, path: str) -> int:
        with prefixed(path):
            return parse_count(text)

    return SettingType(example="25", read=read, typed=typed)


def _typed_flag(text: str, path: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise invalid(path, f"must be true or false, not {escape(text)}")


def parse_store(text: str) -> str:
    """Parse a key store: `keyring:`, `file:` with an absolute path, or another store URI.

    `~` is expanded. A path that ends with a slash keeps it, because it means a folder.

    Raises:
        InvalidSettings, InvalidStore: (`invalid_settings`, `invalid_store`) for any other text.
    """
    place = store_uri.split(text)
    if not place:
        raise InvalidSettings(
            f"not a key store: {escape(store_uri.without_options(text))}",
            hint=f"write it as keyring:, file:/PATH or {store_uri.EXAMPLE}",
        )
    if not isinstance(place, str):
        return place.uri
    path = None if place.startswith("//") else _whole(place)
    if path is None:
        raise _not_whole("file", place, "write it as file:/PATH or file:~/PATH")
    return f"{store_uri.FILE}{path}{'/' if place.endswith('/') and path.name else ''}"


def _parse_path(text: str, what: str = "folder") -> Path:
    path = _whole(text)
    if path is None:
        raise _not_whole(what, text, "begin it with / or ~/")
    return path


def _whole(text: str) -> Path | None:
    if escape(text) != text:
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InvalidSettings(
            f"unknown user in path: {escape(text)}", hint="write the absolute path"
        ) from None
    return path if path.is_absolute() else None


def _not_whole(what: str, text: str, hint: str) -> InvalidSettings:
    return InvalidSettings(
        f"not the absolute path of a {what}: {escape(text)}",
        hint=BACKSLASH if _ESCAPES.search(text) else hint,
    )


NAME = _parsed(parse_name, '"Acme Licensing"')
MAILBOX = _parsed(_parse_mailbox, '"licenses@polygent.example"')
PLAN_NAME = _parsed(parse_plan_name, '"standard-annual"')
DURATION = _duration(HUNDRED_YEARS, '"7d"')
# Windows counts the milliseconds of a timeout in 32 bits.
WAIT = _duration(timedelta(hours=1), '"20s"')
TERM = _parsed(_parse_term, '"1y"')
TIER = _parsed(parse_tier, '"standard"')
STORE = _parsed(parse_store, '"keyring:"')
DATABASE = _parsed(registry_uri.parse, f'"{registry_uri.EXAMPLE}"')
FOLDER = _parsed(_parse_path, '"~/licenses"')
FEATURES = _list(parse_features, '["insights", "bots"]')
FILES = _list(
    lambda texts: tuple(_parse_path(text, "file") for text in texts), '["/media/safe/main.key"]'
)
FLAG = SettingType(
    example="true", read=partial(_require, bool), typed=_typed_flag, text=lambda on: str(on).lower()
)

KINDS: Mapping[str, SettingType] = {
    "tier": TIER,
    "term": TERM,
    "renewable": FLAG,
    **{name: _limit(name) for name in LIMITS},
    "features": FEATURES,
}
"""The keys of a plan's table, in the order in which they are written."""

# Without this feature the product allows each user one session.
_STANDARD = tuple(name for name in tables.FEATURES if name != "multiple-active-sessions")


def _shipped(name: str, tier: Tier, term: Term, limits: tuple[int, int, int], **more: bool) -> Plan:
    everything = (*tables.FEATURES, *tables.ENTERPRISE_FEATURES)
    return Plan(
        name=name,
        tier=tier,
        term=term,
        features=everything if tier is Tier.ENTERPRISE else _STANDARD,
        limits=Limits(**dict(zip(LIMITS, limits, strict=True))),
        **more,
    )


SHIPPED_PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        plan.name: plan
        for plan in (
            _shipped("standard-annual", Tier.STANDARD, Term(years=1), (25, 5, 5)),
            _shipped("enterprise-annual", Tier.ENTERPRISE, Term(years=1), (250, 50, 50)),
            _shipped("trial", Tier.STANDARD, Term(days=30), (5, 1, 1), renewable=False),
        )
    }
)
"""The plans of settings without plans; `init` writes them into the settings for editing."""


def read_plans(table: Mapping[str, object], catalogue: Catalogue) -> dict[str, Plan]:
    """Return the plans of the table `plans`.

    Raises:
        InvalidSettings: (`invalid_settings`) with the dotted path of the invalid value.
    """
    plans = {}
    for name, values in table.items():
        path = f"plans.{escape(name)}"
        if not is_slug(name):
            raise invalid(path, "not a plan name", "use lower-case letters, digits and hyphens")
        plans[name] = _read_plan(name, {"renewable": True} | table_at(values, path), path)
        _check_features(plans[name], catalogue, f"{path}.features")
    return plans


def plan_texts(plan: Plan) -> dict[str, str]:
    """Return the values of a plan by key, as `config set` takes them."""
    return {
        key: kind.text(getattr(plan.limits if key in LIMITS else plan, key))
        for key, kind in KINDS.items()
    }


def plan_toml(plan: Plan) -> dict[str, TomlValue]:
    """Return the values of a plan by key, as TOML values."""
    return {key: KINDS[key].typed(text, key) for key, text in plan_texts(plan).items()}


def _read_plan(name: str, values: Mapping[str, object], path: str) -> Plan:
    refuse_unknown(values, KINDS, path)
    for key, kind in KINDS.items():
        if key not in values:
            raise invalid(f"{path}.{key}", "missing", f"add {key} = {kind.example}")
    read = {key: kind.read(values[key], f"{path}.{key}") for key, kind in KINDS.items()}
    limits = Limits(**{key: read.pop(key) for key in LIMITS})
    return Plan(name=name, limits=limits, **read)


def _check_features(plan: Plan, catalogue: Catalogue, path: str) -> None:
    for name in plan.features:
        if name not in catalogue.names:
            otherwise = "add newer modules to the setting features first"
            hint = did_you_mean(name, sorted(catalogue.names), otherwise)
            raise invalid(path, f"unknown feature {name}", hint)
    reserved = catalogue.enterprise_only(plan.features)
    if plan.tier is Tier.STANDARD and reserved:
        raise invalid(
            path,
            f"a standard license cannot have {', '.join(reserved)}",
            "remove it, or make the plan's tier enterprise",
        )
