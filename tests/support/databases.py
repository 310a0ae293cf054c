"""Databases with a registry for tests, emptied and filled again: creating one takes much longer."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from polygent_issuer.registry import Actor, Registry
from polygent_issuer.registry.postgres.copying import TABLES
from support.postgres import Cluster

_NUMBERED: Final = """SELECT table_name::text FROM information_schema.columns
    WHERE table_schema = 'polygent' AND is_identity = 'YES'"""


@dataclass
class Databases:
    """Databases of a server; each belongs to one test at a time."""

    server: Cluster
    _all: list[str] = field(default_factory=list)
    _free: list[str] = field(default_factory=list)
    _numbered: list[tuple[str]] = field(default_factory=list)

    def take(self, file: Path) -> str:
        """Return the URI of a database whose registry has the rows of a file."""
        name = self._free.pop() if self._free else self._new()
        uri = self.server.uri(name)
        # Without triggers and constraints.
        options = "-c session_replication_role=replica -c search_path=polygent"
        with (
            psycopg.connect(uri, options=options) as connection,
            closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as source,
        ):
            emptying = (f"DELETE FROM {table}" for table in TABLES)  # noqa: S608  # names of our own
            connection.execute("; ".join(emptying).encode())
            for table in TABLES:
                _copy_rows(source, connection, table)
            # The view takes longer than all else here.
            self._numbered = self._numbered or connection.execute(_NUMBERED).fetchall()
            numbering = (
                f"SELECT setval('{table}_id_seq', coalesce(max(id), 0) + 1, false) FROM {table}"  # noqa: S608  # the same
                for (table,) in self._numbered
            )
            connection.execute("; ".join(numbering).encode())
        return uri

    def take_back_all(self) -> None:
        """Let other tests use all databases; connections that are still open are closed."""
        taken = set(self._all) - set(self._free)
        if taken:
            names = ", ".join(f"'{name}'" for name in taken)
            self.server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608  # our names
                f"WHERE datname IN ({names})"
            )
        self._free = list(self._all)

    def _new(self) -> str:
        name = self.server.create()
        actor = Actor(operator="Ada", os_user="ada", uid=1000, host="desk")
        Registry.create(
            self.server.uri(name), now=datetime.now(UTC), actor=actor, registry_id="replaced"
        ).close()
        self._all.append(name)
        return name


def _copy_rows(source: sqlite3.Connection, connection: psycopg.Connection, table: str) -> None:
    columns = ", ".join(row[1] for row in source.execute(f"PRAGMA table_info({table})"))
    rows = source.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608  # names of our own
    if rows:
        with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
