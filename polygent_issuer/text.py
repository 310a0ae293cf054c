"""Text for people: foreign text is escaped, compared and named; a hint keeps its commands as data.

Names of customers, hosts and components come from other people. FORMAT §1 keeps control, bidi and
invisible characters out of display names. All other text that reaches a screen goes through
`escape`. The verifier checks names against a frozen list; only this module uses Python's Unicode
data.

A hint is the fix of an error. It is a `str`, so that an error, a finding or a row has one text for
people, whether it names a command or not. What `run` and `option` make of it can be changed later
without reading that text: the command line adds `--home`, a row of an apply file names its field,
JSON gives the words.
"""

import re
import shlex
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Self

SLUG_LENGTH: Final = 64
_NAMELESS: Final = "customer"

# Windows opens a device for these, whatever the extension.
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)
# Letters that NFKD does not decompose.
LATIN: Final = str.maketrans(
    dict(zip("æœøđðłþħ\u0131", ["ae", "oe", "o", "d", "d", "l", "th", "h", "i"], strict=True))
)
BACKSLASH: Final = (
    "in double quotes a backslash begins an escape; use single quotes, as in 'C:\\Licenses'"
)
"""The hint for a Windows path in a TOML string."""

_LINE: Final = re.compile(r"\(at line ([0-9]{1,9}),")
# The position before a character that starts a formula (also a full-width one), with or without
# white space and quotes in between.
_RUN: Final = re.compile(r"(^|;)(?=[\s'\"]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")
_QUOTED_RUN: Final = re.compile(_RUN.pattern.replace("(?=", "'(?="))
APOSTROPHES: Final = str.maketrans("", "", "'`\u00b4\u2018\u2019\u02bc")
PROGRAM: Final = "polygent-issue"
_NAME: Final = re.compile("--[a-z][a-z-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-][A-Za-z0-9_@%+=:,./~-]*")  # file:~/keys/, too


def escape(text: str) -> str:
    r"""Make foreign text safe for a screen or a message.

    Characters that control a terminal, change the reading direction or are invisible become
    escapes (`\x1b`, `\u202e`, `\U000e0041`). A display name of FORMAT §1 is returned unchanged.
    """
    if text.isprintable():  # no printable character needs an escape; a test checks that
        return text
    return _steering().sub(_escaped, text)


def for_spreadsheet(text: str) -> str:
    """Escape foreign text, and keep a spreadsheet from running it as a formula (CWE-1236).

    An apostrophe is put before the start of a formula, also after a semicolon: where the comma is
    the decimal separator, a spreadsheet splits cells at semicolons.
    """
    return _RUN.sub(r"\1'", escape(text))


def from_spreadsheet(text: str) -> str:
    """Undo `for_spreadsheet`: remove its apostrophes, which also Excel puts before a text."""
    return _QUOTED_RUN.sub(r"\1", text)


def for_toml(text: str) -> str:
    r"""Escape the same characters as `escape` in a basic string of TOML.

    A parser returns the original text. `"` and `\\` must be escaped already, or the text must be a
    TOML line that has such characters only within its strings.
    """
    return _steering().sub(_escaped_for_toml, text)


def for_shell(word: str) -> str:
    """Quote a word of a printed command, so that it is safe to paste into a shell."""
    return shlex.quote(escape(word))


def escape_short(text: str, *, limit: int = 60) -> str:
    """Escape foreign text, and shorten it to fit into one line of a message."""
    return escape(text) if len(text) <= limit else f"{escape(text[:limit])}..."


def one_line(text: str) -> str:
    """Return a text in NFC and in one line: each run of white space becomes a space."""
    return " ".join(nfc(text).split())


def nfc(name: str) -> str:
    """Normalize a name to NFC, the form that licenses contain (FORMAT §1)."""
    return unicodedata.normalize("NFC", name)


