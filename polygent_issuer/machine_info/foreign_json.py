"""JSON of any depth, written by programs that are not ours (FORMAT §4).

The standard library's parser recurses, and turns thousands of digits into an integer; in names
that we ignore, depth and numbers are free. So this one keeps its own stack, and gives every number
as 0: no listed name holds one. Duplicate names and lone surrogates are refused wherever they are.
"""

import json
import re
from typing import Final, TypeAlias

from polygent_issuer.text import brief

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | bool | None"
Container: TypeAlias = dict[str, Value] | list[Value]

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"true|false|null")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_STRINGS: Final = json.JSONDecoder()


class NotJson(Exception):
    """The text breaks RFC 8259, or what FORMAT §4 asks beyond it; the message says where."""


def loads(text: str) -> Value:
    """Read one JSON value.

    Raises:
        NotJson: with the reason and the place, never more of the text than a name.
    """
    reader = _Reader(text)
    value = top = reader.value()
    open_: list[Container] = []
    while True:
        if isinstance(value, (dict, list)) and not reader.closes(value):
            open_.append(value)
        else:
            while open_ and not reader.goes_on(open_[-1]):
                open_.pop()
            if not open_:
                reader.end()
                return top
        value = reader.member(open_[-1])


class _Reader:
    """A place in the text; every method reads on from there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def value(self) -> Value:
        """Read a scalar, or the opening bracket of a container, which is returned empty."""
        start = self._skip_space()
        if start == '"':
            return self.string()
        if start in ("{", "["):
            self.at += 1
            return {} if start == "{" else []
        if word := _WORD.match(self.text, self.at):
            self.at = word.end()
            return _WORDS[word[0]]
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return 0
        raise self._refuse("a value is expected")

    def member(self, container: Container) -> Value:
        """Read the next value into its container, with its name where that is an object."""
        if isinstance(container, list):
            value = self.value()
            container.append(value)
            return value
        if self._skip_space() != '"':
            raise self._refuse("a name in double quotes is expected")
        name = self.string()
        if name in container:
            raise self._refuse(f"the name {brief(name)} is repeated")
        if self._skip_space() != ":":
            raise self._refuse("a colon is expected")
        self.at += 1
        value = container[name] = self.value()
        return value

    def string(self) -> str:
        """Read a string, from its opening quote."""
        try:
            value, end = _STRINGS.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            raise self._refuse("a string is not written as JSON has it") from None
        if _SURROGATE.search(value):
            raise self._refuse("a string holds a lone surrogate")
        self.at = end
        return str(value)

    def closes(self, container: Container) -> bool:
        """Read the closing bracket of a container, if it comes next."""
        if self._skip_space() != ("}" if isinstance(container, dict) else "]"):
            return False
        self.at += 1
        return True

    def goes_on(self, container: Container) -> bool:
        """Read the comma or the closing bracket that must follow a value in its container."""
        if self._skip_space() == ",":
            self.at += 1
            return True
        if self.closes(container):
            return False
        raise self._refuse("a comma or a closing bracket is expected")

    def end(self) -> None:
        """Hold that nothing but white space is left."""
        if self._skip_space():
            raise self._refuse("there is more after the end")

    def _skip_space(self) -> str:
        """Go to the next character that counts; returns it, or nothing at the end."""
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.text[self.at : self.at + 1]

    def _refuse(self, why: str) -> NotJson:
        before = self.text[: self.at]
        column = self.at - (before.rfind("\n") + 1) + 1
        return NotJson(f"{why} at line {before.count(chr(10)) + 1}, column {column}")
