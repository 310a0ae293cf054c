"""`--bundle`: one archive with a table of contents, completed after any interruption."""

import csv
import io
import os
import sqlite3
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.many_customers import add_customers_at

from polygent_issuer.batch.bundle import COLUMNS, Bundle
from polygent_issuer.errors import OutputProblem
from polygent_issuer.registry import REGISTRY_FILE, Registry, change, licenses

RENEW = ("renew", "--due-within", "30d", "--bundle")


def archive(path: Path) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    """Return the rows of the table of contents, and the files by name."""
    with zipfile.ZipFile(path) as read:
        assert read.testzip() is None
        held = {name: read.read(name) for name in read.namelist()}
    assert held["manifest.csv"].startswith(b"\xef\xbb\xbfcustomer,")
    table = io.StringIO(held.pop("manifest.csv").decode("utf-8-sig"), newline="")
    return list(csv.DictReader(table, strict=True)), held


def waiting(desk: Desk) -> int:
    """Return the number of licenses in the outbox."""
    with Registry.open(desk.registry) as registry, registry.reading() as db:
        return len(change.pending(db))


@pytest.fixture
def crowd(desk: Desk) -> Desk:
    """Five customers with licenses that expire in three weeks."""
    add_customers_at(desk, range(5), ends_in=21)
    return desk


def test_the_archive_has_each_license_and_its_row(crowd: Desk) -> None:
    """The bytes are those of the registry; no file is in the folder, and the outbox is empty."""
    target = crowd.folder / "all.zip"
    crowd.ok(*RENEW, str(target))
    rows, held = archive(target)
    assert tuple(rows[0]) == COLUMNS
    assert [row["file"] for row in rows] == list(held)
    assert len(rows) == 5
    with Registry.open(crowd.registry) as registry, registry.reading() as db:
        for row in rows:
            assert licenses.get(db, row["license"]).file == held[row["file"]]
    assert list(crowd.output.iterdir()) == []
    assert waiting(crowd) == 0


