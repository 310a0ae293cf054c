"""Facts about a server that any user may read, such as who holds the lock of all writers.

Any user who may connect to the database can take the lock.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from polygent_issuer.errors import IssuerError
from polygent_issuer.registry.errors import RegistryLocked
from polygent_issuer.registry.postgres.roles import Session
from polygent_issuer.registry.records import Row
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape

# The advisory lock of all writers of this database: "PLGI" twice.
LOCK: Final = 0x504C4749_504C4749
APPLICATION: Final = "polygent-issue"
"""The name of the sessions of this tool."""


class LockHolder(NamedTuple):
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
"""The expression whose value `lock_holder` takes."""


def lock_holder(value: object) -> LockHolder | None:
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
            if holder := lock_holder(row and row[0]):
                hint = Hint(error.hint or "", "; ", holder.fix)
                return RegistryLocked(f"{error.message}: {holder}", hint=hint)
    return error


class Standby(NamedTuple):
    """A connected standby.

    Attributes:
        name: its `application_name`.
        is_synchronous: whether a COMMIT waits for it.
        behind: the bytes of the log that it has not flushed to its disk.
    """

    name: str
    is_synchronous: bool
    behind: int


class ServerFacts(NamedTuple):
    """The state of a server, and of the session on it.

    Attributes:
        session: the user and the roles.
        version: `server_version_num`, such as 150004.
        version_text: for people.
        encoding: of the database.
        other_collations: the text columns of the registry whose collation is not C.
        tls: the version of TLS of the session; empty without TLS.
        is_local: the session uses a local socket.
        is_superuser: so the user may do everything.
        may_rewrite: the user may change or delete rows of the journal.
        now: the server's clock.
        unsafe: the settings that lose commits or pages in a crash, as `name=off`.
        is_standby: the server cannot write.
        sees_standbys: the user may see the state of the standbys.
        standbys: the number of connected standbys.
        states: of the standbys that the user may see.
        waits_for: `synchronous_standby_names`; a COMMIT waits for one of these standbys.
        commit: `synchronous_commit` of the session.
        checksums: the server finds damaged pages.
        connections_left: for users like this one.
        connections: the most that the server has for ordinary users.
        writer: the session that holds the lock of all writers; None if it is free.
    """

    session: Session
    version: int
    version_text: str
    encoding: str
    other_collations: str
    tls: str
    is_local: bool
    is_superuser: bool
    may_rewrite: bool
    now: datetime
    unsafe: tuple[str, ...]
    is_standby: bool
    sees_standbys: bool
    standbys: int
    states: tuple[Standby, ...]
    waits_for: str
    commit: str
    checksums: bool
    connections_left: int
    connections: int
    writer: LockHolder | None


_JOURNAL: Final = "polygent.journal"
_POSITION: Final = """CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_lsn() END"""
_LIMIT: Final = """(SELECT d.datconnlimit - s.numbackends FROM pg_database AS d
    JOIN pg_stat_database AS s ON s.datid = d.oid
    WHERE d.datname = current_database() AND d.datconnlimit >= 0)"""
_CONNECTIONS: Final = """(current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int)"""
_FACTS: Final[dict[str, str]] = {
    "version": "current_setting('server_version_num')::int",
    "version_text": "split_part(current_setting('server_version'), ' ', 1)",
    "encoding": "current_setting('server_encoding')",
    "other_collations": """(SELECT coalesce(string_agg(c.relname || '.' || a.attname, ', '), '')
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'polygent'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
        AND NOT a.attisdropped AND a.attcollation NOT IN
        (0, (SELECT oid FROM pg_collation WHERE collname = 'C')))""",
    "tls": "(SELECT coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
    "is_superuser": "current_setting('is_superuser') = 'on'",
    "may_rewrite": f"""has_table_privilege('{_JOURNAL}', 'DELETE, TRUNCATE, TRIGGER')
        OR has_any_column_privilege('{_JOURNAL}', 'UPDATE')""",
    "now": "extract(epoch FROM clock_timestamp())::float8",
    "unsafe": """(SELECT coalesce(string_agg(name || '=off', ' ' ORDER BY name), '')
        FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS each (name)
        WHERE current_setting(name) = 'off')""",
    "is_standby": "pg_is_in_recovery()",
    "sees_standbys": "pg_has_role('pg_read_all_stats', 'USAGE')",
    "standbys": "(SELECT count(*) FROM pg_stat_replication)",
    "states": f"""(SELECT coalesce(json_agg(json_build_array(application_name,
        sync_state IN ('sync', 'quorum'), pg_wal_lsn_diff({_POSITION}, flush_lsn)::bigint)), '[]')
        FROM pg_stat_replication WHERE flush_lsn IS NOT NULL)::text""",  # noqa: S608  # of our own
    "waits_for": "current_setting('synchronous_standby_names')",
    "commit": "current_setting('synchronous_commit')",
    "checksums": "current_setting('data_checksums') = 'on'",
    "connections_left": f"""least({_LIMIT},
        {_CONNECTIONS} - (SELECT sum(numbackends) FROM pg_stat_database))::int""",  # noqa: S608  # of our own
    "connections": _CONNECTIONS,
    "writer": HOLDER,
}
QUERY: Final = f"SELECT {', '.join(_FACTS.values())}"
"""The statement whose only row `interpret` takes."""


def interpret(row: Row | None, session: Session, *, is_local: bool, has_tls: bool) -> ServerFacts:
    """Return the facts in the row of `QUERY`.

    Args:
        row: of the server.
        session: the user of the connection.
        is_local: the connection uses a local socket.
        has_tls: it is encrypted with TLS, as this end of it knows.
    """
    values: dict[str, Any] = dict(zip(_FACTS, row or (), strict=True))
    values["tls"] = values["tls"] or "TLS" if has_tls else ""
    values["now"] = datetime.fromtimestamp(values["now"], UTC)
    values["writer"] = lock_holder(values["writer"])
    values["unsafe"] = tuple(values["unsafe"].split())
    values["states"] = tuple(
        Standby(name=name, is_synchronous=synchronous, behind=behind)
        for name, synchronous, behind in json.loads(values["states"])
    )
    return ServerFacts(session=session, is_local=is_local, **values)
