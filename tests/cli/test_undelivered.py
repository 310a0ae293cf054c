"""Licenses that were issued and not delivered, as a registry of an earlier version holds them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Desk
from support.licenses import Books

from polygent_issuer.registry import REGISTRY_FILE, Registry, licenses, outbox

SCRIPT = Path(__file__).parents[1] / "support" / "registry_a8d37d9.sql"
ALONE = "8605ac69"
ARCHIVED = {"d26c40b8", "0255356c"}


@pytest.fixture
def older(books: Books) -> Desk:
    """A home with the registry that the version a8d37d9 left when it was killed twice."""
    path = books.desk.home / REGISTRY_FILE
    path.unlink()
    script = SCRIPT.read_text().replace("OUT", str(books.desk.output))
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)
    path.chmod(0o600)
    return books.desk


def waiting(desk: Desk) -> set[str]:
    """The beginnings of the ids in the outbox."""
    with Registry.open(desk.home / REGISTRY_FILE) as registry, registry.reading() as db:
        return {row.license_id[:8] for row in outbox.pending(db)}


def test_what_an_earlier_version_kept_back_is_named_until_it_is_exported(older: Desk) -> None:
    """Its journal does not say where the files belong, so nothing is written automatically."""
    archive = older.output / "all.zip"
    older.ok("renew", "--due-within", "30d", "--bundle", str(archive))
    assert list(older.output.iterdir()) == []
    told = older.ok("customer", "list").err
    assert told.count("warning: ") == 3
    for each in (ALONE, *ARCHIVED):
        assert f"export it: polygent-issue license export {each} --output FILE" in told
    for each in (ALONE, *ARCHIVED):
        older.ok("license", "export", each)
    assert older.ok("customer", "list").err == ""
    assert waiting(older) == set()
    assert "intact" in older.ok("journal", "verify").text
    assert len(list(older.output.glob("*.lic"))) == 3


def test_what_an_earlier_version_kept_back_and_is_there_is_cleared(older: Desk) -> None:
    """The file in its place is enough: nothing is named, and the next batch clears the row."""
    with Registry.open(older.home / REGISTRY_FILE) as registry, registry.reading() as db:
        for row in outbox.pending(db):
            if row.license_id.startswith(ALONE):
                (Path(str(row.folder)) / str(row.name)).write_bytes(
                    licenses.get(db, row.license_id).file
                )
    assert ALONE not in older.ok("customer", "list").err
    older.ok("renew", "--due-within", "30d")
    assert waiting(older) == ARCHIVED


def test_what_an_earlier_version_kept_back_and_is_retired_is_cleared(older: Desk) -> None:
    """A retired license is not to be sent."""
    older.ok("license", "retire", ALONE, "--reason", "left us")
    assert ALONE not in older.ok("customer", "list").err
    older.ok("renew", "--due-within", "30d")
    assert waiting(older) == ARCHIVED
