"""Making and opening: on purpose, private, and only what is ours."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, REGISTRY_ID, fill, older_tables, tampering, writing

from polygent_issuer.errors import ExitCode, HomeProblem
from polygent_issuer.registry import Registry, customers, journal, journal_check, schema
from polygent_issuer.registry.connection import Connection
from polygent_issuer.registry.errors import (
    RegistryDamaged,
    RegistryFailed,
    RegistryLocked,
    RegistryMissing,
    RegistryMisuse,
)


def create(path: Path) -> None:
    """Make a registry and let go of it."""
    Registry.create(path, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID).close()


def open_files() -> set[Path]:
    """What this process holds open, where the system tells."""
    folder = Path("/proc/self/fd")
    links = list(folder.iterdir()) if folder.is_dir() else []
    return {link.resolve() for link in links if link.exists()}


def header(path: Path, pragma: str) -> object:
    """What the file's header says."""
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute(f"PRAGMA {pragma}").fetchone()[0]


def test_a_new_registry_is_one_private_file(path: Path) -> None:
    """Nobody else reads it, and nothing else is left beside it."""
    before = os.umask(0)
    try:
        create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_file_says_whose_it_is(registry: Registry, path: Path) -> None:
    """The header names this tool and the version of the tables."""
    assert registry.id == REGISTRY_ID
    assert header(path, "application_id") == 0x504C4749
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_its_creation_is_the_first_journal_row(registry: Registry) -> None:
    """The journal begins with who made it, where and when."""
    with registry.reading() as db:
        (row,) = journal.rows(db)
        assert journal_check.verify(db).problems == ()
    assert (row.seq, row.event, row.at, row.operator) == (1, "registry-created", NOW, "Ada")
    assert (row.body["os_user"], row.body["uid"], row.body["host"]) == ("ada", 1000, "desk")
    assert row.details == {"registry": REGISTRY_ID}
    assert row.previous == "00" * 32


def test_what_is_written_is_there_when_it_is_opened_again(path: Path, registry: Registry) -> None:
    """A commit outlives the process's connection."""
    fill(registry)
    registry.close()
    with Registry.open(path) as again, again.reading() as db:
        assert [customer.slug for customer in customers.every(db)] == ["acme", "globex"]
        assert journal_check.verify(db).problems == ()


def test_open_never_makes_one(path: Path) -> None:
    """A mistyped home does not start an empty registry."""
    with pytest.raises(RegistryMissing) as caught:
        Registry.open(path)
    assert (caught.value.code, caught.value.exit_code) == ("registry_missing", ExitCode.REGISTRY)
    assert (
        caught.value.hint
        == "polygent-issue registry restore BACKUP; in a new home: polygent-issue init"
    )
    assert not path.exists()


def test_an_interrupted_creation_is_missing_and_can_be_made_again(path: Path) -> None:
    """An empty file is no registry, and is in nobody's way."""
    path.touch(0o644)
    with pytest.raises(RegistryMissing, match="empty"):
        Registry.open(path)
    create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Registry.open(path).close()


def test_nothing_is_made_over_a_registry(registry: Registry, path: Path) -> None:
    """`create` leaves what is there as it is."""
    fill(registry)
    before = path.read_bytes()
    with pytest.raises(HomeProblem, match="exists already"):
        create(path)
    assert path.read_bytes() == before


def test_a_creation_beside_another_waits_its_time(path: Path) -> None:
    """Who cannot have the lock is told so, and leaves the file to the other."""
    path.touch(0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryLocked):
            Registry.create(
                path,
                now=NOW,
                actor=ACTOR,
                registry_id=REGISTRY_ID,
                busy_timeout=timedelta(milliseconds=10),
            )
    create(path)


def test_a_registry_without_its_id_is_damaged(registry: Registry, path: Path) -> None:
    """It is told from any other by its id."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DELETE FROM about")
        raw.commit()
    with pytest.raises(RegistryDamaged, match="has no id"):
        _ = registry.id


@pytest.mark.parametrize("content", [b"not a database\n" * 400, b"\x00" * 8192])
def test_a_foreign_file_is_damaged_and_left_alone(path: Path, content: bytes) -> None:
    """What is no registry is neither opened nor overwritten."""
    path.write_bytes(content)
    with pytest.raises(RegistryDamaged) as damaged:
        Registry.open(path)
    with pytest.raises(HomeProblem, match="exists already") as there:
        create(path)
    assert path not in open_files()
    assert (damaged.value.code, there.value.code) == ("registry_damaged", "registry_exists")
    assert path.read_bytes() == content


def test_another_programs_database_is_damaged_and_left_alone(path: Path) -> None:
    """Not even its journal mode is changed."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE theirs (x)")
    with pytest.raises(RegistryDamaged, match="of another program"):
        Registry.open(path)
    with pytest.raises(HomeProblem, match="exists already"):
        create(path)
    assert header(path, "journal_mode") == "wal"


