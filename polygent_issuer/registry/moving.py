"""Move a registry to the other engine. At no instant do two registries accept writes.

1. The old registry is locked for writers. Its row `moved_to` of `about`, and the journal row
   `registry-closed`, are written but not committed.
2. Everything, with these rows, is copied to the new place in one transaction. The copy is compared
   row by row, and checked as `journal verify` does. After its COMMIT, it is a closed registry, too.
3. The COMMIT of the old registry closes it.
4. A transaction of the new registry removes `moved_to`, and writes `registry-moved`.

A command of a registry with `moved_to` stops (`database.require_in_use`). After an interruption
before step 3, the old registry is as it was, and the next move replaces the copy. After step 3, the
next move makes step 4.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from polygent_issuer.errors import HomeProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.findings import Consent, Finding, require
from polygent_issuer.registry import change, database, journal, journal_check
from polygent_issuer.registry.backup import stamp
from polygent_issuer.registry.change import clock_behind_finding
from polygent_issuer.registry.database import BUSY_TIMEOUT, Registry, place_text
from polygent_issuer.registry.engine import Connection
from polygent_issuer.registry.errors import (
    Place,
    RegistryDamaged,
    RegistryMissing,
    damaged,
    display_place,
)
from polygent_issuer.registry.postgres import copying
from polygent_issuer.registry.postgres.roles import Role
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Actor, as_bytes, as_int
from polygent_issuer.registry.sqlite import SqliteConnection
from polygent_issuer.registry.sqlite_file import free_name
from polygent_issuer.registry.writing import Writing
from polygent_issuer.text import escape, for_shell

SQLITE: Final = "sqlite:"
"""The beginning of the text of a place that is a file."""
_TEMPORARY: Final = ".polygent-move-"
_LICENSES: Final = "SELECT count(*) FROM licenses"
Fill = Callable[[Writing], Mapping[str, object]]


class Target(StrEnum):
    """The new place before a move."""

    BLANK = "blank"
    UNFINISHED = "unfinished"
    MOVED = "moved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A move that is possible.

    Attributes:
        size: the number of journal rows; `head` is the hash of the last one, in hex.
        findings: `clock-behind`, or nothing.
        closed: the old registry is closed already.
        target: the new place: blank, an unfinished copy, or moved to already.
    """

    old: Place
    new: Place
    registry_id: str
    size: int
    head: str
    licenses: int
    findings: tuple[Finding, ...]
    closed: bool
    target: Target


def examine(old: Place, new: Place, now: datetime) -> Move:
    """Check on a snapshot whether a registry can be moved.

    Raises:
        RegistryMoved: (`registry_moved`) when it was moved to another place.
        RegistryDamaged: (`registry_damaged`) when its journal or a row is not intact.
        HomeProblem: (`registry_exists`) when the new place has another registry.
        IssuerError: as `Registry.open` for both places.
    """
    with Registry.open(old, closed=True) as registry:
        _require_movable(registry.connection, new)
        with registry.reading() as db:
            size, head = journal.head(db)
            move = Move(
                old=old,
                new=new,
                registry_id=db.registry_id() or "",
                size=size,
                head=head,
                licenses=db.value(as_int, _LICENSES) or 0,
                findings=clock_behind_finding(db, now),
                closed=registry.connection.moved_to() is not None,
                target=Target.BLANK,
            )
        move = _with_target(move)
        if move.target is not Target.MOVED:
            registry.require_role(Role.OWNER)
            problems = journal_check.verify_registry(registry).problems
            if problems:
                raise damaged(old, f"cannot be moved: {problems[0]}")
    return move


def _with_target(move: Move) -> Move:
    try:
        with Registry.open(move.new, closed=True) as registry, registry.reading() as db:
            return replace(move, target=_target(db, registry.connection, move))
    except RegistryMissing:
        return move
    except RegistryDamaged:
        raise _taken(move.new) from None


def _target(db: Reading, connection: Connection, move: Move) -> Target:
    """Return the state of an existing registry at the new place; refuse any other."""
    if db.registry_id() == move.registry_id:
        if connection.moved_to() == place_text(move.new):
            return Target.UNFINISHED
        sql = "SELECT hash FROM journal WHERE seq = ?"
        has_head = db.value(as_bytes, sql, (move.size,)) == bytes.fromhex(move.head)
        if move.closed and has_head and connection.moved_to() is None:
            return Target.MOVED
    raise _taken(move.new, connection.moved_to())


def _taken(place: Place, moved_to: str | None = None) -> HomeProblem:
    """Return the error for a place in use, or the closed one that was moved away from there."""
    what = "a registry already"
    if moved_to is not None:
        what = f"a closed registry, which was moved to {escape(moved_to)}"
    free = "move that file away"
    if isinstance(place, str):
        rename = "ALTER SCHEMA polygent RENAME TO polygent_old"
        free = f"let the owner of that one run: psql --command '{rename}' {for_shell(place)}"
    return HomeProblem(
        f"{display_place(place)} contains {what}; nothing was moved",
        hint=f"choose another place, or {free}",
        code="registry_exists",
    )


def _require_movable(connection: Connection, new: Place) -> None:
    if connection.moved_to() != place_text(new):
        database.require_in_use(connection)


