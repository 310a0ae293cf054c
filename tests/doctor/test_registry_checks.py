"""Checks of the registry, its journal, and their copies elsewhere."""

import signal
import sqlite3
import subprocess
import sys
import tempfile
import zoneinfo
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import NOW, Desk, Outcome
from support.licenses import Books
from support.registries import older_tables, tampering
from support.rows import as_nobody, look, mend, row, rows, state

from polygent_issuer.doctor import State, examine
from polygent_issuer.registry import schema

PAGE = 4096
ID = "1f3a9c2e-0000-4000-8000-000000000000"
OF_REGISTRY = ("tables", "clock", "outbox", "customer-zones", "journal-head", "registry-backup")
LATER = ("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT",)


def assert_unreadable(outcome: Outcome, told: str) -> None:
    """Exit 7, one failure that says why; all that rests on the registry is not checked."""
    assert outcome.code == 7
    found = row(outcome, "registry")
    assert found["state"] == "fail"
    assert told in found["message"]
    for name in (*OF_REGISTRY, "integrity", "journal", "key", "active-key", "key-backup"):
        assert row(outcome, name) == {
            "name": name,
            "state": "not_checked",
            "message": "not checked: the registry cannot be opened",
            "mend": None,
        }
    assert row(outcome, "settings")["state"] == "ok"
    assert outcome.err == ""


