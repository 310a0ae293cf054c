"""Does the journal stand as it was written, and the registry as the journal says?

1. Each row's hash is SHA-256(previous ‖ bytes) of what is stored; nothing is serialised again.
2. Each row follows the one before, by number and by hash.
3. Each head that was noted earlier is in it (`against`).
4. The tables, indexes and triggers are as this version makes them.
5. Each row of the other tables is what its latest journal row says, and none is there that the
   journal never wrote; each `.lic` has the digest that stands beside it.
6. `row_journal` names, for each row, the newest journal row that wrote it.

What this cannot find without an older head: rows that were cut off the end, a restored older copy,
and a journal that was written anew, from some row on, together with all tables.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain as chain_of
from itertools import islice
from typing import Final

from polygent_issuer.registry import schema_check, table_check
from polygent_issuer.registry.columns import Fields, blob, whole
from polygent_issuer.registry.digests import GENESIS, chain_hash, recorded_rows
from polygent_issuer.registry.noted_heads import NotedHead
from polygent_issuer.registry.transactions import Reading

_MOST: Final = 100


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


def verify(db: Reading, *, against: Iterable[NotedHead] = ()) -> JournalCheck:
    """Check the journal and all that it vouches for, in one pass over each table.

    Args:
        against: heads that were noted earlier: rows that were cut off since, a journal that was
            written anew, or a restored older copy, are found only so.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the file cannot be read to its end.
    """
    chain = _Chain(against)
    sql = "SELECT seq, previous, bytes, hash FROM journal ORDER BY seq"
    for _ in db.each(chain.follow, sql):
        pass
    found = chain_of(
        chain.problems,
        chain.beside_noted(),
        schema_check.differences(db.execute(schema_check.STATEMENTS)),
        table_check.problems(db, chain.recorded),
    )
    if not chain.problems:  # else most of its numbers differ
        found = chain_of(found, table_check.row_journal_problems(db, chain.recorded))
    problems = tuple(islice(found, _MOST + 1))
    if len(problems) > _MOST:
        problems = (*problems[:_MOST], "and more")
    return JournalCheck(size=chain.size, head=chain.head.hex(), problems=problems)


class _Chain:
    """Steps 1 to 3, row by row; collects what the rows record of the other tables."""

    def __init__(self, against: Iterable[NotedHead]) -> None:
        self.size = 0
        self.head = GENESIS
        self.problems: list[str] = []
        self.recorded: table_check.Recorded = {}
        self._against = tuple(against)
        # Where each of these hashes was met; one look-up a row, however many there are.
        self._met: dict[bytes, int | None] = dict.fromkeys(head.digest for head in self._against)
        if GENESIS in self._met:
            self._met[GENESIS] = 0

    def follow(self, row: Fields) -> None:
        """Take the next row; a step that fails adds a problem, and the next row is judged anew."""
        seq, stored = whole(row["seq"]), blob(row["hash"])
        previous, body = blob(row["previous"]), blob(row["bytes"])
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
            written = recorded_rows(body)
            self.recorded.update((name, (seq, digest)) for name, digest in written.items())
        except (ValueError, TypeError, RecursionError):
            self._problem(f"journal row {seq} cannot be read")
        if stored in self._met:
            self._met[stored] = seq
        self.size, self.head = seq, stored

    def beside_noted(self) -> Iterator[str]:
        """What the heads that were noted earlier say against the journal."""
        for head in self._against:
            met = self._met[head.digest]
            if met is not None and head.size in (None, met):
                continue
            if head.size is not None and head.size > self.size:
                yield (
                    f"the journal ends at row {self.size}, {head.told} is row {head.size}: "
                    "rows were cut off, or an older copy was restored"
                )
            else:
                yield (
                    f"{head.told} is not in this journal: "
                    "it was written anew, cut off, or is another registry's"
                )

    def _problem(self, text: str) -> None:
        if len(self.problems) <= _MOST:
            self.problems.append(text)
