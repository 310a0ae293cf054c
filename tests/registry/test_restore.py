"""Restoring a backup: checks, consent for losses, and the kept old file."""

import os
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from support.registries import (
    ACTOR,
    NOW,
    REGISTRY_ID,
    add_license,
    fill,
    new_registry,
    ruin_table,
    tampering,
    writing,
)

from polygent_issuer.errors import (
    ExitCode,
    HomeProblem,
    OutputProblem,
    RegistryChanged,
    UnreadableInput,
)
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent, ConsentNeeded, FindingCode
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.registry import (
    Registry,
    backup,
    change,
    customers,
    journal,
    journal_check,
    keys,
    schema,
)
from polygent_issuer.registry import restore as restoring
from polygent_issuer.registry.backup import back_up, open_backup
from polygent_issuer.registry.errors import RegistryLocked
from polygent_issuer.registry.journal_check import JournalHead
from polygent_issuer.registry.restore import CurrentRegistry

TESTS = Path(__file__).parents[1]
AGREED = Consent(accepted=frozenset({FindingCode.REGISTRY_ROLLBACK}), reason="a test")
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def saved(registry: Registry, tmp_path: Path) -> Path:
    """A backup of a registry with three journal rows; the registry is closed."""
    fill(registry)
    folder = tmp_path / "stick"
    folder.mkdir()
    written = back_up(registry, folder / "b.db")
    registry.close()
    return written.path


def restore(backup: Path, path: Path, consent: Consent = AGREED) -> Path | None:
    """Restore a backup with consent to any loss; return the path of the replaced file."""
    with open_backup(backup, path.parent) as found:
        present = restoring.compare_with_current(path, found)
        finding = restoring.rollback_finding(present)
        kept = restoring.restore(
            found,
            path,
            present,
            findings=(finding,) if finding else (),
            consent=consent,
            now=LATER,
            actor=ACTOR,
        )
    assert not isinstance(kept, str)
    return kept


def rows_of(path: Path) -> list[str]:
    """Return the events of an intact journal."""
    with Registry.open(path) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()
        return [row.event for row in journal.rows(db)]


def finding_of(backup: Path, path: Path) -> str | None:
    """Return the message of the finding of a restoration."""
    with open_backup(backup, path.parent) as found:
        finding = restoring.rollback_finding(restoring.compare_with_current(path, found))
        return None if finding is None else finding.message


def grow(path: Path, *, licenses: int) -> None:
    """Issue licenses that the backup lacks."""
    with Registry.open(path) as registry, writing(registry, now=LATER) as db:
        acme = customers.get(db, "acme")
        for number in range(licenses):
            add_license(db, 100 + number, acme, keys.every(db)[0].kid)


def test_a_missing_registry_is_restored(saved: Path, path: Path) -> None:
    """The journal continues with a row that has the digest and the head of the backup."""
    with Registry.open(path) as registry, registry.reading() as db:
        head = journal.head(db)
    path.unlink()
    assert restore(saved, path) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["registry.db", "stick"]
    assert rows_of(path)[-1] == "registry-restored"
    with Registry.open(path) as registry, registry.reading() as db:
        row = list(journal.rows(db))[-1]
    assert (row.seq, row.at, row.previous) == (head[0] + 1, LATER, head[1])
    assert row.details == {
        "file": str(saved),
        "sha256": sha256(saved.read_bytes()).hexdigest(),
        "size": head[0],
        "head": f"{head[0]}:{head[1]}",
        "replaced": None,
        "kept": None,
    }


def test_an_equal_or_older_registry_needs_no_consent(saved: Path, path: Path) -> None:
    """Nothing is lost, and the old file is kept anyway."""
    assert finding_of(saved, path) is None
    before = path.read_bytes()
    kept = restore(saved, path, Consent())
    assert kept is not None
    assert kept.name == "registry.db.before-restore-2026-03-01T103000Z"
    assert kept.read_bytes() == before
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    # The other direction: the current file has only the row of the restoration in addition.
    assert finding_of(path, path) is None
    again = restore(path, path, Consent())
    assert again is not None
    assert again.name.endswith("Z-2")
    assert rows_of(path)[-2:] == ["registry-restored", "registry-restored"]


