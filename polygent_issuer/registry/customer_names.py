"""Names of customers: search by keys, without regard to case, spacing and accents.

A name has one key for each reading of its umlauts: Müller is `muller` and `mueller`. The legal form
at its end is kept apart, so that Acme and Acme GmbH can be compared.

Two names match if their letters are the same, and their legal forms are the same or one of them has
none. They are similar if they differ only in the legal form, if one begins with the other word by
word, or if they differ in one letter. A difference in a number is never a slip: Store 001 and Store
002 are two customers.

The table `customer_names` has the keys. The journal does not record it. So a row of it only
proposes a customer, and the name in the customer's own row, which the journal records, is compared
again.
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from polygent_issuer.registry.engine import Params, in_chunks, marks
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Fields, Row, Value, as_int, text
from polygent_issuer.registry.writing import Writing
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
_COLUMNS: Final = ("customer_id", "words", "legal_form", "letters", "letters_reversed")
_MOST_COUNTED: Final = 500
"""Enough to compare two ranges of names; more would take as long as a search."""


class NameKey(NamedTuple):
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


def write(db: Writing, customer_id: int, name: str) -> None:
    """Write the keys of a customer's name, in place of earlier ones."""
    delete(db, customer_id)
    for row in _rows(customer_id, name):
        db.insert("customer_names", **dict(zip(_COLUMNS, row, strict=True)))


def delete(db: Writing, customer_id: int) -> None:
    """Delete the keys of a customer's name, before the end of its row."""
    sql = "SELECT id FROM customer_names WHERE customer_id = ?"
    db.delete("customer_names", *tuple(db.values(as_int, sql, (customer_id,))))


def matching(db: Reading, name: str) -> tuple[int, ...]:
    """Return the ids of the customers whose names match."""
    letters = tuple({key.letters for key in name_keys(name)})
    sql = f"SELECT DISTINCT customer_id FROM customer_names WHERE letters IN ({marks(letters)})"  # noqa: S608
    return tuple(_confirmed(db, db.values(as_int, sql, letters), name, NameKey.matches))


def beginning_with(db: Reading, typed: str) -> Iterator[int]:
    """Yield the ids of the customers whose names begin like this, by slug."""
    ranges: list[str] = []
    params: list[str] = []
    for key in name_keys(typed):
        words, _, form = key.text.rpartition(" ")
        ranges.append("words >= ? AND words < ?")
        ranges.append("words = ? AND legal_form >= ? AND legal_form < ?")
        params += (*text_range(key.text), words, *text_range(form))
    some = " UNION ".join(f"SELECT customer_id FROM customer_names WHERE {each}" for each in ranges)  # noqa: S608
    sql = f"SELECT id FROM customers WHERE id IN ({some}) ORDER BY slug"  # noqa: S608  # as above
    return _confirmed(db, db.values(as_int, sql, tuple(params)), typed, NameKey.begins_with)


def similar(db: Reading, name: str) -> set[int]:
    """Return the ids of the customers whose names match or are similar."""
    candidates: set[int] = set()
    for key in name_keys(name):
        first, last = _narrowest(db, key.letters)
        candidates |= _one_letter_apart(db, "letters", key.letters, first)
        candidates |= _one_letter_apart(db, "letters_reversed", key.letters[::-1], last[::-1])
        for words in beginnings(key.words):
            candidates |= set(_ids(db, "words = ?", (words,)))
        longer = text_range(f"{key.words} ")
        candidates |= set(_ids(db, "words >= ? AND words < ?", longer))
    return set(_confirmed(db, candidates, name, NameKey.is_similar))


def text_range(prefix: str) -> tuple[str, str]:
    """Return the range of the texts that begin with `prefix`: the first, and the end."""
    return prefix, prefix + "\U0010ffff"


def problems(db: Reading) -> Iterator[str]:
    """Yield one line for each customer whose keys are not those of its name.

    An older version has no such table.
    """
    if not db.connection.columns("customer_names"):
        return
    stored: dict[Value, list[Row]] = {}
    for row in db.execute(f"SELECT {', '.join(_COLUMNS)} FROM customer_names"):  # noqa: S608
        stored.setdefault(row[0], []).append(row)
    for customer_id, name in db.execute("SELECT id, name FROM customers"):
        present = stored.pop(customer_id, [])
        expected = _rows(as_int(customer_id), name) if isinstance(name, str) else []
        if sorted(map(repr, present)) != sorted(map(repr, expected)):
            yield f"customer_names has wrong or missing rows for customers/{customer_id!s}"
    for customer_id in stored:
        yield f"customer_names has rows for customers/{customer_id!s}, which does not exist"


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


def _rows(customer_id: int, name: str) -> list[Row]:
    return [
        (customer_id, key.words, key.legal_form, key.letters, key.letters[::-1])
        for key in name_keys(name)
    ]


def _confirmed(
    db: Reading, ids: Iterable[int], name: str, rule: Callable[[NameKey, NameKey], bool]
) -> Iterator[int]:
    """Yield the ids of the customers to whose recorded name the rule applies."""
    for customer_id in ids:
        row = db.recorded("customers", customer_id)
        if row is not None and compare(db.build(_name, "customers", row), name, rule):
            yield customer_id


def _name(row: Fields) -> str:
    return text(row["name"])


def _narrowest(db: Reading, letters: str) -> tuple[str, str]:
    """Return the beginning and the end that the fewest names have: many begin with one word."""
    return min(divisions(letters), key=lambda parts: _count(db, *parts))


def _count(db: Reading, first: str, last: str) -> int:
    """Count the names with this beginning or this end, up to a maximum."""
    ends = (("letters", first), ("letters_reversed", last[::-1]))
    return sum(
        db.value(
            as_int,
            f"""SELECT count(*) FROM (SELECT 1 FROM customer_names
            WHERE {column} >= ? AND {column} < ? LIMIT {_MOST_COUNTED}) AS found""",  # noqa: S608
            text_range(prefix),
        )
        or 0
        for column, prefix in ends
    )


def _one_letter_apart(db: Reading, column: str, letters: str, prefix: str) -> set[int]:
    # Only the index is read until a row is close enough.
    sql = f"SELECT id, {column} FROM customer_names WHERE {column} >= ? AND {column} < ?"  # noqa: S608
    rows = db.each(lambda row: (as_int(row["id"]), text(row[column])), sql, text_range(prefix))
    close = [row_id for row_id, other in rows if one_letter_apart(other, letters)]
    return {
        customer_id
        for some in in_chunks(close)
        for customer_id in _ids(db, f"id IN ({marks(some)})", some)
    }


def _ids(db: Reading, where: str, params: Params) -> Iterator[int]:
    return db.values(as_int, f"SELECT customer_id FROM customer_names WHERE {where}", params)  # noqa: S608
