"""The whole examination completes, whatever fails, and changes nothing."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import NOW, Desk
from support.doctor_rows import SERVER_ROWS, row
from support.licenses import Books
from support.secret_service import SecretService

from polygent_issuer.doctor import State, checks, examine
from polygent_issuer.doctor.checks import CHECKS
from polygent_issuer.doctor.context import DoctorContext, ok
from polygent_issuer.registry import schema
from polygent_issuer.text import for_shell

LATER = ("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT",)


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return bytes, mode, owner and modification time of every file and folder."""
    result = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else os.listdir(path)  # noqa: PTH208
        result[str(path)] = (
            content,
            status.st_mode,
            status.st_uid,
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
    return result


def _undelivered(books: Books) -> None:
    books.license(books.customer(), pending=(str(books.desk.output), "acme.lic"))


def _older(books: Books) -> None:
    _undelivered(books)
    with closing(sqlite3.connect(books.path)) as raw:
        raw.execute("PRAGMA user_version = 0")


def _without_settings(books: Books) -> None:
    (books.desk.home / "settings.toml").unlink()


def _without_registry(books: Books) -> None:
    books.path.unlink()


def _interrupted(books: Books) -> None:
    books.path.write_bytes(b"")


def _damaged(books: Books) -> None:
    books.path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8192)


def _open_to_others(books: Books) -> None:
    books.desk.home.chmod(0o755)
    books.path.chmod(0o644)
    (books.desk.output / ".polygent-0-1.tmp").write_text("x")
    os.utime(books.desk.output / ".polygent-0-1.tmp", (1, 1))


def _unsafe(books: Books) -> None:
    books.desk.home.chmod(0o777)


@pytest.mark.sqlite("about the file")
@pytest.mark.parametrize(
    "prepare",
    [
        lambda _: None,
        _undelivered,
        _older,
        _without_settings,
        _without_registry,
        _interrupted,
        _damaged,
        _open_to_others,
        _unsafe,
    ],
)
def test_nothing_is_changed(
    books: Books, service: SecretService, prepare: Callable[[Books], None]
) -> None:
    """No bytes, mode or time change; nothing is delivered, migrated or created."""
    prepare(books)
    before = snapshot(books.desk.folder)
    for more in ((), ("--json",), ("--quick",)):
        outcome = books.desk.run("doctor", *more)
        assert outcome.code in (0, 6, 7)
        assert outcome.err == ""
    assert snapshot(books.desk.folder) == before
    assert not service.is_locked()


def test_a_missing_home_is_not_created(tmp_path: Path) -> None:
    """A mistyped `--home` is reported with the command that creates this home."""
    desk = Desk(tmp_path)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert list(tmp_path.iterdir()) == []
    home = row(outcome, "home")
    assert (home["state"], home["mend"]) == ("fail", "polygent-issue init")
    later = [row(outcome, name)["message"] for name in ("home-rights", "settings", "journal")]
    assert later == ["not checked: the home does not exist"] * 3


def test_a_file_in_place_of_the_home_is_not_called_missing(tmp_path: Path) -> None:
    """The checks that need the home do not report another reason than the check of the home."""
    desk = Desk(tmp_path)
    desk.home.write_text("")
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 7
    assert row(outcome, "home")["message"].endswith(" is not a folder")
    assert row(outcome, "settings")["message"] == "not checked: the home cannot be opened"


@pytest.mark.parametrize("name", ["polygent-issue home", "Ada's polygent-issue home"])
def test_a_home_may_have_the_name_of_the_tool(tmp_path: Path, name: str) -> None:
    """`--home` is added to the commands, and no path is changed."""
    folder = tmp_path / name
    folder.mkdir()
    desk = Books(Desk(folder)).open().desk
    desk.home.chmod(0o755)
    outcome = desk.printed("doctor", "--json")
    home = for_shell(str(desk.home))
    assert row(outcome, "home-rights")["mend"] == f"chmod 700 {home}"
    assert row(outcome, "key")["mend"].startswith(desk.command("key", "import"))


def test_every_command_of_a_fix_names_the_home(desk: Desk) -> None:
    """A command within a sentence also gets `--home`."""
    (desk.home / "settings.toml").write_text("nonsense")
    outcome = desk.printed("doctor", "--json")
    assert desk.command("config", "path") in row(outcome, "settings")["mend"]


def test_a_path_that_cannot_be_a_home_is_reported() -> None:
    """The machine and the keyring are checked in this case, too."""
    result = examine(None, {"POLYGENT_ISSUER_HOME": ""}, now=NOW, quick=True)
    assert result.exit_code == 7
    by_name = {row.name: row for row in result.rows}
    assert by_name["home"].message == "POLYGENT_ISSUER_HOME is empty"
    assert by_name["sqlite"].state is State.OK
    assert by_name["keyring"].state is not State.NOT_CHECKED
    assert by_name["settings"].message == "not checked: the home cannot be opened"


def test_every_check_has_its_rows_in_the_order_of_the_table(desk: Desk) -> None:
    """Each check has at least one row, and all rows of a check are together."""
    names = [row_["name"] for row_ in desk.run("doctor", "--json").json["rows"]]
    left_out = () if isinstance(desk.registry, str) else SERVER_ROWS
    assert list(dict.fromkeys(names)) == [name for name in CHECKS if name not in left_out]


def test_older_tables_are_reported_without_a_migration(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pending migration is not run."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, LATER))
    before = snapshot(books.desk.folder)
    outcome = books.desk.run("doctor", "--json")
    assert snapshot(books.desk.folder) == before
    # Only its owner upgrades a database.
    on_server = isinstance(books.desk.registry, str)
    assert row(outcome, "tables")["state"] == ("fail" if on_server else "warn")


@pytest.mark.sqlite("about the file")
def test_the_first_failure_decides_the_exit_code(books: Books) -> None:
    """Settings come before the registry, and both before the keys."""
    assert books.desk.run("doctor", "--json").code == 6
    books.path.write_bytes(b"x" * 5000)
    assert books.desk.run("doctor", "--json").code == 7
    (books.desk.home / "settings.toml").write_text("nonsense")
    assert books.desk.run("doctor", "--json").code == 3


@pytest.mark.parametrize(("set_to", "seconds"), [("1h", 3), ("1s", 1)])
def test_the_wait_for_a_keyring_is_short(desk: Desk, set_to: str, seconds: int) -> None:
    """The examination waits for seconds at most; a shorter setting is used."""
    desk.ok("config", "set", "keyring_timeout", set_to)
    with ExitStack() as stack:
        case = DoctorContext(desk.home, {}, now=NOW, closing=stack)
        assert case.settings.keyring_timeout == timedelta(seconds=seconds)


def test_a_check_with_a_system_error_is_not_checked(tmp_path: Path) -> None:
    """The row has the reason, and the next check runs."""
    with ExitStack() as stack:
        context = DoctorContext(tmp_path, {}, now=NOW, closing=stack)
        verdict = checks.verdict_of(lambda _: ok((tmp_path / "no").read_text()), context)
    assert not isinstance(verdict, tuple)
    assert verdict.state is State.NOT_CHECKED
    assert verdict.message == "not checked: no such file or directory"
