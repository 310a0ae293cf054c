"""Check the journal's chain, and each row of the registry against it.

1. The hash of each journal row is SHA-256(previous ‖ bytes) of the stored bytes.
2. Each journal row follows the one before it, by number and by hash.
3. The journal contains each head that was noted earlier (`against`).
4. The tables, indexes and triggers are as this version creates them.
5. Each row of the other tables is as the journal last recorded it, no row was added, and each
   `.lic` has the digest in its row.
6. `row_journal` has, for each row, the newest journal row that wrote it.
7. `customer_names` has the keys of each customer's name, and no others.
8. Each seal was signed by its key, and the journal contains the sealed head (`seals`).

A journal that was rewritten from some row on together with all tables lacks a sealed head. Without
an older head this check cannot find rows that were removed at the end together with their seals, a
restored older copy, or seals that were removed, or replaced by older ones, before the journal was
rewritten.

A head is `SIZE:HASH`: the number of rows, and the hash of the last one in hex. A file of noted
heads has one head per line, with the instant before it and the registry's id after it. Blank lines
and lines that begin with `#` are ignored.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain as chain_of
from itertools import islice
from typing import Final, NamedTuple

from polygent_issuer import processes
from polygent_issuer.errors import InputRefused
from polygent_issuer.registry import customer_names, schema, seals
from polygent_issuer.registry.database import Registry
from polygent_issuer.registry.errors import RegistryLocked
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Row
from polygent_issuer.registry.row_check import (
    GENESIS,
    Recorded,
    chain_hash,
    recorded_rows,
    row_digests,
)
from polygent_issuer.registry.seals import CheckedSeal
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, escape_short, run

MANY: Final[dict[processes.Method, int]] = {"fork": 20_000, "spawn": 100_000}
"""The least number of journal rows for which another process is started, by its start method.

