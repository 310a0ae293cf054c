"""The protocol by which every command changes the registry (DESIGN, "The one protocol").

1. `decide` makes the decision on a snapshot, and closes it again.
2. The caller shows the decision, obtains consent, signs, and verifies the signed bytes. No
   transaction is open meanwhile, because a reader blocks every COMMIT, and a person or a token may
   take minutes.
3. `carry_out` begins with `BEGIN IMMEDIATE`. The file must be the one that was opened, and its
   tables must be as this tool creates them.
4. If the journal's head is still the same, the decision is valid. Otherwise it is made again, and a
   different decision stops the command. In a batch each item is compared separately
   (`carry_out_items`).
5. Write temporary files, rows and journal; `COMMIT`.
6. Link and sync the files; clear the outbox.

A crash before the COMMIT leaves only a temporary file, which the next issue into that folder
removes. A crash after it leaves a row in the outbox, and the next issue delivers its file.

The outbox has the licenses that are committed, but perhaps not delivered yet. Several homes may
share a registry, and a path is one on the machine of its home. So each row has the id of a home,
and only that home delivers the file. A row without an id belongs to every home: an earlier version
wrote it, or its destination is unknown. The journal does not record the outbox, because it contains
no decisions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, NamedTuple, TypeVar

from polygent_issuer.errors import HomeProblem, IssuerError, RegistryChanged
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.registry.database import Registry
from polygent_issuer.registry.engine import Query
from polygent_issuer.registry.licenses import CURRENT
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Actor, Fields, reader, seconds, text
from polygent_issuer.registry.writing import Writing
from polygent_issuer.terms import dates

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_OF_HOME: Final = "(outbox.home IS NULL OR outbox.home = ?)"
_SELECT: Final = """SELECT license_id, folder, name, at, home,
    (SELECT id FROM licenses WHERE id = license_id) AS license FROM outbox"""
_ORDER: Final = "ORDER BY at, license_id"
_BUNDLED: Final = f"""SELECT licenses.id AS id, customers.slug AS customer_slug,
    customers.name AS customer_name, machines.label AS machine_label, file, issued_at, expires_at,
    outbox.name AS name
    FROM outbox JOIN licenses ON licenses.id = outbox.license_id
    JOIN customers ON customers.id = licenses.customer_id
    LEFT JOIN machines ON machines.id = licenses.machine_id
    WHERE outbox.folder = ? AND outbox.name IS NOT NULL AND {_OF_HOME}
    AND {CURRENT} ORDER BY outbox.license_id"""  # noqa: S608  # of our own
_Decision = TypeVar("_Decision")
_Written = TypeVar("_Written")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided(Generic[_Decision]):
    """A decision and its basis.

    Attributes:
        decision: for one item or a group of items; decisions with the same result are equal.
        behind: the finding `clock-behind`, or nothing; it is not part of the decision.
        head: the size and the hash of the journal at the decision.
        decide: makes the decision again, with the same instant and the same ids.
    """

    decision: _Decision
    behind: tuple[Finding, ...]
    head: tuple[int, bytes]
    decide: Callable[[Reading], _Decision] = field(repr=False)
    registry: Registry = field(repr=False)
    now: datetime
    actor: Actor

    def unasked(self) -> "Decided[_Decision]":
        """Return the decision without `clock-behind`, for a command that takes no consent."""
        return replace(self, behind=())

    def stands(self, db: Reading) -> bool:
        """Return whether the decision would be the same now; an error counts as another one."""
        if db.head() == self.head:
            return True
        try:
            return self.decide(db) == self.decision
        except HomeProblem:
            raise
        except IssuerError:
            return False


def decide(
    registry: Registry,
    decide: Callable[[Reading], _Decision],
    *,
    now: datetime,
    actor: Actor,
    ahead: Sequence[Query] = (),
) -> Decided[_Decision]:
    """Make a decision on a snapshot; `decide` depends only on rows, and may be called again.

    `ahead` are its first queries, as for `Registry.reading`.
    """
    with registry.reading(ahead=ahead) as db:
        return Decided(
            decision=decide(db),
            behind=clock_behind_finding(db, now),
            head=db.head(),
            decide=decide,
            registry=registry,
            now=now,
            actor=actor,
        )


def carry_out(
    decided: Decided[_Decision],
    write: Callable[[Writing], _Written],
    *,
    undone: str = "nothing was changed",
    hint: str | None = None,
    deliver: Callable[[_Written], Iterable[str]] | None = None,
    ahead: Sequence[Query] = (),
) -> _Written:
    """Write a decision in one transaction, and deliver its files.

    Args:
        write: writes temporary files, rows and their journal rows, and returns the result. Rows get
            the instant of the command, or that of the newest row if later, unless there is a
            finding `clock-behind`.
        undone: what did not happen if the decision has changed, such as `nothing was issued`.
        hint: where to look then; default: run the same command again.
        deliver: links and syncs the files after the COMMIT, and returns the ids of the delivered
            licenses. If their outbox rows cannot be cleared, the next command does it.
        ahead: the first queries of `write`, as for `Registry.writing`.

    Raises:
        RegistryChanged: (`registry_changed`) when the decision would now be different, or the file
            was replaced by a restored one; nothing is written.
    """
    with _writing(decided, ahead) as db:
        if not decided.stands(db):
            raise RegistryChanged.since_shown(undone, hint=hint)
        written = write(db)
    if deliver is not None:
        delivered = tuple(deliver(written))
        with suppress(HomeProblem):
            clear_delivered(decided.registry, delivered, now=decided.now, actor=decided.actor)
    return written


def carry_out_items(
    decided: Decided[_Decision],
    write: Callable[[Writing, bool], _Written],
    *,
    ahead: Sequence[Query] = (),
) -> _Written:
    """Write a group of items; `write` compares each item separately.

    Its second argument is whether the journal is unchanged since the decision. `ahead` as for
    `carry_out`.
    """
    with _writing(decided, ahead) as db:
        return write(db, db.head() == decided.head)


def clear_delivered(
    registry: Registry, license_ids: Iterable[str], *, now: datetime, actor: Actor
) -> None:
    """Clear the outbox rows of delivered licenses; other commands need not wait for it."""
    with registry.writing(now=now, actor=actor, journal=False) as db:
        clear_pending(db, *license_ids)


def finish(
    registry: Registry, work: Callable[[Writing], _Written], *, now: datetime, actor: Actor
) -> _Written:
    """Make step 6 for licenses that an earlier command left in the outbox."""
    with registry.writing(now=now, actor=actor) as db:
        return work(db)


@contextmanager
def _writing(decided: Decided[Any], ahead: Sequence[Query]) -> Iterator[Writing]:
    now = decided.now
    with decided.registry.writing(now=now, actor=decided.actor, ahead=ahead) as db:
        if not decided.behind:
            # Other commands may have written since the decision, so the row must not be older than
            # theirs. With a finding `clock-behind` the row gets the time of the clock instead:
            # otherwise every later command would find a corrected clock behind.
            db.now = max(now, db.newest_at() or now)
        yield db


def clock_behind_finding(db: Reading, now: datetime) -> tuple[Finding, ...]:
    """Return `clock-behind` if this machine's `now` is over 5 minutes before the newest row."""
    newest = db.newest_at()
    if newest is None or now >= newest - CLOCK_TOLERANCE:
        return ()
    message = (
        f"this machine's clock shows {dates.instant(now)}, "
        f"but the newest row of the journal is from {dates.instant(newest)}"
    )
    return (Finding(code=FindingCode.CLOCK_BEHIND, message=message, hint="correct the clock"),)


