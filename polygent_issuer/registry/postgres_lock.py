"""The lock of all writers, and its holder: any user who may connect to the database can take it."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from polygent_issuer.errors import IssuerError
from polygent_issuer.registry.errors import RegistryLocked
from polygent_issuer.registry.records import Row
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape

# The advisory lock of all writers of this database: "PLGI" twice.
LOCK: Final = 0x504C4749_504C4749
APPLICATION: Final = "polygent-issue"
"""The name of the sessions of this tool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockHolder:
    """The session that holds the lock.

    Attributes:
        pid: of the server's process.
        user: of the session.
        application: the name that it gave itself.
        since: the begin of its transaction; None for a user who may not see it.
        waited: how many seconds the first of the waiting sessions has waited.
    """

    pid: int
    user: str
    application: str
    since: datetime | None
    waited: float

    def __str__(self) -> str:
        """Name the session in a message."""
        name = f" ({escape(self.application)})" if self.application else ""
        since = f", since {dates.instant(self.since)}" if self.since else ""
        return f"the user {escape(self.user)}{name} in the server's process {self.pid}{since}"

    @property
    def fix(self) -> str:
        """The SQL with which the administrator ends the session, as a hint."""
        return f"the database's administrator can end it: SELECT pg_terminate_backend({self.pid})"


_LOCKS: Final = f"""(SELECT pid, granted, waitstart FROM pg_locks
    JOIN pg_database ON pg_database.oid = database WHERE datname = current_database()
    AND locktype = 'advisory' AND objsubid = 1
    AND classid = {LOCK >> 32} AND objid = {LOCK & 0xFFFFFFFF}) AS locks"""  # noqa: S608  # of our own
HOLDER: Final = f"""(SELECT json_build_array(pid, usename, application_name,
    extract(epoch FROM xact_start), (SELECT coalesce(extract(epoch FROM
        max(clock_timestamp() - waitstart)), 0) FROM {_LOCKS} WHERE NOT granted))::text
    FROM {_LOCKS} JOIN pg_stat_activity USING (pid) WHERE granted LIMIT 1)"""  # noqa: S608  # of our own
"""The expression whose value `interpret` takes."""


def interpret(value: object) -> LockHolder | None:
    """Return the session in the value of `HOLDER`; None if the lock is free."""
    if value is None:
        return None
    pid, user, application, since, waited = json.loads(str(value))
    return LockHolder(
        pid=pid,
        user=user or "",
        application=application or "",
        since=None if since is None else datetime.fromtimestamp(since, UTC),
        waited=waited,
    )


def named(error: IssuerError, first: Callable[[str], tuple[Any, Row | None]]) -> IssuerError:
    """Return an error; if it is that of a lock, with the session that holds the lock.

    Args:
        first: `Connection.first`.
    """
    if isinstance(error, RegistryLocked):
        with suppress(IssuerError):
            _, row = first(f"SELECT {HOLDER}")
            if holder := interpret(row and row[0]):
                hint = Hint(error.hint or "", "; ", holder.fix)
                return RegistryLocked(f"{error.message}: {holder}", hint=hint)
    return error