def overwrite(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Change bytes in the first page of a table or an index."""
    with closing(sqlite3.connect(path)) as raw:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (number,) = raw.execute(sql, (name,)).fetchone()
    data = path.read_bytes()
    start = (number - 1) * PAGE
    at = data.index(old, start, start + PAGE)
    path.write_bytes(data[:at] + new + data[at + len(new) :])


def test_a_sound_registry(books: Books) -> None:
    """Its size, its version, what is in it."""
    books.license(books.customer())
    size = books.path.stat().st_size // 1024
    outcome = books.desk.run("doctor", "--json")
    assert row(outcome, "registry")["message"] == f"{books.path}, {size} KiB"
    assert row(outcome, "tables")["message"] == (
        f"version {len(schema.MIGRATIONS)}; rows: "
        "customers 1, machines 0, licenses 1, keys 1, journal 4"
    )
    assert row(outcome, "integrity")["message"] == "no problems found by SQLite"
    assert row(outcome, "journal")["message"] == "intact; rows: 4"
    assert row(outcome, "outbox")["message"] == "every license file was delivered"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (b"\x00" * 100, "is damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "is damaged"),
        (b"", "its creation was interrupted"),
    ],
)
def test_a_file_that_is_no_registry(books: Books, damage: bytes, told: str) -> None:
    """The one row of the registry says what it is instead."""
    books.path.write_bytes(damage)
    assert_unreadable(books.desk.run("doctor", "--json"), told)


def test_a_registry_that_is_gone(books: Books) -> None:
    """It is not made by the way."""
    books.path.unlink()
    assert_unreadable(books.desk.run("doctor", "--json"), "there is no registry at")
    assert not books.path.exists()


def test_a_newer_registry(books: Books) -> None:
    """As every command says it."""
    with closing(sqlite3.connect(books.path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    assert_unreadable(books.desk.run("doctor", "--json"), "was written by a newer polygent-issue")


def test_an_older_registry_is_left_as_it_is(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning; what is read from its tables waits for the command that brings them up to date."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, LATER))
    before = books.path.read_bytes()
    outcome = books.desk.run("doctor", "--json")
    assert books.path.read_bytes() == before
    tables = row(outcome, "tables")
    assert tables["state"] == "warn"
    assert "older than this polygent-issue" in tables["message"]
    assert row(outcome, "registry")["state"] == row(outcome, "integrity")["state"] == "ok"
    for name in ("journal", "clock", "outbox", "active-key", "key", "registry-backup"):
        assert row(outcome, name)["message"] == (
            "not checked: the tables of the registry have an older version"
        )
    mend(books.desk, "tables")
    assert state(books.desk, "tables") == state(books.desk, "journal") == "ok"


def test_an_older_registry_that_was_changed(books: Books) -> None:
    """It is compared with the tables of its own version, which no other command can open."""
    with closing(sqlite3.connect(books.path)) as raw:
        raw.executescript(f"{older_tables(1)} CREATE TABLE evil (x)")
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    tables = row(outcome, "tables")
    assert (tables["state"], tables["message"].partition(" ")[0]) == ("fail", "evil")
    told = books.desk.run("journal", "verify").err
    assert "hint: polygent-issue doctor shows what was changed" in told


def test_a_registry_that_another_command_keeps_locked(books: Books) -> None:
    """It is not waited for as long as other commands do."""
    with closing(sqlite3.connect(books.path, isolation_level=None)) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        found = examine(
            books.desk.home, {}, now=NOW, quick=True, patience=timedelta(milliseconds=10)
        )
    registry, tables = (r for r in found.rows if r.name in ("registry", "tables"))
    assert registry.state is State.FAIL
    assert "locked" in registry.message
    assert tables.state is State.NOT_CHECKED
    assert found.exit_code == 7


def test_a_registry_that_may_not_be_read(desk: Desk) -> None:
    """Without the right, an error of ours as everywhere."""
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            (theirs.home / "registry.db").chmod(0)
            outcome = theirs.run("doctor", "--json")
    assert_unreadable(outcome, "cannot be read or written")


def test_a_registry_that_may_not_be_written(desk: Desk) -> None:
    """It opens, so everything in it is looked at; the printed command mends it."""
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            (theirs.home / "registry.db").chmod(0o400)
            outcome = theirs.run("doctor", "--json")
            mend(theirs, "registry")
            assert state(theirs, "registry") == "ok"
    assert outcome.code == 7
    assert "no permission to write to the registry" in row(outcome, "registry")["message"]
    assert row(outcome, "journal")["state"] == "ok"


def test_what_a_killed_writer_left_is_rolled_back_by_sqlite(books: Books) -> None:
    """The one thing that is written: SQLite's own recovery, which any reader does."""
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-m", "support.registry_writer", "hold", str(books.path), "0"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(tests), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"holding\n"
        writer.send_signal(signal.SIGKILL)
    assert Path(f"{books.path}-journal").exists()
    outcome = books.desk.run("doctor", "--json")
    for name in ("registry", "tables", "integrity", "journal"):
        assert row(outcome, name)["state"] == "ok"
    assert not Path(f"{books.path}-journal").exists()


def test_a_foreign_trigger_is_a_failure(books: Books) -> None:
    """Whoever can add one can have it run at the next issue; its name cannot steer a screen."""
    with closing(sqlite3.connect(books.path)) as raw:
        raw.execute(
            'CREATE TRIGGER "evil\x1b[2J" AFTER INSERT ON licenses BEGIN DELETE FROM outbox; END'
        )
        raw.commit()
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    tables = row(outcome, "tables")
    assert tables["state"] == "fail"
    assert tables["message"] == (
        r"evil\x1b[2J is not a table, index or trigger as this tool makes it"
    )
    assert tables["mend"].endswith(
        f"the last good backup: polygent-issue --home {books.desk.home} registry restore FILE"
    )
    assert row(outcome, "journal")["state"] == "fail"
    assert row(outcome, "outbox")["state"] == "ok"


def test_an_index_that_lost_a_row_is_a_failure(books: Books) -> None:
    """`PRAGMA integrity_check` finds what no query of ours would."""
    books.customer()
    overwrite(books.path, "customers_by_slug_reversed", b"emca", b"emcb")
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    found = row(outcome, "integrity")
    assert found["state"] == "fail"
    assert "SQLite finds the file damaged" in found["message"]


def test_a_reference_to_nobody_is_a_failure(books: Books) -> None:
    """`PRAGMA foreign_key_check`, too."""
    with tampering(books.path) as raw:
        raw.execute("INSERT INTO aliases VALUES ('x', 99, '2026-01-01T00:00:00.000000Z')")
    found = look(books.desk, "integrity")
    assert found["state"] == "fail"
    assert found["message"] == "a row of aliases refers to one that is not there"


def test_pages_that_cannot_be_read_end_no_examination(books: Books) -> None:
    """Each check that meets them fails by itself."""
    overwrite(books.path, "keys", b"", b"\xa5" * PAGE)
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    assert row(outcome, "integrity")["state"] == "fail"
    assert row(outcome, "active-key")["state"] == "fail"
    assert row(outcome, "key")["message"] == "not checked: the keys cannot be read"
    assert row(outcome, "sqlite")["state"] == "ok"
    assert "Traceback" not in outcome.err


def test_an_edit_outside_the_journal_is_a_failure(books: Books) -> None:
    """The first is told; the command that is printed shows all."""
    books.customer()
    with tampering(books.path) as raw:
        raw.execute("UPDATE customers SET name = 'Evil'")
        raw.execute("UPDATE keys SET label = 'evil'")
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    found = row(outcome, "journal")
    assert found["message"] == "customers/1 was changed outside the journal, and 1 more"
    assert found["mend"] == f"polygent-issue --home {books.desk.home} journal verify"
    assert row(outcome, "integrity")["state"] == "ok"


def test_quick_leaves_out_what_reads_everything(books: Books) -> None:
    """And says so; the rest is looked at."""
    with tampering(books.path) as raw:
        raw.execute("UPDATE keys SET label = 'evil'")
    outcome = books.desk.run("doctor", "--quick", "--json")
    for name in ("integrity", "journal"):
        assert row(outcome, name)["message"] == "not checked: skipped by --quick"
    assert row(outcome, "clock")["state"] == "ok"


def test_a_clock_behind_the_journal_is_a_warning(books: Books) -> None:
    """By more than five minutes, as in every other command."""
    books.desk.now = NOW - timedelta(minutes=4)
    assert state(books.desk, "clock") == "ok"
    books.desk.now = NOW - timedelta(minutes=6)
    found = look(books.desk, "clock")
    assert found["state"] == "warn"
    assert "2026-11-30T09:24:00Z" in found["message"]
    assert found["mend"] == "set the clock right"


def test_each_undelivered_license_is_a_warning(books: Books) -> None:
    """The row is named once, as a row and not as a warning beside it; export mends it."""
    acme = books.customer()
    books.license(acme, license_id=ID, pending=(str(books.desk.output), "acme.lic"))
    books.license(acme, pending=(None, None))
    outcome = books.desk.run("doctor", "--json")
    assert outcome.err == ""
    first, second = sorted(rows(outcome, "outbox"), key=lambda found: "stdout" in found["message"])
    assert first["message"] == (
        "license 1f3a9c2e was issued, but its file may not have reached "
        f"{books.desk.output}/acme.lic"
    )
    assert "may not have reached stdout" in second["message"]
    assert not (books.desk.output / "acme.lic").exists()
    words = first["mend"].split()
    assert words[-4:] == ["export", "1f3a9c2e", "--output", "FILE"]
    books.desk.ok(*words[1:-1], str(books.desk.output / "acme.lic"))
    assert len(rows(books.desk.run("doctor", "--json"), "outbox")) == 1


@pytest.mark.usefixtures("no_tzdata")
def test_a_customers_zone_that_is_not_known_here_is_a_warning(books: Books) -> None:
    """Each with the command that names another."""
    books.customer(time_zone="Europe/Berlin")
    books.customer("Globex", "globex", time_zone="America/New_York")
    books.customer("Nowhere", "nowhere")
    assert state(books.desk, "customer-zones") == "ok"
    zoneinfo.ZoneInfo.clear_cache()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "Europe").mkdir()
        berlin = next(Path(at) / "Europe/Berlin" for at in zoneinfo.TZPATH if Path(at).is_dir())
        (Path(name) / "Europe" / "Berlin").write_bytes(berlin.read_bytes())
        zoneinfo.reset_tzpath(to=[name])
        try:
            outcome = books.desk.run("doctor", "--json")
        finally:
            zoneinfo.reset_tzpath()
    found = row(outcome, "customer-zones")
    assert row(outcome, "time-zones")["state"] == "ok"
    assert found["message"] == ("globex: this machine does not know the time zone America/New_York")
    words = found["mend"].split()
    books.desk.ok(*words[1:-1], "Europe/Berlin")


