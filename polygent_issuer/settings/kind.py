"""What a kind of value is, and the errors that all kinds share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.errors import InvalidSettings, InvalidTerms
from polygent_issuer.text import nearest, shown

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
class Kind:
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


def called(value: object) -> str:
    """What a TOML value is called in a message."""
    return _CALLED.get(type(value), "a date or time")


def wrong(path: str, why: str, hint: str | None = None) -> InvalidSettings:
    """The error for the value at a dotted path."""
    return InvalidSettings(f"{path}: {why}", hint=hint)


def at(path: str, refused: InvalidTerms | InvalidSettings) -> InvalidSettings:
    """The same refusal, said of the value at a dotted path."""
    return wrong(path, refused.message, refused.hint)


def text_at(value: object, path: str, example: str) -> str:
    """The value, which must be a text."""
    if isinstance(value, str):
        return value
    raise wrong(path, f"must be a text, not {called(value)}", f"write it as {example}")


def table_at(value: object, path: str) -> Mapping[str, object]:
    """The value, which must be a table."""
    if isinstance(value, dict):
        return value
    raise wrong(path, f"must be a table, not {called(value)}", f"write it as [{path}]")


def refuse_unknown(given: Iterable[str], known: Iterable[str], path: str = "") -> None:
    """Refuse a key that nobody knows, with the nearest one that exists.

    Raises:
        InvalidSettings: (`invalid_settings`) naming its dotted path.
    """
    names = sorted(known)
    where = f"{path}." if path else ""
    for key in given:
        if key not in names:
            near = nearest(key.casefold().replace("-", "_"), names)
            hint = f"did you mean {where}{near}?" if near else f"there are {', '.join(names)}"
            raise wrong(f"{where}{shown(key)}", "there is no such setting", hint)
