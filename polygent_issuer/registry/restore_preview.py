"""A backup beside the registry that it would replace: what would be lost, since when.

Two journals that have a row of the same number and hash agree in every row before it, so the
last row that they share is found by halving.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry import journal, open_database
from polygent_issuer.registry.backup_check import CheckedBackup
from polygent_issuer.registry.columns import as_bytes, moment, text
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMissing
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.terms import dates

_BACK_UP: Final = Hint("first keep what is there: ", run("registry", "backup", "FILE"))


@dataclass(frozen=True, kw_only=True, slots=True)
class CurrentRegistry:
    """The registry that a backup would replace, as far as it can be read.

    Attributes:
        readable: False for a damaged one, of which nothing else is known.
        registry_id: which one it is; `same` whether the backup is one of it.
        size: how many journal rows it holds; `head` is the hash of the last one, in hex.
        rows_lost: journal rows that the backup lacks, the first of them `since` then; `acts_lost`
            those of them that tell of more than of a copy: a backup never holds the row that
            tells of it.
        licenses_lost: licenses that the backup lacks.
        rows_gained: journal rows of the backup that this one lacks.
    """

    readable: bool = True
    registry_id: str = ""
    same: bool = True
    size: int = 0
    head: str = ""
    rows_lost: int = 0
    acts_lost: int = 0
    licenses_lost: int = 0
    since: datetime | None = None
    rows_gained: int = 0


def present(path: Path, candidate: CheckedBackup) -> CurrentRegistry | None:
    """Compare the registry at `path` with a backup; None where there is none.

    Raises:
        RegistryNewer: (`registry_newer`) when a later version of this tool wrote it.
        RegistryLocked, RegistryFailed: as `Registry.open`.
    """
    try:
        with Registry.open(path) as registry, registry.reading() as db:
            return compare(db, candidate)
    except RegistryMissing:
        return None
    except RegistryDamaged:
        return CurrentRegistry(readable=False)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[Reading | None]:
    """The registry at `path`, with everybody else kept out; None where there is none to read.

    Raises:
        RegistryLocked: (`registry_locked`) when another command had it for too long.
    """
    connection = _locked(path)
    if connection is None:
        yield None
        return
    try:
        yield Reading(connection)
    finally:
        connection.close()


def _locked(path: Path) -> Connection | None:
    try:
        open_database.require_file(path)
        connection = Connection(path, busy_timeout=BUSY_TIMEOUT)
    except (RegistryMissing, RegistryDamaged):
        return None
    try:
        connection.begin("BEGIN EXCLUSIVE")
        open_database.check_application_id(connection)
    except (RegistryMissing, RegistryDamaged):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def compare(db: Reading, candidate: CheckedBackup) -> CurrentRegistry:
    """What the registry of a transaction has that the candidate lacks, and the reverse.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it cannot be read.
    """
    size, head = journal.head(db)
    registry_id = db.value(text, "SELECT value FROM about WHERE name = 'registry_id'")
    with candidate.registry.reading() as copy:
        shared = _shared(db, copy, min(size, candidate.size))
        licenses_lost = sum(not _has_license(copy, each) for each in _license_ids(db))
    sql = "SELECT at FROM journal WHERE seq = ?"
    return CurrentRegistry(
        registry_id=registry_id or "",
        same=registry_id == candidate.registry_id,
        size=size,
        head=head,
        rows_lost=size - shared,
        acts_lost=size - shared - journal.copies_since(db, shared),
        licenses_lost=licenses_lost,
        since=db.value(moment, sql, (shared + 1,)),
        rows_gained=candidate.size - shared,
    )


def rollback_finding(compared: CurrentRegistry | None) -> Finding | None:
    """`registry-rollback`: the backup lacks what the registry that it replaces holds."""
    if compared is None or (compared.readable and not compared.acts_lost):
        return None
    return Finding(
        code=FindingCode.REGISTRY_ROLLBACK, message=_told(compared), hint=_hint(compared)
    )


def _told(compared: CurrentRegistry) -> str:
    if not compared.readable:
        return (
            "the present registry cannot be read, so what it holds that the backup lacks is unknown"
        )
    counted = (
        f"{number(compared.licenses_lost, 'license')} and "
        f"{number(compared.rows_lost, 'journal row')}"
    )
    since = "" if compared.since is None else f", since {dates.instant(compared.since)}"
    if not compared.same:
        return (
            f"the present registry is another one ({compared.registry_id}), no later state of the "
            f"backup's: it holds {counted} that the backup lacks{since}"
        )
    apart = (
        f"; the backup has {number(compared.rows_gained, 'row')} of its own, so both went on"
        if compared.rows_gained
        else ""
    )
    return f"the present registry holds {counted} that the backup lacks{since}{apart}"


def _hint(compared: CurrentRegistry) -> str | None:
    return _BACK_UP if compared.readable else None


def number(count: int, noun: str) -> str:
    """`1 license`, `2 licenses`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shared(db: Reading, copy: Reading, most: int) -> int:
    """The number of the last row that both journals have."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _hash(db, middle) == _hash(copy, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _hash(db: Reading, seq: int) -> bytes | None:
    return db.value(as_bytes, "SELECT hash FROM journal WHERE seq = ?", (seq,))


def _license_ids(db: Reading) -> Iterator[str]:
    return db.values(text, "SELECT id FROM licenses")


def _has_license(copy: Reading, license_id: str) -> bool:
    sql = "SELECT id FROM licenses WHERE id = ?"
    return copy.value(text, sql, (license_id,)) is not None