def normalize_for_comparison(name: str) -> str:
    """Normalize a name for comparison: NFKC, with case and white space folded."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def without_accents(folded: str) -> str:
    """Remove the accents of folded text; Latin letters become ASCII."""
    plain = unicodedata.normalize("NFKD", folded)
    bare = "".join(character for character in plain if not unicodedata.combining(character))
    return bare.translate(LATIN)


@lru_cache(maxsize=256)  # many machines have the same label
def slugify(name: str) -> str:
    """Make the slug of FORMAT §1 (`sub`) from a name. It is never empty nor a Windows device name.

    Accents are removed, letters of other scripts are transliterated, and everything else becomes a
    hyphen. A name without letters and digits becomes `customer`. The registry makes slugs unique.
    """
    folded = normalize_for_comparison(name.translate(APOSTROPHES))
    plain = without_accents(folded)
    if not plain.isascii():
        plain = "".join(map(_transliterate, folded))
    words = re.findall(r"[a-z0-9]+", plain)
    slug = "-".join(words)[:SLUG_LENGTH].rstrip("-")
    if slug in _DEVICES:
        return f"{slug}-{_NAMELESS}"
    return slug or _NAMELESS


def counted(count: int, noun: str) -> str:
    """Return `1 license`, `2,000 licenses`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def list_first(names: Sequence[str], *, most: int = 3, separator: str = ", ") -> str:
    """List the first names and count the rest: `a, b, c and 297 more`."""
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{separator.join(names[:most])}{rest}"


def backslash_hint(toml: str, problem: str) -> str | None:
    """Return a hint if TOML is invalid in a line with a backslash, such as a Windows path.

    `problem` is the message of `tomllib`, which names the line.
    """
    place = _LINE.search(problem)
    lines = toml.split("\n")
    line = lines[min(int(place[1]), len(lines)) - 1] if place else toml.rstrip().split("\n")[-1]
    return BACKSLASH if "\\" in line else None


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the known word that is most similar to a mistyped one; None without a similar one."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistyped word needs it

    known = list(words)
    longer = [candidate for candidate in known if word and candidate.startswith(word)]
    similar = get_close_matches(word, known, n=1) or (longer if len(longer) == 1 else [])
    return similar[0] if similar else None


def did_you_mean(word: str, words: Iterable[str], otherwise: str, *, within: str = "") -> str:
    """Return a hint with the most similar known word (after `within`), or else `otherwise`."""
    suggestion = nearest(word, words)
    return f"did you mean {within}{suggestion}?" if suggestion else otherwise


def _transliterate(character: str) -> str:
    """Return one folded character in ASCII; a space unless it is a letter, digit or vowel sign.

    Vowel signs (Thai, Hebrew, Devanagari) are combining characters with a sound, unlike the accents
    U+0300 to U+036F. U+02B0 to U+02FF are spacing accents.
    """
    plain = without_accents(character)
    if plain.isascii() and (plain or "\u0300" <= character <= "\u036f"):
        return plain
    letter = character.isalnum() or unicodedata.category(character).startswith("M")
    if not letter or "\u02b0" <= character <= "\u02ff":
        return " "
    from anyascii import anyascii  # noqa: PLC0415 - few names need it

    return anyascii(character).lower().translate(APOSTROPHES)


@cache
def _steering() -> re.Pattern[str]:
    # Imported here: few commands need it, and the verifier's package takes 30 ms.
    from polygent_issuer.verifier.tables import FORBIDDEN  # noqa: PLC0415

    ranges = (f"\\U{first:08x}-\\U{last:08x}" for first, last in FORBIDDEN)
    return re.compile(f"[{''.join(ranges)}]")


def _escaped_for_toml(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004 # of \u


def _escaped(match: re.Match[str]) -> str:
    if match[0].isascii():  # the codec does not escape these
        return f"\\x{ord(match[0]):02x}"
    return match[0].encode("ascii", "backslashreplace").decode("ascii")


def numbered(name: str, taken: Collection[str], longest: int, *, strip: str = "") -> str:
    """Return the name, or the first one with a number that is not taken: `prod`, `prod-2`.

    With a number it is cut to `longest` characters, and loses `strip` at the cut.
    """
    number, free = 1, name
    while free in taken:
        number += 1
        ending = f"-{number}"
        free = name[: longest - len(ending)].rstrip(strip) + ending
    return free


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
