"""Is each row what the journal tells of it, and is none there that the journal never wrote?"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from polygent_issuer.registry import schema
from polygent_issuer.registry.comparing import Deviation, Named, Told
from polygent_issuer.registry.digests import row_digests
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import shown

_LICENSE: Final = "licenses/"


def problems(db: Reading, told: Told) -> Iterator[str]:
    """One line for each row that is not as the journal tells."""
    for name, deviation in told.deviations(_found(db)):
        changed = deviation is Deviation.CHANGED
        more = _of_file(db, name) if changed and name.startswith(_LICENSE) else ""
        yield f"{shown(name)} was {deviation} outside the journal{more}"


def _found(db: Reading) -> Iterator[Named]:
    """Each row that the journal vouches for, with its digest."""
    for table, key in schema.JOURNALED.items():
        names = _columns(db, table)
        if key not in names:
            continue  # the check of the tables themselves has told
        place, digest_of = names.index(key), row_digests(names)
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
