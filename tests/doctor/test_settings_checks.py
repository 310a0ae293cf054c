"""The settings, and the variables that are meant for this tool."""

import re
import tempfile
from pathlib import Path

import pytest
from support.cli import Desk
from support.rows import as_nobody, look, mend, row, rows, state

from polygent_issuer.doctor import settings_checks
from polygent_issuer.home.settings import settings_path
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys import passphrases


def test_settings_say_how_many_come_from_where(desk: Desk) -> None:
    """And JSON lists each that is not at its default, with its origin."""
    desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Bea"
    outcome = desk.run("doctor", "--json")
    found = row(outcome, "settings")
    assert found["state"] == "ok"
    assert "from the settings file, 1 from the environment, " in found["message"]
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


def test_a_home_without_a_settings_file_is_at_its_defaults(desk: Desk) -> None:
    """Licenses would say polygent-operator, so that is a warning; the rest is a choice."""
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
    mend(desk, "issuer", NAME="Polygent Ltd")
    assert look(desk, "issuer")["message"] == "licenses name the issuer Polygent Ltd"


def test_the_default_name_is_well_where_it_was_chosen(desk: Desk) -> None:
    """Its origin counts, not its value."""
    text = default_text(issuer="polygent-operator")
    settings_path(desk.home).write_text(text)
    assert state(desk, "issuer") == "ok"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"issuer = ", "invalid TOML"),
        (b"isuer = 'X'\n", "unknown setting"),
        (b"\xff\xfe\n", "it is in UTF-16"),
    ],
)
def test_settings_that_cannot_be_read_are_exit_3(desk: Desk, content: bytes, told: str) -> None:
    """One failure with its reason; the registry is examined all the same."""
    settings_path(desk.home).write_bytes(content)
    outcome = desk.run("doctor", "--json")
    assert outcome.code == 3
    found = row(outcome, "settings")
    assert found["state"] == "fail"
    assert told in found["message"]
    for name in ("issuer", "output", "key-files", "leftovers", "key", "key-backup"):
        assert row(outcome, name)["message"] == "not checked: the settings cannot be read"
    for name in ("registry", "journal", "active-key", "compromised-key"):
        assert row(outcome, name)["state"] == "ok"
    assert outcome.json["settings"] == {}


def test_settings_that_may_not_be_read(desk: Desk) -> None:
    """Without the right: the same failure, in the system's word."""
    desk.run("doctor")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        theirs = desk.copy_to(Path(name) / "desk")
        with as_nobody(theirs.folder):
            settings_path(theirs.home).chmod(0)
            outcome = theirs.run("doctor", "--json")
    assert outcome.code == 3
    assert "permission denied" in row(outcome, "settings")["message"]


def test_an_upload_window_that_nobody_told_is_a_warning(desk: Desk) -> None:
    """Every deadline would be a guess."""
    found = look(desk, "upload-window")
    assert found["state"] == "warn"
    mend(desk, "upload-window")
    assert (
        look(desk, "upload-window")["message"] == "servers accept a license file for 7d after issue"
    )


def test_an_output_folder_that_is_gone_is_exit_3(desk: Desk) -> None:
    """No license could be written; the printed command makes it."""
    desk.output.rename(desk.folder / "elsewhere")
    outcome = desk.run("doctor", "--json")
    found = row(outcome, "output")
    assert found["state"] == "fail"
    assert found["message"] == f"the folder {desk.output} does not exist"
    assert next(r for r in outcome.json["rows"] if r["state"] == "fail") == found
    assert outcome.code == 3
    mend(desk, "output")
    assert look(desk, "output")["message"] == str(desk.output)


def test_folders_that_may_not_be_written_to(desk: Desk) -> None:
    """A failure for licenses, a warning for key backups; chmod mends both."""
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
                mend(theirs, check)
                assert state(theirs, check) == "ok"


def test_a_backup_folder_that_is_not_there_is_a_warning(desk: Desk) -> None:
    """That disk may be in a drawer."""
    assert state(desk, "key-backup-folder") == "ok"
    desk.ok("config", "set", "key_backup_folder", "/no/such/disk")
    found = look(desk, "key-backup-folder")
    assert found["state"] == "warn"
    assert found["mend"] == "mkdir -p /no/such/disk"


def test_a_mistyped_variable_is_a_warning_each(desk: Desk) -> None:
    """With the one that was meant; values are never shown."""
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
    """A search of the package for names of that beginning finds these and no others."""
    source = Path(settings_checks.__file__).parents[1]
    text = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    found = set(re.findall("POLYGENT_ISSUER_[A-Z_]+", text))
    assert found == set(settings_checks.VARIABLES)


def test_a_passphrase_file_that_is_not_there(desk: Desk) -> None:
    """The next signing would find out too late."""
    found = look(desk, "passphrase-file")
    assert found["state"] == "warn"
    assert found["message"] == f"the passphrase file {desk.passphrase_file} cannot be read"
    assert found["mend"] == f"unset {passphrases.VARIABLE}"


def test_a_passphrase_file_that_others_may_read(desk: Desk) -> None:
    """Beside the key file it is the key."""
    desk.passphrase_file.write_text("x")
    desk.passphrase_file.chmod(0o640)
    assert state(desk, "passphrase-file") == "warn"
    mend(desk, "passphrase-file")
    assert state(desk, "passphrase-file") == "ok"


def test_no_passphrase_file_is_well() -> None:
    """Unset, or empty, as the commands take it."""
    for named in (None, ""):
        assert settings_checks.passphrase_file(named).message.startswith("not set: ")


def test_a_mail_template_that_refuses_every_draft(desk: Desk) -> None:
    """Is told before a customer waits for one, and is moved aside, not thrown away."""
    assert look(desk, "mail-template")["message"] == "not set: drafts use the default template"
    path = desk.home / "mail.txt"
    path.write_text("Subject: $custommer\n\nhello\n")
    found = look(desk, "mail-template")
    assert found["state"] == "warn"
    assert (
        "line 1 contains the unknown placeholder $custommer; did you mean $customer?"
        in found["message"]
    )
    mend(desk, "mail-template")
    assert state(desk, "mail-template") == "ok"
    assert (desk.home / "mail.txt.wrong").exists()
    path.write_text("Subject: $customer\n\nhello\n")
    assert look(desk, "mail-template")["message"] == str(path)
