"""Commands that write to a registry with a changed schema: exit 7."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Desk

from polygent_issuer.registry import REGISTRY_FILE

pytestmark = pytest.mark.sqlite("changes the schema of the file")

ENDS = ("--expires", "2026-12-10")
SWALLOWS = "CREATE TRIGGER evil BEFORE INSERT ON journal BEGIN SELECT RAISE(IGNORE); END"


def change(desk: Desk, sql: str) -> None:
    """Edit the registry, as another program could."""
    with closing(sqlite3.connect(desk.home / REGISTRY_FILE)) as raw:
        raw.execute(sql)
        raw.commit()


def rows(desk: Desk) -> dict[str, int]:
    """Return the number of rows of each table."""
    with closing(sqlite3.connect(desk.home / REGISTRY_FILE)) as raw:
        tables = ("licenses", "outbox", "customers", "keys", "journal")
        counts = (raw.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in tables)  # noqa: S608
        return dict(zip(tables, counts, strict=True))


def files(desk: Desk) -> list[str]:
    """Return every file of the desk outside its home."""
    paths = (path for path in desk.folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if desk.home not in path.parents)


@pytest.mark.parametrize(
    "argv",
    [
        ("sign", "--machine-info", "globex.json"),
        ("renew", "acme-gmbh"),
        ("renew", "--due-within", "30d", "--yes"),
        ("renew", "--due-within", "30d", "--yes", "--bundle", "all.zip"),
        ("reissue", "acme-gmbh"),
        ("apply", "rows.toml", "--yes"),
        ("license", "retire", "{id}", "--reason", "left us"),
        ("license", "sent", "{id}"),
        ("license", "export", "{id}", "--output", "again.lic"),
        ("customer", "add", "Initech"),
        ("customer", "edit", "acme-gmbh", "--name", "Acme AG"),
        ("customer", "archive", "acme-gmbh", "--reason", "left us"),
        ("key", "generate", "second", "--store", "file:second.key", "--no-backup"),
        ("registry", "backup", "copy.db"),
        ("journal", "verify", "--note", "heads"),
    ],
)
def test_a_trigger_that_drops_journal_rows_stops_every_command(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    """Nothing is issued, delivered or changed without a journal row."""
    monkeypatch.chdir(desk.folder)
    first = desk.ok("sign", "--machine-info", desk.machine_info(), *ENDS, "--json").json
    desk.machine_info("globex.json", customer="Globex", fingerprint="sha256:" + "cd" * 32)
    Path("rows.toml").write_text('[[license]]\ncustomer = "acme-gmbh"\nusers = 70\n')
    change(desk, SWALLOWS)
    rows_before, files_before = rows(desk), files(desk)
    license_id = str(first["licenses"][0]["id"])[:8]
    outcome = desk.run(*(each.format(id=license_id) for each in argv))
    assert outcome.code == 7, outcome
    output = outcome.err + outcome.text
    assert "evil" in output
    assert "Traceback" not in output
    assert rows(desk) == rows_before
    allowed = {str(desk.folder / name) for name in ("copy.db", "heads")}
    assert set(files(desk)) - allowed == set(files_before)


def test_the_error_names_the_object_and_two_commands(desk: Desk) -> None:
    """The error names the changed object, and commands that list changes and restore a backup."""
    change(desk, SWALLOWS)
    outcome = desk.run("customer", "add", "Initech")
    assert outcome.err == (
        f"error: the registry {desk.home}/registry.db was changed outside polygent-issue: evil is "
        "not a table, index or trigger as this tool creates it; nothing was written to it\n"
        "hint: polygent-issue journal verify lists the changes; to restore a backup: "
        "polygent-issue registry restore BACKUP\n"
    )


def test_reading_commands_work_with_a_changed_schema(desk: Desk) -> None:
    """An operator can list customers, and `journal verify` names the change."""
    change(desk, SWALLOWS)
    desk.ok("customer", "list")
    outcome = desk.run("journal", "verify")
    assert outcome.code == 7
    assert "evil" in outcome.err + outcome.text


@pytest.mark.parametrize("argv", ["key list", "key list --json", "key show main", "expiring"])
def test_a_setting_that_was_added_by_an_edit_is_refused(desk: Desk, argv: str) -> None:
    """The error names its row, also where a command asks for the settings within a snapshot."""
    change(desk, "INSERT INTO team_settings VALUES ('issuer', '\"Mallory\"')")
    outcome = desk.run(*argv.split())
    assert outcome.code == 7, outcome
    assert "team_settings/issuer" in outcome.err + outcome.text
