"""`polygent-issue registry restore`."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import tree
from support.licenses import Books
from support.terminal import terminal

pytestmark = pytest.mark.sqlite("restores the file")

ID = "1f3a9c2e-0000-4000-8000-000000000000"


@pytest.fixture
def saved(books: Books) -> Path:
    """Write a backup of a registry with a license."""
    books.license(books.customer(), license_id=ID)
    path = books.desk.folder / "b.db"
    books.desk.ok("registry", "backup", str(path))
    return path


@pytest.fixture
def today(empty_desk: Desk) -> Books:
    """Use the machine's clock, as a command at a terminal does."""
    empty_desk.now = datetime.now(UTC)
    return Books(empty_desk).open()


def restored(desk: Desk, path: Path, *more: str) -> str:
    """Restore with consent and return the output."""
    accept = ("--accept", "registry-rollback", "--reason", "the disk failed")
    return desk.ok("registry", "restore", str(path), *accept, *more).text


def test_a_lost_registry_comes_back(books: Books, saved: Path) -> None:
    """Errors name this command until the registry is restored."""
    books.path.unlink()
    outcome = books.desk.run("license", "list")
    assert outcome.code == 7
    assert "hint: polygent-issue registry restore BACKUP; in a new home" in outcome.err
    text = books.desk.ok("registry", "restore", str(saved)).text
    assert text.startswith(f"restored the registry from {saved}\n  rows  4\n")
    assert ID[:8] in books.desk.ok("license", "list").text
    assert books.last_row().event == "registry-restored"


def test_a_missing_home_is_created(books: Books, saved: Path) -> None:
    """A new machine gets default settings, and keys to import are listed."""
    other = Desk(books.desk.folder / "new")
    other.folder.mkdir()
    text = other.ok("registry", "restore", str(saved)).text
    assert sorted(tree(other.home)) == ["registry.db", "settings.toml"]
    assert other.home.stat().st_mode & 0o777 == 0o700
    assert "no key store for main; to import its private key:\n  polygent-issue key import" in text
    assert ID[:8] in other.ok("license", "list").text


def test_a_home_that_lost_its_registry_gets_it_back(desk: Desk) -> None:
    """Its settings have the key store, so the key signs at once."""
    path = desk.folder / "b.db"
    desk.ok("registry", "backup", str(path))
    (desk.home / "registry.db").unlink()
    outcome = desk.run("init")
    assert outcome.code == 7
    assert "polygent-issue registry restore BACKUP" in outcome.err
    outcome = desk.ok("registry", "restore", str(path), "--json")
    assert outcome.json["keys_to_import"] == []
    desk.ok("sign", "--machine-info", desk.machine_info())


def test_newer_rows_need_consent(books: Books, saved: Path) -> None:
    """It is exit 4 with the loss; with consent the old file is kept and named."""
    books.license(books.customer("Globex", "globex"))
    before = tree(books.desk.home)
    outcome = books.desk.run("registry", "restore", str(saved), "--json")
    assert outcome.code == 4
    (finding,) = outcome.json["error"]["findings"]
    assert finding["code"] == "registry-rollback"
    assert finding["message"] == (
        "the current registry contains 1 license and 3 journal rows that the backup lacks, "
        "since 2026-11-30T09:30:00Z"
    )
    assert (
        finding["hint"] == "back up the current registry first: polygent-issue registry backup FILE"
    )
    assert tree(books.desk.home) == before
    text = restored(books.desk, saved)
    kept = books.desk.home / "registry.db.before-restore-2026-11-30T093000Z"
    assert f"the old registry is kept:\n  {kept}\n" in text
    assert "polygent-issue registry import FILE" in text
    assert kept.read_bytes() == before["registry.db"]
    row = books.last_row()
    assert (row.accepted, row.reason) == (("registry-rollback",), "the disk failed")


def test_json_has_the_loss(books: Books, saved: Path) -> None:
    """JSON has the lost rows; the same command restores them."""
    books.license(books.customer("Globex", "globex"))
    accept = ("--accept", "registry-rollback", "--reason", "x")
    result = books.desk.ok("registry", "restore", str(saved), *accept, "--json").json
    assert (result["size"], result["journal_rows_lost"], result["licenses_lost"]) == (4, 3, 1)
    assert result["replaced"].startswith("7:")
    back = books.desk.ok("registry", "restore", result["kept"], *accept, "--json").json
    assert (back["size"], back["licenses_lost"]) == (7, 0)
    assert len(books.desk.ok("license", "list", "--json").json["licenses"]) == 2