def test_newer_rows_need_consent(saved: Path, path: Path) -> None:
    """The finding has the lost rows and licenses and their first instant."""
    grow(path, licenses=2)
    before = path.read_bytes()
    assert finding_of(saved, path) == (
        "the current registry contains 2 licenses and 1 journal row that the backup lacks, "
        "since 2026-03-01T10:30:00Z"
    )
    with pytest.raises(ConsentNeeded):
        restore(saved, path, Consent())
    assert path.read_bytes() == before
    kept = restore(saved, path)
    assert kept is not None
    assert kept.read_bytes() == before
    with Registry.open(path) as registry, registry.reading() as db:
        row = list(journal.rows(db))[-1]
    assert (row.accepted, row.reason) == (("registry-rollback",), "a test")
    assert str(row.details["replaced"]).startswith("4:")
    assert row.details["kept"] == kept.name


def test_registry_and_backup_were_both_changed(saved: Path, path: Path) -> None:
    """The finding reports that both have rows that the other lacks."""
    grow(path, licenses=1)
    other = saved.parent / "other.db"
    shutil.copy(saved, other)
    grow(other, licenses=2)
    with Registry.open(other) as registry, writing(registry) as db:
        customers.add(db, slug="late", name="Late")
    message = finding_of(other, path)
    assert message is not None
    assert "1 journal row that the backup lacks" in message
    assert message.endswith("; the backup has 2 rows that the registry lacks, so both were changed")


def test_another_registry_needs_consent(saved: Path, path: Path) -> None:
    """The finding reports that the current registry is another one, with its id."""
    path.unlink()
    Registry.create(path, now=LATER, actor=ACTOR, registry_id="another-id").close()
    assert finding_of(saved, path) == (
        "the backup was not made from the current registry (another-id), which contains 0 "
        "licenses and 1 journal row that the backup lacks, since 2026-03-01T10:30:00Z"
    )
    restore(saved, path)
    with Registry.open(path) as registry:
        assert registry.id == REGISTRY_ID


@pytest.mark.parametrize(
    "ruin",
    [
        lambda path: ruin_table(path, "journal"),
        lambda path: path.write_bytes(b"rubbish" * 1000),
    ],
    ids=["journal", "all"],
)
def test_a_damaged_registry_is_replaced_and_kept(
    saved: Path, path: Path, ruin: Callable[[Path], None]
) -> None:
    """A damaged registry cannot be compared, so it needs consent; it is kept."""
    ruin(path)
    before = path.read_bytes()
    message = finding_of(saved, path)
    assert message is not None
    assert "cannot be read, so the rows that the backup lacks are unknown" in message
    kept = restore(saved, path)
    assert kept is not None
    assert kept.read_bytes() == before
    assert rows_of(path)[-1] == "registry-restored"
    with Registry.open(path) as registry, registry.reading() as db:
        assert list(journal.rows(db))[-1].details["replaced"] is None


def test_an_empty_file_is_not_kept(saved: Path, path: Path) -> None:
    """An empty file of an interrupted creation is not kept."""
    path.write_bytes(b"")
    assert restore(saved, path) is None
    assert rows_of(path)[-1] == "registry-restored"


