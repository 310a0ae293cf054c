"""The home as a folder."""

import os
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import NOW, Desk
from support.licenses import Books
from support.rows import as_nobody, look, mend, mounted, row, state

from polygent_issuer.doctor import State, home_checks


def test_the_home_says_where_it_is_and_by_what(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the option, by the variable, or by default."""
    assert look(desk, "home")["message"] == f"{desk.home}, by --home"
    from polygent_issuer.doctor import examine  # noqa: PLC0415

    found = examine(None, {"POLYGENT_ISSUER_HOME": str(desk.home)}, now=NOW)
    (home,) = (row for row in found.rows if row.name == "home")
    assert home.message == f"{desk.home}, by POLYGENT_ISSUER_HOME"
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.folder))
    desk.home.rename(desk.folder / "polygent-issuer")
    (home,) = (row for row in examine(None, {}, now=NOW).rows if row.name == "home")
    assert home.message == f"{desk.folder / 'polygent-issuer'}, by the default"


def test_a_home_of_nobody_else_is_well(desk: Desk) -> None:
    """As `init` makes it."""
    assert state(desk, "home-rights") == "ok"


@pytest.mark.parametrize("mode", [0o750, 0o705])
def test_a_home_that_others_can_enter_is_a_warning(desk: Desk, mode: int) -> None:
    """The command that is printed closes it."""
    desk.home.chmod(mode)
    found = look(desk, "home-rights")
    assert found["state"] == "warn"
    assert "may look into" in found["message"]
    assert "chmod" not in found["message"]
    mend(desk, "home-rights")
    assert state(desk, "home-rights") == "ok"


def test_a_home_that_everybody_may_write_to_is_not_read(desk: Desk) -> None:
    """What stands there may be a stranger's: only the folder itself is looked at."""
    desk.home.chmod(0o777)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert row(outcome, "home")["state"] == "ok"
    assert row(outcome, "home-disk")["state"] == "ok"
    rights = row(outcome, "home-rights")
    assert rights["state"] == "fail"
    assert rights["mend"].startswith(f"chmod o-w {desk.home}, then look for changes: ")
    for name in ("settings", "registry", "key", "free-space"):
        assert row(outcome, name)["state"] == "not_checked"
        assert row(outcome, name)["message"] == "not checked: the home is not safe to read"


def test_a_strangers_home_is_not_read(desk: Desk) -> None:
    """Exit 7, and nothing of it is believed."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a folder away")
    os.chown(desk.home, 65534, 65534)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert "belongs to another user (uid 65534" in row(outcome, "home-rights")["message"]
    assert row(outcome, "settings")["state"] == "not_checked"


def test_a_file_in_the_place_of_the_home(tmp_path: Path) -> None:
    """A failure that says so; the machine itself is examined all the same."""
    desk = Desk(tmp_path)
    desk.home.write_text("no folder")
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert "is not a folder" in row(outcome, "home")["message"]
    assert row(outcome, "sqlite")["state"] == "ok"


def test_a_home_without_the_right_to_write(desk: Desk) -> None:
    """A failure: nothing can be issued; the printed command mends it."""
    desk.run("doctor")  # all that it imports, before the rights are gone
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            theirs.home.chmod(0o500)
            outcome = theirs.run("doctor", "--json")
            assert outcome.code == 7
            rights = row(outcome, "home-rights")
            assert rights["state"] == "fail"
            assert rights["message"] == f"you may not write into the home {theirs.home}"
            mend(theirs, "home-rights")
            assert state(theirs, "home-rights") == "ok"


def test_a_home_on_a_disk_that_is_mounted_read_only(desk: Desk, tmp_path: Path) -> None:
    """No chmod would help, and none is told."""
    with mounted(tmp_path / "disk") as disk:
        theirs = desk.copy_to(disk / "desk")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        outcome = theirs.run("doctor", "--json")
    assert outcome.code == 7
    rights = row(outcome, "home-rights")
    assert rights["message"].endswith("is mounted read-only")
    assert rights["mend"] == "mount it writable"
    assert row(outcome, "registry")["state"] == "ok"


def test_files_of_the_home_that_others_may_read(desk: Desk) -> None:
    """Both are named, and closed with one command."""
    for name in ("registry.db", "settings.toml"):
        (desk.home / name).chmod(0o644)
    found = look(desk, "home-files")
    assert found["state"] == "warn"
    assert found["message"] == "other users may read or write registry.db, settings.toml"
    mend(desk, "home-files")
    assert look(desk, "home-files") == {
        "name": "home-files",
        "state": "ok",
        "message": "closed to others: registry.db, settings.toml",
        "mend": None,
    }


def test_a_key_file_that_others_may_read(books: Books) -> None:
    """As containers mount secrets: a warning, and a path with a space is quoted."""
    folder = books.desk.folder / "my keys"
    folder.mkdir()
    key = folder / "main.key"
    key.write_text("x")
    key.chmod(0o444)
    books.desk.ok("config", "set", f"stores.{books.signer.kid}", f"file:{key}")
    found = look(books.desk, "key-files")
    assert found["state"] == "warn"
    assert found["mend"] == f"chmod 600 '{key}'"
    mend(books.desk, "key-files")
    assert look(books.desk, "key-files")["message"] == "closed to others: main.key"


def test_without_key_files_there_is_none(desk: Desk) -> None:
    """Keys in a keyring have no modes."""
    assert look(desk, "key-files")["message"] == "there is none"


def test_temporary_files_of_crashes_are_found_and_removed(desk: Desk) -> None:
    """In the home and in the output folder; what is young may be another command's."""
    old = (NOW - timedelta(hours=2)).timestamp()
    young = (NOW - timedelta(minutes=5)).timestamp()
    for folder, name, moment in (
        (desk.home, ".polygent-0011223344556677-99.tmp", old),
        (desk.output, ".polygent-5f0c6f0e-1.tmp", old),
        (desk.output, ".polygent-5f0c6f0e-2.tmp", young),
        (desk.output, "polygent.tmp", old),
    ):
        (folder / name).write_text("x")
        os.utime(folder / name, (moment, moment))
    found = look(desk, "leftovers")
    assert found["state"] == "warn"
    assert found["message"] == "interrupted commands have left 2 temporary files"
    mend(desk, "leftovers")
    assert look(desk, "leftovers")["message"] == "no temporary file is left over"
    assert sorted(path.name for path in desk.output.iterdir()) == [
        ".polygent-5f0c6f0e-2.tmp",
        "polygent.tmp",
    ]


def test_a_disk_that_is_nearly_full_is_a_warning(desk: Desk, tmp_path: Path) -> None:
    """The one with the least room, be it the home's or the output folder's."""
    assert state(desk, "free-space") == "ok"
    with mounted(tmp_path / "disk") as disk:
        desk.ok("config", "set", "output", str(disk))
        found = look(desk, "free-space")
        assert found["state"] == "warn"
        assert found["message"] == f"only 1 MiB free on the disk of {disk}"
        assert home_checks.free_space([disk], little=1000).state is State.OK
