"""Checks of the registry, its journal, and their copies."""

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
from support.doctor_rows import as_nobody, fix, look, row, rows, state
from support.licenses import Books
from support.registries import ACTOR, older_tables, tampering

from polygent_issuer.doctor import State, context, examine
from polygent_issuer.issuing.signing import seal_journal
from polygent_issuer.registry import Registry, schema

PAGE = 4096
ID = "1f3a9c2e-0000-4000-8000-000000000000"
OF_REGISTRY = (
    "tables",
    "clock",
    "outbox",
    "customer-zones",
    "journal-head",
    "journal-seal",
    "registry-backup",
)
LATER = ("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT",)


def assert_unreadable(outcome: Outcome, reason: str) -> None:
    """Check for exit 7, one failure with its reason, and no checks of the registry's content."""
    assert outcome.code == 7
    result = row(outcome, "registry")
    assert result["state"] == "fail"
    assert reason in result["message"]
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


@pytest.mark.sqlite("about the file")
def test_an_intact_registry_is_ok(books: Books) -> None:
    """The rows have its size, its version and its number of rows."""
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


@pytest.mark.sqlite("about the file")
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"\x00" * 100, "is damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "is damaged"),
        (b"", "its creation was interrupted"),
    ],
)
def test_a_file_that_is_not_a_registry_is_reported(
    books: Books, damage: bytes, reason: str
) -> None:
    """The message names the type of the file."""
    books.path.write_bytes(damage)
    assert_unreadable(books.desk.run("doctor", "--json"), reason)


@pytest.mark.sqlite("about the file")
def test_a_missing_registry_is_not_created(books: Books) -> None:
    """A missing registry is reported."""
    books.path.unlink()
    assert_unreadable(books.desk.run("doctor", "--json"), books.path.name)
    assert not books.path.exists()


