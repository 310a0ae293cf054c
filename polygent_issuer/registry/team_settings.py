"""The settings that all homes of a registry share: a text for each name.

They become part of licenses, so each row must be as the journal last recorded it. One query reads
them, since most commands need them.
"""

from collections.abc import Mapping
from typing import Final

from polygent_issuer.registry.engine import Query
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Row, Value, as_bytes, text
from polygent_issuer.registry.row_check import recorded_rows, row_digests
from polygent_issuer.registry.writing import Writing

NAMES: Final = (
    "issuer",
    "upload_window",
    "default_plan",
    "features",
    "require_order_id",
    "plans",
)
"""The names of these settings."""

_TABLE: Final = "team_settings"
_ROWS: Final = f"""SELECT row_journal.name, team_settings.value, journal.bytes FROM row_journal
    JOIN journal ON journal.seq = row_journal.seq
    LEFT JOIN team_settings ON '{_TABLE}/' || team_settings.name = row_journal.name
    WHERE row_journal.name IN ({", ".join("?" * len(NAMES))})
    UNION ALL SELECT '{_TABLE}/' || team_settings.name, team_settings.value, NULL
    FROM team_settings WHERE NOT EXISTS (
        SELECT 1 FROM row_journal WHERE row_journal.name = '{_TABLE}/' || team_settings.name)"""  # noqa: S608  # of our own


QUERIES: Final[tuple[Query, ...]] = ((_ROWS, tuple(f"{_TABLE}/{each}" for each in NAMES)),)
"""The queries of `read`."""


def read(db: Reading) -> dict[str, str]:
    """Return the text of each setting that the registry has, after a check with the journal.

    Raises:
        RegistryDamaged: (`registry_damaged`) when a row was added, changed or deleted by an edit.
    """
    digest = row_digests(("name", "value"))

    def compared(row: Row) -> tuple[str, Value]:
        name, value, body = text(row[0]), row[1], row[2]
        recorded = None if body is None else recorded_rows(as_bytes(body)).get(name, "")
        key = name.removeprefix(f"{_TABLE}/")
        if recorded != (None if value is None else digest((key, value))):
            raise db.edited(name)
        return key, value

    rows = db.each_row(compared, *QUERIES[0])
    return {key: text(value) for key, value in rows if value is not None}


def write(db: Writing, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Write the settings that differ; the caller appends the journal row."""
    db.delete(_TABLE, *(name for name in before if name not in after))
    for name, value in after.items():
        if name not in before:
            db.insert(_TABLE, name=name, value=value)
        elif before[name] != value:
            db.update(_TABLE, name, value=value)
