"""The tables of the store; times are microseconds since 1970 UTC."""

from typing import Final

APPLICATION_ID: Final = 0x50474C53
"""`PGLS` in the file's header: no other application's file is taken for a store."""

SCHEMA_VERSION: Final = 1

OLDEST_SQLITE: Final = (3, 37)
"""It has STRICT tables."""

SMALLEST: Final = 512
"""Bytes of the smallest database; SQLite would write over a file that has fewer."""

PRAGMAS: Final = (
    "trusted_schema = OFF",
    "foreign_keys = ON",
    "synchronous = EXTRA",
    "fullfsync = ON",  # on macOS fsync alone leaves data in the disk's cache
)

SCHEMA: Final = (
    """CREATE TABLE installation (
        number INTEGER PRIMARY KEY,
        license_id TEXT NOT NULL UNIQUE,
        file BLOB NOT NULL,
        sub TEXT NOT NULL,
        scope TEXT NOT NULL,
        iat INTEGER NOT NULL,
        replaces TEXT NOT NULL,
        at INTEGER NOT NULL,
        by TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE kept (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        in_force TEXT REFERENCES installation (license_id),
        last_seen INTEGER,
        tampered INTEGER NOT NULL CHECK (tampered IN (0, 1)),
        last_run INTEGER
    ) STRICT""",
    """CREATE TABLE sent_milestone (
        license_id TEXT NOT NULL,
        days INTEGER NOT NULL,
        PRIMARY KEY (license_id, days)
    ) STRICT""",
    """CREATE TABLE install_log (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        by TEXT NOT NULL,
        license_id TEXT,
        customer TEXT,
        outcome TEXT NOT NULL
    ) STRICT""",
    "INSERT INTO kept VALUES (1, NULL, NULL, 0, NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