class OutboxRow(NamedTuple):
    """A committed license whose file may not be delivered yet; `folder` None means stdout.

    `home` is the id of the home that delivers it; any home does without one.
    """

    license_id: str
    folder: str | None
    name: str | None
    at: datetime
    home: str | None


class Bundled(NamedTuple):
    """A license that is not yet in its archive; `name` is the name of its file there."""

    id: str
    customer_slug: str
    customer_name: str
    machine_label: str | None
    file: bytes
    issued_at: datetime
    expires_at: datetime
    name: str


_row: Final = reader(OutboxRow)
_bundled: Final = reader(Bundled, issued_at=seconds, expires_at=seconds)


def pending(db: Reading) -> tuple[OutboxRow, ...]:
    """Return the licenses of all homes whose delivery is not confirmed, oldest first."""
    return () if db.outbox_is_empty() else tuple(db.each(_checked, f"{_SELECT} {_ORDER}"))


def pending_of(db: Reading, home: str | None) -> tuple[OutboxRow, ...]:
    """Return those that a home delivers, by its id."""
    if db.outbox_is_empty():
        return ()
    return tuple(db.each(_checked, f"{_SELECT} WHERE {_OF_HOME} {_ORDER}", (home,)))


def _checked(row: Fields) -> OutboxRow:
    text(row["license"])  # the license is in the registry
    return _row(row)


def pending_for_archive(db: Writing, archive: str) -> Iterator[Bundled]:
    """Stream the current licenses that the home of the actor writes into one archive."""
    return db.each(_bundled, _BUNDLED, (archive, db.actor.home))


def add_pending(db: Writing, license_id: str, *, folder: str | None, name: str | None) -> None:
    """Record the destination of a license's file: an absolute folder, or None for stdout."""
    db.has_pending = True
    db.insert(
        "outbox", license_id=license_id, folder=folder, name=name, at=db.at, home=db.actor.home
    )


def adopt_pending(db: Writing) -> None:
    """Let the home of the actor have the rows without a home, before other homes join."""
    db.execute("UPDATE outbox SET home = ? WHERE home IS NULL", (db.actor.home,))


def forget_places(db: Writing) -> None:
    """Remove the destinations: every home reports the licenses, and none delivers their files."""
    db.execute("UPDATE outbox SET folder = NULL, name = NULL, home = NULL")


def clear_superseded(db: Writing, folder: str) -> None:
    """Remove the rows of one folder or archive of this home whose license is no longer current."""
    current = f"SELECT id FROM licenses WHERE {CURRENT}"  # noqa: S608  # our own
    sql = f"DELETE FROM outbox WHERE folder = ? AND {_OF_HOME} AND license_id NOT IN ({current})"  # noqa: S608
    db.execute(sql, (folder, db.actor.home))


def clear_pending(db: Writing, *license_ids: str) -> None:
    """Remove the rows of delivered licenses."""
    db.delete("outbox", *license_ids)
