"""Backups: the whole registry at one instant, private, without overwriting."""

import os
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, fill, ruin_table, writing
from support.tools import require_tool

from polygent_issuer.errors import OutputExists, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.registry import Registry, backup, customers, journal, journal_check
from polygent_issuer.registry.errors import RegistryDamaged

TESTS = Path(__file__).parents[1]
BACK_UP = """
import sys
from datetime import datetime
from pathlib import Path
from polygent_issuer.registry import Registry, backup
place, folder, now = sys.argv[1:]
with Registry.open(place if "://" in place else Path(place)) as registry:
    print(backup.back_up_to(registry, Path(folder), datetime.fromisoformat(now)).path)
"""


def writer(*arguments: str) -> "subprocess.Popen[str]":
    """Start another process that writes to the registry."""
    command = [sys.executable, "-m", "support.registry_writer", *arguments]
    return subprocess.Popen(
        command, cwd=TESTS, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def head_of(path: Path) -> tuple[int, str]:
    """Return the head of a registry whose journal is intact."""
    with Registry.open(path) as registry, registry.reading() as db:
        assert journal_check.verify(db).problems == ()
        return journal.head(db)


def test_a_backup_is_the_registry_in_one_private_file(registry: Registry, tmp_path: Path) -> None:
    """A backup has all rows in one file with mode 0600, and leaves no other file."""
    fill(registry)
    target = tmp_path / "stick" / "x.db"
    target.parent.mkdir()
    before = os.umask(0)
    try:
        written = backup.back_up(registry, target)
    finally:
        os.umask(before)
    with registry.reading() as db:
        assert (written.size, written.head) == journal.head(db)
    assert list(target.parent.iterdir()) == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert head_of(target) == (written.size, written.head)


def test_a_foreign_journal_file_is_not_applied_to_a_new_backup(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal file that another user puts next to a new backup is not applied to it."""
    fill(registry)
    target = tmp_path / "stick" / "x.db"
    target.parent.mkdir()
    prepare_with = publication.prepare_with
    # No page, and a size of one page: SQLite would cut the file down to that.
    cut = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 0, 1, 512, 4096)

    def prepare(fill_it: Callable[[Path], object], to: Path) -> publication.Prepared:
        prepared = prepare_with(fill_it, to)
        Path(f"{prepared.temp}-journal").write_bytes(cut.ljust(512, b"\0"))
        return prepared

    monkeypatch.setattr(publication, "prepare_with", prepare)
    written = backup.back_up(registry, target)
    assert head_of(target) == (written.size, written.head)


def test_a_foreign_journal_file_is_not_applied_before_the_settings(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without a journal of its own applies none, also while settings are written."""
    fill(registry)
    target = tmp_path / "stick" / "x.db"
    target.parent.mkdir()
    cut = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 0, 1, 512, 4096)

    def changes(rows: Mapping[str, str]) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
        (temp,) = target.parent.iterdir()
        journal_file = Path(f"{temp}-journal")
        journal_file.write_bytes(cut.ljust(512, b"\0"))
        yield "INSERT INTO backup_settings VALUES (?, ?)", tuple(rows.items())
        journal_file.unlink(missing_ok=True)

    monkeypatch.setattr(backup, "settings_changes", changes)
    written = backup.back_up(registry, target, {"issuer": "Zoë"})
    assert head_of(target) == (written.size, written.head)


def test_the_path_of_a_backup(registry: Registry, tmp_path: Path) -> None:
    """In a folder a backup is named for its instant and numbered; a file name is used as given."""
    folder = tmp_path / "stick"
    folder.mkdir()
    names = [backup.back_up_to(registry, folder, NOW).path.name for _ in range(3)]
    name = "registry-2026-03-01T093000Z"
    assert names == [f"{name}.db", f"{name}-2.db", f"{name}-3.db"]
    assert backup.back_up_to(registry, tmp_path / "x", NOW).path == tmp_path / "x"
    with pytest.raises(OutputExists):
        backup.back_up_to(registry, tmp_path / "x", NOW)


def test_simultaneous_backups(registry: Registry, tmp_path: Path) -> None:
    """Each process gets its own file name, even if another one takes a name meanwhile."""
    folder = tmp_path / "stick"
    folder.mkdir()
    fill(registry)
    command = [sys.executable, "-c", BACK_UP, str(registry.place), str(folder), NOW.isoformat()]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    paths = [process.communicate()[0].strip() for process in processes]
    assert sorted(paths) == sorted(map(str, folder.iterdir()))
    assert len(set(paths)) == 6


@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_a_backup_overwrites_nothing(registry: Registry, tmp_path: Path, there: str) -> None:
    """An existing file, folder or link is refused and not changed."""
    target = tmp_path / "x.db"
    if there == "file":
        target.write_text("mine")
    elif there == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExists, match="never overwritten"):
        backup.back_up(registry, target)
    assert not (tmp_path / "nowhere").exists()
    assert not list(tmp_path.glob(".polygent-*"))


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that appears during the copy is not overwritten."""
    target = tmp_path / "x.db"
    read_back = backup._read_back

    def late(*arguments: object) -> None:
        target.write_text("theirs")
        read_back(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backup, "_read_back", late)
    with pytest.raises(OutputExists):
        backup.back_up(registry, target)
    assert target.read_text() == "theirs"
    assert not list(tmp_path.glob(".polygent-*"))


def test_settings_are_only_in_the_backup(registry: Registry, tmp_path: Path) -> None:
    """They are read back in their order; the registry itself has none, and an old row is gone."""
    fill(registry)
    with registry.writing(now=NOW, actor=ACTOR) as db:
        db.execute("INSERT INTO backup_settings VALUES ('old', 'x')")
    rows = {"issuer": "Zoë", "b": "", "a": "1\n2"}
    for settings in (rows, {}):
        target = tmp_path / f"{len(settings)}.db"
        assert backup.back_up(registry, target, settings).settings == settings
        with Registry.open(target) as copy, copy.reading() as db:
            assert [*backup.read_settings(db).items()] == [*settings.items()]
            assert journal_check.verify(db).problems == ()
    with registry.reading() as db:
        assert list(db.execute("SELECT name FROM backup_settings")) == [("old",)]


def test_settings_that_were_not_written_are_noticed(registry: Registry, tmp_path: Path) -> None:
    """The copy is removed when its settings are not the ones of the operator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "settings_changes", lambda _: ())
        with pytest.raises(RegistryDamaged, match="is damaged and was removed"):
            backup.back_up(registry, tmp_path / "x.db", {"issuer": "Zoë"})
    assert not (tmp_path / "x.db").exists()


