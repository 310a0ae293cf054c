"""Hints: the fix of an error, as a text in which commands and options stay data.

A hint is a `str`, so that an error, a finding or a row has one text for people, whether it names a
command or not. What `run` and `option` make of it can be changed later without reading that text:
the command line adds `--home`, a row of an apply file names its field, JSON gives the words.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Self

from polygent_issuer.text import for_shell

PROGRAM: Final = "polygent-issue"
_NAME: Final = re.compile("--[a-z][a-z-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-][A-Za-z0-9_@%+=:,./~-]*")  # file:~/keys/, too


@dataclass(frozen=True, slots=True)
class Command:
    """A command of this tool: its words behind the program's name, not quoted."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        """Write it ready for a shell."""
        return " ".join((PROGRAM, *map(_quoted, self.words)))


@dataclass(frozen=True, slots=True)
class Option:
    """An option to add to the given command; `value` is empty for a flag."""

    name: str
    value: str

    def __str__(self) -> str:
        """Write it ready for a shell."""
        return f"{self.name} {for_shell(self.value)}" if self.value else self.name


class Hint(str):
    """A text, and the commands and options in it: the parts, in order; joined they are the text."""

    __slots__ = ("parts",)
    parts: tuple[str | Command | Option, ...]

    def __new__(cls, *parts: str | Command | Option) -> Self:
        """Join texts, hints, commands and options."""
        hint = super().__new__(cls, "".join(map(str, parts)))
        hint.parts = tuple(
            inner for part in parts for inner in (part.parts if isinstance(part, Hint) else (part,))
        )
        return hint

    @property
    def argv(self) -> tuple[str, ...] | None:
        """The words of its command, the program's name first; None unless it has exactly one."""
        commands = [part for part in self.parts if isinstance(part, Command)]
        return (PROGRAM, *commands[0].words) if len(commands) == 1 else None

    def at_home(self, home: str) -> Self:
        """Return the hint with `--home` in each command."""
        return type(self)(
            *(
                Command(("--home", home, *part.words)) if isinstance(part, Command) else part
                for part in self.parts
            )
        )

    def with_options(self, written: Callable[[Option], str]) -> Self:
        """Return the hint with another text for each option outside of a command."""
        return type(self)(
            *(written(part) if isinstance(part, Option) else part for part in self.parts)
        )


def run(*words: str) -> Hint:
    """Return a hint that is one command: `run("renew", slug)`. Nothing is quoted yet."""
    return Hint(Command(words))


def option(name: str, value: str = "") -> Hint:
    """Return a hint that is one option: `option("--term", "1y")`."""
    return Hint(Option(name, value))


def join(between: str, hints: Iterable[str]) -> Hint:
    """Join hints with a text between them."""
    parts = [part for hint in hints for part in (between, hint)]
    return Hint(*parts[1:])


def _quoted(word: str) -> str:
    name, equals, value = word.partition("=")
    if equals and _NAME.fullmatch(name):  # a label may look like an option
        return f"{name}={for_shell(value)}"
    return word if _PLAIN.fullmatch(word) else for_shell(word)
