"""Issued and undelivered licenses in a registry of an earlier version."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Desk
from support.licenses import Books

from polygent_issuer.registry import REGISTRY_FILE, Registry, change, licenses

SCRIPT = Path(__file__).parents[1] / "support" / "registry_a8d37d9.sql"
ALONE = "8605ac69"
ARCHIVED = {"d26c40b8", "0255356c"}


@pytest.fixture
def older(books: Books) -> Desk:
    """Return a home with the registry of version a8d37d9 after two crashes."""
    path = books.desk.home / REGISTRY_FILE
    path.unlink()
    script = SCRIPT.read_text().replace("OUT", str(books.desk.output))
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)
    path.chmod(0o600)
    return books.desk


def pending(desk: Desk) -> set[str]:
    """Return the beginnings of the IDs in the outbox."""
    with Registry.open(desk.registry) as registry, registry.reading() as db:
        return {row.license_id[:8] for row in change.pending(db)}


@pytest.mark.sqlite("of an earlier version")
def test_an_undelivered_license_of_an_earlier_version_is_reported_until_it_is_exported(
    older: Desk,
) -> None:
    """Its journal does not contain the place of the files, so nothing is written automatically."""
    archive = older.output / "all.zip"
    older.ok("renew", "--due-within", "30d", "--bundle", str(archive))
    assert list(older.output.iterdir()) == []
    warnings = older.ok("customer", "list").err
    assert warnings.count("warning: ") == 3
    for each in (ALONE, *ARCHIVED):
        assert f"export it: polygent-issue license export {each} --output FILE" in warnings
    for each in (ALONE, *ARCHIVED):
        older.ok("license", "export", each)
    assert older.ok("customer", "list").err == ""
    assert pending(older) == set()
    assert "intact" in older.ok("journal", "verify").text
    assert len(list(older.output.glob("*.lic"))) == 3


@pytest.mark.sqlite("of an earlier version")
def test_a_license_of_an_earlier_version_whose_file_exists_is_cleared(older: Desk) -> None:
    """A license whose file exists is not reported, and the next batch clears its row."""
    with Registry.open(older.registry) as registry, registry.reading() as db:
        for row in change.pending(db):
            if row.license_id.startswith(ALONE):
                (Path(str(row.folder)) / str(row.name)).write_bytes(
                    licenses.get(db, row.license_id).file
                )
    assert ALONE not in older.ok("customer", "list").err
    older.ok("renew", "--due-within", "30d")
    assert pending(older) == ARCHIVED


@pytest.mark.sqlite("of an earlier version")
def test_a_retired_license_of_an_earlier_version_is_cleared(older: Desk) -> None:
    """A retired license is not reported, and the next batch clears its row."""
    older.ok("license", "retire", ALONE, "--reason", "left us")
    assert ALONE not in older.ok("customer", "list").err
    older.ok("renew", "--due-within", "30d")
    assert pending(older) == ARCHIVED
