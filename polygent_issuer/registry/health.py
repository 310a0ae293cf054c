"""Whether SQLite itself finds the file sound, and how much is in it."""

from typing import Final

from polygent_issuer.registry.columns import Row, text, whole
from polygent_issuer.registry.transactions import Reading

_MOST: Final = 10
_COUNTED: Final = ("customers", "machines", "licenses", "keys", "journal")


def integrity(db: Reading) -> tuple[str, ...]:
    """What SQLite finds wrong with its pages, indexes, constraints and references; reads it all.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the file cannot be read to its end.
    """
    found = db.each(lambda row: text(row[0]), f"PRAGMA integrity_check({_MOST})")
    sound = tuple(line for line in found if line != "ok")
    return (*sound, *db.each(_dangling, "PRAGMA foreign_key_check"))[:_MOST]


def counts(db: Reading) -> dict[str, int]:
    """How many rows the tables have that people ask for, by table.

    Raises:
        RegistryDamaged: (`registry_damaged`) when one of them is gone.
    """
    return {
        table: db.one(lambda row: whole(row[0]), f"SELECT count(*) FROM {table}") or 0  # noqa: S608  # tables of our own
        for table in _COUNTED
    }


def _dangling(row: Row) -> str:
    return f"a row of {text(row[0])} refers to a row of {text(row[2])} that is not there"
