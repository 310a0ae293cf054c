"""Checks of the settings and of this tool's environment variables."""

import re
import tempfile
from pathlib import Path

import pytest
from support.cli import Desk
from support.doctor_rows import as_nobody, fix, look, row, rows, state

from polygent_issuer.doctor import home_checks
from polygent_issuer.home.settings import settings_path
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys import passphrases


def test_the_settings_are_counted_by_origin(desk: Desk) -> None:
    """JSON lists each setting that differs from its default, with its origin."""
    desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Bea"
    outcome = desk.run("doctor", "--json")
    result = row(outcome, "settings")
    assert result["state"] == "ok"
    assert "from the settings file, 1 from the environment, " in result["message"]
    chosen = outcome.json["settings"]
    assert chosen["issuer"] == {
        "value": "Polygent Ltd",
        "origin": "file",
        "detail": str(settings_path(desk.home)),
    }
    assert chosen["operator"] == {
        "value": "Bea",
        "origin": "environment",
        "detail": "POLYGENT_ISSUER_OPERATOR",
    }
    assert "lapsed" not in chosen
    assert row(outcome, "operator")["message"] == "the journal records Bea"


def test_a_home_without_a_settings_file_uses_defaults(desk: Desk) -> None:
    """The default issuer name is a warning; other defaults are ok."""
    settings_path(desk.home).unlink()
    outcome = desk.run("doctor", "--json")
    assert outcome.json["settings"] == {}
    assert row(outcome, "settings")["message"].startswith("0 from the settings file, 0 from ")
    assert row(outcome, "issuer")["state"] == "warn"
    assert row(outcome, "operator")["state"] == "ok"
    assert (
        row(outcome, "output")["message"]
        == "not set: license files are written to the current folder"
    )
    fix(desk, "issuer", NAME="Polygent Ltd")
    assert look(desk, "issuer")["message"] == "licenses name the issuer Polygent Ltd"


def test_the_default_issuer_name_is_ok_if_it_was_set(desk: Desk) -> None:
    """The origin counts, not the value."""
    text = default_text(issuer="polygent-operator")
    settings_path(desk.home).write_text(text)
    assert state(desk, "issuer") == "ok"


@pytest.mark.sqlite("a team's registry is not found then, either")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"issuer = ", "invalid TOML"),
        (b"isuer = 'X'\n", "unknown setting"),
        (b"\xff\xfe\n", "it is in UTF-16"),
    ],
)
def test_invalid_settings_are_exit_3(desk: Desk, content: bytes, reason: str) -> None:
    """One row fails with the reason; the registry is still checked."""
    settings_path(desk.home).write_bytes(content)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 3
    result = row(outcome, "settings")
    assert result["state"] == "fail"
    assert reason in result["message"]
    for name in ("issuer", "output", "key-files", "leftovers", "key", "key-backup"):
        assert row(outcome, name)["message"] == "not checked: the settings cannot be read"
    for name in ("registry", "journal", "active-key", "compromised-key"):
        assert row(outcome, name)["state"] == "ok"
    assert outcome.json["settings"] == {}


def test_settings_without_permission_are_a_failure(desk: Desk) -> None:
    """The message has the reason of the system."""
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            settings_path(theirs.home).chmod(0)
            outcome = theirs.run("doctor", "--json")
    assert outcome.code == 3
    assert "permission denied" in row(outcome, "settings")["message"]


def test_a_missing_upload_window_is_a_warning(desk: Desk) -> None:
    """Upload deadlines assume a default then."""
    result = look(desk, "upload-window")
    assert result["state"] == "warn"
    fix(desk, "upload-window")
    assert (
        look(desk, "upload-window")["message"] == "servers accept a license file for 7d after issue"
    )


def test_a_missing_output_folder_is_exit_3(desk: Desk) -> None:
    """No license file could be written; the printed command creates the folder."""
    desk.output.rename(desk.folder / "elsewhere")
    outcome = desk.run("doctor", "--json")
    result = row(outcome, "output")
    assert result["state"] == "fail"
    assert result["message"] == f"the folder {desk.output} does not exist"
    assert next(r for r in outcome.json["rows"] if r["state"] == "fail") == result
    assert outcome.code == 3
    fix(desk, "output")
    assert look(desk, "output")["message"] == str(desk.output)


