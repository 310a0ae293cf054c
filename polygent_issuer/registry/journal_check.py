"""Does the journal stand as it was written, and the registry as the journal says?

1. Each row's hash is SHA-256(previous ‖ bytes) of what is stored; nothing is serialised again.
2. Each row follows the one before, by number and by hash.
3. The head that was noted earlier is in it (`against`).
4. The tables, indexes and triggers are as this version makes them.
5. Each row of the other tables is what its latest journal row says, and none is there that the
   journal never wrote; each `.lic` has the digest that stands beside it.

What this cannot find: a journal written anew from its beginning together with all tables, unless
an older head is given.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain as chain_of
from itertools import islice
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.registry import schema
from polygent_issuer.registry.columns import Row, blob, whole
from polygent_issuer.registry.digests import GENESIS, chain_hash, row_digest
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import shown

_MOST: Final = 100
_HEAD: Final = re.compile(r"(?:(\d{1,15}):)?([0-9a-f]{64})")
# In the canonical bytes only a name is written so: within a text the quotes would be escaped.
# The last one is the row's own, since no name that sorts after it holds an object.
_ROWS: Final = b',"rows":'
_DECODE: Final = json.JSONDecoder().raw_decode


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalCheck:
    """What `verify` found.

    Attributes:
        size: how many rows there are; `head` the hash of the last one, in hex.
        problems: one line each, the first hundred; empty when all is well.
    """

    size: int
    head: str
    problems: tuple[str, ...]


def verify(db: Reading, *, against: str | None = None) -> JournalCheck:
    """Check the journal and all that it vouches for, in one pass over each table.

    Args:
        against: a head that was noted earlier, "SIZE:HASH" or the hash alone: rows that were cut
            off since, or a restored older copy, are found only so.

    Raises:
        InputRefused: (`input_refused`) when `against` is no head.
        RegistryDamaged: (`registry_damaged`) when the file cannot be read to its end.
    """
    noted = None if against is None else _noted(against)
    chain = _Chain(noted)
    sql = "SELECT seq, previous, bytes, hash FROM journal ORDER BY seq"
    for _ in db.each(chain.follow, sql):
        pass
    found = chain_of(
        chain.problems, chain.beside_noted(), schema_problems(db), _tables(db, chain.written)
    )
    problems = tuple(islice(found, _MOST + 1))
    if len(problems) > _MOST:
        problems = (*problems[:_MOST], "and more")
    return JournalCheck(size=chain.size, head=chain.head.hex(), problems=problems)


class _Chain:
    """Steps 1 to 3, row by row; collects the latest digest of every row that was written."""

    def __init__(self, noted: tuple[int | None, bytes] | None) -> None:
        self.size = 0
        self.head = GENESIS
        self.problems: list[str] = []
        self.written: dict[str, str | None] = {}
        self._noted = noted
        self._met = noted is None or noted in ((0, GENESIS), (None, GENESIS))

    def follow(self, row: Row) -> None:
        """Take the next row; a step that fails adds a problem, and the next row is judged anew."""
        seq, previous, body, stored = whole(row[0]), blob(row[1]), blob(row[2]), blob(row[3])
        if seq != self.size + 1:
            self._problem(f"journal rows are missing between {self.size} and {seq}")
        if previous != self.head:
            self._problem(
                f"journal row {seq} does not follow the row before it: "
                "one was edited, deleted, inserted or moved"
            )
        if chain_hash(previous, body) != stored:
            self._problem(f"journal row {seq} was edited")
        try:
            self.written.update(_written(body))
        except (ValueError, TypeError, RecursionError):
            self._problem(f"journal row {seq} cannot be read")
        if not self._met and self._noted in ((seq, stored), (None, stored)):
            self._met = True
        self.size, self.head = seq, stored

    def beside_noted(self) -> Iterator[str]:
        """What the head that was noted earlier says against the journal."""
        if self._met or self._noted is None:
            return
        size = self._noted[0]
        if size is not None and size > self.size:
            yield (
                f"the journal ends at row {self.size}, the noted head is row {size}: "
                "rows were cut off, or an older copy was restored"
            )
        else:
            yield (
                "the noted head is not in this journal: "
                "it was written anew, cut off, or is another registry's"
            )

    def _problem(self, text: str) -> None:
        if len(self.problems) <= _MOST:
            self.problems.append(text)


def _noted(against: str) -> tuple[int | None, bytes]:
    match = _HEAD.fullmatch(against.strip())
    if match is None:
        raise InputRefused(
            "the older head is not of the form SIZE:HASH",
            hint="take it from an earlier `polygent-issue journal verify`",
        )
    size, digest = match.groups()
    return None if size is None else int(size), bytes.fromhex(digest)


def _written(body: bytes) -> dict[str, str | None]:
    """The digests of the rows that a journal row tells of."""
    at = body.rfind(_ROWS)
    if at < 0:
        raise ValueError("no rows")
    rows, _ = _DECODE(body[at + len(_ROWS) :].decode())
    return dict(rows)


def schema_problems(db: Reading) -> Iterator[str]:
    """Step 4: a trigger that was dropped lets the journal be edited."""
    present = {str(name): sql for name, sql in db.execute(schema.STATEMENTS)}
    expected = schema.as_made()
    for name in sorted(present.keys() | expected.keys()):
        if name not in present:
            yield f"{name} is missing among the tables, indexes and triggers"
        elif present[name] != expected.get(name):
            yield f"{shown(name)} is not a table, index or trigger as this tool makes it"


def _tables(db: Reading, written: dict[str, str | None]) -> Iterator[str]:
    """Step 5; what is left in `written` at the end has no row any more."""
    for table, key in schema.JOURNALED.items():
        names = [str(column[1]) for column in db.execute(f"PRAGMA table_info({table})")]
        if key not in names:
            continue  # step 4 has told
        place = names.index(key)
        for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608  # tables of our own
            name = f"{table}/{row[place]!s}"
            expected = written.pop(name, None)
            if expected is None:
                yield f"{shown(name)} was added outside the journal"
            elif row_digest(names, row) != expected:
                yield f"{shown(name)} was changed outside the journal{_of_file(names, row)}"
    for name, expected in written.items():
        if expected is not None:
            yield f"{shown(name)} was deleted outside the journal"


def _of_file(names: Sequence[str], row: Row) -> str:
    """Says so when it is the `.lic` itself that was changed."""
    values = dict(zip(names, row, strict=True))
    file = values.get("file")
    changed = isinstance(file, bytes) and sha256(file).hexdigest() != values.get("sha256")
    return ": the stored .lic is not the one that was issued" if changed else ""
