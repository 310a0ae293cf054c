"""Create and open a registry."""

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
from polygent_issuer.registry.errors import (
    RegistryDamaged,
    RegistryFailed,
    RegistryLocked,
    RegistryMissing,
    RegistryMisuse,
)
from polygent_issuer.registry.sqlite import SqliteConnection


def create(path: Path) -> None:
    """Create a registry and close it."""
    Registry.create(path, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID).close()


def open_files() -> set[Path]:
    """Return the files that this process has open, if the system shows them."""
    folder = Path("/proc/self/fd")
    links = list(folder.iterdir()) if folder.is_dir() else []
    return {link.resolve() for link in links if link.exists()}


def header(path: Path, pragma: str) -> object:
    """Return the value of a pragma in the file's header."""
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute(f"PRAGMA {pragma}").fetchone()[0]


def test_a_new_registry_is_one_private_file(path: Path) -> None:
    """A new registry is one file with mode 0600; no other file is left."""
    before = os.umask(0)
    try:
        create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_header_identifies_the_file(registry: Registry, path: Path) -> None:
    """The header has the application id and the version of the tables."""
    assert registry.id == REGISTRY_ID
    assert header(path, "application_id") == 0x504C4749
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_the_creation_is_the_first_journal_row(registry: Registry) -> None:
    """The first journal row records who created the registry, where and when."""
    with registry.reading() as db:
        (row,) = journal.rows(db)
        assert journal_check.verify(db).problems == ()
    assert (row.seq, row.event, row.at, row.operator) == (1, "registry-created", NOW, "Ada")
    assert (row.body["os_user"], row.body["uid"], row.body["host"]) == ("ada", 1000, "desk")
    assert row.details == {"registry": REGISTRY_ID}
    assert row.previous == "00" * 32


def test_a_commit_is_durable(path: Path, registry: Registry) -> None:
    """A committed row is there when the registry is opened again."""
    fill(registry)
    registry.close()
    with Registry.open(path) as again, again.reading() as db:
        assert [customer.slug for customer in customers.every(db)] == ["acme", "globex"]
        assert journal_check.verify(db).problems == ()


def test_open_never_creates_a_registry(path: Path) -> None:
    """Opening a missing registry is an error, and creates no file."""
    with pytest.raises(RegistryMissing) as caught:
        Registry.open(path)
    assert (caught.value.code, caught.value.exit_code) == ("registry_missing", ExitCode.REGISTRY)
    assert (
        caught.value.hint
        == "polygent-issue registry restore BACKUP; in a new home: polygent-issue init"
    )
    assert not path.exists()


def test_an_interrupted_creation_can_be_repeated(path: Path) -> None:
    """An empty file counts as missing, and a creation uses it."""
    path.touch(0o644)
    with pytest.raises(RegistryMissing, match="empty"):
        Registry.open(path)
    create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Registry.open(path).close()


def test_a_creation_overwrites_no_registry(registry: Registry, path: Path) -> None:
    """Creating a registry over an existing one is refused and changes nothing."""
    fill(registry)
    before = path.read_bytes()
    with pytest.raises(HomeProblem, match="already exists"):
        create(path)
    assert path.read_bytes() == before


def test_a_creation_waits_for_another_one(path: Path) -> None:
    """A creation that cannot get the lock is an error, and leaves the file alone."""
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
    """A registry without its id is damaged."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DELETE FROM about")
        raw.commit()
    with pytest.raises(RegistryDamaged, match="has no id"):
        _ = registry.id


@pytest.mark.parametrize("content", [b"not a database\n" * 400, b"\x00" * 8192])
def test_a_foreign_file_is_damaged_and_left_alone(path: Path, content: bytes) -> None:
    """A file that is not a database is neither opened nor overwritten."""
    path.write_bytes(content)
    with pytest.raises(RegistryDamaged) as damaged:
        Registry.open(path)
    with pytest.raises(HomeProblem, match="already exists") as there:
        create(path)
    assert path not in open_files()
    assert (damaged.value.code, there.value.code) == ("registry_damaged", "registry_exists")
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_not_changed(path: Path) -> None:
    """Not even the journal mode of another program's database is changed."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE theirs (x)")
    with pytest.raises(RegistryDamaged, match="of another program"):
        Registry.open(path)
    with pytest.raises(HomeProblem, match="already exists"):
        create(path)
    assert header(path, "journal_mode") == "wal"


