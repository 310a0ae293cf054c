"""`polygent-issue init`: options, prompts and existing homes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import tree
from support.secret_service import secret_service
from support.strace import Fault, options
from support.terminal import terminal

from polygent_issuer.cli.main import run
from polygent_issuer.home import setting_types, settings
from polygent_issuer.home.settings import Settings
from polygent_issuer.registry import REGISTRY_FILE, Registry, journal

ABSENT = {"DBUS_SESSION_BUS_ADDRESS": ""}


def stored_settings(desk: Desk) -> Settings:
    """Return the settings of the desk's home."""
    return settings.load(desk.home, {}).settings


def test_without_a_terminal_the_defaults_are_used(empty_desk: Desk) -> None:
    """Without prompts every setting has its default, and the file explains them all."""
    outcome = empty_desk.ok("init")
    assert stored_settings(empty_desk) == Settings(plans=stored_settings(empty_desk).plans)
    assert "[plans.standard-annual]" in (empty_desk.home / "settings.toml").read_text()
    assert outcome.err == ""
    assert outcome.text.startswith(f"created a home at {empty_desk.home}\n")
    assert "7d (assumed); to set yours: polygent-issue config set upload_window 7d" in outcome.text
    assert "the current folder" in outcome.text


def test_options_become_settings(empty_desk: Desk) -> None:
    """Each option becomes a setting; folders are created, that for backups private."""
    backup, licenses = empty_desk.folder / "backup", empty_desk.folder / "licenses"
    outcome = empty_desk.ok(
        "init",
        *("--issuer", "Polygent Ltd", "--operator", "Ada", "--upload-window", "36h"),
        *("--store", f"file:{empty_desk.folder}/keys/"),
        *("--key-backup-folder", str(backup), "--output", str(licenses), "--json"),
        *("--mail-from", "Polygent <licenses@polygent.example>"),
    )
    now = stored_settings(empty_desk)
    assert (now.issuer, now.operator) == ("Polygent Ltd", "Ada")
    assert now.store == f"file:{empty_desk.folder}/keys/"
    assert (now.key_backup_folder, now.output) == (backup, licenses)
    assert backup.stat().st_mode & 0o777 == 0o700
    assert outcome.json == {
        "schema": "polygent-issue/1",
        "home": str(empty_desk.home),
        "settings": str(empty_desk.home / "settings.toml"),
        "completed": False,
        "folders_made": [str(backup), str(licenses)],
        "issuer": "Polygent Ltd",
        "operator": "Ada",
        "upload_window": "36h",
        "store": now.store,
        "key_backup_folder": str(backup),
        "output": str(licenses),
        "mail_from": "Polygent <licenses@polygent.example>",
        "registry": None,
        "next": "polygent-issue key generate",
    }