Measured: it saves 5 µs a row. A start costs some 40 ms by fork and some 250 ms by spawn. Twice the
break-even also pays on a busy machine.
"""
_PART: Final = 5_000
_MOST: Final = 100
_LICENSE: Final = "licenses/"
_NO_ROW: Final = object()
HEAD: Final = re.compile(r"(?:([0-9]{1,15}):)?([0-9a-f]{64})")

RowDigest = tuple[str, str]
"""The name of a row, and its digest."""


class JournalHead(NamedTuple):
    """A saved head: the number of rows (if saved), the hash, and a title for messages."""

    size: int | None
    digest: bytes
    title: str = "the saved head"


def head_text(size: int, digest: str) -> str:
    """Format a head, with its hash in hex, for `--against`."""
    return f"{size}:{digest}"


def noted_line(size: int, digest: str, *, now: datetime, registry_id: str) -> str:
    """Format a line of a file of saved heads."""
    return f"{dates.instant(now)} {head_text(size, digest)} {escape(registry_id)}"


def parse_head(text: str) -> JournalHead | None:
    """Parse a head; None for any other text."""
    match = HEAD.fullmatch(text.strip())
    if match is None:
        return None
    size, digest = match.groups()
    return JournalHead(size=None if size is None else int(size), digest=bytes.fromhex(digest))


def parse_noted(text: str, name: str) -> tuple[JournalHead, ...]:
    """Parse a file of saved heads; `input_refused` for a line, or a file, without a head.

    Args:
        text: the content of the file.
        name: the file in messages, already escaped.
    """
    heads = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        head = next(filter(None, map(parse_head, words)), None)
        if head is None:
            raise InputRefused(
                f"line {number} of {name} contains no head: {escape_short(line)}",
                hint=Hint("write SIZE:HASH, as `", run("journal", "verify"), "` prints it"),
            )
        title = f"the head saved in line {number} of {name}"
        heads.append(JournalHead(size=head.size, digest=head.digest, title=title))
    if not heads:
        raise InputRefused(
            f"{name} contains no head",
            hint=Hint("save one: ", run("journal", "verify", "--note", "FILE")),
        )
    return tuple(heads)


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalCheck:
    """The result of a check.

    Attributes:
        size: the number of journal rows; `head` is the hash of the last one, in hex.
        problems: up to 100.
        seals: the newest seal of each key.
        sealed: the number of rows for which a seal vouches.
        unsealed_since: the instant of the first row after them, if there is one and the journal
            has no problem.
    """

    size: int
    head: str
    problems: tuple[str, ...]
    seals: tuple[CheckedSeal, ...]
    sealed: int
    unsealed_since: datetime | None


def verify_registry(registry: Registry, *, against: Iterable[JournalHead] = ()) -> JournalCheck:
    """Check a snapshot of a registry as `verify` does.

    If the journal is long and there is a second core, another process reads the tables at the same
    time, unless the system or the engine refuses it.

    Raises:
        ProcessLost: (`process_lost`) the other process was killed.
    """
    start, again = processes.method(), registry.again()
    with registry.reading(checked=False) as db:
        size, _ = db.head()
    with ExitStack() as opened:
        ask = None
        if again is not None and processes.cores() > 1 and size >= MANY[start]:
            # Before the snapshot, because a forked process may not inherit a lock.
            ask = opened.enter_context(processes.another(_TableReader(open=again), start=start))
        db = opened.enter_context(registry.reading(checked=False))
        rows = None if ask is None else _rows_of(ask, db)
        return verify(db, against=against, rows=rows)


def verify(
    db: Reading, *, against: Iterable[JournalHead] = (), rows: Iterable[RowDigest] | None = None
) -> JournalCheck:
    """Check the journal and all rows that it records, in one pass over each table.

    Args:
        against: heads that were noted earlier. Only they can show that rows were removed at the
            end, the journal was rewritten, or an older copy was restored.
        rows: the rows of the snapshot, if another process reads them.
    """
    chain = _Chain(against)
    sql = "SELECT seq, previous, bytes, hash FROM journal ORDER BY seq"
    for _ in db.each_row(chain.follow, sql):
        pass
    checked = seals.check(db)
    # If the chain is broken, most of the numbers differ.
    unlisted = () if chain.problems else _row_journal_problems(db, chain.recorded)
    # These are checked while the other process still reads the rows.
    row_problems = [*islice(unlisted, _MOST + 1), *islice(customer_names.problems(db), _MOST + 1)]
    lines = chain_of(
        chain.problems,
        chain.beside_noted(),
        db.connection.schema_problems(),
        _table_problems(db, chain.recorded, _journaled(db) if rows is None else rows),
        row_problems,
        seals.problems(checked),
    )
    problems = tuple(islice(lines, _MOST + 1))
    if len(problems) > _MOST:
        problems = (*problems[:_MOST], "and more")
    sealed = seals.sealed_rows(checked)
    return JournalCheck(
        size=chain.size,
        head=chain.head.hex(),
        problems=problems,
        seals=checked,
        sealed=sealed,
        unsealed_since=None if problems else seals.unsealed_since(db, sealed),
    )


def _table_problems(db: Reading, recorded: Recorded, rows: Iterable[RowDigest]) -> Iterator[str]:
    """Yield one line for each of the rows that is not as the journal last recorded it."""
    expected = {name: digest for name, (_, digest) in recorded.items()}
    for name, digest in rows:
        recorded_digest = expected.pop(name, None)
        if recorded_digest is None:
            yield f"{escape(name)} was added outside the journal"
        elif recorded_digest != digest:
            more = _of_file(db, name) if name.startswith(_LICENSE) else ""
            yield f"{escape(name)} was changed outside the journal{more}"
    for name, recorded_digest in expected.items():
        if recorded_digest is not None:
            yield f"{escape(name)} was deleted outside the journal"


def _row_journal_problems(db: Reading, recorded: Recorded) -> Iterator[str]:
    """Yield one line for each wrong or missing row of `row_journal`, if the table exists."""
    if not db.connection.columns("row_journal"):
        return
    newest = {name: seq for name, (seq, _) in recorded.items()}
    for stored, seq in db.execute("SELECT name, seq FROM row_journal"):
        name = str(stored)
        if newest.pop(name, _NO_ROW) != seq:  # a damaged file may have NULL as a number, too
            what = "does not refer to the newest journal row of its row"
            yield f"row_journal/{escape(name)} {what}"
    for name in newest:
        yield f"row_journal/{escape(name)} is missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class _TableReader:
    """The work of another process: read the rows of all tables. `open` opens the registry."""

    open: Callable[..., Registry]

    @contextmanager
    def begin(self) -> Iterator[Callable[[int | None], tuple[tuple[int, bytes], list[RowDigest]]]]:
        """Yield a function for the head and the next rows; for all remaining ones without a number.

        Raises:
            RegistryLocked: (`registry_locked`) a writer waits for this check to end.
        """
        with self.open(busy_timeout=timedelta()) as registry, registry.reading(checked=False) as db:
            head, rows = db.head(), _journaled(db)
            yield lambda count: (head, list(islice(rows, count)))


def _journaled(db: Reading) -> Iterator[RowDigest]:
    """Stream the rows that the journal records."""
    for table, key in schema.JOURNALED.items():
        names = db.connection.columns(table)
        if key not in names:
            continue  # the check of the schema reports that
        place, digest_of = names.index(key), row_digests(names)
        for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608  # tables of our own
            yield f"{table}/{row[place]!s}", digest_of(row)


def _of_file(db: Reading, name: str) -> str:
    """Return an addition to the message if the `.lic` itself was changed."""
    sql, license_id = "SELECT * FROM licenses WHERE id = ?", name.removeprefix(_LICENSE)
    for row in db.each(dict, sql, (license_id,)):
        file = row.get("file")
        if isinstance(file, bytes) and sha256(file).hexdigest() != row.get("sha256"):
            return ": the stored license file is not the issued one"
    return ""


def _rows_of(ask: processes.Ask, db: Reading) -> Iterator[RowDigest]:
    """Ask another process for all rows now; return them as they are needed.

    No commit is possible while this snapshot is open, so the other one is the same. If the other
    process had to wait, or its head differs, the rows are read here.
    """
    head = db.head()
    results = ask([*[_PART] * (head[0] // _PART), None])

    def rows() -> Iterator[RowDigest]:
        try:
            other_head, part = next(results)
        except RegistryLocked:
            other_head, part = None, []
        if other_head != head:
            yield from _journaled(db)
            return
        yield from part
        for _, part in results:
            yield from part

    return rows()


class _Chain:
    """Steps 1 to 3, row by row; collect the digests that the rows record."""

    def __init__(self, against: Iterable[JournalHead]) -> None:
        self.size = 0
        self.head = GENESIS
        self.problems: list[str] = []
        self.recorded: Recorded = {}
        self._against = tuple(against)
        # The number of the row with each of these hashes; one look-up per row.
        self._met: dict[bytes, int | None] = dict.fromkeys(head.digest for head in self._against)
        if GENESIS in self._met:
            self._met[GENESIS] = 0

    def follow(self, row: Row) -> None:
        """Check the next row; after a problem the check continues with the row after it."""
        seq, previous, body, stored = row
        if not (
            isinstance(seq, int)
            and isinstance(previous, bytes)
            and isinstance(body, bytes)
            and isinstance(stored, bytes)
        ):
            raise TypeError("a value of another type")
        if seq != self.size + 1:
            self._problem(f"journal rows are missing between {self.size} and {seq}")
        if previous != self.head:
            self._problem(
                f"journal row {seq} does not follow the row before it: "
                "a row was edited, deleted, inserted or moved"
            )
        if chain_hash(previous, body) != stored:
            self._problem(f"journal row {seq} was edited")
        try:
            rows = recorded_rows(body)
        except (ValueError, TypeError, RecursionError):
            self._problem(f"journal row {seq} cannot be read")
        else:
            for name, digest in rows.items():
                self.recorded[name] = seq, digest
        if stored in self._met:
            self._met[stored] = seq
        self.size, self.head = seq, stored

    def beside_noted(self) -> Iterator[str]:
        """Yield one line for each saved head that is not in the journal."""
        for head in self._against:
            met = self._met[head.digest]
            if met is not None and head.size in (None, met):
                continue
            if head.size is not None and head.size > self.size:
                yield (
                    f"the journal ends at row {self.size}, but {head.title} is row {head.size}: "
                    "rows were removed, or an older copy was restored"
                )
            else:
                yield (
                    f"{head.title} is not in this journal: "
                    "the journal was rewritten or shortened, or belongs to another registry"
                )

    def _problem(self, text: str) -> None:
        if len(self.problems) <= _MOST:
            self.problems.append(text)