def test_another_programs_empty_database_is_left_alone(path: Path) -> None:
    """An application id without tables is somebody's beginning, not an interrupted creation."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA application_id = 7")
    with pytest.raises(RegistryDamaged, match="of another program"):
        Registry.open(path)
    with pytest.raises(HomeProblem, match="exists already"):
        create(path)
    assert header(path, "application_id") == 7


def test_a_migration_that_another_process_made_is_not_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for the lock looks at the version again."""
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.commit()
    begin = Connection.begin

    def begin_after_another(connection: Connection, sql: str) -> None:
        monkeypatch.setattr(Connection, "begin", begin)
        Registry.open(path).close()
        begin(connection, sql)

    monkeypatch.setattr(Connection, "begin", begin_after_another)
    Registry.open(path).close()
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_a_newer_registry_is_refused(registry: Registry, path: Path) -> None:
    """Tables that this version does not know are left to the version that does."""
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(HomeProblem) as caught:
        Registry.open(path)
    assert caught.value.code == "registry_newer"


def test_a_folder_in_its_place_is_told(path: Path) -> None:
    """The system's refusal is ours, with what to do."""
    path.mkdir()
    for attempt in (Registry.open, create):
        with pytest.raises(RegistryFailed) as caught:
            attempt(path)
        assert caught.value.hint


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """The home is made before the registry."""
    with pytest.raises(RegistryFailed, match="No such file"):
        create(tmp_path / "nowhere" / "registry.db")


def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    """Not as missing: something is in the way."""
    (tmp_path / "home").write_text("")
    with pytest.raises(RegistryFailed, match="Not a directory"):
        Registry.open(tmp_path / "home" / "registry.db")


def test_an_older_file_is_brought_up_to_date(path: Path) -> None:
    """From version 0 each migration is applied when it is opened."""
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.commit()
    with Registry.open(path) as opened, writing(opened) as db:
        customers.add(db, slug="acme", name="Acme")
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_an_older_file_can_be_opened_as_it_is(path: Path) -> None:
    """Not a byte is changed, and it says that it is older."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    before = path.read_bytes()
    with Registry.open(path, as_it_is=True) as registry:
        assert (registry.path, registry.tables, registry.is_up_to_date) == (path, 0, False)
    assert path.read_bytes() == before
    with Registry.open(path) as registry:
        assert registry.is_up_to_date
    with Registry.open(path, as_it_is=True) as registry:
        assert (registry.tables, registry.is_up_to_date) == (len(schema.MIGRATIONS), True)


def test_a_migration_that_fails_leaves_the_version_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration is one transaction: all of it or nothing."""
    create(path)
    broken = ("CREATE TABLE extra (x TEXT) STRICT", "CREATE NONSENSE")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    with pytest.raises(HomeProblem):
        Registry.open(path)
    assert header(path, "user_version") == len(schema.MIGRATIONS) - 1
    with closing(sqlite3.connect(path)) as raw:
        sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'"
        assert raw.execute(sql).fetchone() == (0,)


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_each_older_version_is_brought_up_to_date(
    path: Path, registry: Registry, version: int
) -> None:
    """Its rows and its journal stay as they are, and its tables become those of a new one.

    A copy of what it was stays beside it.
    """
    fill(registry)
    with registry.writing(now=NOW, actor=ACTOR) as db:
        db.record(journal.HEAD_NOTED)
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        before = raw.execute("SELECT name, seq FROM row_journal").fetchall()
        raw.executescript(older_tables(version))
    with Registry.open(path) as opened, opened.reading() as db:
        assert customers.get(db, "acme").name == "Acme"
        assert journal.newest_copy(db, journal.HEAD_NOTED) is not None
        assert journal_check.verify(db).problems == ()
        assert list(db.execute("SELECT name, seq FROM row_journal")) == before
    assert header(path, "user_version") == len(schema.MIGRATIONS)
    copy = path.with_name(f"{path.name}.before-v{version + 1}")
    assert (header(copy, "user_version"), copy.stat().st_mode & 0o777) == (version, 0o600)