def test_relative_paths_become_absolute(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is stored as an absolute one; an existing folder is left unchanged."""
    monkeypatch.chdir(empty_desk.folder)
    (empty_desk.folder / "out").mkdir(mode=0o750)
    outcome = empty_desk.ok("init", "--store", "file:k/main.key", "-o", "out", "--json")
    assert stored_settings(empty_desk).store == f"file:{empty_desk.folder}/k/main.key"
    assert stored_settings(empty_desk).output == empty_desk.folder / "out"
    assert outcome.json["folders_made"] == []
    assert (empty_desk.folder / "out").stat().st_mode & 0o777 == 0o750


def test_options_accept_none_and_unknown(empty_desk: Desk) -> None:
    """The words for an unset value work as options, too."""
    empty_desk.ok(
        *("init", "--upload-window", "unknown"),
        *("--output", "none", "--key-backup-folder", "none"),
        *("--operator", "none", "--mail-from", "none"),
    )
    assert stored_settings(empty_desk).operator is None
    assert stored_settings(empty_desk).mail_from is None
    assert stored_settings(empty_desk).upload_window is None
    assert stored_settings(empty_desk).output is None
    assert stored_settings(empty_desk).key_backup_folder is None


def test_the_journal_begins_with_the_creation(empty_desk: Desk) -> None:
    """The first row has the actor, the time and the registry's id."""
    empty_desk.ok("init", "--operator", "Ada")
    with Registry.open(empty_desk.home / REGISTRY_FILE) as registry:
        with registry.reading() as db:
            (row,) = journal.rows(db)
        assert row.details == {"registry": registry.id}
    assert (row.event, row.operator, row.at) == ("registry-created", "Ada", empty_desk.now)


def test_an_existing_home_is_not_changed(empty_desk: Desk) -> None:
    """An existing home is exit 7 with a hint, and stays unchanged."""
    empty_desk.ok("init", "--issuer", "Polygent Ltd")
    before = tree(empty_desk.folder)
    again = empty_desk.run("init", "--issuer", "Globex", "--output", str(empty_desk.output))
    assert again.code == 7
    assert f"the home {empty_desk.home} already exists; nothing was changed" in again.err
    assert "hint: polygent-issue config set KEY VALUE" in again.err
    assert tree(empty_desk.folder) == before
    assert not empty_desk.output.exists()
    assert empty_desk.run("init", "--json").json["error"]["code"] == "registry_exists"


def test_an_interrupted_creation_is_completed(empty_desk: Desk) -> None:
    """Settings without a registry are kept, and the registry is created."""
    empty_desk.ok("init", "--issuer", "Polygent Ltd", "--upload-window", "7d")
    (empty_desk.home / REGISTRY_FILE).unlink()
    outcome = empty_desk.ok("init", "--operator", "Ada")
    assert outcome.text.startswith("completed a home at ")
    assert stored_settings(empty_desk).issuer == "Polygent Ltd"
    assert stored_settings(empty_desk).operator == "Ada"
    assert empty_desk.ok("journal", "verify").code == 0


@pytest.mark.sqlite("about the file")
def test_a_lost_registry_is_not_replaced(desk: Desk) -> None:
    """If the settings have keys, an empty registry would hide the loss of all licenses."""
    (desk.home / REGISTRY_FILE).unlink()
    for argv in (("init",), ("key", "generate", "x", "--no-backup")):
        outcome = desk.run(*argv, "--json")
        assert outcome.code == 7
        assert outcome.json["error"]["code"] == "registry_lost"
        assert "backup" in outcome.json["error"]["hint"]
        assert not (desk.home / REGISTRY_FILE).exists()


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--issuer", "", "invalid_settings"),
        ("--issuer", "a\x1b[31m", "invalid_settings"),
        ("--upload-window", "soon", "invalid_settings"),
        ("--store", "ftp://host/key", "invalid_store"),
        ("--mail-from", "licenses", "invalid_settings"),
        ("--output", "", "input_refused"),
        ("--output", "/no/such/folder", "input_refused"),
        ("--key-backup-folder", "~nobody-of-this-name/x", "input_refused"),
    ],
)
def test_a_wrong_value_creates_nothing(
    empty_desk: Desk, option: str, value: str, code: str
) -> None:
    """A wrong value is exit 3 with a hint, and no home is created."""
    outcome = empty_desk.run("init", option, value, "--json")
    assert outcome.code == 3
    assert outcome.json["error"]["code"] == code
    assert outcome.json["error"]["hint"]
    assert list(empty_desk.folder.iterdir()) == []


def test_a_file_in_place_of_the_home_is_refused(empty_desk: Desk) -> None:
    """A file with the name of the home is exit 8 and stays."""
    empty_desk.output.write_text("mine")
    outcome = empty_desk.run("init", "--output", str(empty_desk.output), "--json")
    assert outcome.code == 8
    assert outcome.json["error"]["code"] == "output_failed"
    assert empty_desk.output.read_text() == "mine"
    assert not empty_desk.home.exists()


def test_an_open_folder_is_refused_or_warned_of(empty_desk: Desk) -> None:
    """A folder writable by others is exit 7; a readable one is a warning."""
    empty_desk.home.mkdir()
    empty_desk.home.chmod(0o777)
    assert empty_desk.run("init", "--json").json["error"]["code"] == "unsafe_home"
    empty_desk.home.chmod(0o755)
    assert "warning: other users can read the home" in empty_desk.ok("init").err


