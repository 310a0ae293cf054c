"""The types of settings: how each is read, written and refused.

Folders and key stores are always whole paths, so that they mean the same from everywhere.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from polygent_issuer import email_address, store_uri
from polygent_issuer.errors import InvalidSettings, InvalidStore, InvalidTerms
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.parsing import (
    check_limit,
    parse_count,
    parse_features,
    parse_name,
    parse_plan_name,
    parse_term,
    parse_tier,
)
from polygent_issuer.text import BACKSLASH, did_you_mean, escape, nfc

TomlValue = str | int | bool | list[str]

_CALLED: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def _as_typed(text: str, _path: str) -> TomlValue:
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingType:
    """A kind of value: from TOML, from typed text, and back to text.

    Attributes:
        example: how it stands in the file, for hints.
        read: the checked value from the TOML one, given the dotted path for messages.
        typed: the TOML value of what was typed, likewise.
        text: what one would type to get this value.
    """

    example: str
    read: Callable[[Any, str], Any]
    typed: Callable[[str, str], TomlValue] = _as_typed
    text: Callable[[Any], str] = str


def type_name(value: object) -> str:
    """What a TOML value is called in a message."""
    return _CALLED.get(type(value), "a date or time")


def invalid(path: str, why: str, hint: str | None = None) -> InvalidSettings:
    """The error for the value at a dotted path."""
    return InvalidSettings(f"{path}: {why}", hint=hint)


@contextmanager
def prefixed(path: str) -> Iterator[None]:
    """Say what is refused within of the value at a dotted path, or of a file.

    Raises:
        InvalidSettings: (`invalid_settings`) in place of what was raised.
    """
    try:
        yield
    except (InvalidTerms, InvalidSettings) as refused:
        raise invalid(path, refused.message, refused.hint) from None


def text_at(value: object, path: str, example: str) -> str:
    """The value, which must be a text."""
    if isinstance(value, str):
        return value
    raise invalid(path, f"must be a text, not {type_name(value)}", f"write it as {example}")


def table_at(value: object, path: str) -> Mapping[str, object]:
    """The value, which must be a table."""
    if isinstance(value, dict):
        return value
    raise invalid(path, f"must be a table, not {type_name(value)}", f"write it as [{path}]")


def refuse_unknown(keys: Iterable[str], known: Iterable[str], path: str = "") -> None:
    """Refuse a key that nobody knows, with the nearest one that exists.

    Raises:
        InvalidSettings: (`invalid_settings`) naming its dotted path.
    """
    names = sorted(known)
    where = f"{path}." if path else ""
    for key in keys:
        if key not in names:
            typed, every = key.casefold().replace("-", "_"), f"there are {', '.join(names)}"
            hint = did_you_mean(typed, names, every, within=where)
            raise invalid(f"{where}{escape(key)}", "there is no such setting", hint)


HUNDRED_YEARS = timedelta(days=36_525)

_HINT = "write it as 7d, 36h or 20s"
_SPELLING = re.compile(r"([1-9][0-9]{0,9})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_duration(text: str) -> timedelta:
    """Read a length of time.

    Raises:
        InvalidTerms: (`invalid_terms`) for any other spelling, zero, or over a hundred years.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise InvalidTerms(f"not a length of time: {escape(text)}", hint=_HINT)
    number, unit = int(match[1]), _UNITS[match[2]]
    if number > HUNDRED_YEARS // unit:
        raise InvalidTerms(f"longer than a hundred years: {text}", hint=_HINT)
    return number * unit


def duration_text(length: timedelta) -> str:
    """Write whole seconds as `parse_duration` reads them, in the largest unit that fits."""
    unit = next((u for u in ("d", "h", "m") if not length % _UNITS[u]), "s")
    return f"{length // _UNITS[unit]}{unit}"


_LONGEST_WAIT = timedelta(hours=1)  # Windows counts the milliseconds of a wait in 32 bits
_FEATURES_EXAMPLE = '["insights", "bots"]'


def _parsed(parse: Callable[[str], Any], example: str) -> SettingType:
    """A kind of what `terms.parsing` reads; the error says at which path."""

    def read(value: object, path: str) -> Any:  # noqa: ANN401 - of any kind
        text = text_at(value, path, example)
        with prefixed(path):
            return parse(text)

    return SettingType(example=example, read=read)


def _read_mailbox(value: object, path: str) -> str:
    text = nfc(text_at(value, path, '"licenses@polygent.example"'))
    if email_address.parse_address(text) is None:
        hint = "licenses@polygent.example, or Polygent <licenses@polygent.example>"
        raise invalid(path, f"not a mail address: {escape(text)}", hint)
    return text


def _duration(longest: timedelta, example: str) -> SettingType:
    def parse(text: str) -> timedelta:
        length = parse_duration(text)
        if length > longest:
            raise InvalidTerms(f"at most {duration_text(longest)}")
        return length

    return replace(_parsed(parse, example), text=duration_text)


def _parse_term(text: str) -> Term:
    term = parse_term(text)
    if term.years > 100 or term.months > 1_200 or term.days > HUNDRED_YEARS.days:  # noqa: PLR2004 - the same length in three units
        raise InvalidTerms("at most a hundred years")
    return term