@pytest.mark.sqlite("about the file")
def test_a_newer_registry_is_reported(books: Books) -> None:
    """The message is that of every command."""
    with closing(sqlite3.connect(books.path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    assert_unreadable(books.desk.run("doctor", "--json"), "was written by a newer polygent-issue")


@pytest.mark.sqlite("about the file")
def test_an_older_registry_is_not_migrated(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a warning, and its content is not checked until a command migrates it."""
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
    fix(books.desk, "tables")
    assert state(books.desk, "tables") == state(books.desk, "journal") == "ok"


@pytest.mark.sqlite("about the file")
def test_a_changed_older_registry_is_a_failure(books: Books) -> None:
    """The tables are compared with those of its own version."""
    with closing(sqlite3.connect(books.path)) as raw:
        raw.executescript(f"{older_tables(1)} CREATE TABLE evil (x)")
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    tables = row(outcome, "tables")
    assert (tables["state"], tables["message"].partition(" ")[0]) == ("fail", "evil")
    errors = books.desk.run("journal", "verify").err
    assert "polygent-issue doctor" in errors


@pytest.mark.sqlite("about the file")
def test_a_locked_registry_is_reported(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check waits for a shorter time than other commands."""
    monkeypatch.setattr(context, "PATIENCE", timedelta(milliseconds=10))
    with closing(sqlite3.connect(books.path, isolation_level=None)) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        result = examine(books.desk.home, {}, now=NOW, quick=True)
    registry, tables = (r for r in result.rows if r.name in ("registry", "tables"))
    assert registry.state is State.FAIL
    assert "locked" in registry.message
    assert tables.state is State.NOT_CHECKED
    assert result.exit_code == 7


@pytest.mark.sqlite("about the file")
def test_an_unreadable_registry_is_reported(desk: Desk) -> None:
    """Missing permission is our error, as in every command."""
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            (theirs.home / "registry.db").chmod(0)
            outcome = theirs.run("doctor", "--json")
    assert_unreadable(outcome, "cannot read or write")


@pytest.mark.sqlite("about the file")
def test_a_read_only_registry_is_a_failure(desk: Desk) -> None:
    """Its content is still checked; the printed command fixes it."""
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            (theirs.home / "registry.db").chmod(0o400)
            outcome = theirs.run("doctor", "--json")
            fix(theirs, "registry")
            assert state(theirs, "registry") == "ok"
    assert outcome.code == 7
    assert "no permission to write to the registry" in row(outcome, "registry")["message"]
    assert row(outcome, "journal")["state"] == "ok"


@pytest.mark.sqlite("about the file")
def test_sqlite_rolls_back_a_killed_writer(books: Books) -> None:
    """SQLite's own recovery is the only change."""
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


@pytest.mark.sqlite("about the file")
def test_a_foreign_trigger_is_a_failure(books: Books) -> None:
    """A trigger could run at the next issue; its name is escaped."""
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
        r"evil\x1b[2J is not a table, index or trigger as this tool creates it"
    )
    assert tables["mend"].endswith("the last good backup: polygent-issue registry restore FILE")
    assert row(outcome, "journal")["state"] == "fail"
    assert row(outcome, "outbox")["state"] == "ok"


@pytest.mark.sqlite("about the file")
def test_an_index_without_a_row_is_a_failure(books: Books) -> None:
    """`PRAGMA integrity_check` finds problems that our queries do not."""
    books.customer()
    overwrite(books.path, "customers_by_slug_reversed", b"emca", b"emcb")
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    result = row(outcome, "integrity")
    assert result["state"] == "fail"
    assert "SQLite reports a damaged file" in result["message"]


@pytest.mark.sqlite("about the file")
def test_a_dangling_reference_is_a_failure(books: Books) -> None:
    """`PRAGMA foreign_key_check` is run, too."""
    with tampering(books.desk.registry) as raw:
        raw.execute("INSERT INTO aliases VALUES ('x', 99, '2026-01-01T00:00:00.000000Z')")
    result = look(books.desk, "integrity")
    assert result["state"] == "fail"
    assert result["message"] == "a row of aliases refers to a missing row"


@pytest.mark.sqlite("about the file")
def test_unreadable_pages_do_not_stop_the_examination(books: Books) -> None:
    """Each check that reads such a page fails alone."""
    overwrite(books.path, "keys", b"", b"\xa5" * PAGE)
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    assert row(outcome, "integrity")["state"] == "fail"
    assert row(outcome, "active-key")["state"] == "fail"
    assert row(outcome, "key")["message"] == "not checked: the keys cannot be read"
    assert row(outcome, "sqlite")["state"] == "ok"
    assert "Traceback" not in outcome.err


@pytest.mark.sqlite("about the file")
def test_an_edit_outside_the_journal_is_a_failure(books: Books) -> None:
    """The first problem is reported; the printed command shows all."""
    books.customer()
    with tampering(books.desk.registry) as raw:
        raw.execute("UPDATE customers SET name = 'Evil'")
        raw.execute("UPDATE keys SET label = 'evil'")
    outcome = books.desk.run("doctor", "--json")
    assert outcome.code == 7
    result = row(outcome, "journal")
    assert result["message"] == "customers/1 was changed outside the journal, and 2 more"
    assert result["mend"] == "polygent-issue journal verify"
    assert row(outcome, "integrity")["state"] == "ok"


@pytest.mark.sqlite("about the file")
def test_quick_skips_the_checks_of_the_whole_registry(books: Books) -> None:
    """Skipped rows are marked; the others run."""
    with tampering(books.desk.registry) as raw:
        raw.execute("UPDATE keys SET label = 'evil'")
    outcome = books.desk.run("doctor", "--quick", "--json")
    for name in ("integrity", "journal"):
        assert row(outcome, name)["message"] == "not checked: skipped by --quick"
    assert row(outcome, "clock")["state"] == "ok"


def test_a_clock_behind_the_journal_is_a_warning(books: Books) -> None:
    """The limit is five minutes, as in every other command."""
    books.desk.now = NOW - timedelta(minutes=4)
    assert state(books.desk, "clock") == "ok"
    books.desk.now = NOW - timedelta(minutes=6)
    result = look(books.desk, "clock")
    assert result["state"] == "warn"
    assert "2026-11-30T09:24:00Z" in result["message"]
    assert result["mend"] == "correct the clock"


def test_each_undelivered_license_is_a_warning(books: Books) -> None:
    """A license is reported once, as a row; export is the fix."""
    acme = books.customer()
    books.license(acme, license_id=ID, pending=(str(books.desk.output), "acme.lic"))
    books.license(acme, pending=(None, None))
    outcome = books.desk.run("doctor", "--json")
    assert outcome.err == ""
    first, second = sorted(rows(outcome, "outbox"), key=lambda row_: "stdout" in row_["message"])
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
def test_an_unknown_time_zone_is_a_warning(books: Books) -> None:
    """Each row has the command that sets another time zone."""
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
    result = row(outcome, "customer-zones")
    assert row(outcome, "time-zones")["state"] == "ok"
    assert result["message"] == (
        "globex: this machine does not know the time zone America/New_York"
    )
    words = result["mend"].split()
    books.desk.ok(*words[1:-1], "Europe/Berlin")


def seal(books: Books) -> None:
    """Seal the journal, as `journal seal` does."""
    signer, now = books.signer, books.desk.now
    with Registry.open(books.desk.registry) as registry:
        assert seal_journal(registry, signer.kid, lambda: signer, now=now, actor=ACTOR)


def test_the_age_of_rows_without_a_seal_is_checked(books: Books) -> None:
    """A journal without a seal is a warning, and so is a change that was not sealed for 30 days."""
    result = look(books.desk, "journal-seal")
    assert result["state"] == "warn"
    assert result["message"] == (
        "the journal is not sealed, so a rewritten journal would go unnoticed"
    )
    assert result["mend"] == "polygent-issue journal seal"
    seal(books)
    books.customer()
    message = "rows 1 to 2 sealed on 2026-11-30T09:30:00Z by main; rows since then: 1"
    books.desk.now += timedelta(days=30)
    result = look(books.desk, "journal-seal")
    assert (result["state"], result["message"]) == ("ok", message)
    books.desk.now += timedelta(seconds=1)
    result = look(books.desk, "journal-seal")
    assert (result["state"], result["message"]) == ("warn", message)
    seal(books)
    assert look(books.desk, "journal-seal")["state"] == "ok"


CHECKS = [
    ("journal-head", "head-noted", 30, "journal verify --note FILE"),
    ("registry-backup", "registry-backed-up", 7, "registry backup FILE"),
]


def write(books: Books, event: str, **details: Any) -> None:
    """Write the journal row of a copy as its command does."""
    with books.writing() as db:
        db.record(event, details=details)


@pytest.mark.parametrize(("check", "event", "days", "command"), CHECKS)
def test_a_missing_copy_is_a_warning(
    books: Books, check: str, event: str, days: int, command: str
) -> None:
    """The fix makes one, on another disk."""
    del event, days
    result = look(books.desk, check)
    assert result["state"] == "warn"
    assert "never" in result["message"]
    assert result["message"].endswith("; keep a copy on another disk")
    assert result["mend"] == f"polygent-issue {command}"


@pytest.mark.parametrize(("check", "event", "days", "command"), CHECKS)
def test_an_old_copy_is_a_warning(
    books: Books, check: str, event: str, days: int, command: str
) -> None:
    """A copy is too old to the second, if there were changes since."""
    write(books, event, file="/media/usb/x", size=2)
    books.customer()
    books.desk.now += timedelta(days=days)
    result = look(books.desk, check)
    assert result["state"] == "ok"
    assert result["message"].endswith(
        "on 2026-11-30T09:30:00Z in /media/usb/x; journal rows since then: 1"
    )
    books.desk.now += timedelta(seconds=1)
    result = look(books.desk, check)
    assert result["state"] == "warn"
    assert result["message"].startswith("last ")
    assert result["mend"].endswith(command)


@pytest.mark.parametrize(("check", "event", "days", "command"), CHECKS)
def test_a_copy_without_later_changes_is_ok(
    books: Books, check: str, event: str, days: int, command: str
) -> None:
    """Journal rows of copies do not count as changes."""
    del command
    write(books, event)
    for _, other, _, _ in CHECKS:
        write(books, other)
    books.desk.now += timedelta(days=20 * days)
    assert look(books.desk, check)["state"] == "ok"
    assert look(books.desk, check)["message"].endswith("Z; journal rows since then: 0")


def test_the_newest_copy_counts(books: Books) -> None:
    """The age is that of the newest copy."""
    write(books, "registry-backed-up", file="/one")
    books.customer()
    books.desk.now += timedelta(days=100)
    write(books, "registry-backed-up", file="/two")
    result = look(books.desk, "registry-backup")
    assert result["state"] == "ok"
    assert " in /two;" in result["message"]


def test_a_path_in_the_journal_is_escaped(books: Books) -> None:
    """A path in the journal is foreign text."""
    write(books, "head-noted", file="/x\x1b[2J")
    assert r"/x\x1b[2J" in look(books.desk, "journal-head")["message"]
