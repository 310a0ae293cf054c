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
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from polygent_issuer.errors import HomeProblem, IssuerError, RegistryChanged
from polygent_issuer.findings import Finding
from polygent_issuer.registry import journal, outbox
from polygent_issuer.registry.database import Registry
from polygent_issuer.registry.engine import Query
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Actor
from polygent_issuer.registry.writing import Writing

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
    head: tuple[int, str]
    decide: Callable[[Reading], _Decision] = field(repr=False)
    registry: Registry = field(repr=False)
    now: datetime
    actor: Actor

    def unasked(self) -> "Decided[_Decision]":
        """Return the decision without `clock-behind`, for a command that takes no consent."""
        return replace(self, behind=())

    def stands(self, db: Reading) -> bool:
        """Return whether the decision would be the same now; an error counts as another one."""
        if journal.head(db) == self.head:
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
            head=journal.head(db),
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
        return write(db, journal.head(db) == decided.head)


def clear_delivered(
    registry: Registry, license_ids: Iterable[str], *, now: datetime, actor: Actor
) -> None:
    """Clear the outbox rows of delivered licenses; other commands need not wait for it."""
    with registry.writing(now=now, actor=actor, journal=False) as db:
        outbox.clear(db, *license_ids)


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