def test_a_copy_from_before_a_migration_is_never_written_over(
    path: Path, registry: Registry
) -> None:
    """Whoever puts the older file back migrates it again, under the next free name."""
    registry.close()
    for _ in range(2):
        with closing(sqlite3.connect(path)) as raw:
            raw.executescript(older_tables(2))
        Registry.open(path).close()
    copies = sorted(each.name for each in path.parent.glob("*.before-*"))
    assert copies == [f"{path.name}.before-v3", f"{path.name}.before-v3-2"]


def test_a_killed_migration_is_made_again_with_the_copy_that_it_left(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same copy is not made twice, and what is left of a half-written one is removed."""
    fill(registry)
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(older_tables(2))
    (path.parent / ".polygent-before-v3.tmp").write_bytes(b"half")
    with monkeypatch.context() as killed:
        killed.setattr(schema, "migrate", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            Registry.open(path)
    copy = path.with_name(f"{path.name}.before-v3")
    before = (copy.stat().st_ino, copy.read_bytes())
    Registry.open(path).close()
    assert (copy.stat().st_ino, copy.read_bytes()) == before
    assert {each.name for each in path.parent.iterdir()} == {path.name, copy.name}


def test_a_journal_row_that_cannot_be_read_is_left_to_the_check(
    path: Path, registry: Registry
) -> None:
    """The tables are brought up to date all the same, so that `journal verify` can report it."""
    fill(registry)
    registry.close()
    with tampering(path) as raw:
        raw.execute("UPDATE journal SET bytes = x'ff00' WHERE seq = 2")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(older_tables(2))
    with Registry.open(path) as opened, opened.reading(checked=False) as db:
        assert "journal row 2 cannot be read" in journal_check.verify(db).problems


def test_a_later_migration_keeps_rows_and_their_digests(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that starts empty changes nothing that the journal vouches for."""
    fill(registry)
    registry.close()
    later = ("ALTER TABLE customers ADD COLUMN note TEXT",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    with Registry.open(path) as opened, opened.reading() as db:
        assert customers.get(db, "acme").name == "Acme"
        assert journal_check.verify(db).problems == ()
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_a_closed_registry_is_a_bug_not_a_foreign_error(registry: Registry) -> None:
    """Using it after closing is named for what it is."""
    registry.close()
    with pytest.raises(RegistryMisuse), registry.reading():
        pass


def test_opening_imports_neither_cryptography_nor_pydantic(path: Path) -> None:
    """Listing is not slowed by what only signing needs."""
    create(path)
    script = (
        "import sys; from pathlib import Path; from polygent_issuer.registry import Registry\n"
        "Registry.open(Path(sys.argv[1])).close()\n"
        "print([m for m in ('cryptography', 'pydantic', 'keyring', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


SOON = timedelta(milliseconds=50)


def test_peeking_writes_nothing(registry: Registry, path: Path) -> None:
    """The file and its folder stay as they are; writing is refused by SQLite itself."""
    fill(registry)
    before = (path.read_bytes(), path.stat().st_mtime_ns, list(path.parent.iterdir()))
    with Registry.open(path, busy_timeout=SOON, read_only=True) as peeked:
        with peeked.reading() as db:
            assert customers.find(db, "acme").slug == "acme"
        with pytest.raises(RegistryFailed), writing(peeked) as db:
            customers.add(db, slug="x", name="X")
    assert (path.read_bytes(), path.stat().st_mtime_ns, list(path.parent.iterdir())) == before


def test_peeking_migrates_nothing(path: Path) -> None:
    """Tables of an older version are left to a command that was meant."""
    create(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 0")
    before = path.read_bytes()
    with pytest.raises(RegistryFailed) as refused:
        Registry.open(path, busy_timeout=SOON, read_only=True)
    assert "older" in refused.value.message
    assert path.read_bytes() == before


def test_peeking_does_not_wait_for_a_writer(registry: Registry, path: Path) -> None:
    """Whoever holds the file keeps it; after the timeout that is said."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryLocked):
            Registry.open(path, busy_timeout=SOON, read_only=True)
    assert registry.id == REGISTRY_ID