def test_an_empty_database_of_another_program_is_refused(path: Path) -> None:
    """An application id without tables is not an interrupted creation."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA application_id = 7")
    with pytest.raises(RegistryDamaged, match="of another program"):
        Registry.open(path)
    with pytest.raises(HomeProblem, match="already exists"):
        create(path)
    assert header(path, "application_id") == 7


def test_a_migration_by_another_process_is_not_repeated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waited for the lock reads the version again."""
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.commit()
    begin = SqliteConnection.begin

    def begin_after_another(connection: SqliteConnection, sql: str) -> None:
        monkeypatch.setattr(SqliteConnection, "begin", begin)
        Registry.open(path).close()
        begin(connection, sql)

    monkeypatch.setattr(SqliteConnection, "begin", begin_after_another)
    Registry.open(path).close()
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_a_newer_registry_is_refused(registry: Registry, path: Path) -> None:
    """Tables of a later version are refused."""
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(HomeProblem) as caught:
        Registry.open(path)
    assert caught.value.code == "registry_newer"


def test_a_folder_in_its_place_is_an_error(path: Path) -> None:
    """A folder in the place of the registry is an error with a hint."""
    path.mkdir()
    for attempt in (Registry.open, create):
        with pytest.raises(RegistryFailed) as caught:
            attempt(path)
        assert caught.value.hint


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A registry in a missing folder cannot be created."""
    with pytest.raises(RegistryFailed, match="No such file"):
        create(tmp_path / "nowhere" / "registry.db")


def test_a_path_through_a_file_is_an_error(tmp_path: Path) -> None:
    """A path that continues below a file is not reported as a missing registry."""
    (tmp_path / "home").write_text("")
    with pytest.raises(RegistryFailed, match="Not a directory"):
        Registry.open(tmp_path / "home" / "registry.db")


def test_an_older_file_is_migrated(path: Path) -> None:
    """Each missing migration is applied when a file is opened."""
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.commit()
    with Registry.open(path) as opened, writing(opened) as db:
        customers.add(db, slug="acme", name="Acme")
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_an_older_file_can_be_opened_as_it_is(path: Path) -> None:
    """Without `migrate` no byte is changed, and `is_up_to_date` is False."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    before = path.read_bytes()
    with Registry.open(path, migrate=False) as registry:
        assert (registry.place, registry.tables, registry.is_up_to_date) == (path, 0, False)
    assert path.read_bytes() == before
    with Registry.open(path) as registry:
        assert registry.is_up_to_date
    with Registry.open(path, migrate=False) as registry:
        assert (registry.tables, registry.is_up_to_date) == (len(schema.MIGRATIONS), True)