def test_an_unfinished_archive_is_finished_by_the_same_command(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile each command has one line about the waiting licenses."""
    target = crowd.folder / "all.zip"

    def full(*_: object, **__: object) -> None:
        raise OutputProblem("no room", hint="make room")

    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "finish", full)
        outcome = crowd.run(*RENEW, str(target))
    assert (outcome.code, target.exists(), waiting(crowd)) == (8, False, 5)
    assert "renewed c" not in outcome.text, "nothing is acknowledged whose file is not there"
    warnings = crowd.ok("customer", "list").err
    assert warnings.count("warning") == 1
    assert f"5 licenses are not yet in the archive {target}" in warnings
    again = crowd.ok(*RENEW, str(target)).text
    assert "nothing to do" in again
    assert f"archive: {target}, 5 licenses" in again
    assert len(archive(target)[0]) == 5
    assert waiting(crowd) == 0
    assert crowd.ok("journal", "verify").code == 0


def test_items_are_acknowledged_when_the_archive_is_written(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for `--json`, too; the real archive is watched as it is written."""
    target = crowd.folder / "all.zip"
    finish, said = Bundle.finish, list[bytes]()

    def watched(self: Bundle, *given: Any, **named: Any) -> None:
        said.append(sys.stdout.buffer.getvalue())  # type: ignore[union-attr]
        finish(self, *given, **named)

    monkeypatch.setattr(Bundle, "finish", watched)
    lines = crowd.ok(*RENEW, str(target), "--json").json_lines
    assert said == [b""]
    assert [each.get("outcome") for each in lines] == ["done"] * 5 + [None]
    first = lines[0]["licenses"][0]
    assert first["archive"] == str(target)
    assert first["file"] in archive(target)[1], "its name there, no path that is not"
    assert lines[-1]["summary"]["archive"] == {"file": str(target), "licenses": 5}


def test_an_existing_file_is_not_overwritten(crowd: Desk) -> None:
    """The file stays, and nothing is signed."""
    target = crowd.folder / "all.zip"
    target.write_bytes(b"mine")
    outcome = crowd.run(*RENEW, str(target))
    assert (outcome.code, target.read_bytes(), waiting(crowd)) == (8, b"mine", 0)
    listed = crowd.ok("license", "list", "--json").json["licenses"]
    assert {each["status"] for each in listed} == {"current"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("x.tar",), 8),
        (("none/x.zip",), 8),
        ((f"{'x' * 300}.zip",), 8),
        (("pipe.zip",), 8),
        (("x.zip", "--output", "."), 2),
    ],
)
def test_an_invalid_archive_is_refused_first(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    """Nothing is issued, and a pipe is not opened."""
    monkeypatch.chdir(crowd.folder)
    os.mkfifo("pipe.zip")
    assert crowd.run(*RENEW, *options).code == code
    assert waiting(crowd) == 0


def test_a_batch_with_nothing_due_writes_no_archive(crowd: Desk) -> None:
    """An empty archive would look like a mistake."""
    target = crowd.folder / "all.zip"
    assert "nothing to do" in crowd.ok("renew", "--due-within", "7d", "--bundle", str(target)).text
    assert not target.exists()


def test_cells_of_the_table_are_not_formulas(crowd: Desk) -> None:
    """A spreadsheet that opens the table runs nothing."""
    crowd.ok("customer", "edit", "c1", "--name", "=1+1")
    target = crowd.folder / "all.zip"
    crowd.ok(*RENEW, str(target))
    names = [row["name"] for row in archive(target)[0]]
    assert "'=1+1" in names


def unfinished(crowd: Desk, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew into an archive that the disk refuses."""

    def full(*_: object, **__: object) -> None:
        raise OutputProblem("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "finish", full)
        assert crowd.run(*RENEW, str(target)).code == 8


def edit(crowd: Desk, *statements: str) -> list[str]:
    """Edit the registry with SQL; return the IDs that were in the outbox."""
    with closing(sqlite3.connect(crowd.home / REGISTRY_FILE)) as raw:
        found = raw.execute("SELECT license_id FROM outbox ORDER BY license_id").fetchall()
        for sql in statements:
            raw.execute(sql)
        raw.commit()
    return [str(row[0]) for row in found]


_NTH = "(SELECT license_id FROM outbox ORDER BY license_id LIMIT 1 OFFSET {})"


@pytest.mark.sqlite("edits rows of the file")
def test_an_archive_has_only_licenses_that_the_journal_vouches_for(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanged bytes and edited names are left out and named, with the command for the file."""
    target = crowd.folder / "all.zip"
    unfinished(crowd, target, monkeypatch)
    ids = edit(
        crowd,
        f"UPDATE licenses SET file = x'6576696c' WHERE id = {_NTH.format(0)}",  # noqa: S608
        f"UPDATE outbox SET name = '../../.bashrc' WHERE license_id = {_NTH.format(1)}",  # noqa: S608
        f"UPDATE outbox SET name = NULL WHERE license_id = {_NTH.format(2)}",  # noqa: S608
    )
    warnings = crowd.ok("customer", "list").err
    assert "2 licenses are not yet in the archive" in warnings
    for each in ids[:3]:
        assert f"polygent-issue license export {each[:8]} --output FILE" in warnings
    assert f"archive: {target}, 2 licenses" in crowd.ok(*RENEW, str(target)).text
    rows, held = archive(target)
    assert [row["license"] for row in rows] == ids[3:]
    assert list(held) == [row["file"] for row in rows]
    warnings = crowd.ok("customer", "list").err
    assert "wait for the archive" not in warnings
    assert warnings.count("may not have reached") == 3
    for each in ids[1:3]:
        crowd.ok("license", "export", each[:8])
    outcome = crowd.run("license", "export", ids[0][:8])
    assert (outcome.code, waiting(crowd)) == (7, 1)


@pytest.mark.sqlite("edits rows of the file")
def test_a_complete_archive_is_not_written_again_after_a_crash(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outbox is cleared, including licenses that no journal row vouches for."""
    target = crowd.folder / "all.zip"
    unfinished(crowd, target, monkeypatch)
    copy = crowd.folder / "outbox.db"
    edit(crowd, f"ATTACH '{copy}' AS kept", "CREATE TABLE kept.outbox AS SELECT * FROM outbox")
    crowd.ok(*RENEW, str(target))
    before = target.read_bytes()
    edit(crowd, f"ATTACH '{copy}' AS kept", "INSERT INTO outbox SELECT * FROM kept.outbox")
    assert waiting(crowd) == 5
    crowd.ok(*RENEW, str(target))
    assert (waiting(crowd), target.read_bytes()) == (0, before)


@pytest.mark.sqlite("edits rows of the file")
def test_another_archive_clears_only_the_licenses_in_it(
    crowd: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vouched licenses wait until the archive contains all of them."""
    target = crowd.folder / "all.zip"
    unfinished(crowd, target, monkeypatch)
    ids = edit(crowd, f"UPDATE outbox SET name = 'moved.lic' WHERE license_id = {_NTH.format(0)}")  # noqa: S608
    with Registry.open(crowd.registry) as registry, registry.reading() as db:
        places = {row.license_id: str(row.name) for row in change.pending(db)}
        with zipfile.ZipFile(target, "w") as other:
            for each in ids[:2]:
                other.writestr(places[each], licenses.get(db, each).file)
    assert crowd.run(*RENEW, str(target)).code == 8
    assert waiting(crowd) == 4
    target.unlink()
    assert f"archive: {target}, 4 licenses" in crowd.ok(*RENEW, str(target)).text
