"""How a command changes the registry: one protocol, the same for all (DESIGN, "The one protocol").

1. `decide`: on a snapshot, which is closed again.
2. The caller shows the decision, obtains consent, signs and verifies our own bytes; no transaction
   is open meanwhile, since a reader blocks every COMMIT, and a person or a token may take minutes.
3. `carry_out`: `BEGIN IMMEDIATE`; the file must be the one that was opened, and its tables ours.
4. Where the journal's head is what it was, the decision stands; otherwise it is made again, and
   another one stops the command. Of a batch, each item is compared by itself (`carry_out_items`).
5. Temporary files, rows and journal, `COMMIT`.
6. Link and sync the files, clear the outbox.

A crash before the COMMIT leaves nothing but a temporary file, which the next issue into that folder
sweeps away. A crash after it leaves a row in the outbox, and the next issue delivers its file.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from polygent_issuer.errors import HomeProblem, IssuerError, RegistryChanged
from polygent_issuer.findings import Finding
from polygent_issuer.registry import journal, outbox
from polygent_issuer.registry.database import Registry
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.registry.records import Actor
from polygent_issuer.registry.transactions import Reading, Writing

_Decision = TypeVar("_Decision")
_Written = TypeVar("_Written")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided(Generic[_Decision]):
    """A decision, and what it rests on.

    Attributes:
        decision: for one item or a group of them; equal to another one that means the same.
        behind: `clock-behind` or nothing: judged here once, and not with the decision.
        head: the size and the hash of the journal on which it was made.
        decide: makes it again, with the same instant and the same ids.
    """

    decision: _Decision
    behind: tuple[Finding, ...]
    head: tuple[int, str]
    decide: Callable[[Reading], _Decision] = field(repr=False)
    registry: Registry = field(repr=False)
    now: datetime
    actor: Actor

    def unasked(self) -> "Decided[_Decision]":
        """Return it for a command that takes no consent: no row is older than the one before."""
        return replace(self, behind=())

    def stands(self, db: Reading) -> bool:
        """Check that it would be made again on what is there now; a refusal is another one."""
        if journal.head(db) == self.head:
            return True
        try:
            return self.decide(db) == self.decision
        except HomeProblem:
            raise
        except IssuerError:
            return False


def decide(
    registry: Registry, decide: Callable[[Reading], _Decision], *, now: datetime, actor: Actor
) -> Decided[_Decision]:
    """Decide on a snapshot; `decide` rests on the rows that it reads, and may be called again."""
    with registry.reading() as db:
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
) -> _Written:
    """Write what was decided, all or nothing, and deliver its files.

    Args:
        write: writes temporary files, rows and their journal rows; gives what came of it. Rows get
            the instant of the command, or that of the newest row if later, unless `clock-behind`
            was found.
        undone: what has not happened if the decision does not stand, such as `nothing was issued`.
        hint: where to look then; the same command when not given.
        deliver: links and syncs the files after the COMMIT; gives the ids of the licenses that are
            delivered. Where their outbox rows cannot be cleared, the next command does it.

    Raises:
        RegistryChanged: (`registry_changed`) when it would now be decided otherwise, or another
            file was restored in the place of this one; nothing is written.
    """
    with _writing(decided) as db:
        if not decided.stands(db):
            raise RegistryChanged.since_shown(undone, hint=hint)
        written = write(db)
    if deliver is not None:
        delivered = tuple(deliver(written))
        with suppress(HomeProblem), _writing(decided) as db:
            outbox.clear(db, *delivered)
    return written


def carry_out_items(
    decided: Decided[_Decision], write: Callable[[Writing, bool], _Written]
) -> _Written:
    """Write a group of items, of which `write` compares each by itself.

    It is also given whether the journal is as it was at the decision.
    """
    with _writing(decided) as db:
        return write(db, journal.head(db) == decided.head)


def finish(
    registry: Registry, work: Callable[[Writing], _Written], *, now: datetime, actor: Actor
) -> _Written:
    """Step 6: deliver and clear what waits in the outbox, which holds no decision."""
    with registry.writing(now=now, actor=actor) as db:
        return work(db)


@contextmanager
def _writing(decided: Decided[Any]) -> Iterator[Writing]:
    now = decided.now
    with decided.registry.writing(now=now, actor=decided.actor) as db:
        if not decided.behind:
            # Others wrote while a person thought. A clock that was put right keeps its own time,
            # or every command from now on would find it behind.
            db.now = max(now, journal.newest_at(db) or now)
        yield db