def test_return_accepts_the_default(empty_desk: Desk) -> None:
    """Each prompt has a default; without a keyring the store is a folder."""
    with terminal(empty_desk, "init", environ=ABSENT) as person:
        person.sees("issuer name, written into every license [polygent-operator]: ")
        person.types("")
        person.sees("your name in the journal (none: your account's name) [none]: ")
        person.types("")
        person.sees("(7d, 36h, or unknown) [unknown]: ")
        person.types("")
        person.sees(f"(keyring:, file:PATH or pkcs11:URI) [file:{empty_desk.home}/keys/]: ")
        person.types("")
        person.sees("best on another disk (or none) [~/polygent-key-backup]: ")
        person.types("")
        person.sees("(none: the current folder) [~/licenses]: ")
        person.types("")
        person.sees("sent from (none: the mail program's) [none]: ")
        person.types("")
        person.sees(f"next: polygent-issue --home {empty_desk.home} key generate\r\n")
        assert person.ends() == 0
    now = stored_settings(empty_desk)
    assert (now.issuer, now.upload_window) == ("polygent-operator", None)
    assert (now.operator, now.mail_from) == (None, None)
    assert now.store == f"file:{empty_desk.home}/keys/"
    assert now.key_backup_folder == empty_desk.folder / "polygent-key-backup"
    assert now.output == empty_desk.folder / "licenses"
    assert now.output.is_dir()


def test_a_wrong_answer_is_prompted_for_again(empty_desk: Desk) -> None:
    """A refused answer is prompted for again; settings given as options are not."""
    given = ("--issuer", "Polygent Ltd", "--store", "keyring:", "--output", "none")
    with terminal(empty_desk, "init", *given) as person:
        person.sees("(none: your account's name) [none]: ")
        person.types("Ada")
        person.sees("or unknown) [unknown]: ")
        person.types("soon")
        person.sees("error: upload_window: not a duration: soon")
        person.sees("hint: write it as 7d")
        person.sees("or unknown) [unknown]: ")
        person.types("7d")
        person.sees("(or none) [~/polygent-key-backup]: ")
        person.types("/no/such/folder")
        person.sees("its parent folder does not exist")
        person.sees("(or none) [~/polygent-key-backup]: ")
        person.types("none")
        person.sees("(none: the mail program's) [none]: ")
        person.types("licenses")
        person.sees("error: mail_from: not an email address: licenses")
        person.sees("(none: the mail program's) [none]: ")
        person.types("licenses@polygent.example")
        assert person.ends() == 0
    assert "issuer name" not in person.screen
    assert "private keys" not in person.screen
    assert "next: polygent-issue --home" in person.screen
    assert "key generate --backup FILE" in person.screen
    assert stored_settings(empty_desk).upload_window == setting_types.parse_duration("7d")
    now = stored_settings(empty_desk)
    assert now.key_backup_folder is None
    assert (now.operator, now.mail_from) == ("Ada", "licenses@polygent.example")


def test_a_running_keyring_is_the_default_store(empty_desk: Desk) -> None:
    """A running keyring is the default; checking it unlocks nothing."""
    given = ("--issuer", "P", "--upload-window", "7d", "--output", "none", "--operator", "A")
    others = ("--mail-from", "none")
    with secret_service() as service:
        service.lock()
        with terminal(empty_desk, "init", *given, *others, environ=service.environ) as person:
            person.sees("(keyring:, file:PATH or pkcs11:URI) [keyring:]: ")
            person.types("")
            person.sees("best on another disk")
            person.types("none")
            assert person.ends() == 0
        assert service.is_locked()
    assert stored_settings(empty_desk).store == "keyring:"