def test_a_failed_migration_is_undone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is one transaction, which is undone completely."""
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
def test_each_older_version_is_migrated(path: Path, registry: Registry, version: int) -> None:
    """Rows and journal stay, the tables become those of a new registry, and a copy is kept."""
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


def test_a_copy_from_before_a_migration_is_never_overwritten(
    path: Path, registry: Registry
) -> None:
    """A second migration keeps its copy, which differs, under the next free name."""
    registry.close()
    for number in range(2):
        with closing(sqlite3.connect(path)) as raw:
            raw.executescript(older_tables(6))
            raw.execute("INSERT INTO about VALUES (?, '')", (str(number),))
            raw.commit()
        Registry.open(path).close()
    copies = sorted(each.name for each in path.parent.glob("*.before-*"))
    assert copies == [f"{path.name}.before-v7", f"{path.name}.before-v7-2"]


def test_a_killed_migration_is_repeated(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An equal copy is not made twice, and a partial copy is removed."""
    fill(registry)
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(older_tables(6))
    (path.parent / ".polygent-before-v7.tmp").write_bytes(b"half")
    with monkeypatch.context() as killed:
        killed.setattr(schema, "migrate", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            Registry.open(path)
    copy = path.with_name(f"{path.name}.before-v7")
    before = (copy.stat().st_ino, copy.read_bytes())
    Registry.open(path).close()
    assert (copy.stat().st_ino, copy.read_bytes()) == before
    assert {each.name for each in path.parent.iterdir()} == {path.name, copy.name}


def test_an_unreadable_journal_row_does_not_stop_a_migration(
    path: Path, registry: Registry
) -> None:
    """The tables are migrated, so that `journal verify` can report the row."""
    fill(registry)
    registry.close()
    with tampering(path) as raw:
        raw.execute("UPDATE journal SET bytes = x'ff00' WHERE seq = 2")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(older_tables(2))
    with Registry.open(path) as opened, opened.reading(checked=False) as db:
        assert "journal row 2 cannot be read" in journal_check.verify(db).problems


def test_a_name_that_is_not_utf_8_does_not_stop_a_migration(path: Path, registry: Registry) -> None:
    """Only that customer cannot be used; the others are found by their names as before."""
    fill(registry)
    with registry.writing(now=NOW, actor=ACTOR) as db:
        customers.add(db, slug="zorro", name="Zorro")
        db.record("customer-added")
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(older_tables(3))
        raw.execute("UPDATE customers SET name = CAST(x'ff41' AS TEXT) WHERE slug = 'acme'")
        raw.commit()
    with Registry.open(path) as opened, opened.reading() as db:
        assert customers.find(db, "ZORRO").slug == "zorro"
        with pytest.raises(RegistryDamaged):
            customers.get(db, "acme")


def test_a_later_migration_keeps_rows_and_their_digests(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new empty column does not change the digests of rows."""
    fill(registry)
    registry.close()
    later = ("ALTER TABLE customers ADD COLUMN note TEXT",)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    with Registry.open(path) as opened, opened.reading() as db:
        assert customers.get(db, "acme").name == "Acme"
        assert journal_check.verify(db).problems == ()
    assert header(path, "user_version") == len(schema.MIGRATIONS)


def test_using_a_closed_registry_is_misuse(registry: Registry) -> None:
    """Using a registry after closing it is `registry_misuse`."""
    registry.close()
    with pytest.raises(RegistryMisuse), registry.reading():
        pass


def test_opening_imports_neither_cryptography_nor_pydantic(path: Path) -> None:
    """Opening a registry does not import modules that only signing needs."""
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


def test_read_only_writes_nothing(registry: Registry, path: Path) -> None:
    """With `read_only` the file and its folder do not change, and SQLite refuses writes."""
    fill(registry)
    before = (path.read_bytes(), path.stat().st_mtime_ns, list(path.parent.iterdir()))
    with Registry.open(path, busy_timeout=SOON, read_only=True) as peeked:
        with peeked.reading() as db:
            assert customers.find(db, "acme").slug == "acme"
        with pytest.raises(RegistryFailed), writing(peeked) as db:
            customers.add(db, slug="x", name="X")
    assert (path.read_bytes(), path.stat().st_mtime_ns, list(path.parent.iterdir())) == before


def test_read_only_migrates_nothing(path: Path) -> None:
    """With `read_only` tables of an older version are an error, and are not migrated."""
    create(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 0")
    before = path.read_bytes()
    with pytest.raises(RegistryFailed) as refused:
        Registry.open(path, busy_timeout=SOON, read_only=True)
    assert "older" in refused.value.message
    assert path.read_bytes() == before


def test_read_only_does_not_wait_long_for_a_writer(registry: Registry, path: Path) -> None:
    """With `read_only` a lock is an error after the given timeout."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryLocked):
            Registry.open(path, busy_timeout=SOON, read_only=True)
    assert registry.id == REGISTRY_ID
