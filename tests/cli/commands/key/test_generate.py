"""`polygent-issue key generate`: storage, backup and refusals."""

import shlex
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.desk_state import tree
from support.keys import kid_of
from support.secret_service import SecretService, secret_service
from support.terminal import terminal

from polygent_issuer.home import settings
from polygent_issuer.keys import openssh

ABSENT = {"DBUS_SESSION_BUS_ADDRESS": ""}


def store(desk: Desk, name: str = "new.key") -> tuple[str, str]:
    """Return the option that stores the key in a file of the desk's folder."""
    return "--store", f"file:{desk.folder / name}"


def labels(desk: Desk) -> list[str]:
    """Return the labels of all keys; none without a home."""
    outcome = desk.run("key", "list", "--json")
    return sorted(key["label"] for key in outcome.json["keys"]) if outcome.code == 0 else []


def files_of(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_first_key_becomes_active(bare: Desk) -> None:
    """The key file is encrypted and 0600, its store is set, and the journal has it."""
    outcome = bare.ok("key", "generate", *store(bare), "--no-backup", "--json")
    path = bare.folder / "new.key"
    kid = kid_of(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert outcome.json["key"] == {
        "kid": kid,
        "label": "main",
        "active": True,
        "store": f"file:{path}",
        "created_at": "2026-11-30T09:30:00Z",
        "backed_up_at": None,
        "retired_at": None,
        "compromised": False,
    }
    assert outcome.json["backup"] is None
    assert outcome.json["new"] is True
    assert settings.load(bare.home, {}).settings.stores == {kid: f"file:{path}"}
    rows = bare.ok("journal", "show", "--json").json["rows"]
    assert [row["event"] for row in rows] == ["registry-created", "key-generated"]


def test_the_next_steps_are_printed(bare: Desk) -> None:
    """A later key needs a roll-out, and a missing backup is warned of."""
    first = bare.ok("key", "generate", *store(bare, "a"), "--no-backup").text
    assert "active (used for signing)\n" in first
    assert "polygent-issue key backup main FILE\n" in first
    assert "polygent-issue key export-public main --output polygent-public.pem\n" in first
    assert "key use" not in first
    backup = str(bare.folder / "b.backup")
    label = "the second's"
    second = bare.ok("key", "generate", label, *store(bare, "b"), "--backup", backup).text
    assert f"  {backup}\n" in second
    assert "key backup" not in second
    assert "polygent-issue key use 'the second'\"'\"'s'\n" in second
    together = "polygent-issue key export-public --all --format jwks --output keys.json\n"
    assert together in second
    assert together not in first
    assert second.count("export-public") == 1


def test_labels_are_unique(bare: Desk) -> None:
    """The default label is main, then main-2; a label in use is refused."""
    for name in ("a", "b", "c"):
        bare.ok("key", "generate", *store(bare, name), "--no-backup")
    assert labels(bare) == ["main", "main-2", "main-3"]
    before = tree(bare.folder)
    again = bare.run("key", "generate", "main-2", *store(bare, "d"), "--no-backup")
    assert again.code == 3
    assert again.err.endswith("polygent-issue key show main-2\n")
    assert tree(bare.folder) == before


def test_a_label_like_an_option(bare: Desk) -> None:
    """The suggested commands work with a label that begins with a hyphen."""
    outcome = bare.ok("key", "generate", *store(bare), "--no-backup", "--", "-x")
    assert "key backup -- -x FILE" in outcome.text


def test_a_script_must_decide_about_the_backup(bare: Desk) -> None:
    """Without a terminal it is exit 3 with the options, and no home is created."""
    outcome = bare.run("key", "generate", *store(bare))
    assert outcome.code == 3
    assert "hint: add --backup FILE or --no-backup" in outcome.err
    assert files_of(bare.folder) == ["passphrase"]
    error = bare.run("key", "generate", *store(bare), "--json").json["error"]
    assert (error["code"], error["exit_code"]) == ("missing_input", 3)


def test_a_backup_has_the_same_key(bare: Desk) -> None:
    """The backup has the same passphrase, is encrypted, 0600 and recorded."""
    backup = bare.folder / "main.backup"
    outcome = bare.ok("key", "generate", *store(bare), "--backup", str(backup), "--json")
    assert outcome.json["backup"] == str(backup)
    assert outcome.json["key"]["backed_up_at"] == "2026-11-30T09:30:00Z"
    assert kid_of(backup) == kid_of(bare.folder / "new.key") == outcome.json["key"]["kid"]
    assert not openssh.parse_openssh(backup.read_bytes()).is_plaintext
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_backup_in_a_folder_gets_a_name(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder each key has its own file; a relative path is that of the current folder."""
    monkeypatch.chdir(bare.folder)
    (bare.folder / "disk").mkdir()
    outcome = bare.ok("key", "generate", "Käthe", *store(bare), "--backup", "disk", "--json")
    kid = outcome.json["key"]["kid"]
    assert outcome.json["backup"] == str(bare.folder / "disk" / f"kathe-{kid[:8]}.key")


def test_the_backup_folder_of_the_settings(bare: Desk) -> None:
    """With the setting no option is needed; if the folder is missing, no key is generated."""
    disk = bare.folder / "disk"
    bare.ok("init", "--key-backup-folder", str(disk))
    outcome = bare.ok("key", "generate", *store(bare, "a"), "--json")
    assert Path(outcome.json["backup"]).parent == disk
    assert (
        bare.ok("key", "generate", *store(bare, "b"), "--no-backup", "--json").json["backup"]
        is None
    )
    disk.rename(bare.folder / "unplugged")
    missing = bare.run("key", "generate", *store(bare, "c"), "--json")
    assert missing.code == 8
    assert str(disk) in missing.json["error"]["message"]
    assert not (bare.folder / "c").exists()
    assert not disk.exists()


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (("--backup", "taken"), "output_exists", 8),
        (("--backup", "missing/x"), "output_failed", 8),
        (("--backup", "-"), "input_refused", 3),
        (("--backup", ""), "input_refused", 3),
        (("--backup", "~nobody-of-this-name/x"), "input_refused", 3),
        (("--backup", "new.key"), "usage", 2),
        (("--backup", "x", "--no-backup"), "usage", 2),
        (("--store", "ftp:x", "--no-backup"), "invalid_store", 3),
        (("--no-backup", "--passphrase-fd", "1", "--passphrase-file", "x"), "usage", 2),
    ],
)
def test_wrong_input_creates_nothing(
    bare: Desk,
    options: tuple[str, ...],
    code: str,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With wrong options neither a key nor a home is created."""
    monkeypatch.chdir(bare.folder)
    (bare.folder / "taken").write_text("mine")
    before = tree(bare.folder)
    error = bare.run("key", "generate", *store(bare), *options, "--json").json["error"]
    assert (error["code"], error["exit_code"]) == (code, exit_code)
    assert error["hint"]
    assert tree(bare.folder) == before


def test_key_and_backup_need_different_folders(bare: Desk) -> None:
    """In one folder both would have the same name, so it is refused."""
    (bare.folder / "keys").mkdir()
    both = ("--store", f"file:{bare.folder}/keys/", "--backup", f"{bare.folder}/keys")
    assert bare.run("key", "generate", *both).code == 2
    assert files_of(bare.folder / "keys") == []


def test_a_missing_home_is_created(bare: Desk) -> None:
    """The home has the defaults of `init`, and a note reports it."""
    outcome = bare.ok("key", "generate", *store(bare), "--no-backup")
    assert outcome.err == f"note: created a home at {bare.home}\n"
    assert bare.home.stat().st_mode & 0o777 == 0o700
    by_init = Desk(bare.folder / "other")
    by_init.folder.mkdir()
    by_init.ok("init")
    written = (by_init.home / "settings.toml").read_text()
    assert (bare.home / "settings.toml").read_text().startswith(written.rstrip())
    assert bare.run("init").code == 7


def test_an_interrupted_home_is_completed(bare: Desk) -> None:
    """Settings without a registry are kept and used."""
    bare.ok("init", "--issuer", "Polygent Ltd", "--store", f"file:{bare.folder}/keys/")
    (bare.home / "registry.db").unlink()
    outcome = bare.ok("key", "generate", "--no-backup", "--json")
    assert outcome.json["key"]["store"].startswith(f"file:{bare.folder}/keys/main-")
    assert settings.load(bare.home, {}).settings.issuer == "Polygent Ltd"


def test_an_unsafe_home_is_not_read(bare: Desk) -> None:
    """Settings that others can write are not read: exit 7."""
    bare.ok("init")
    (bare.home / "settings.toml").write_text("nonsense")
    bare.home.chmod(0o777)
    outcome = bare.run("key", "generate", *store(bare), "--no-backup", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "unsafe_home")


def test_a_missing_passphrase_leaves_nothing(bare: Desk) -> None:
    """It is exit 6 with the options, without a key or a file."""
    bare.passphrase_file.unlink()
    outcome = bare.run("key", "generate", *store(bare), "--no-backup")
    assert outcome.code == 6
    bare.environ["POLYGENT_ISSUER_PASSPHRASE_FILE"] = ""
    error = bare.run("key", "generate", *store(bare), "--no-backup", "--json").json["error"]
    assert error["code"] == "passphrase_needed"
    assert "--passphrase-fd" in error["hint"]
    assert labels(bare) == []
    assert not (bare.folder / "new.key").exists()


def test_a_key_file_is_never_overwritten(desk: Desk) -> None:
    """The second key does not replace the file of the first."""
    before = (desk.folder / "main.key").read_bytes()
    outcome = desk.run("key", "generate", *store(desk, "main.key"), "--no-backup")
    assert outcome.code == 8
    assert (desk.folder / "main.key").read_bytes() == before
    assert labels(desk) == ["main"]


def test_a_key_is_stored_in_the_keyring(bare: Desk, service: SecretService) -> None:
    """A real Secret Service stores the key, which signs."""
    assert not service.is_locked()
    outcome = bare.ok("key", "generate", "--no-backup", "--json")
    assert outcome.json["key"]["store"] == "keyring:"
    assert bare.ok("key", "show", "main", "--json").json["key"]["presence"] == "present"
    bare.ok("sign", "--machine-info", bare.machine_info(), "--output", str(bare.folder))
    assert len(list(bare.folder.glob("*.lic"))) == 1


def test_the_keyring_s_key_is_backed_up(bare: Desk, service: SecretService) -> None:
    """The backup has a passphrase of its own."""
    assert not service.is_locked()
    backup = bare.folder / "main.backup"
    options = ("--store", "keyring:", "--backup", str(backup))
    kid = bare.ok("key", "generate", *options, "--json").json["key"]["kid"]
    assert kid_of(backup) == kid


def test_a_locked_keyring_is_refused(bare: Desk, service: SecretService) -> None:
    """A locked keyring is exit 6 with a hint, and no key is recorded."""
    service.hold_prompts()
    service.lock()
    bare.ok("init")
    bare.ok("config", "set", "keyring_timeout", "1s")
    error = bare.run("key", "generate", "--no-backup", "--json").json["error"]
    assert (error["code"], error["exit_code"]) == ("keyring_locked", 6)
    assert "prompt" in error["hint"]
    assert labels(bare) == []


def test_without_a_keyring_the_hint_uses_a_file(
    bare: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is exit 6 at once, and the suggested command works."""
    bare.environ["POLYGENT_ISSUER_PASSPHRASE_FILE"] = "/no/such/file"
    monkeypatch.setenv("HOME", str(bare.folder))
    secret = str(bare.passphrase_file)
    typed = ("key", "generate", "--passphrase-file", secret, "--no-backup", "--json", "--", "-x")
    with secret_service(daemon=False) as bus_alone:
        bus_alone.enter(monkeypatch)
        monkeypatch.setenv("HOME", str(bare.folder))
        error = bare.run(*typed).json["error"]
        undecided = bare.run("key", "generate")
    assert (error["code"], error["exit_code"]) == ("keyring_absent", 6)
    assert "hint: store the key in an encrypted file: polygent-issue key generate" in undecided.err
    assert files_of(bare.folder) == ["passphrase"]
    _, _, command = error["hint"].partition(": polygent-issue ")
    bare.ok(*shlex.split(command))
    assert labels(bare) == ["-x"]
    assert [name[:2] for name in files_of(bare.folder / "polygent-keys")] == ["x-"]


def test_a_passphrase_command_is_not_shown(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that repeats the command leaves out the passphrase command."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    given = ("--passphrase-command", "echo t0psecret", "--backup", "a b")
    outcome = bare.run("key", "generate", "--store", "keyring", *given)
    assert outcome.code == 6
    options = "--store file:~/polygent-keys/ --backup 'a b' --passphrase-command COMMAND main\n"
    assert outcome.err.endswith(options)
    assert "t0psecret" not in outcome.err


def test_refusals_come_before_prompts(empty_desk: Desk) -> None:
    """A refused command never prompts for a backup or a passphrase."""
    (empty_desk.folder / "taken.key").write_text("mine")
    for uri in ("ftp:x", f"file:{empty_desk.folder}/taken.key", "file:/no/such/folder/x.key"):
        with terminal(empty_desk, "key", "generate", "--store", uri) as person:
            person.sees("error: ")
            assert person.ends() != 0
        assert "backup" not in person.screen
        assert "passphrase" not in person.screen
    assert files_of(empty_desk.folder) == ["taken.key"]


def test_paths_are_stored_without_dots(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`..` is not stored in the path of a key or its backup."""
    (bare.folder / "here").mkdir()
    monkeypatch.chdir(bare.folder / "here")
    argv = ("key", "generate", "--store", "file:../x.key", "--backup", "../x.backup", "--json")
    made = bare.ok(*argv).json
    assert made["key"]["store"] == f"file:{bare.folder}/x.key"
    assert made["backup"] == f"{bare.folder}/x.backup"


WEAK = ("--accept", "weak-passphrase", "--reason", "a demo")


def test_a_short_passphrase_needs_consent(bare: Desk) -> None:
    """Without consent it is exit 4 and nothing is made; with it the journal has the reason."""
    bare.passphrase_file.write_text("short")
    argv = ("key", "generate", *store(bare), "--backup", str(bare.folder / "x.backup"))
    refused = bare.run(*argv)
    assert refused.code == 4
    assert "--accept weak-passphrase --reason TEXT; or choose a longer one" in refused.err
    assert files_of(bare.folder) == ["home", "passphrase"]
    assert labels(bare) == []
    bare.ok(*argv, *WEAK)
    again = ("key", "backup", "main", str(bare.folder / "y.backup"))
    assert bare.run(*again).code == 4
    assert not (bare.folder / "y.backup").exists()
    bare.ok(*again, *WEAK)
    rows = bare.ok("journal", "show", "--json").json["rows"][-2:]
    assert [(row["event"], row["accepted"], row["reason"]) for row in rows] == [
        ("key-generated", ["weak-passphrase"], "a demo"),
        ("key-backed-up", ["weak-passphrase"], "a demo"),
    ]


def test_the_hint_of_a_taken_path_repeats_the_consent(bare: Desk) -> None:
    """The suggested command has the options that were given."""
    bare.passphrase_file.write_text("short")
    (bare.folder / "new.key").write_text("left")
    refused = bare.run("key", "generate", "main", *store(bare), "--no-backup", *WEAK)
    argv = shlex.split(refused.err.partition("polygent-issue ")[2])
    bare.ok(*argv)
    assert kid_of(bare.folder / "new-2.key", "short")


def test_the_place_of_the_backup_is_recorded(bare: Desk) -> None:
    """The settings have it by kid; a failed command leaves no place behind."""
    first = bare.folder / "b, 1"
    kid = bare.ok("key", "generate", *store(bare), "--backup", str(first), "--json").json["key"][
        "kid"
    ]
    second = bare.folder / "b2"
    bare.ok("key", "backup", "main", str(second))
    assert settings.load(bare.home, {}).settings.backups == {kid: (first, second)}
    assert "backups." in bare.ok("config", "show").text
    bare.ok("config", "set", f"backups.{kid}", "none")
    assert settings.load(bare.home, {}).settings.backups == {}


@pytest.mark.slow
def test_one_new_passphrase_at_the_terminal(empty_desk: Desk) -> None:
    """It is typed twice without echo and opens both key file and backup."""
    backup = empty_desk.folder / "main.backup"
    options = (*store(empty_desk), "--backup", str(backup))
    # With a variable of Python the tool is started for itself, so that nothing is hastened.
    python = {"PYTHONUNBUFFERED": "1"}
    with terminal(empty_desk, "key", "generate", *options, environ=python) as person:
        person.sees("passphrase for the new key file and its backup: ")
        person.types_secretly(PASSPHRASE)
        person.sees("repeat the passphrase: ")
        person.types_secretly(PASSPHRASE)
        person.sees("generated the key main")
        assert person.ends() == 0
    assert PASSPHRASE not in person.screen
    assert (
        person.screen.count("passphrase for the") + person.screen.count("repeat the passphrase: ")
        == 2
    )
    assert kid_of(backup) == kid_of(empty_desk.folder / "new.key")
    assert openssh.parse_openssh(backup.read_bytes()).rounds == 64


def test_different_passphrases_are_refused(empty_desk: Desk) -> None:
    """Two that differ are asked for again; after three tries it is exit 6 without a key."""
    with terminal(empty_desk, "key", "generate", *store(empty_desk), "--no-backup") as person:
        for left in ("2 tries left", "1 try left", "error: the two passphrases differ"):
            person.sees("passphrase for the new key file new.key: ")
            person.types_secretly(PASSPHRASE)
            person.sees("repeat the passphrase: ")
            person.types_secretly(PASSPHRASE + "x")
            person.sees(left)
        assert person.ends() == 6
    assert PASSPHRASE not in person.screen
    assert labels(empty_desk) == []


def test_a_terminal_prompts_for_the_backup(empty_desk: Desk) -> None:
    """A wrong answer is prompted for again; `none` is accepted."""
    (empty_desk.folder / "taken").write_text("mine, and long enough")
    passphrase = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(empty_desk.folder / "taken")}
    argv = ("key", "generate", *store(empty_desk))
    with terminal(empty_desk, *argv, environ=passphrase) as person:
        person.sees("preferably on another disk), or none: ")
        person.types("")
        person.sees("error: no path was typed")
        person.sees("or none: ")
        person.types("taken")
        person.sees("already exists")
        person.sees("or none: ")
        person.types("none")
        person.sees("backup       none")
        assert person.ends() == 0
    argv = ("key", "generate", *store(empty_desk, "2"))
    with terminal(empty_desk, *argv, environ=passphrase) as person:
        person.sees("preferably on another disk), or none: ")
        person.types("second.backup")
        assert person.ends() == 0
    assert kid_of(empty_desk.folder / "second.backup", "mine, and long enough")


def test_an_existing_file_gets_a_free_name_in_the_hint(bare: Desk) -> None:
    """A file left by a crash stays, and the suggested command works."""
    folder = bare.folder / "with space"
    folder.mkdir()
    for name in ("k.key", "k-2.key", "b.key"):
        (folder / name).write_text("left")
    argv = ["key", "generate", "main", "--store", f"file:{folder}/k.key"]
    argv += ["--backup", f"{folder}/b.key"]
    for _ in ("the backup", "the key"):
        refused = bare.run(*argv)
        assert refused.code == 8
        assert "already exists\nhint: " in refused.err
        argv = shlex.split(refused.err.partition("polygent-issue ")[2])
    bare.ok(*argv)
    assert kid_of(folder / "k-3.key") == kid_of(folder / "b-2.key")
    assert (folder / "k.key").read_text() == "left"


def test_a_failed_backup_can_be_repeated(bare: Desk) -> None:
    """No key file is left behind, so the same command works later."""
    backup = bare.folder / "disk"
    backup.mkdir()
    argv = ("key", "generate", "main", *store(bare), "--backup", f"{backup}/{'x' * 252}.key")
    before = tree(bare.folder)
    refused = bare.run(*argv)
    assert refused.code == 8
    left = {name for name in tree(bare.folder) if not name.startswith("home/")}
    assert left == set(before)
    assert labels(bare) == []
    bare.ok(*argv[:-1], f"{backup}/x.key")