def test_a_refusal_comes_before_the_first_prompt(empty_desk: Desk) -> None:
    """An existing home or a wrong option is reported before the first prompt."""
    with terminal(empty_desk, "init", "--issuer", "") as person:
        assert person.ends() == 3
    assert "?" not in person.screen
    empty_desk.ok("init")
    with terminal(empty_desk, "init") as person:
        assert person.ends() == 7
    assert "issuer name" not in person.screen


def test_no_input_uses_the_defaults(empty_desk: Desk) -> None:
    """With `--no-input` a terminal gets no prompts."""
    with terminal(empty_desk, "init", "--no-input") as person:
        assert person.ends() == 0
    assert "issuer name" not in person.screen
    assert stored_settings(empty_desk).issuer == "polygent-operator"


def test_ctrl_c_at_a_prompt_creates_nothing(empty_desk: Desk) -> None:
    """Ctrl-C at a prompt leaves no partial home."""
    with terminal(empty_desk, "init") as person:
        person.sees("issuer name")
        person.types("\x03")
        assert person.ends() == 130
    assert not empty_desk.home.exists()


def test_the_next_command_is_short(empty_desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """The next command names `--home` only if this one did."""
    environ = {"POLYGENT_ISSUER_HOME": str(empty_desk.home), "PATH": os.environ["PATH"]}
    assert run(["init"], now=empty_desk.now, environ=environ) == 0
    assert "next: polygent-issue key generate --backup FILE\n" in capsys.readouterr().out
    assert (empty_desk.home / REGISTRY_FILE).exists()


CHMOD = Fault(calls="?chmod,fchmod,fchmodat", what="error=EPERM")


def refused_modes(desk: Desk, umask: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a disk that refuses every change of a mode."""
    command = [*options([CHMOD], desk.folder / "strace.log"), sys.executable, "-m"]
    return subprocess.run(
        ["sh", "-c", f'umask {umask}; exec "$@"', "sh", *command, "polygent_issuer", *argv],
        check=False,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "POLYGENT_ISSUER_HOME": str(desk.home),
            "POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file),
        },
    )


@pytest.mark.slow
def test_a_disk_without_modes_is_refused(empty_desk: Desk) -> None:
    """If the home cannot be private, each run reports it and leaves nothing behind."""
    empty_desk.environ["POLYGENT_ISSUER_HOME"] = str(empty_desk.home)
    for _ in range(2):
        # The mode that this umask leaves simulates that of such a disk.
        done = refused_modes(empty_desk, "0277", "init", "--home", f"{empty_desk.home}/a/b")
        assert done.returncode == 7
        assert done.stderr == (
            f"error: cannot create the home {empty_desk.home}/a/b: operation not permitted\n"
            "hint: choose another folder with --home DIR\n"
        )
        assert not empty_desk.home.exists()


@pytest.mark.slow
def test_a_disk_that_refuses_modes_but_is_private(empty_desk: Desk, tmp_path: Path) -> None:
    """The command succeeds, and every file is private."""
    empty_desk.passphrase_file.write_text("correct horse battery staple")
    empty_desk.passphrase_file.chmod(0o600)
    key, backup = tmp_path / "main.key", tmp_path / "backup.key"
    copy = tmp_path / "copy.db"
    for argv in (
        ["init"],
        ["key", "generate", "main", "--store", f"file:{key}", "--no-backup"],
        ["key", "backup", "main", str(backup)],
        ["config", "set", "issuer", "Polygent Ltd"],
        ["registry", "backup", str(copy)],
        ["registry", "restore", str(copy), "--yes"],
    ):
        done = refused_modes(empty_desk, "022", *argv)
        assert done.returncode == 0, (argv, done)
    for path in (key, backup, copy, *empty_desk.home.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    assert empty_desk.home.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_an_empty_registry_is_filled_where_modes_are_refused(empty_desk: Desk) -> None:
    """An interrupted creation is completed, unless others can read the file."""
    empty_desk.home.mkdir(mode=0o700)
    registry = empty_desk.home / "registry.db"
    for mode, code in ((0o644, 7), (0o600, 0)):
        registry.touch()
        registry.chmod(mode)
        assert refused_modes(empty_desk, "022", "init").returncode == code
