"""The keys of customers' names in the registry: write them, check them, and search by them.

The journal does not record the table `customer_names`. So a row of it only proposes a customer, and
the name in the customer's own row, which the journal records, is compared again.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from polygent_issuer.registry.engine import Params, in_chunks, marks
from polygent_issuer.registry.name_keys import (
    NameKey,
    beginnings,
    compare,
    divisions,
    name_keys,
    one_letter_apart,
)
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Row, Value, as_int, text
from polygent_issuer.registry.writing import Writing

_COLUMNS: Final = ("customer_id", "words", "legal_form", "letters", "letters_reversed")
_MOST_COUNTED: Final = 500
"""Enough to compare two ranges of names; more would take as long as a search."""


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
    """Return the ids of the customers whose names match (`name_keys`)."""
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
    """Return the ids of the customers whose names match or are similar (`name_keys`)."""
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
    """Yield one line for each customer whose keys are not those of its name."""
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
        if row is not None and compare(text(row["name"]), name, rule):
            yield customer_id


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
