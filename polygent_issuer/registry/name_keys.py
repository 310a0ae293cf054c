"""Keys of a customer's name for comparison, without regard to case, spacing and accents.

A name has one key for each reading of its umlauts: Müller is `muller` and `mueller`. The legal form
at its end is kept apart, so that Acme and Acme GmbH can be compared.

Two names match if their letters are the same, and their legal forms are the same or one of them has
none. They are similar if they differ only in the legal form, if one begins with the other word by
word, or if they differ in one letter. A difference in a number is never a slip: Store 001 and Store
002 are two customers.
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from polygent_issuer.text import APOSTROPHES, LATIN, normalize_for_comparison

_WITH_E: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_DIGITS_APART: Final = re.compile(r"(?<=\d) (?=\d)")
# The parts of a form in one text, in lower case: "S. à r.l." is `sarl`.
_LEGAL_FORMS: Final = """ab aeoe ag aps as asa bv corp doo ek ev eg gbr gmbh ik inc kft kg kgaa kk
    llc llp lp ltd mbh nv nyrt ohg ooo oy oyj plc pte pty pvt sa sarl sas sasu se sl spa sro srl sp
    ug vof zoo zrt gmbhco gmbhcokg agcokg cokg coltd spzoo"""
_FORMS: Final = frozenset(_LEGAL_FORMS.split())
_SHORT: Final = {"incorporated": "inc", "corporation": "corp", "limited": "ltd"}
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)*")
_LONGEST_FORM: Final = 4
"""The largest number of words in a legal form: sp. z o.o."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class NameKey:
    """One reading of a name: its words without the legal form, separated by spaces."""

    words: str
    legal_form: str

    @property
    def letters(self) -> str:
        """The words without spaces; only two numbers stay apart, as in Store 1 1."""
        return _DIGITS_APART.sub(".", self.words).replace(" ", "")

    @property
    def text(self) -> str:
        """The words and the legal form."""
        return f"{self.words} {self.legal_form}".rstrip()

    def matches(self, other: "NameKey") -> bool:
        """Return whether the names match, in these readings."""
        forms = {self.legal_form, other.legal_form}
        return self.letters == other.letters and ("" in forms or len(forms) == 1)

    def is_similar(self, other: "NameKey") -> bool:
        """Return whether the names are similar, in these readings."""
        short, long = sorted((self.words, other.words), key=len)
        added = long[len(short) :] if long.startswith(short) else ""
        if added.startswith(" ") and not any(map(_is_digit, added)):
            return True
        return one_letter_apart(self.letters, other.letters)

    def begins_with(self, other: "NameKey") -> bool:
        """Return whether the name begins with the other one, in these readings."""
        return self.text.startswith(other.text)


@lru_cache(maxsize=4096)  # a batch compares each name with those of the rows above it
def name_keys(name: str) -> tuple[NameKey, ...]:
    """Return the keys of a name: one, or two if it has umlauts; never none."""
    folded = normalize_for_comparison(name.translate(APOSTROPHES))
    return tuple(sorted({_key(folded), _key(folded.translate(_WITH_E))}))


def compare(one: str, other: str, rule: Callable[[NameKey, NameKey], bool]) -> bool:
    """Return whether a rule, such as `NameKey.matches`, applies to a reading of each name."""
    return any(rule(a, b) for a in name_keys(one) for b in name_keys(other))


def one_letter_apart(one: str, other: str) -> bool:
    """Return whether the Levenshtein distance of two texts is at most 1, with the same numbers.

    A letter between two digits makes another number of them.
    """
    short, long = sorted((one, other), key=len)
    pairs = enumerate(zip(short, long, strict=False))
    at = next((place for place, (a, b) in pairs if a != b), len(short))
    after = at + 1 if len(short) == len(long) else at
    if short[after:] != long[at + 1 :]:
        return False
    if any(map(_is_digit, (*short[at:after], *long[at : at + 1]))):
        return False
    added = len(long) > len(short) and 0 < at < len(short)
    return not (added and _is_digit(short[at - 1]) and _is_digit(short[at]))