def hot_journal(path: Path) -> bytes:
    """Return the file of a registry whose writer was killed, with its journal file."""
    command = [sys.executable, "-m", "support.registry_writer", "hold", str(path), "0"]
    with subprocess.Popen(
        command, cwd=TESTS, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
        other.kill()
    return Path(f"{path}-journal").read_bytes()


def test_a_hot_journal_of_a_readable_registry_is_rolled_back_first(saved: Path, path: Path) -> None:
    """The old file is rolled back; the journal file is not applied to the new one."""
    with Registry.open(path) as registry, registry.reading() as db:
        before = journal.head(db)
    assert hot_journal(path)
    kept = restore(saved, path)
    assert kept is not None
    assert not Path(f"{path}-journal").exists()
    assert rows_of(path)[-1] == "registry-restored"
    with Registry.open(kept) as registry, registry.reading() as db:
        assert journal.head(db) == before


def test_a_hot_journal_without_its_registry_is_moved(saved: Path, path: Path) -> None:
    """Otherwise SQLite would apply it to the new file."""
    content = hot_journal(path)
    path.unlink()
    assert restore(saved, path) is None
    assert not Path(f"{path}-journal").exists()
    assert rows_of(path) == ["registry-created", "test", "test", "registry-restored"]
    aside = path.with_name("registry.db.before-restore-journal")
    assert aside.read_bytes() == content


def test_a_hot_journal_of_a_damaged_registry_is_not_applied(saved: Path, path: Path) -> None:
    """SQLite may apply it to the old file, but not to the new one."""
    hot_journal(path)
    path.write_bytes(b"rubbish" * 1000)
    assert restore(saved, path) is not None
    assert not Path(f"{path}-journal").exists()
    assert rows_of(path) == ["registry-created", "test", "test", "registry-restored"]


def test_a_backup_with_a_hot_journal_is_rolled_back(saved: Path, path: Path) -> None:
    """A raw copy of both files is rolled back in the private copy, and not changed."""
    before = rows_of(saved)
    content = hot_journal(saved)
    half = saved.read_bytes()
    path.unlink()
    restore(saved, path)
    assert rows_of(path) == [*before, "registry-restored"]
    assert saved.read_bytes() == half
    assert Path(f"{saved}-journal").read_bytes() == content


def naming_super_journal(victim: Path) -> bytes:
    """Return a rollback journal without pages, with a super-journal (SQLite, file format §3)."""
    magic = bytes.fromhex("d9d505f920a163d7")
    header = magic + struct.pack(">IIIII", 0, 0, 1, 512, 4096)
    name = os.fsencode(victim)
    end = struct.pack(">I", 262145) + name + struct.pack(">II", len(name), sum(name)) + magic
    return header.ljust(512, b"\0") + end


def test_a_journal_of_a_backup_removes_no_other_file(
    saved: Path, path: Path, tmp_path: Path
) -> None:
    """A super-journal in it, which SQLite would remove, is refused."""
    victim = tmp_path / "main.key"
    victim.write_text("precious")
    Path(f"{saved}-journal").write_bytes(naming_super_journal(victim))
    with pytest.raises(HomeProblem, match="its SQLite journal refers to other files"):
        restore(saved, path)
    assert victim.read_text() == "precious"
    assert [each.name for each in path.parent.glob(".polygent-*")] == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_a_journal_of_another_user_is_refused(saved: Path, path: Path) -> None:
    """In a folder like /tmp another user could change the content of a backup with it."""
    before = rows_of(saved)
    hot_journal(saved)
    os.chown(f"{saved}-journal", 65534, 65534)
    with pytest.raises(HomeProblem, match="belongs to another user than the backup"):
        restore(saved, path)
    assert rows_of(path) == before


def test_pending_deliveries_of_a_backup_lose_their_destination(
    saved: Path, path: Path, tmp_path: Path
) -> None:
    """The journal does not record destinations, so a forged backup could choose them."""
    at = "2026-03-01T09:30:00Z"
    sql = f"INSERT INTO outbox SELECT id, ?, 'evil.desktop', '{at}', NULL FROM licenses"  # noqa: S608
    with closing(sqlite3.connect(saved)) as raw:
        raw.execute(f"{sql} WHERE replaced_by IS NULL", (str(tmp_path),))
        raw.commit()
    restore(saved, path)
    with Registry.open(path) as registry:
        prefix = outbox_delivery.temp_prefix(registry.id)
        with writing(registry, now=LATER) as db:
            outbox_delivery.deliver_pending(db, prefix)
        with registry.reading() as db:
            assert [(row.folder, row.name) for row in change.pending(db)] == [(None, None)]
        assert "polygent-issue license export" in outbox_delivery.undelivered_warnings(registry)[0]
    assert not (tmp_path / "evil.desktop").exists()


def test_a_restored_one_has_no_settings(registry: Registry, path: Path, tmp_path: Path) -> None:
    """The settings of a backup are read from it, and its table is empty afterwards."""
    written = back_up(registry, tmp_path / "b.db", {"issuer": "Zoë"})
    registry.close()
    with open_backup(written.path, path.parent) as found:
        assert found.settings == {"issuer": "Zoë"}
    restore(written.path, path)
    with Registry.open(path) as restored, restored.reading() as db:
        assert backup.read_settings(db) == {}
        assert journal_check.verify(db).problems == ()


def test_too_many_settings_are_refused(saved: Path, path: Path) -> None:
    """A forged backup does not fill the memory, not even behind a NUL."""
    with closing(sqlite3.connect(saved)) as raw:
        value = "\0" + "x" * backup.MAX_SETTINGS
        raw.execute("INSERT INTO backup_settings VALUES ('issuer', ?)", (value,))
        raw.commit()
    with pytest.raises(HomeProblem, match="contains settings of more than 262144 bytes") as caught:
        restore(saved, path)
    assert caught.value.code == "backup_refused"


def test_an_edited_registry_id_cannot_name_another_folder() -> None:
    """Temporary files begin with the id, and are swept by that prefix."""
    assert outbox_delivery.temp_prefix("5f0c6f0e-7b8d") == ".polygent-5f0c6f0e-"
    assert outbox_delivery.temp_prefix("/../\n\u202e*") == ".polygent-_______-"


def test_another_process_does_not_write_into_the_old_file(saved: Path, path: Path) -> None:
    """A process that waited for the lock during a restoration stops."""
    command = [sys.executable, "-m", "support.registry_writer", "waiting", str(path), "0"]
    with subprocess.Popen(
        command, cwd=TESTS, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        with open_backup(saved, path.parent) as found:
            present = restoring.compare_with_current(path, found)
            swap = restoring._swap

            def swap_slowly(copy: Path, there: Path, kept: Path | None) -> None:
                # The lock is held: only now may the other one try to get it.
                other.stdin.write("go\n")  # type: ignore[union-attr]
                other.stdin.flush()  # type: ignore[union-attr]
                assert other.stdout is not None
                assert other.stdout.readline() == "waiting\n"
                swap(copy, there, kept)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(restoring, "_swap", swap_slowly)
                kept = restoring.restore(
                    found,
                    path,
                    present,
                    findings=(),
                    consent=Consent(),
                    now=LATER,
                    actor=ACTOR,
                )
        assert other.stdout.read() == "registry_changed\n"
    assert isinstance(kept, Path)
    assert rows_of(kept) == ["registry-created", "test", "test"]
    assert rows_of(path) == ["registry-created", "test", "test", "registry-restored"]


def test_an_older_connection_cannot_write(saved: Path, path: Path) -> None:
    """A connection to the replaced file can only read."""
    with Registry.open(path) as old:
        restore(saved, path)
        with pytest.raises(RegistryChanged, match="was replaced while") as caught, writing(old):
            pass
        assert caught.value.exit_code == ExitCode.REGISTRY
        with old.reading() as db:
            assert customers.get(db, "acme").name == "Acme"


def test_a_file_that_is_replaced_while_it_is_opened_is_noticed(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement between the check of the path and SQLite's opening is noticed."""
    connect = sqlite3.connect

    def late(*arguments: object, **named: object) -> sqlite3.Connection:
        opened = connect(*arguments, **named)  # type: ignore[call-overload]
        saved.replace(path)
        return opened  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", late)
    with pytest.raises(RegistryChanged):
        Registry.open(path)


def test_a_write_after_the_preview_stops_a_restoration(saved: Path, path: Path) -> None:
    """The operator consented to another loss."""
    with open_backup(saved, path.parent) as found:
        present = restoring.compare_with_current(path, found)
        grow(path, licenses=1)
        before = path.read_bytes()
        with pytest.raises(RegistryChanged, match="after the preview"):
            restoring.restore(
                found, path, present, findings=(), consent=Consent(), now=LATER, actor=ACTOR
            )
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["registry.db", "stick"]


def test_a_restoration_gives_up_on_a_locked_registry(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the busy timeout it is an error, and nothing is changed."""
    monkeypatch.setattr(restoring, "BUSY_TIMEOUT", timedelta(milliseconds=10))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryLocked):
            restore(saved, path)
    assert finding_of(saved, path) is None


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "there"])
def test_a_failed_restoration_is_undone(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool, lost: bool
) -> None:
    """If the last rename fails, every file has its name again, and no other file is left."""
    if lost:
        hot_journal(path)
        path.unlink()
    before = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    replace = Path.replace

    def refuse(self: Path, target: Path | str) -> Path:
        if self.name.startswith(".polygent-restore-") and Path(target) == path:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    if not links:
        monkeypatch.setattr(os, "link", _no_link)
    with pytest.raises(OutputProblem, match="input/output error"):
        restore(saved, path)
    after = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}
    assert after == before


def _no_link(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_without_hard_links_the_old_file_is_moved(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is the same without hard links."""
    before = path.read_bytes()
    monkeypatch.setattr(os, "link", _no_link)
    kept = restore(saved, path)
    assert kept is not None
    assert kept.read_bytes() == before
    assert rows_of(path)[-1] == "registry-restored"


def test_a_failed_link_stops_a_restoration(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An I/O error is not a lack of hard links: the old file must be kept."""
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OutputProblem):
        restore(saved, path)
    assert path.read_bytes() == before


def test_a_failed_sync_is_reported(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup is restored, and the error states that this may not be durable."""

    def fail(_: Path) -> None:
        raise OutputProblem("cannot write it: input/output error")

    monkeypatch.setattr(disk, "sync_folder", fail)
    with pytest.raises(OutputProblem, match="the backup is restored, but the change"):
        restore(saved, path)
    assert rows_of(path)[-1] == "registry-restored"


def test_a_restoration_removes_the_temporary_files_of_a_crash(saved: Path, path: Path) -> None:
    """The private copy of a killed restoration is removed."""
    (path.parent / ".polygent-restore-1.tmp").write_text("half a copy")
    restore(saved, path)
    assert not list(path.parent.glob(".polygent-*"))


def refused(backup: Path, path: Path, *against: JournalHead) -> str:
    """Return the reason for refusing a backup; nothing is left and nothing changed."""
    before = path.read_bytes()
    opening = open_backup(backup, path.parent, against=against)
    with pytest.raises(HomeProblem) as caught, opening:
        pytest.fail("it was taken")
    assert (caught.value.code, caught.value.exit_code) == ("backup_refused", ExitCode.REGISTRY)
    other = "a newer backup, or leave out --against if you have no newer one"
    wanted = other if against else "another backup"
    assert caught.value.hint == f"nothing was changed; restore {wanted}"
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".polygent-*"))
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty: its creation was interrupted"),
        (b"some text", "is damaged, or not a backup of a registry"),
        (b"a license file, say" * 500, "is damaged, or not a backup of a registry"),
    ],
)
def test_a_file_that_is_not_a_database_is_refused(
    saved: Path, path: Path, content: bytes, told: str
) -> None:
    """The error names the backup."""
    saved.write_bytes(content)
    assert refused(saved, path) == f"the backup {saved} {told}"


def test_a_database_of_another_program_is_refused(saved: Path, path: Path) -> None:
    """A valid database of another program is refused."""
    saved.unlink()
    with closing(sqlite3.connect(saved)) as raw:
        raw.execute("CREATE TABLE t (x)")
    assert refused(saved, path) == f"the backup {saved} is a database of another program"


@pytest.mark.parametrize("part", [100, 4096, 40_960, -4096, -1])
def test_a_truncated_backup_is_refused(saved: Path, path: Path, part: int) -> None:
    """A truncated backup is refused."""
    saved.write_bytes(saved.read_bytes()[:part])
    assert str(saved) in refused(saved, path)


def test_a_newer_backup_is_refused(saved: Path, path: Path) -> None:
    """A backup of a later version is refused."""
    with closing(sqlite3.connect(saved)) as raw:
        raw.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(HomeProblem, match="newer polygent-issue"), open_backup(saved, path.parent):
        pass


def test_an_older_backup_is_migrated(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables are compared with those of its own version; the backup is not changed."""
    later = (
        "ALTER TABLE customers ADD COLUMN note TEXT",
        "CREATE INDEX customers_by_note ON customers (note)",
    )
    before = saved.read_bytes()
    version = len(schema.MIGRATIONS)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    path.unlink()
    restore(saved, path)
    assert rows_of(path)[-1] == "registry-restored"
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (version + 1,)
    assert saved.read_bytes() == before


TRIGGER = """CREATE TRIGGER evil AFTER INSERT ON journal
    BEGIN UPDATE customers SET crm = 1; END"""
HIDDEN = """PRAGMA writable_schema = ON;
    INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES
    ('trigger', 'sqlite_x', 'journal', 0, 'CREATE TRIGGER sqlite_x AFTER INSERT ON journal
    BEGIN UPDATE customers SET crm = 1; END')"""


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (TRIGGER, "evil is not a table"),
        (HIDDEN, "sqlite_x is not a table"),
        ("CREATE VIEW v AS SELECT * FROM customers", "v is not a table"),
        ("CREATE TABLE more (x)", "more is not a table"),
        ("DROP TRIGGER journal_rows_stay", "journal_rows_stay is missing"),
        ("DROP INDEX licenses_by_kid", "licenses_by_kid is missing"),
        ("UPDATE customers SET name = 'Evil'", "customers/1 was changed outside the journal"),
        ("UPDATE licenses SET kid = 'x'", "a row of licenses refers to a missing row"),
    ],
)
def test_a_backup_that_was_tampered_with_is_refused(
    saved: Path, path: Path, sql: str, told: str
) -> None:
    """Added or missing triggers, edited rows and broken references are refused; none runs."""
    with closing(sqlite3.connect(saved)) as raw:
        raw.executescript(sql)
    message = refused(saved, path)
    assert message.startswith(f"the backup {saved} was changed or damaged: ")
    assert told in message


def test_a_wrong_index_is_found(saved: Path, path: Path) -> None:
    """SQLite's integrity check finds two swapped pages."""
    with closing(sqlite3.connect(saved)) as raw:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (one,) = raw.execute(sql, ("licenses_by_kid",)).fetchone()
        (two,) = raw.execute(sql, ("licenses_by_customer",)).fetchone()
    data = bytearray(saved.read_bytes())
    first, second = (slice((page - 1) * 4096, page * 4096) for page in (one, two))
    data[first], data[second] = data[second], data[first]
    saved.write_bytes(data)
    assert "SQLite reports a damaged file" in refused(saved, path)


def test_many_problems_are_counted(saved: Path, path: Path) -> None:
    """The first three problems are named, the others counted."""
    with tampering(saved) as raw:
        raw.execute("UPDATE customers SET crm = 'x'")
        raw.execute("UPDATE licenses SET plan = 'x'")
    assert refused(saved, path).endswith("; and 1 more")


def test_a_noted_head_must_be_in_the_backup(saved: Path, path: Path) -> None:
    """A replaced or older backup is found by a head that was noted elsewhere."""
    grow(path, licenses=1)
    with Registry.open(path) as registry, registry.reading() as db:
        size, digest = journal.head(db)
    message = refused(saved, path, JournalHead(size=size, digest=bytes.fromhex(digest)))
    assert "an older copy was restored" in message


def test_only_a_regular_file_is_restored(saved: Path, path: Path) -> None:
    """A folder, a pipe, a device and a missing file are refused; a link to a file is accepted."""
    folder = saved.parent
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(saved)
    (folder / "dangling").symlink_to("nowhere")
    for source in (folder, folder / "pipe", Path("/dev/null"), folder / "dangling", folder / "no"):
        with (
            pytest.raises(UnreadableInput) as caught,
            open_backup(source, path.parent),
        ):
            pass
        assert str(source) in caught.value.message
        assert caught.value.hint
    restore(folder / "link", path)
    assert rows_of(path)[-1] == "registry-restored"


def test_a_full_home_is_an_output_problem(
    saved: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The private copy needs space in the home."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputProblem, match="no space"),
        open_backup(saved, path.parent),
    ):
        pass
    assert not list(path.parent.glob(".polygent-*"))


def test_a_missing_registry_needs_no_consent() -> None:
    """Only a loss is a finding."""
    assert restoring.rollback_finding(None) is None
    assert restoring.rollback_finding(CurrentRegistry(size=3, rows_gained=4)) is None


def test_two_registries_share_no_row(tmp_path: Path) -> None:
    """Registries differ from their first row on, which has the id."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with new_registry(tmp_path / "a") as registry:
        fill(registry)
    Registry.create(tmp_path / "b" / "registry.db", now=NOW, actor=ACTOR, registry_id="b").close()
    message = finding_of(tmp_path / "b" / "registry.db", tmp_path / "a" / "registry.db")
    assert message is not None
    assert "which contains 2 licenses and 3 journal rows that the backup lacks" in message