def _read_features(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise invalid(
            path, f"must be a list, not {type_name(value)}", f"write it as {_FEATURES_EXAMPLE}"
        )
    for name in value:
        if not isinstance(name, str):
            raise invalid(
                path, f"must be a text, not {type_name(name)}", f"write it as {_FEATURES_EXAMPLE}"
            )
    with prefixed(path):
        return parse_features(value)


def _typed_features(text: str, path: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",")] if text.strip() else []
    try:
        read = tomllib.loads(f"x = {text}")
    except (ValueError, RecursionError):
        read = {}
    if list(read) != ["x"]:
        raise invalid(path, "not a list", f"type insights,bots or {_FEATURES_EXAMPLE}")
    _read_features(read["x"], path)
    return [str(name) for name in read["x"]]


def _limit(name: str) -> SettingType:
    def read(value: object, path: str) -> int:
        if type(value) is not int:
            raise invalid(path, f"must be a whole number, not {type_name(value)}", "write it as 25")
        with prefixed(path):
            check_limit(name, value)
        return value

    return SettingType(example="25", read=read, typed=_typed_count)


def _typed_count(text: str, path: str) -> int:
    with prefixed(path):
        return parse_count(text)


def _read_flag(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    raise invalid(path, f"must be true or false, not {type_name(value)}")


def _typed_flag(text: str, path: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise invalid(path, f"must be true or false, not {escape(text)}")


NAME = _parsed(parse_name, '"Acme Licensing"')
MAILBOX = SettingType(example='"licenses@polygent.example"', read=_read_mailbox)
PLAN_NAME = _parsed(parse_plan_name, '"standard-annual"')
DURATION = _duration(HUNDRED_YEARS, '"7d"')
WAIT = _duration(_LONGEST_WAIT, '"20s"')
TERM = _parsed(_parse_term, '"1y"')
TIER = _parsed(parse_tier, '"standard"')
FEATURES = SettingType(
    example=_FEATURES_EXAMPLE, read=_read_features, typed=_typed_features, text=",".join
)
USERS, SESSION_HOSTS, DEPLOY_HOSTS = map(_limit, ("users", "session_hosts", "deploy_hosts"))
FLAG = SettingType(
    example="true", read=_read_flag, typed=_typed_flag, text=lambda flag: str(flag).lower()
)


# Control characters that TOML reads from escapes in a Windows path: "C:\new\temp".
_ESCAPES = re.compile(r"[\x08\t\n\f\r\x1b]")
_KID = re.compile(r"[A-Za-z0-9_-]{43}")


def parse_store(text: str) -> str:
    """Read where private keys lie: `keyring:`, `file:` and a whole path, or a `pkcs11:` URI.

    `~` is expanded. A path that ends in a slash keeps it: it means a folder.

    Raises:
        InvalidSettings: (`invalid_settings`) for any other place.
    """
    scheme, _, place = text.partition(":")
    if scheme == "keyring" and not place:
        return "keyring:"
    if store_uri.is_token_uri(text):
        return _in_token(text)
    if scheme != "file" or not place:
        raise InvalidSettings(
            f"not a key store: {escape(text)}",
            hint=f"write it as keyring:, file:/PATH or {store_uri.EXAMPLE}",
        )
    if place.startswith("///"):  # file:///PATH, as a browser would write it
        place = place[2:]
    path = None if place.startswith("//") else _whole(place)
    if path is None:
        raise InvalidSettings(
            f"not the whole path of a file: {escape(place)}",
            hint=BACKSLASH if _ESCAPES.search(place) else "write it as file:/PATH or file:~/PATH",
        )
    return f"file:{path}{'/' if place.endswith('/') and path.name else ''}"


def is_kid(text: str) -> bool:
    """Whether the text looks like a key's thumbprint: base64url of 32 bytes (RFC 7638)."""
    return _KID.fullmatch(text) is not None


def _whole(text: str) -> Path | None:
    if escape(text) != text:
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InvalidSettings(
            f"the home folder for ~ is unknown: {escape(text)}",
            hint="write the whole path",
        ) from None
    return path if path.is_absolute() else None


def _in_token(text: str) -> str:
    try:
        return store_uri.parse_token_uri(text).uri
    except InvalidStore as refused:
        raise InvalidSettings(refused.message, hint=refused.hint) from None


def _read_store(value: object, path: str) -> str:
    text = text_at(value, path, '"keyring:"')
    with prefixed(path):
        return parse_store(text)


def _read_folder(value: object, path: str) -> Path:
    text = text_at(value, path, '"~/licenses"')
    with prefixed(path):
        folder = _whole(text)
    if folder is None:
        raise invalid(
            path,
            f"not the whole path of a folder: {escape(text)}",
            BACKSLASH
            if _ESCAPES.search(text)
            else "begin it with / or ~/, so that it means the same place from everywhere",
        )
    return folder


STORE = SettingType(example='"keyring:"', read=_read_store)
FOLDER = SettingType(example='"~/licenses"', read=_read_folder)