CHECKS = [
    ("journal-head", "head-noted", 30, "journal verify --note FILE"),
    ("registry-backup", "registry-backed-up", 7, "registry backup FILE"),
]


def write(books: Books, event: str, **details: Any) -> None:
    """A journal row as the command writes it that makes a copy."""
    with books.writing() as db:
        db.record(event, details=details)


@pytest.mark.parametrize(("check", "event", "days", "command"), CHECKS)
def test_a_copy_that_was_never_made_is_a_warning(
    books: Books, check: str, event: str, days: int, command: str
) -> None:
    """With the command that makes one, on another disk."""
    del event, days
    found = look(books.desk, check)
    assert found["state"] == "warn"
    assert "never" in found["message"]
    assert found["message"].endswith("; keep a copy on another disk")
    assert found["mend"] == f"polygent-issue --home {books.desk.home} {command}"


@pytest.mark.parametrize(("check", "event", "days", "command"), CHECKS)
def test_a_copy_lasts_for_a_while(
    books: Books, check: str, event: str, days: int, command: str
) -> None:
    """To the second; then it is out of date, if anything was written since."""
    write(books, event, file="/media/usb/x", size=2)
    books.customer()
    books.desk.now += timedelta(days=days)
    found = look(books.desk, check)
    assert found["state"] == "ok"
    assert found["message"].endswith(
        "on 2026-11-30T09:30:00Z in /media/usb/x; journal rows since then: 1"
    )
    books.desk.now += timedelta(seconds=1)
    found = look(books.desk, check)
    assert found["state"] == "warn"
    assert found["message"].startswith("last ")
    assert found["mend"].endswith(command)


@pytest.mark.parametrize(("check", "event", "days", "command"), CHECKS)
def test_a_copy_of_what_has_not_changed_lasts(
    books: Books, check: str, event: str, days: int, command: str
) -> None:
    """Copies themselves are rows that no copy need hold."""
    del command
    write(books, event)
    for _, other, _, _ in CHECKS:
        write(books, other)
    books.desk.now += timedelta(days=20 * days)
    assert look(books.desk, check)["state"] == "ok"
    assert look(books.desk, check)["message"].endswith("Z; journal rows since then: 0")


def test_the_newest_copy_counts(books: Books) -> None:
    """Not the first."""
    write(books, "registry-backed-up", file="/one")
    books.customer()
    books.desk.now += timedelta(days=100)
    write(books, "registry-backed-up", file="/two")
    found = look(books.desk, "registry-backup")
    assert found["state"] == "ok"
    assert " in /two;" in found["message"]


def test_a_path_in_the_journal_cannot_steer_a_screen(books: Books) -> None:
    """It is shown as every foreign text is."""
    write(books, "head-noted", file="/x\x1b[2J")
    assert r"/x\x1b[2J" in look(books.desk, "journal-head")["message"]