def test_folders_without_write_permission(desk: Desk) -> None:
    """The output folder is a failure, the backup folder a warning; chmod fixes both."""
    desk.ok("config", "set", "key_backup_folder", str(desk.folder / "backups"))
    (desk.folder / "backups").mkdir()
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            for folder in (theirs.output, theirs.folder / "backups"):
                folder.chmod(0o500)
            assert state(theirs, "output") == "fail"
            assert state(theirs, "key-backup-folder") == "warn"
            for check in ("output", "key-backup-folder"):
                assert look(theirs, check)["message"].startswith("no permission to write to ")
                fix(theirs, check)
                assert state(theirs, check) == "ok"


def test_a_missing_backup_folder_is_a_warning(desk: Desk) -> None:
    """The folder may be on a disk that is not connected."""
    assert state(desk, "key-backup-folder") == "ok"
    desk.ok("config", "set", "key_backup_folder", "/no/such/disk")
    result = look(desk, "key-backup-folder")
    assert result["state"] == "warn"
    assert result["mend"] == "mkdir -p /no/such/disk"


def test_each_unknown_variable_is_a_warning(desk: Desk) -> None:
    """The message suggests the right name; values are not shown."""
    assert state(desk, "variables") == "ok"
    desk.environ |= {
        "POLYGENT_ISSUER_OPERATER": "secret",
        "POLYGENT_ISSUER_": "secret",
        "POLYGENT_ISSUER_OPERATOR": "Ada",
        "POLYGENT_OTHER": "x",
    }
    outcome = desk.run("doctor", "--json")
    first, second = rows(outcome, "variables")
    assert first["message"].startswith("POLYGENT_ISSUER_ is set but not recognised; ")
    assert second["message"] == (
        "POLYGENT_ISSUER_OPERATER is set but not recognised; did you mean POLYGENT_ISSUER_OPERATOR?"
    )
    assert second["mend"] == "unset POLYGENT_ISSUER_OPERATER"
    assert "secret" not in outcome.text


def test_every_variable_that_is_read_is_known() -> None:
    """A search of the package finds exactly the listed names with our prefix."""
    source = Path(home_checks.__file__).parents[1]
    text = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    result = set(re.findall("POLYGENT_ISSUER_[A-Z_]+", text))
    assert result == set(home_checks.VARIABLES)


def test_a_missing_passphrase_file_is_a_warning(desk: Desk) -> None:
    """The problem is reported before the next signing."""
    result = look(desk, "passphrase-file")
    assert result["state"] == "warn"
    assert result["message"] == f"the passphrase file {desk.passphrase_file} cannot be read"
    assert result["mend"] == f"unset {passphrases.VARIABLE}"


def test_a_readable_passphrase_file_is_a_warning(desk: Desk) -> None:
    """A reader of this file and the key file has the key."""
    desk.passphrase_file.write_text("x")
    desk.passphrase_file.chmod(0o640)
    assert state(desk, "passphrase-file") == "warn"
    fix(desk, "passphrase-file")
    assert state(desk, "passphrase-file") == "ok"


def test_no_passphrase_file_is_ok() -> None:
    """The variable may be unset or empty."""
    for named in (None, ""):
        assert home_checks.passphrase_file(named).message.startswith("not set: ")


def test_an_invalid_mail_template_is_a_warning(desk: Desk) -> None:
    """The fix renames the file, and does not delete it."""
    assert look(desk, "mail-template")["message"] == "not set: drafts use the default template"
    path = desk.home / "mail.txt"
    path.write_text("Subject: $custommer\n\nhello\n")
    result = look(desk, "mail-template")
    assert result["state"] == "warn"
    assert (
        "line 1 contains the unknown placeholder $custommer; did you mean $customer?"
        in result["message"]
    )
    fix(desk, "mail-template")
    assert state(desk, "mail-template") == "ok"
    assert (desk.home / "mail.txt.wrong").exists()
    path.write_text("Subject: $customer\n\nhello\n")
    assert look(desk, "mail-template")["message"] == str(path)