def carry_out(
    move: Move, *, consent: Consent, now: datetime, actor: Actor, fill: Fill
) -> tuple[int, str]:
    """Move a registry, or finish an interrupted move; return the new size and head, as `head`.

    Args:
        fill: puts the settings of the home into a database that has none, and returns details.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding was not accepted.
        RegistryLocked: (`registry_locked`) when another command does not end.
        IssuerError: as `examine`, and as the engines; the old registry is in use then, or closed
            if the error is that of step 4. The same command then finishes the move.
    """
    require(move.findings, consent)
    if move.target is not Target.MOVED:
        with Registry.open(move.old, closed=True) as registry:
            current = registry.connection.require_current
            with registry.writing(now=now, actor=actor, judge=current) as db:
                _require_movable(registry.connection, move.new)
                was_closed = registry.connection.moved_to() is not None
                if not was_closed:
                    _close(db, move, consent)
                if was_closed and move.target is Target.UNFINISHED:
                    _compare(registry.connection, move)
                else:
                    _copy(registry.connection, move)
        _open(move, now=now, actor=actor, fill=fill)
    if isinstance(move.new, Path):
        disk.sweep(move.new.parent, _TEMPORARY)
    with Registry.open(move.new) as registry, registry.reading() as read:
        return journal.head(read)


def origin(place: Place, new: Place) -> Place:
    """Return the registry to move: that of the home, or the one from which a move has begun.

    Args:
        place: where the registry of the home is.
    """
    if place == new:
        with Registry.open(new, closed=True) as registry:
            if registry.connection.moved_to() == place_text(new):
                source = str(database.last_row(registry.connection)["particulars"]["from"])
                path = source.removeprefix(SQLITE)
                return source if path == source else Path(path)
    return place


def set_file_aside(file: Path, new: Place, now: datetime) -> Path | None:
    """Rename the file of a registry that was moved; return its new path, or None without one.

    Raises:
        OutputProblem: (`output_failed`) when it cannot be renamed.
    """
    try:
        with Registry.open(file, closed=True) as registry:
            if registry.connection.moved_to() != place_text(new):
                return None
    except RegistryMissing:
        return None
    kept = free_name(file.with_name(f"{file.name}.moved-{stamp(now)}"))
    try:
        file.rename(kept)
    except OSError as error:
        disk.cannot_write(kept, error)
    disk.sync_folder(file.parent)
    return kept


def _close(db: Writing, move: Move, consent: Consent) -> None:
    """Make step 1."""
    _set_time(db, move)
    db.insert("about", name="moved_to", value=place_text(move.new))
    db.record(
        "registry-closed",
        accepted=consent.used(move.findings),
        reason=consent.reason,
        details=_places(move),
    )
    db.check_written()  # writes the last rows


def _open(move: Move, *, now: datetime, actor: Actor, fill: Fill) -> None:
    """Make step 4, unless another command has made it."""
    with Registry.open(move.new, closed=True) as registry:
        current = registry.connection.require_current
        with registry.writing(now=now, actor=actor, judge=current) as db:
            if registry.connection.moved_to() is not None:
                _set_time(db, move)
                db.delete("about", "moved_to")
                if isinstance(move.new, str):
                    change.adopt_pending(db)
                needs = isinstance(move.new, str) and not db.team_settings()
                details = {**_places(move), **(fill(db) if needs else {})}
                db.record("registry-moved", details=details)


def _places(move: Move) -> dict[str, object]:
    return {"from": place_text(move.old), "to": place_text(move.new)}


def _set_time(db: Writing, move: Move) -> None:
    """Let no journal row be older than the one before it, unless the clock is behind."""
    if not move.findings:
        db.now = max(db.now, db.newest_at() or db.now)


def _copy(old: Connection, move: Move) -> None:
    """Make step 2; the old registry is in an open transaction."""
    if isinstance(move.old, str):  # a delivered file is cleared without the lock of writers
        old.run("LOCK TABLE outbox IN EXCLUSIVE MODE").close()
    if isinstance(move.new, Path):
        _copy_to_file(old, move, move.new)
    else:
        _copy_to_database(old, move, move.new)


def _compare(old: Connection, move: Move) -> None:
    """Check the copy of a registry that was closed before, unless it is in use already."""
    with Registry.open(move.new, closed=True) as copy, copy.reading() as db:
        if _target(db, copy.connection, move) is Target.UNFINISHED:
            _require_whole(old, copy.connection)


def _copy_to_file(old: Connection, move: Move, path: Path) -> None:
    temporary = f"{_TEMPORARY}{os.getpid()}.tmp"
    prepared = publication.prepare_with(
        lambda temp: old.copy_into(temp, named=path), path, temp_name=temporary
    )
    try:
        with closing(
            SqliteConnection(prepared.temp, busy_timeout=BUSY_TIMEOUT, named=path)
        ) as copy:
            copy.begin_reading()
            _require_whole(old, copy)
        if move.target is Target.UNFINISHED and _with_target(move).target is Target.UNFINISHED:
            disk.remove(path)
        prepared.publish(path.name)
    finally:
        prepared.discard()


def _copy_to_database(old: Connection, move: Move, place: str) -> None:
    with closing(database.connect(place)) as copy:
        copy.begin_writing()
        if move.target is Target.UNFINISHED:
            copy.tables()  # reads the state
            if _target(Reading(copy), copy, move) is not Target.UNFINISHED:
                raise _taken(place)
            copy.run("DROP SCHEMA polygent CASCADE").close()
        copy.require_blank()
        copy.create_tables()
        copying.fill_database(old, copy)
        _require_whole(old, copy)
        copy.commit(Reading(old).head())


def _require_whole(old: Connection, copy: Connection) -> None:
    copying.require_equal(old, copy)
    problems = journal_check.verify(Reading(copy)).problems
    if problems:
        raise damaged(old.place, f"cannot be moved: {problems[0]}")
