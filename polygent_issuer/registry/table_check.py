"""Is each row what the journal tells of it, and is none there that the journal never wrote?"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.digests import row_digests
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import shown

Recorded = dict[str, tuple[int, str | None]]
"""By the name of a row, the newest journal row that wrote it, and its digest; None: deleted."""

_LICENSE: Final = "licenses/"


def problems(db: Reading, recorded: Recorded) -> Iterator[str]:
    """One line for each row that is not as the journal last recorded it."""
    expected = {name: digest for name, (_, digest) in recorded.items()}
    for name, digest in _found(db):
        told = expected.pop(name, None)
        if told is None:
            yield f"{shown(name)} was added outside the journal"
        elif told != digest:
            more = _of_file(db, name) if name.startswith(_LICENSE) else ""
            yield f"{shown(name)} was changed outside the journal{more}"
    for name, told in expected.items():
        if told is not None:
            yield f"{shown(name)} was deleted outside the journal"


def row_journal_problems(db: Reading, recorded: Recorded) -> Iterator[str]:
    """One line for each row of `row_journal` that is wrong or missing, where tables have it."""
    if not _columns(db, "row_journal"):
        return
    missing = dict.fromkeys(recorded)
    for name, seq in db.execute("SELECT name, seq FROM row_journal"):
        missing.pop(str(name), None)
        if seq != recorded.get(str(name), (None,))[0]:
            yield f"row_journal/{shown(str(name))} does not name the newest journal row of that row"
    for name in missing:
        yield f"row_journal/{shown(name)} is missing"


def _found(db: Reading) -> Iterator[tuple[str, str]]:
    """Each row that the journal vouches for, with its digest."""
    for table, key in schema.JOURNALED.items():
        names = _columns(db, table)
        if key not in names:
            continue  # the check of the tables themselves has told
        place, digest_of = names.index(key), row_digests(tuple(names))
        for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608  # tables of our own
            yield f"{table}/{row[place]!s}", digest_of(row)


def _columns(db: Reading, table: str) -> list[str]:
    return [str(column[1]) for column in db.execute(f"PRAGMA table_info({table})")]


def _of_file(db: Reading, name: str) -> str:
    """Says so when it is the `.lic` itself that was changed."""
    sql, license_id = "SELECT * FROM licenses WHERE id = ?", name.removeprefix(_LICENSE)
    for row in db.execute(sql, (license_id,)):
        values = dict(zip(_columns(db, "licenses"), row, strict=True))
        file = values.get("file")
        if isinstance(file, bytes) and sha256(file).hexdigest() != values.get("sha256"):
            return ": the stored .lic is not the one that was issued"
    return ""