def test_a_damaged_registry_is_replaced_with_consent(books: Books, saved: Path) -> None:
    """JSON has no members about a registry that cannot be read."""
    books.path.write_bytes(b"rubbish" * 999)
    outcome = books.desk.run("journal", "verify")
    assert "hint: restore your last backup: polygent-issue registry restore BACKUP" in (outcome.err)
    outcome = books.desk.run("registry", "restore", str(saved))
    assert outcome.code == 4
    assert "cannot be read" in outcome.err
    result = books.desk.ok(
        *("registry", "restore", str(saved), "--accept", "registry-rollback"),
        *("--reason", "x", "--json"),
    ).json
    assert (result["replaced"], result["licenses_lost"]) == (None, None)
    assert Path(result["kept"]).read_bytes() == b"rubbish" * 999


def test_a_backup_with_problems_is_exit_7(books: Books, saved: Path) -> None:
    """Nothing is changed, and no home is created."""
    with closing(sqlite3.connect(saved)) as raw:
        raw.execute("UPDATE customers SET name = 'Evil'")
        raw.commit()
    before = tree(books.desk.home)
    outcome = books.desk.run("registry", "restore", str(saved), "--json")
    assert outcome.code == 7
    assert outcome.json["error"]["code"] == "backup_refused"
    assert "customers/1 was changed outside the journal" in outcome.json["error"]["message"]
    assert tree(books.desk.home) == before
    other = Desk(books.desk.folder / "new")
    assert other.run("registry", "restore", str(saved)).code == 7
    assert not other.home.exists()


def test_a_missing_backup_is_exit_3(books: Books) -> None:
    """A missing backup is exit 3, and no home is created."""
    other = Desk(books.desk.folder / "new")
    for desk in (books.desk, other):
        outcome = desk.run("registry", "restore", "no.db")
        assert outcome.code == 3
        assert outcome.err == (
            "error: cannot read the backup no.db: no such file or directory\n"
            "hint: check the path and its permissions\n"
        )
    assert not other.home.exists()


def test_saved_heads_are_compared(books: Books, saved: Path) -> None:
    """A backup older than the saved heads is refused with exit 7."""
    notes = books.desk.folder / "heads"
    books.desk.ok("journal", "verify", "--note", str(notes))
    outcome = books.desk.run("registry", "restore", str(saved), "--against", str(notes))
    assert outcome.code == 7
    assert "an older copy was restored" in outcome.err
    late = books.desk.folder / "late.db"
    books.desk.ok("registry", "backup", str(late))
    restored(books.desk, late, "--against", str(notes))


def test_a_clock_that_is_behind_needs_consent(books: Books, saved: Path) -> None:
    """The row about it would come before an earlier one."""
    books.path.unlink()
    books.desk.now -= timedelta(days=1)
    outcome = books.desk.run("registry", "restore", str(saved))
    assert outcome.code == 4
    assert "clock-behind" in outcome.err
    books.desk.ok("registry", "restore", str(saved), "--accept", "clock-behind", "--reason", "x")
    assert books.last_row().accepted == ("clock-behind",)


def test_a_readable_home_is_warned_of(books: Books, saved: Path) -> None:
    """A home readable by others is a warning."""
    books.desk.home.chmod(0o755)
    outcome = books.desk.run("registry", "restore", str(saved))
    assert "warning: other users can read the home" in outcome.err


def test_a_terminal_asks_for_confirmation(today: Books) -> None:
    """Backup, registry and loss are shown first, and a no changes nothing."""
    backup = today.desk.folder / "b.db"
    today.desk.ok("registry", "backup", str(backup))
    today.license(today.customer())
    before = today.path.read_bytes()
    with terminal(today.desk, "registry", "restore", str(backup)) as person:
        person.sees(f"backup {backup}")
        person.sees("3 journal rows, 1 license")
        person.sees("accept this? [y/N]: ")
        person.types("n")
        assert person.ends() == 4
    assert today.path.read_bytes() == before
    with terminal(today.desk, "registry", "restore", str(backup)) as person:
        person.sees("accept this? [y/N]: ")
        person.types("y")
        person.sees("reason for the journal: ")
        person.types("a test")
        person.sees("replace the registry with the backup? [y/N]: ")
        person.types("y")
        person.sees("restored the registry")
        assert person.ends() == 0
    assert today.last_row().reason == "a test"


