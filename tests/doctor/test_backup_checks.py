"""What is kept elsewhere: the journal's head, and backups of the registry."""

from datetime import timedelta
from typing import Any

import pytest
from support.licenses import Books
from support.rows import look

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
    assert found["message"].endswith("; keep it on another disk")
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
        "on 2026-11-30T09:30:00Z in /media/usb/x; rows written since: 1"
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
    assert look(books.desk, check)["message"].endswith("Z; rows written since: 0")


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
