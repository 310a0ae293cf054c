"""Damaged copies of a SQLite file: flipped bits, lost pages, and invalid rows."""

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, Final

_PAGE: Final = 4096
_NUMBERS: Final = (None, -1, 0, 1, 2, 5, 400, -(2**63), 2**63 - 1, 2**53, 253402300800, 0.5, 1e300)
_WORDS: Final = (
    *("", " ", "x", "acme", "-", "a\0b", "\x1b[31m\u202e\n", "\ufeff", "\U0010ffff", "a" * 70_000),
    *("null", "[]", "{}", "[1]", '["a"]', '["\\ud800"]', '{"a":1}', '{"a":"\\udfff"}', '{"a":{}}'),
    *("[" * 100_000, '{"a":' * 100_000, "1" * 5_000, "NaN", "1e999", "true", '"a"', '{"a":'),
    *("yesterday", "2026-01-01", "2026-02-30T00:00:00.000000Z", "2026-01-01T00:00:00.000000"),
    *("0001-01-01T00:00:00.000000+23:59", "9999-12-31T23:59:59.999999-23:59"),
    *("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "10000-01-01T00:00:00Z"),
    *("Europe/Nowhere", "../../etc/passwd", "UTC", "999999999999y", "1y", "-1d", "enterprise"),
)
_BLOBS: Final = (b"", b"\0", b"\xff\xfe", b"a.b.c", b"{}", b"x" * 70_000)
_NO_TEXTS: Final = (b"\xff", b"\xed\xa0\x80", b"a\xc3")
_JSON: Final[tuple[object, ...]] = (
    None,
    0,
    -1,
    2**70,
    1.5,
    True,
    "",
    "x",
    "a\0b",
    "\ud800",
    "\x1b]0;",
    [],
    {},
    [None],
)

Damage = Callable[[Random], bytes]


@dataclass(frozen=True)
class Corruptions:
    """Ways to damage a file; `damage` returns the same for the same number.

    Attributes:
        intact: the bytes of the file.
        journal: whether it has a journal, whose rows are JSON in a hash chain.
    """

    intact: bytes
    journal: bool = False

    def damage(self, number: int) -> tuple[str, bytes]:
        """Return the name of the damage, and the damaged file."""
        chance = Random(number)  # noqa: S311 - no secret
        ways: list[Damage] = [
            *(self._bits, self._bytes, self._cut, self._page, self._no_utf8, self._word),
            *(self._value, self._value, self._value, self._rows, self._schema, self._header),
            *([self._body, self._body] if self.journal else []),
        ]
        way = ways[number % len(ways)]
        return f"{way.__name__} {number}", way(chance)

    @cached_property
    def _used(self) -> list[int]:
        return [place for place, byte in enumerate(self.intact) if byte]

    def _bits(self, chance: Random) -> bytes:
        data = bytearray(self.intact)
        for place in chance.choices(self._used, k=chance.randint(1, 8)):
            data[place] ^= 1 << chance.randrange(8)
        return bytes(data)

    def _bytes(self, chance: Random) -> bytes:
        data, length = bytearray(self.intact), chance.choice((1, 2, 8, 64))
        place = chance.choice(self._used)
        data[place : place + length] = chance.randbytes(length)
        return bytes(data[: len(self.intact)])

    def _header(self, chance: Random) -> bytes:
        data = bytearray(self.intact)
        for place in chance.choices(range(100), k=chance.randint(1, 4)):
            data[place] = chance.choice((0, 1, 255, chance.randrange(256)))
        return bytes(data)

    def _cut(self, chance: Random) -> bytes:
        pages = len(self.intact) // _PAGE
        return self.intact[
            : chance.choice(
                (chance.randrange(1, len(self.intact)), _PAGE * chance.randrange(1, pages))
            )
        ]

    def _page(self, chance: Random) -> bytes:
        pages = [self.intact[begin : begin + _PAGE] for begin in range(0, len(self.intact), _PAGE)]
        one, other = chance.sample(range(len(pages)), 2)
        match chance.randrange(4):
            case 0:
                pages[one], pages[other] = pages[other], pages[one]
            case 1:
                pages[one] = pages[other]
            case 2:
                pages[one] = bytes(_PAGE)
            case _:
                pages[one] = chance.randbytes(_PAGE)
        return b"".join(pages)

    def _no_utf8(self, chance: Random) -> bytes:
        words = list(re.finditer(rb"[\x20-\x7e]{4,}", self.intact))
        word = chance.choice(words)
        place = chance.randrange(word.start(), word.end())
        return self.intact[:place] + b"\xff" + self.intact[place + 1 :]

    def _word(self, chance: Random) -> bytes:
        words = list(re.finditer(rb"[a-z_]{4,}", self.intact))
        one, other = chance.choice(words), chance.choice(words)
        length = min(len(one[0]), len(other[0]))
        return self.intact[: one.start()] + other[0][:length] + self.intact[one.start() + length :]

    def _schema(self, chance: Random) -> bytes:
        with closing(_open(self.intact)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            names = [name for (name,) in raw.execute("SELECT name FROM sqlite_schema")]
            column = chance.choice(("sql", "name", "tbl_name", "type", "rootpage"))
            value, made = chance.choice(((chance.choice(_NUMBERS), "?"), *_cast(chance)))
            if column == "sql" and chance.random() < 0.7:
                value = chance.choice((" TEXT", " BLOB", "NOT", "id", "(", "STRICT", "x'"))
                made = f"replace(sql, ?, '{chance.choice(('', 'a', ' INTEGER'))}')"
            raw.execute(
                f"UPDATE sqlite_schema SET {column} = {made} WHERE name = ?",  # noqa: S608 - our own
                (value, chance.choice(names)),
            )
            return raw.serialize()

    def _value(self, chance: Random) -> bytes:
        value, made = chance.choice(
            (
                *((chance.choice(of), "?") for of in (_NUMBERS, _WORDS, _WORDS, _BLOBS)),
                *_cast(chance),
                (None, "other"),
            )
        )

        def change(raw: sqlite3.Connection) -> None:
            table, columns = chance.choice(self._tables)
            column = chance.choice(columns)
            row = _row_number(table)
            how = f"(SELECT {column} FROM {table} ORDER BY {row} % 3, {row} LIMIT 1)"  # noqa: S608
            only = chance.choice(("", f" WHERE {row} = (SELECT max({row}) FROM {table})"))  # noqa: S608
            raw.execute(
                f"UPDATE OR IGNORE {table} SET {column} = "  # noqa: S608 - names of our own
                + (made if made != "other" else f"coalesce({how}, ?)")
                + only,
                (value,),
            )

        return self._changed(change)

    def _rows(self, chance: Random) -> bytes:
        def change(raw: sqlite3.Connection) -> None:
            table, _ = chance.choice(self._tables)
            raw.execute(
                f"DELETE FROM {table} WHERE {_row_number(table)} % ? = 0",  # noqa: S608 - names of our own
                (chance.choice((1, 1, 2, 3)),),
            )

        return self._changed(change)

    def _body(self, chance: Random) -> bytes:
        def change(raw: sqlite3.Connection) -> None:
            from polygent_issuer.registry.row_check import GENESIS, chain_hash  # noqa: PLC0415

            rows = raw.execute("SELECT seq, bytes FROM journal ORDER BY seq").fetchall()
            struck, previous = chance.randrange(len(rows)), GENESIS
            for number, (seq, body) in enumerate(rows):
                changed = _other_json(json.loads(body), chance) if number == struck else body
                raw.execute("UPDATE journal SET bytes = ? WHERE seq = ?", (changed, seq))
                stored = chain_hash(previous, changed)
                raw.execute(
                    "UPDATE journal SET previous = ?, hash = ? WHERE seq = ?",
                    (previous, stored, seq),
                )
                previous = stored

        return self._changed(change)

    @cached_property
    def _tables(self) -> list[tuple[str, list[str]]]:
        with closing(_open(self.intact)) as raw:
            names = raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            tables = []
            for (name,) in names:
                columns = raw.execute(f"PRAGMA table_xinfo({name})").fetchall()
                if raw.execute(f"SELECT count(*) FROM {name}").fetchone()[0]:  # noqa: S608
                    tables.append((name, [each[1] for each in columns if not each[6]]))
            return tables

    @cached_property
    def _loose(self) -> tuple[bytes, Sequence[Any]]:
        """The same rows in tables without constraints, and the schema with them."""
        with closing(_open(self.intact)) as raw:
            rules = raw.execute("SELECT * FROM sqlite_schema").fetchall()
            raw.execute("PRAGMA writable_schema = ON")
            raw.execute("DELETE FROM sqlite_schema WHERE type = 'trigger'")
            for kind, name, _, _, sql in rules:
                if kind == "table" and not name.startswith("sqlite_"):
                    loose = re.sub(r"(?<! AS) (TEXT|INTEGER)(?! PRIMARY)", " BLOB", sql)
                    loose = re.sub(" NOT NULL|,? STRICT", "", loose)
                    raw.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (loose, name))
            return raw.serialize(), rules

    def _changed(self, change: Callable[[sqlite3.Connection], None]) -> bytes:
        loose, rules = self._loose
        with closing(_open(loose)) as raw:
            raw.execute("PRAGMA ignore_check_constraints = ON")
            with suppress(sqlite3.IntegrityError):  # a row's own number is a number
                change(raw)
            raw.execute("PRAGMA writable_schema = ON")
            raw.execute("DELETE FROM sqlite_schema")
            raw.executemany("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", rules)
            return raw.serialize()


def _row_number(table: str) -> str:
    return "seq" if table == "row_journal" else "rowid"  # this table is WITHOUT ROWID


def _open(data: bytes) -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.deserialize(data)
    return raw


def _cast(chance: Random) -> tuple[tuple[object, str], ...]:
    return (
        (chance.choice(_NO_TEXTS), "CAST(? AS TEXT)"),
        (chance.choice(_BLOBS), "CAST(? AS TEXT)"),
    )


def _other_json(body: Any, chance: Random) -> bytes:
    """Return the body with one value changed, or one member removed."""
    place, name = body, chance.choice(list(body))
    while isinstance(place[name], dict) and place[name] and chance.random() < 0.8:
        place = place[name]
        name = chance.choice(list(place))
    if chance.random() < 0.2:
        del place[name]
    else:
        place[name] = chance.choice(_JSON)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    if chance.random() < 0.1:
        text = chance.choice(("[1]", "", "{", "[" * 100_000, text[:-5]))
    return text.encode()
