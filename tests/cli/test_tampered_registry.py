"""Commands that write to a registry whose schema something else changed: exit 7."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Desk

from polygent_issuer.registry import REGISTRY_FILE

ENDS = ("--expires", "2026-12-10")
SWALLOWS = "CREATE TRIGGER evil BEFORE INSERT ON journal BEGIN SELECT RAISE(IGNORE); END"


def change(desk: Desk, sql: str) -> None:
    """Edit the registry, as a program that can write to it."""
    with closing(sqlite3.connect(desk.home / REGISTRY_FILE)) as raw:
        raw.execute(sql)
        raw.commit()


def rows(desk: Desk) -> dict[str, int]:
    """How many rows each table has."""
    with closing(sqlite3.connect(desk.home / REGISTRY_FILE)) as raw:
        tables = ("licenses", "outbox", "customers", "keys", "journal")
        counts = (raw.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in tables)  # noqa: S608
        return dict(zip(tables, counts, strict=True))


def files(desk: Desk) -> list[str]:
    """Every file at the desk outside of its home."""
    found = (path for path in desk.folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if desk.home not in path.parents)


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
def test_a_journal_that_swallows_rows_stops_every_command(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    """Nothing is issued, delivered or changed that no journal row tells of."""
    monkeypatch.chdir(desk.folder)
    first = desk.ok("sign", "--machine-info", desk.machine_info(), *ENDS, "--json").json
    desk.machine_info("globex.json", customer="Globex", fingerprint="sha256:" + "cd" * 32)
    Path("rows.toml").write_text('[[license]]\ncustomer = "acme-gmbh"\nusers = 70\n')
    change(desk, SWALLOWS)
    before, there = rows(desk), files(desk)
    license_id = str(first["licenses"][0]["id"])[:8]
    outcome = desk.run(*(each.format(id=license_id) for each in argv))
    assert outcome.code == 7, outcome
    told = outcome.err + outcome.text
    assert "evil is not a table, index or trigger as this tool makes it" in told
    assert "Traceback" not in told
    assert rows(desk) == before
    allowed = {str(desk.folder / name) for name in ("copy.db", "heads")}
    assert set(files(desk)) - allowed == set(there)


def test_the_message_says_what_to_do(desk: Desk) -> None:
    """The object, and the two commands that follow."""
    change(desk, SWALLOWS)
    outcome = desk.run("customer", "add", "Initech")
    assert outcome.err == (
        f"error: the registry {desk.home}/registry.db was changed outside polygent-issue: evil is "
        "not a table, index or trigger as this tool makes it; nothing was written to it\n"
        "hint: polygent-issue journal verify lists what was changed; to go back to a backup: "
        "polygent-issue registry restore BACKUP\n"
    )


def test_what_only_reads_goes_on(desk: Desk) -> None:
    """An operator can look at what there is, and sees what was changed."""
    change(desk, SWALLOWS)
    desk.ok("customer", "list")
    outcome = desk.run("journal", "verify")
    assert outcome.code == 7
    assert "evil is not a table" in outcome.err + outcome.text