def test_a_restore_without_loss_needs_only_confirmation(today: Books) -> None:
    """Without a registry not even that prompt is shown."""
    older, late = today.desk.folder / "older.db", today.desk.folder / "late.db"
    shutil.copy(today.path, older)
    today.customer()
    today.desk.ok("registry", "backup", str(late))
    shutil.copy(older, today.path)
    today.desk.ok("journal", "verify", "--note", str(today.desk.folder / "heads"))
    with terminal(today.desk, "registry", "restore", str(late)) as person:
        person.sees("nothing but 1 journal row about copies of the registry")
        person.sees("replace the registry with the backup? [y/N]: ")
        person.types("")
        assert person.ends() == 130
    today.path.write_bytes(b"")
    with terminal(today.desk, "registry", "restore", str(late)) as person:
        person.sees(f"creates {today.path}")
        assert person.ends() == 0
    today.path.write_bytes(b"rubbish" * 999)
    with terminal(today.desk, "registry", "restore", str(late)) as person:
        person.sees("the registry cannot be read")
        person.sees("accept this? [y/N]: ")
        person.types("n")
        assert person.ends() == 4


@pytest.fixture
def handed_over(today: Books) -> Path:
    """A backup by an operator with settings and a mail template of their own."""
    desk, path = today.desk, today.desk.folder / "b.db"
    desk.ok("config", "set", "issuer", "Zoë's Licenses")
    desk.ok("config", "set", "plans.trial.features", "insights")
    desk.ok("config", "mail-template", "--write")
    (desk.home / "mail.txt").write_text("Subject: your file\n\n$file\n")
    desk.ok("registry", "backup", str(path))
    return path


def deputy(path: Path) -> Desk:
    """Return the desk of a second operator, whose home does not exist yet."""
    desk = Desk(path.parent / "deputy", now=datetime.now(UTC))
    desk.folder.mkdir()
    return desk


DIFFERENT = ["issuer", "plans.trial.features", "mail_template"]


def test_a_script_keeps_the_settings_unless_it_wants_them(handed_over: Path) -> None:
    """A note has the command that uses them later, without touching the registry."""
    grace, source = deputy(handed_over), str(handed_over)
    outcome = grace.ok("registry", "restore", source)
    command = ("registry", "restore", source, "--settings", "only")
    assert outcome.err == (
        "note: your settings are kept; the backup has others (issuer, plans, mail template); to "
        f"use them: polygent-issue {' '.join(command)}\n"
    )
    assert "Zoë" not in (grace.home / "settings.toml").read_text()
    registry = (grace.home / "registry.db").read_bytes()
    outcome = grace.ok(*command)
    assert outcome.text.startswith("restored the settings from the backup\n")
    assert "issuer" in outcome.text
    assert "with " not in outcome.text
    assert "without workflows" in outcome.text
    assert "+Subject: your file\n" in outcome.text
    assert (grace.home / "registry.db").read_bytes() == registry
    assert grace.ok("config", "show", "issuer", "--json").json["settings"]["issuer"]["value"] == (
        "Zoë's Licenses"
    )
    assert grace.ok(*command).text == "your settings are those of the backup already\n"


def test_the_option_restores_or_keeps_the_settings(handed_over: Path) -> None:
    """JSON lists what differs, and what became of it; keep is silent."""
    grace, source = deputy(handed_over), str(handed_over)
    outcome = grace.ok("registry", "restore", source, "--settings", "keep")
    assert outcome.err == ""
    (grace.home / "registry.db").unlink()
    outcome = grace.ok("registry", "restore", source, "--settings", "keep", "--json")
    assert [*outcome.json["settings_differences"]] == DIFFERENT
    assert (outcome.json["settings_restored"], outcome.json["settings_kept"]) == (False, [])
    accept = ("--accept", "registry-rollback", "--reason", "x")
    result = grace.ok(
        *("registry", "restore", source, "--settings", "restore", "--json", *accept)
    ).json
    assert result["settings_restored"] is True
    assert result["settings_differences"]["issuer"] == {
        "present": "polygent-operator",
        "backup": "Zoë's Licenses",
    }
    (kept,) = result["settings_kept"]
    assert "polygent-operator" in Path(kept).read_text()
    assert result["kept"] is not None
    assert (grace.home / "mail.txt").read_text() == "Subject: your file\n\n$file\n"


def test_a_setting_that_no_backup_contains(handed_over: Path) -> None:
    """A store is refused with exit 3 before anything is changed; by default it is a warning."""
    with closing(sqlite3.connect(handed_over)) as raw:
        raw.execute("INSERT INTO backup_settings VALUES ('store', 'file:/evil/\x1b[31m')")
        raw.commit()
    grace, source = deputy(handed_over), str(handed_over)
    outcome = grace.run("registry", "restore", source, "--settings", "restore")
    assert (outcome.code, grace.home.exists()) == (3, False)
    assert outcome.err == (
        "error: the settings in the backup: store: not a setting that a backup contains\n"
        "hint: restore the registry without them: --settings keep\n"
    )
    outcome = grace.ok("registry", "restore", source)
    assert "not a setting that a backup contains; your settings are kept\n" in outcome.err
    assert "Zoë" not in (grace.home / "settings.toml").read_text()


