"""`polygent-issue registry backup`."""

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import tree
from support.keys import opened
from support.licenses import Books
from support.secret_search import forms_of_key, places

from polygent_issuer.delivery import backup_settings
from polygent_issuer.registry import Registry, journal


def test_a_backup_reports_its_content(books: Books) -> None:
    """The file, the head, what is in it and what is not are printed, and it is journalled."""
    books.license(books.customer())
    stick = books.desk.folder / "the stick"
    stick.mkdir()
    head = books.desk.ok("journal", "verify", "--json").json["head"]
    outcome = books.desk.ok("registry", "backup", str(stick))
    path = stick / "registry-2026-11-30T093000Z.db"
    assert outcome.text.startswith(f"backed up the registry to {path}\n  rows  4\n  head  {head}\n")
    assert "confidential" in outcome.text
    assert "settings in it: issuer, plans, windows, features, mail sender and template" in (
        outcome.text
    )
    assert "not in it: private keys (polygent-issue key backup), and the key stores" in outcome.text
    assert outcome.err == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    row = books.last_row()
    assert row.event == "registry-backed-up"
    assert row.details == {"file": str(path), "size": 4, "head": head}
    with Registry.open(path) as copy, copy.reading() as db:
        assert "{}:{}".format(*journal.head(db)) == head


def test_json_has_the_head(books: Books) -> None:
    """JSON has the head for scripts that save it."""
    path = books.desk.folder / "b.db"
    assert books.desk.ok("registry", "backup", str(path), "--json").json == {
        "schema": "polygent-issue/1",
        "file": str(path),
        "size": 2,
        "head": f"2:{_hash(path)}",
        "settings": str(books.desk.home / "settings.toml"),
        "settings_included": [*backup_settings.SETTINGS, "plans", "mail_template"],
    }


def _hash(path: Path) -> str:
    with Registry.open(path) as copy, copy.reading() as db:
        return journal.head(db)[1]


def test_an_existing_file_is_not_overwritten(books: Books) -> None:
    """An existing file is exit 8 without a journal row."""
    path = books.desk.folder / "b.db"
    books.desk.ok("registry", "backup", str(path))
    before = tree(books.desk.folder)
    outcome = books.desk.run("registry", "backup", str(path))
    assert outcome.code == 8
    assert "never overwritten" in outcome.err
    assert tree(books.desk.folder) == before


def test_two_backups_within_a_second(books: Books) -> None:
    """Both are written under different names and journalled."""
    stick = books.desk.folder / "stick"
    stick.mkdir()
    files = [books.desk.ok("registry", "backup", str(stick), "--json").json for _ in range(2)]
    name = f"{stick}/registry-2026-11-30T093000Z"
    assert [each["file"] for each in files] == [f"{name}.db", f"{name}-2.db"]
    assert books.last_row().details["file"] == f"{name}-2.db"


def test_a_backup_in_the_home_is_warned_of(books: Books) -> None:
    """A backup in the home would be lost with it."""
    outcome = books.desk.ok("registry", "backup", str(books.desk.home / "b.db"))
    assert "the backup is in the home" in outcome.err


def test_a_clock_that_is_behind_is_a_warning(books: Books) -> None:
    """A backup with a wrong date is better than none."""
    books.desk.now -= timedelta(days=2)
    outcome = books.desk.ok("registry", "backup", str(books.desk.folder / "b.db"))
    assert "2026-11-28T09:30:00Z" in outcome.err


def test_no_private_key_is_in_it(desk: Desk) -> None:
    """The backup has the desk's private key in no form."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    path = desk.folder / "b.db"
    desk.ok("registry", "backup", str(path))
    key = opened(desk.folder / "main.key")
    assert places({"backup": path.read_bytes()}, forms_of_key(key)) == set()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_an_unwritable_folder_is_reported(
    books: Books, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For a user without rights to it, it is exit 8 with the reason."""
    foreign = tmp_path_factory.mktemp("foreign")
    foreign.chmod(0o755)
    for folder in (*books.desk.folder.parents, books.desk.folder):
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    for path in (books.desk.folder, *books.desk.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    books.desk.folder.chmod(0o755)
    books.desk.folder.parent.chmod(0o755)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(books.desk.home)]
    done = subprocess.run(
        [*nobody, *command, "registry", "backup", str(foreign)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 8, done
    assert "permission denied" in done.stderr
    assert list(foreign.iterdir()) == []
