"""The store in SQLite is durable and checks its file."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from support.servers import DAY, Server

from polygent_issuer.enforcement import Installation, LogEntry, SqliteStore, StoreFailed
from polygent_issuer.enforcement.sqlite_store import APPLICATION_ID, SCHEMA_VERSION
from polygent_issuer.enforcement.store import INSTALLED, REFUSALS_KEPT
from polygent_issuer.verifier import ClockGuard

AT = datetime(2026, 1, 5, 9, 0, 0, 123456, tzinfo=UTC)
MADE = Installation(
    license_id="1",
    file=b"\x00\xff",
    sub="acme",
    scope="any",
    iat=1,
    replaces=("2", "3"),
    at=AT,
    by="ada",
)


def entry(number: int, outcome: str) -> LogEntry:
    """A log entry that a test recognises."""
    return LogEntry(at=AT, by=str(number), license_id=None, customer=None, outcome=outcome)


def open_(path: Path) -> SqliteStore:
    """Open a store without waiting for another process."""
    return SqliteStore(path, patience=timedelta())


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """Everything is read as it was stored, to the microsecond."""
    with closing(open_(tmp_path / "x")) as store:
        store.install(MADE, ClockGuard(AT), entry(1, INSTALLED))
        store.keep_guard(ClockGuard(AT + DAY, tampered=True))
        store.keep_run(AT, ("1", 30))
        store.keep_run(AT + DAY, None)
        stored, log = store.load(), store.install_log()
    assert stored.installations == (MADE,)
    assert (stored.in_force, set(stored.sent), stored.last_run) == ("1", {("1", 30)}, AT + DAY)
    assert stored.guard == ClockGuard(AT + DAY, tampered=True)
    assert log == (entry(1, INSTALLED),)
    with closing(open_(tmp_path / "x")) as store:
        assert (store.load(), store.install_log()) == (stored, log)


def test_an_install_is_one_transaction(tmp_path: Path) -> None:
    """A failure in its last statement leaves neither license nor guard."""
    broken = LogEntry(at=AT, by="ada", license_id=None, customer="\ud800", outcome=INSTALLED)
    with closing(open_(tmp_path / "x")) as store:
        with pytest.raises(UnicodeEncodeError):
            store.install(MADE, ClockGuard(AT), broken)
        stored = store.load()
        assert (stored.installations, stored.in_force, stored.guard) == ((), None, ClockGuard())
        store.install(MADE, ClockGuard(AT), entry(1, INSTALLED))


def test_refusals_are_bounded(tmp_path: Path) -> None:
    """The newest 1,000 refused attempts are kept, and every successful one."""
    with closing(open_(tmp_path / "x")) as store:
        store.install(MADE, ClockGuard(AT), entry(0, INSTALLED))
        for number in range(1, REFUSALS_KEPT + 5):
            store.log_refusal(entry(number, "malformed"))
        store.install(MADE, ClockGuard(AT), entry(-1, INSTALLED))
        log = [int(each.by) for each in store.install_log()]
    assert log == [-1, *range(REFUSALS_KEPT + 4, 4, -1), 0]


def test_only_the_server_may_read_the_file(tmp_path: Path) -> None:
    """The file has a customer's license, so other users may not read it."""
    before = os.umask(0)
    try:
        open_(tmp_path / "x").close()
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def foreign(path: Path, *statements: str) -> bytes:
    """A database of another application, with rows."""
    with closing(sqlite3.connect(path)) as other:
        for statement in ("CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", *statements):
            other.execute(statement)
        other.commit()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ((), "another application's file"),
        (("PRAGMA application_id = 1",), "another application's file"),
        (("PRAGMA user_version = 1",), "another application's file"),
        (("PRAGMA journal_mode = WAL",), "another application's file"),
        (
            (
                f"PRAGMA application_id = {APPLICATION_ID}",
                f"PRAGMA user_version = {SCHEMA_VERSION + 1}",
            ),
            "created by a newer version",
        ),
    ],
)
def test_another_applications_file_is_left_alone(
    tmp_path: Path, statements: tuple[str, ...], why: str
) -> None:
    """It is refused, and not one byte of it changes."""
    path = tmp_path / "x"
    before = foreign(path, *statements)
    with pytest.raises(StoreFailed, match=why):
        open_(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    "content", [b"no database" * 100, b"x", b"SQLite format 3\x00" + b"\x00" * 600]
)
def test_a_file_other_than_a_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """It is refused and not changed."""
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(StoreFailed):
        open_(path)
    assert path.read_bytes() == content


def test_an_old_sqlite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite without STRICT tables is refused, and no file is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))
    with pytest.raises(StoreFailed, match=r"needs 3\.37"):
        open_(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The message names the file, without control characters."""
    with pytest.raises(StoreFailed) as refused:
        open_(tmp_path / "no\x1b[2J" / "x")
    assert "\x1b" not in refused.value.message
    assert refused.value.code == "license_store_failed"


def test_a_damaged_file_raises_our_own_error(server: Server) -> None:
    """Any error of SQLite is raised as our own error."""
    server.install(0)
    server.store.close()
    with closing(sqlite3.connect(server.path)) as other:
        other.execute("DELETE FROM kept")
        other.commit()
    with pytest.raises(StoreFailed):
        server.start()
    server.store.close()


def test_many_threads_write(tmp_path: Path) -> None:
    """With one connection and one lock no write is lost or fails."""
    with closing(open_(tmp_path / "x")) as store:

        def write(number: int) -> None:
            for turn in range(20):
                store.log_refusal(entry(number * 20 + turn, "malformed"))
                store.load()

        threads = [Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(int(each.by) for each in store.install_log()) == list(range(160))


@pytest.mark.usefixtures("unhurried")
def test_commits_are_durable(tmp_path: Path) -> None:
    """The connection has synchronous EXTRA, no trusted schema, and keeps no lock."""
    with closing(open_(tmp_path / "x")) as store:
        assert store._sqlite is not None
        pragmas = {
            name: store._sqlite.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "trusted_schema", "locking_mode", "foreign_keys")
        }
    assert pragmas == {
        "synchronous": 3,
        "trusted_schema": 0,
        "locking_mode": "normal",
        "foreign_keys": 1,
    }


def test_a_block_closes_the_store(tmp_path: Path) -> None:
    """A `with` block gives the store, and closes it."""
    with SqliteStore(tmp_path / "license.db") as store:
        assert store.load().in_force is None
    with pytest.raises(StoreFailed):
        store.load()