def test_an_unreadable_template_does_not_stop_a_restore(today: Books, handed_over: Path) -> None:
    """It is a warning, unless the option asks for the settings."""
    (today.desk.home / "mail.txt").write_bytes(b"\xff")
    outcome = today.desk.ok("registry", "restore", str(handed_over))
    assert "mail.txt" in outcome.err
    assert "; your settings are kept\n" in outcome.err
    outcome = today.desk.run("registry", "restore", str(handed_over), "--settings", "only")
    assert (outcome.code, "mail.txt" in outcome.err) == (3, True)


def test_a_backup_without_settings(handed_over: Path) -> None:
    """A backup of an earlier version has none: nothing is asked or printed about them."""
    with closing(sqlite3.connect(handed_over)) as raw:
        raw.execute("DELETE FROM backup_settings")
        raw.commit()
    grace, source = deputy(handed_over), str(handed_over)
    outcome = grace.ok("registry", "restore", source)
    assert (outcome.err, "settings from" in outcome.text) == ("", False)
    text = grace.ok("registry", "restore", source, "--settings", "only").text
    assert text == "the backup contains no settings; yours are kept\n"


def test_only_the_settings_need_a_home(handed_over: Path) -> None:
    """A missing home is exit 7 and is not created."""
    outcome = deputy(handed_over).run("registry", "restore", str(handed_over), "--settings", "only")
    assert (outcome.code, "does not exist" in outcome.err) == (7, True)


def test_a_terminal_shows_the_settings_and_asks_once(handed_over: Path) -> None:
    """In a new home return means yes, in another one no; an answered question is not repeated."""
    grace, source = deputy(handed_over), str(handed_over)
    with terminal(grace, "registry", "restore", source) as person:
        person.sees("Zoë's Licenses")
        person.sees("+Subject: your file")
        person.sees("use these settings of the backup, too? [Y/n]: ")
        person.types("")
        person.sees("restored the settings from the backup")
        assert person.ends() == 0
        assert sorted(tree(grace.home)) == ["mail.txt", "registry.db", "settings.toml"]
        assert person.screen.count("Zoë's Licenses") == 1
    grace.ok("config", "set", "issuer", "Mine")
    with terminal(grace, "registry", "restore", source, "--settings", "only") as person:
        person.sees("use these settings? [y/N]: ")
        person.types("")
        assert person.ends() == 130
    accept = ("--accept", "registry-rollback", "--reason", "x")
    with terminal(grace, "registry", "restore", source, *accept) as person:
        person.sees("replace the registry with the backup? [y/N]: ")
        person.types("y")
        person.sees("use these settings of the backup, too? [y/N]: ")
        person.types("")
        assert person.ends() == 0
    assert 'issuer = "Mine"' in (grace.home / "settings.toml").read_text()


def test_a_backup_with_settings_is_a_registry(handed_over: Path) -> None:
    """Its journal is intact, doctor finds no problem in it, and a saved head is found in it."""
    grace = deputy(handed_over)
    heads = handed_over.parent / "heads"
    grace.home.mkdir(mode=0o700)
    shutil.copy(handed_over, grace.home / "registry.db")
    grace.ok("journal", "verify", "--note", str(heads))
    checks = {row["name"]: row["state"] for row in grace.run("doctor", "--json").json["rows"]}
    assert {state for name, state in checks.items() if name.startswith("registry")} <= {
        "ok",
        "warn",
    }
    assert checks["journal"] == "ok"
    other = Desk(grace.folder / "other", now=grace.now)
    other.ok("registry", "restore", str(handed_over), "--against", str(heads))


def test_long_templates_are_compared_in_part(handed_over: Path) -> None:
    """The number of other lines is printed, and all of them are used."""
    grace, source = deputy(handed_over), str(handed_over)
    text = "Subject: x\n\n" + "".join(f"line {number}\n" for number in range(600))
    with closing(sqlite3.connect(handed_over)) as raw:
        sql = "UPDATE backup_settings SET value = ? WHERE name = 'mail_template'"
        raw.execute(sql, (text,))
        raw.commit()
    shown = grace.ok("registry", "restore", source, "--settings", "restore").text
    assert "\nand 4" in shown
    assert " more lines\nonly the first 500 lines were compared\n" in shown
    assert (grace.home / "mail.txt").read_text() == text