def divisions(letters: str) -> Iterator[tuple[str, str]]:
    """Yield beginnings and ends; a text that is one letter apart has one of each pair.

    A number is never divided, and it is in both: many stores differ only in their number. The first
    pair divides at the longest number, or in the middle.
    """
    numbers = [match.span() for match in _NUMBER.finditer(letters)]
    start, end = max(numbers, key=lambda span: span[1] - span[0], default=(len(letters) // 2,) * 2)
    yield letters[:end], letters[start:]
    for at in (len(letters) * eighths // 8 for eighths in (7, 6, 2, 1)):
        around = ((first, last) for first, last in numbers if first <= at <= last)
        start, end = next(around, (at, at))
        yield letters[:end], letters[start:]


def rows_of_name(name: object) -> str:
    """Return the keys of a name in UTF-8 as JSON, for a migration in SQL.

    A damaged name has none. SQLite passes bytes, since it cannot pass text that is not UTF-8.
    """
    try:
        keys = name_keys(name.decode()) if isinstance(name, bytes) else ()
    except UnicodeDecodeError:
        keys = ()
    rows = ((key.words, key.legal_form, key.letters, key.letters[::-1]) for key in keys)
    return json.dumps(list(rows))


@dataclass(slots=True)
class NameIndex:
    """Names in memory, such as those of the rows of a file, searched by the same rules."""

    _by_letters: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _by_words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _by_beginning: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, name: str) -> None:
        """Add a name."""
        for key in name_keys(name):
            self._by_words[key.words].add(name)
            for beginning in beginnings(key.words):
                self._by_beginning[beginning].add(name)
            for letters in _one_left_out(key.letters):
                self._by_letters[letters].add(name)

    def matches(self, name: str) -> list[str]:
        """Return the other names that match, sorted."""
        return self._search(name, NameKey.matches)

    def similar(self, name: str) -> list[str]:
        """Return the other names that are similar, sorted."""
        return self._search(name, NameKey.is_similar)

    def _search(self, name: str, rule: Callable[[NameKey, NameKey], bool]) -> list[str]:
        candidates = {other for key in name_keys(name) for other in self._candidates(key)}
        return sorted(other for other in candidates - {name} if compare(name, other, rule))

    def _candidates(self, key: NameKey) -> Iterator[str]:
        # Texts that are one letter apart become equal when each loses at most one letter.
        for letters in _one_left_out(key.letters):
            yield from self._by_letters.get(letters, ())
        for beginning in beginnings(key.words):
            yield from self._by_words.get(beginning, ())
        yield from self._by_beginning.get(key.words, ())


def beginnings(words: str) -> Iterator[str]:
    """Yield the first words of several, without all of them."""
    return (words[: match.start()] for match in re.finditer(" ", words))


def _one_left_out(letters: str) -> Iterator[str]:
    yield letters
    for place, character in enumerate(letters):
        if not _is_digit(character):
            yield letters[:place] + letters[place + 1 :]


def _is_digit(character: str) -> bool:
    return character.isnumeric() or character == "."


def _key(folded: str) -> NameKey:
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", folded))
    plain = unicodedata.normalize("NFC", bare).translate(LATIN)
    words = "".join(
        character if unicodedata.category(character)[0] in "LMN" else " " for character in plain
    ).split()
    forms: list[str] = []
    while form := _form_at_end(words):
        length, name = form
        del words[-length:]
        forms.insert(0, name)
    return NameKey(words=" ".join(words) or plain, legal_form="".join(forms))


def _form_at_end(words: list[str]) -> tuple[int, str] | None:
    """Return the number of words of the legal form at the end, and the form; one word remains."""
    for length in range(min(_LONGEST_FORM, len(words) - 1), 0, -1):
        form = "".join(words[-length:])
        form = _SHORT.get(form, form)
        if form in _FORMS:
            return length, form
    return None
