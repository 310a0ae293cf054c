"""State of a desk: registry, settings, and files."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from polygent_issuer.home.settings import settings_path
from polygent_issuer.registry import (
    Reading,
    Registry,
    change,
    journal_check,
    keys,
    licenses,
)
from polygent_issuer.registry.errors import RegistryMissing
from polygent_issuer.registry.schema import KEYS
from support.cli import Desk

Rows = dict[str, tuple[tuple[object, ...], ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskState:
    """The state of a desk, which is empty without a registry.

    Attributes:
        settings: the bytes of the settings file.
        files: the stored bytes of every license, by ID.
        current: the IDs of current licenses.
        keys: the kids of the pinned keys.
        pending: the IDs in the outbox.
        problems: the problems that `journal verify` reports.
        unsealed: the number of journal rows that no seal covers.
        rows: every row of the registry by table, except the outbox, and the seals, which come last.
    """

    settings: bytes
    files: dict[str, bytes] = field(default_factory=dict)
    current: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    unsealed: int = 0
    rows: Rows = field(default_factory=dict)


def read_state(desk: Desk) -> DeskState:
    """Return the state of a desk."""
    path = settings_path(desk.home)
    settings = path.read_bytes() if path.exists() else b""
    with (
        suppress(RegistryMissing),
        Registry.open(desk.registry) as registry,
        registry.reading() as db,
    ):
        records, check = tuple(licenses.select(db)), journal_check.verify(db)
        return DeskState(
            settings=settings,
            files={record.id: record.file for record in records},
            current=frozenset(record.id for record in records if record.is_current),
            keys=frozenset(key.kid for key in keys.every(db)),
            pending=frozenset(row.license_id for row in change.pending(db)),
            problems=check.problems,
            unsealed=check.size - check.sealed,
            rows=_rows(db),
        )
    return DeskState(settings=settings)


def litter_in(folder: Path) -> list[str]:
    """Return the temporary files in a folder."""
    return sorted(path.name for path in folder.glob(".polygent-*"))


def _rows(db: Reading) -> Rows:
    keys = {**KEYS, "journal": "seq"}
    return {
        table: tuple(db.execute(f"SELECT * FROM {table} ORDER BY {keys[table]}"))  # noqa: S608
        for table in sorted(keys.keys() - {"outbox", "seals"})
    }


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
