"""A damaged license store raises `StoreFailed` and nothing else, or its values are read unchanged.

To run all cases: POLYGENT_FAULTS=full pytest tests/enforcement/test_damage.py
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.corruption import Corruptions
from support.servers import DAY, Server

from polygent_issuer.enforcement import (
    Admin,
    InstallRefused,
    Kept,
    ServerLicense,
    SqliteStore,
    StoreFailed,
)
from polygent_issuer.verifier import ClockGuard, KeySet, Verifier

FULL = os.environ.get("POLYGENT_FAULTS") == "full"
PARTS, CORRUPTIONS = 8, 30_000 if FULL else 400
ADMINS = (Admin(name="ada", address="ada@acme.example"),)
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("sub", "scope", "by", "outcome"), (str,)),
    **dict.fromkeys(("license_id", "customer", "in_force"), (str, type(None))),
    **dict.fromkeys(("at", "last_run"), (datetime, type(None))),
    "iat": (int,),
    "file": (bytes,),
    "replaces": (tuple,),
}


@contextmanager
def worked(path: Path) -> Iterator[tuple[Server, bytes]]:
    """Yield a closed server whose store has rows in every table, and a file to install next."""
    server = Server(path)
    server.install(0)
    server.now += DAY
    server.install(1, replaces=[0])
    server.refused(b"x")
    server.now += 330 * DAY
    server.license.alerts(server.now, ADMINS)
    server.install(330, fingerprint=None)
    server.store.close()
    yield server, server.issuer.file(331, fingerprint=None)
    server.store.close()


def try_to(act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the result of a call, or None if it raised one of our own errors."""
    with suppress(InstallRefused, StoreFailed):
        return act(*args, **kwargs)
    return None


def use(server: Server, newer: bytes) -> None:
    """Use the store as a server does."""
    verifier = Verifier(KeySet(server.issuer.signer.public_key))
    with closing(SqliteStore(server.path, patience=timedelta())) as store:
        stored: Kept | None = try_to(store.load)
        log = try_to(store.install_log) or ()
        for value in (*((stored, *stored.installations) if stored else ()), *log):
            for field in fields(value):
                assert isinstance(getattr(value, field.name), KINDS.get(field.name, object))
        for now in (server.now, server.now + DAY, server.now - 3 * DAY):
            own = try_to(ServerLicense, verifier, store, fingerprint=server.fingerprint)
            if own is None:
                continue
            own.active(now)
            status = try_to(own.status, now, users_active=1)
            assert status is None or json.dumps(status.to_json())
            try_to(own.alerts_due, now)
            try_to(own.banner, now)
            try_to(own.alerts, now, ADMINS)
            try_to(own.install, newer, now=now, by="ada")
            try_to(own.install, b"z", now=now, by="ada")
        try_to(store.keep_guard, ClockGuard(server.now))
        try_to(store.keep_run, server.now, ("1", 30))


def outcome(server: Server, newer: bytes) -> StoreFailed | None:
    """Return the error of opening the store, or None; any other error is raised."""
    try:
        use(server, newer)
    except StoreFailed as failed:
        return failed
    return None


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_store_fails_as_a_store(tmp_path: Path, part: int) -> None:
    """Wrong bits, lost pages and impossible values raise only `StoreFailed`."""
    with worked(tmp_path / "license.db") as (server, newer):
        corruptions = Corruptions(server.path.read_bytes())
        failures = []
        for number in range(part, CORRUPTIONS, PARTS):
            what, data = corruptions.damage(number)
            server.path.write_bytes(data)
            for beside in ("-journal", "-wal", "-shm"):
                Path(f"{server.path}{beside}").unlink(missing_ok=True)
            try:
                failures.append(outcome(server, newer))
            except BaseException as error:
                error.add_note(what)
                raise
        messages = [failed.message for failed in failures if failed]
        assert all(map(str.isprintable, messages))
        assert 0 < len(messages) < len(failures)


def read_all(path: Path) -> None:
    """Read everything in a store."""
    with closing(SqliteStore(path)) as store:
        store.install_log()
        store.load()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE installation SET iat = -1", "row 1 of its table installation has"),
        ("UPDATE kept SET last_seen = 1 << 62", "of its table kept has an impossible last_seen"),
        (
            "UPDATE install_log SET by = CAST(x'ff' AS TEXT)",
            "Could not decode to UTF-8 column 'by'",
        ),
        ("UPDATE kept SET in_force = 'x'", "the license that it names as installed is missing"),
        ("DELETE FROM kept", "its table kept has 0 rows instead of 1"),
        ("PRAGMA user_version = 0", "its tables cannot be version 0"),
    ],
)
def test_the_damage_is_named(server: Server, statement: str, why: str) -> None:
    """The message names file, table and row, and the hint both fixes."""
    server.install(0)
    server.store.close()
    with closing(sqlite3.connect(server.path)) as raw:
        raw.execute(statement)
        raw.commit()
    with pytest.raises(StoreFailed) as failed:
        read_all(server.path)
    assert why in failed.value.message
    assert str(server.path) in failed.value.message
    assert failed.value.hint == (
        "restore a backup of this file, or move it away and upload the license again"
    )


def test_a_store_that_lost_its_tables_is_not_a_new_one(server: Server) -> None:
    """A store that lost its tables, and so its license, is refused."""
    server.install(0)
    server.store.close()
    with server.path.open("r+b") as file:
        file.seek(103)  # the number of cells on the first page: the rows of sqlite_schema
        file.write(b"\0\0")
    before = server.path.read_bytes()
    with pytest.raises(StoreFailed) as failed:
        SqliteStore(server.path)
    assert failed.value.message == f"{str(server.path)!a} is damaged: it has no tables"
    assert "restore a backup" in str(failed.value.hint)
    assert server.path.read_bytes() == before


def test_stored_text_in_a_message_of_sqlite_is_harmless(server: Server) -> None:
    """SQLite quotes the schema, but no escape sequence from it reaches a log."""
    server.store.close()
    with closing(sqlite3.connect(server.path)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("UPDATE sqlite_schema SET name = char(27) || '[31m' WHERE name = 'kept'")
        raw.commit()
    with pytest.raises(StoreFailed) as failed:
        SqliteStore(server.path)
    assert failed.value.message.isprintable()
    assert "malformed database schema" in failed.value.message