@pytest.mark.sqlite("edits rows of the file")
def test_no_trigger_runs_in_a_backup(registry: Registry, tmp_path: Path) -> None:
    """A registry with a foreign trigger gives a backup as it is, without settings."""
    fill(registry)
    with closing(sqlite3.connect(tmp_path / "registry.db")) as raw:
        for when in ("INSERT", "DELETE"):
            evil = "BEGIN UPDATE customers SET name = 'Evil'; END"
            raw.execute(f"CREATE TRIGGER t{when} AFTER {when} ON backup_settings {evil}")
        raw.execute("INSERT INTO backup_settings VALUES ('old', 'x')")
        raw.execute("UPDATE customers SET name = 'Acme'")
        raw.commit()
    written = backup.back_up(registry, tmp_path / "x.db", {"issuer": "Zoë"})
    assert written.settings == {}
    with closing(sqlite3.connect(tmp_path / "x.db")) as raw:
        assert {name for (name,) in raw.execute("SELECT name FROM customers")} == {"Acme"}
        assert raw.execute("SELECT value FROM backup_settings").fetchall() == [("x",)]


def test_an_invalid_copy_is_removed(registry: Registry, path: Path, tmp_path: Path) -> None:
    """A registry with a broken reference gives no backup."""
    fill(registry)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE licenses SET kid = 'none'")
        raw.commit()
    with pytest.raises(RegistryDamaged, match="is damaged and was removed") as caught:
        backup.back_up(registry, tmp_path / "x.db")
    assert caught.value.hint == "check the registry first: polygent-issue journal verify"
    assert {each.name for each in tmp_path.iterdir()} == {path.name}


def test_a_registry_that_cannot_be_read_gives_no_backup(
    registry: Registry, path: Path, tmp_path: Path
) -> None:
    """An unreadable page is reported as damage of the registry, not of the target."""
    fill(registry)
    registry.close()
    ruin_table(path, "journal")
    with Registry.open(path) as opened, pytest.raises(RegistryDamaged):
        backup.back_up(opened, tmp_path / "x.db")
    assert {each.name for each in tmp_path.iterdir()} == {path.name}


def test_a_missing_folder_is_an_output_problem(registry: Registry, tmp_path: Path) -> None:
    """A missing folder is an output problem with a hint."""
    with pytest.raises(OutputProblem) as caught:
        backup.back_up(registry, tmp_path / "no" / "x.db")
    assert caught.value.hint == "create the folder first"


def test_a_full_disk_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    """A full disk is an output problem with a hint, and leaves no partial backup."""
    require_tool("mount", "mount")
    fill(registry)
    with writing(registry) as db:
        customers.add(db, slug="large", name="Large", contacts=("x" * 190,) * 3000)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        with pytest.raises(OutputProblem, match="SQLITE_FULL") as caught:
            backup.back_up(registry, disk / "x.db")
        assert str(disk / "x.db") in caught.value.message
        assert caught.value.hint == "free space on that disk, then run the command again"
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.sqlite("the file's lock")
def test_a_backup_while_another_process_writes(registry: Registry, tmp_path: Path) -> None:
    """Each backup is a consistent state between writes, and the writer loses nothing."""
    fill(registry)
    path = tmp_path / "registry.db"
    with writer("write", str(path), "200") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "done\n"
        heads: list[backup.Backup] = []
        while other.poll() is None or len(heads) < 2:
            heads.append(backup.back_up(registry, tmp_path / f"{len(heads)}.db"))
        rest = other.stdout.read()
    assert rest == "done\n" * 199
    with registry.reading() as db:
        hashes = {row.seq: row.hash for row in journal.rows(db)}
    assert len(hashes) == 3 + 200
    sizes = [head.size for head in heads]
    assert sizes == sorted(sizes)
    for number, head in enumerate(heads):
        assert head_of(tmp_path / f"{number}.db") == (head.size, head.head)
        assert hashes[head.size] == head.head


@pytest.mark.sqlite("edits rows of the file")
def test_uncommitted_rows_are_not_in_a_backup(registry: Registry, tmp_path: Path) -> None:
    """A backup during an open transaction has the state before it."""
    fill(registry)
    with registry.reading() as db:
        before = journal.head(db)
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("INSERT INTO about VALUES ('x', 'y')")
        written = backup.back_up(registry, tmp_path / "x.db")
        raw.execute("ROLLBACK")
    assert (written.size, written.head) == before
    with closing(sqlite3.connect(tmp_path / "x.db")) as raw:
        assert raw.execute("SELECT count(*) FROM about WHERE name = 'x'").fetchone() == (0,)


def test_the_stamp_has_no_colon() -> None:
    """A stamp has no colon, which Windows does not allow in file names."""
    assert backup.stamp(NOW + timedelta(hours=5)) == "2026-03-01T143000Z"
