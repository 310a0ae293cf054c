"""`polygent-issue key generate`: kept, backed up, pinned, or not made at all."""

import shlex
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of, tree
from support.secret_service import SecretService, secret_service
from support.terminal import terminal

from polygent_issuer.home import settings
from polygent_issuer.keys import file_store

ABSENT = {"DBUS_SESSION_BUS_ADDRESS": ""}


@pytest.fixture
def bare(empty_desk: Desk) -> Desk:
    """A desk with a passphrase in a file and no home."""
    empty_desk.passphrase_file.write_text(PASSPHRASE)
    empty_desk.passphrase_file.chmod(0o600)
    return empty_desk


def store(desk: Desk, name: str = "new.key") -> tuple[str, str]:
    """The option that keeps the key in a file of the desk's folder."""
    return "--store", f"file:{desk.folder / name}"


def labels(desk: Desk) -> list[str]:
    """The labels of the keys that the registry knows; none without a home."""
    outcome = desk.run("key", "list", "--json")
    return sorted(key["label"] for key in outcome.json["keys"]) if outcome.code == 0 else []


def files_of(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_first_key_signs(bare: Desk) -> None:
    """Sealed in its file, 0600, found by the settings, active, and journalled."""
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


def test_the_text_says_what_comes_next(bare: Desk) -> None:
    """The first signs; a later one waits for the servers; without a backup it nags."""
    first = bare.ok("key", "generate", *store(bare, "a"), "--no-backup").text
    assert "state         active: it signs from now on\n" in first
    assert "polygent-issue key backup main FILE\n" in first
    assert "polygent-issue key export-public main --output polygent-public.pem\n" in first
    assert "key use" not in first
    backup = str(bare.folder / "b.backup")
    label = "the second's"
    second = bare.ok("key", "generate", label, *store(bare, "b"), "--backup", backup).text
    assert f"backup        {backup}\n" in second
    assert "key backup" not in second
    assert "polygent-issue key use 'the second'\"'\"'s'\n" in second
    together = "polygent-issue key export-public --all --format jwks --output keys.json\n"
    assert together in second
    assert together not in first
    assert second.count("export-public") == 1


def test_labels_are_unique(bare: Desk) -> None:
    """Without a label it is main, then main-2; one that was typed and is taken is refused."""
    for name in ("a", "b", "c"):
        bare.ok("key", "generate", *store(bare, name), "--no-backup")
    assert labels(bare) == ["main", "main-2", "main-3"]
    before = tree(bare.folder)
    again = bare.run("key", "generate", "main-2", *store(bare, "d"), "--no-backup")
    assert again.code == 3
    assert "the label main-2 is that of a key that is there already" in again.err
    assert (
        "hint: choose another label; to see that key: polygent-issue key show main-2\n" in again.err
    )
    assert tree(bare.folder) == before


def test_a_label_like_an_option(bare: Desk) -> None:
    """The commands that are proposed can be typed as they stand."""
    outcome = bare.ok("key", "generate", *store(bare), "--no-backup", "--", "-x")
    assert "key backup -- -x FILE" in outcome.text


def test_somebody_decides_about_the_backup(bare: Desk) -> None:
    """Off a terminal nothing is assumed: exit 3, the options, and no home."""
    outcome = bare.run("key", "generate", *store(bare))
    assert outcome.code == 3
    assert "error: nothing says where the key's backup goes\n" in outcome.err
    assert "hint: add --backup FILE or --no-backup" in outcome.err
    assert files_of(bare.folder) == ["passphrase"]
    error = bare.run("key", "generate", *store(bare), "--json").json["error"]
    assert (error["code"], error["exit_code"]) == ("missing_input", 3)


def test_a_backup_is_the_same_key(bare: Desk) -> None:
    """Under the same passphrase; encrypted, 0600, and noted."""
    backup = bare.folder / "main.backup"
    outcome = bare.ok("key", "generate", *store(bare), "--backup", str(backup), "--json")
    assert outcome.json["backup"] == str(backup)
    assert outcome.json["key"]["backed_up_at"] == "2026-11-30T09:30:00Z"
    assert kid_of(backup) == kid_of(bare.folder / "new.key") == outcome.json["key"]["kid"]
    assert not file_store.parse_openssh(backup.read_bytes()).is_plaintext
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_backup_in_a_folder(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder gets a file of its own for each key; a relative one counts from here."""
    monkeypatch.chdir(bare.folder)
    (bare.folder / "disk").mkdir()
    outcome = bare.ok("key", "generate", "Käthe", *store(bare), "--backup", "disk", "--json")
    kid = outcome.json["key"]["kid"]
    assert outcome.json["backup"] == str(bare.folder / "disk" / f"kathe-{kid[:8]}.key")


def test_the_backup_folder_of_the_settings(bare: Desk) -> None:
    """Once for all: no option is needed then; where its disk is missing, no key is made."""
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
    assert "not there" in missing.json["error"]["message"]
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
def test_a_mistake_makes_nothing(
    bare: Desk,
    options: tuple[str, ...],
    code: str,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a key nor a home is made when the command line cannot be right."""
    monkeypatch.chdir(bare.folder)
    (bare.folder / "taken").write_text("mine")
    before = tree(bare.folder)
    error = bare.run("key", "generate", *store(bare), *options, "--json").json["error"]
    assert (error["code"], error["exit_code"]) == (code, exit_code)
    assert error["hint"]
    assert tree(bare.folder) == before


def test_key_and_backup_in_one_folder(bare: Desk) -> None:
    """They would have one name; refused before the key is made."""
    (bare.folder / "keys").mkdir()
    both = ("--store", f"file:{bare.folder}/keys/", "--backup", f"{bare.folder}/keys")
    assert bare.run("key", "generate", *both).code == 2
    assert files_of(bare.folder / "keys") == []


def test_a_home_is_made_by_the_way(bare: Desk) -> None:
    """With every setting at its default, as `init` would; and it is said."""
    outcome = bare.ok("key", "generate", *store(bare), "--no-backup")
    assert outcome.err == f"note: made a home at {bare.home}\n"
    assert bare.home.stat().st_mode & 0o777 == 0o700
    by_init = Desk(bare.folder / "other")
    by_init.folder.mkdir()
    by_init.ok("init")
    written = (by_init.home / "settings.toml").read_text()
    assert (bare.home / "settings.toml").read_text().startswith(written.rstrip())
    assert bare.run("init").code == 7


def test_an_interrupted_home_is_completed(bare: Desk) -> None:
    """Settings without a registry: they stay, and are in force."""
    bare.ok("init", "--issuer", "Polygent Ltd", "--store", f"file:{bare.folder}/keys/")
    (bare.home / "registry.db").unlink()
    outcome = bare.ok("key", "generate", "--no-backup", "--json")
    assert outcome.json["key"]["store"].startswith(f"file:{bare.folder}/keys/main-")
    assert settings.load(bare.home, {}).settings.issuer == "Polygent Ltd"


def test_an_unsafe_home_is_not_read(bare: Desk) -> None:
    """Settings that anybody may have written are not even looked at: exit 7."""
    bare.ok("init")
    (bare.home / "settings.toml").write_text("nonsense")
    bare.home.chmod(0o777)
    outcome = bare.run("key", "generate", *store(bare), "--no-backup", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "unsafe_home")


def test_without_a_passphrase(bare: Desk) -> None:
    """Exit 6 with the ways to give one; no key is recorded and no file is left."""
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
    """The second key does not take the place of the first."""
    before = (desk.folder / "main.key").read_bytes()
    outcome = desk.run("key", "generate", *store(desk, "main.key"), "--no-backup")
    assert outcome.code == 8
    assert (desk.folder / "main.key").read_bytes() == before
    assert labels(desk) == ["main"]


def test_the_keyring_keeps_it(bare: Desk, service: SecretService) -> None:
    """In a real Secret Service: it is there, and it signs."""
    assert not service.is_locked()
    outcome = bare.ok("key", "generate", "--no-backup", "--json")
    assert outcome.json["key"]["store"] == "keyring:"
    assert bare.ok("key", "show", "main", "--json").json["key"]["presence"] == "present"
    bare.ok("sign", "--machine-info", bare.machine_info(), "--output", str(bare.folder))
    assert len(list(bare.folder.glob("*.lic"))) == 1


def test_the_keyring_s_key_is_backed_up(bare: Desk, service: SecretService) -> None:
    """Its backup has a passphrase of its own, since the keyring has none to share."""
    assert not service.is_locked()
    backup = bare.folder / "main.backup"
    options = ("--store", "keyring:", "--backup", str(backup))
    kid = bare.ok("key", "generate", *options, "--json").json["key"]["kid"]
    assert kid_of(backup) == kid


def test_a_locked_keyring(bare: Desk, service: SecretService) -> None:
    """Exit 6, and how to unlock it; nothing is recorded."""
    service.hold_prompts()
    service.lock()
    bare.ok("init")
    bare.ok("config", "set", "keyring_timeout", "1s")
    error = bare.run("key", "generate", "--no-backup", "--json").json["error"]
    assert (error["code"], error["exit_code"]) == ("keyring_locked", 6)
    assert "unlock it" in error["hint"]
    assert labels(bare) == []


def test_no_keyring(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 6 at once, and the whole command for a file; typed as it stands it works."""
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
    assert "hint: keep it in an encrypted file: polygent-issue key generate" in undecided.err
    assert files_of(bare.folder) == ["passphrase"]
    _, _, command = error["hint"].partition(": polygent-issue ")
    bare.ok(*shlex.split(command))
    assert labels(bare) == ["-x"]
    assert [name[:2] for name in files_of(bare.folder / "polygent-keys")] == ["x-"]


def test_a_passphrase_command_is_not_shown(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that repeats the command line leaves out what may be in it."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    given = ("--passphrase-command", "echo t0psecret", "--backup", "a b")
    outcome = bare.run("key", "generate", "--store", "keyring", *given)
    assert outcome.code == 6
    options = "--store file:~/polygent-keys/ --backup 'a b' --passphrase-command COMMAND main\n"
    assert outcome.err.endswith(options)
    assert "t0psecret" not in outcome.err


def test_what_cannot_be_is_said_before_any_question(empty_desk: Desk) -> None:
    """At a terminal: neither the backup's place nor a passphrase is asked for in vain."""
    (empty_desk.folder / "taken.key").write_text("mine")
    for uri in ("ftp:x", f"file:{empty_desk.folder}/taken.key", "file:/no/such/folder/x.key"):
        with terminal(empty_desk, "key", "generate", "--store", uri) as person:
            person.sees("error: ")
            assert person.ends() != 0
        assert "backup" not in person.screen
        assert "passphrase" not in person.screen
    assert files_of(empty_desk.folder) == ["taken.key"]


def test_a_place_above(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`..` is not recorded, for the key or its backup."""
    (bare.folder / "here").mkdir()
    monkeypatch.chdir(bare.folder / "here")
    argv = ("key", "generate", "--store", "file:../x.key", "--backup", "../x.backup", "--json")
    made = bare.ok(*argv).json
    assert made["key"]["store"] == f"file:{bare.folder}/x.key"
    assert made["backup"] == f"{bare.folder}/x.backup"


def test_a_short_passphrase(bare: Desk) -> None:
    """Taken, with one warning for key and backup together."""
    bare.passphrase_file.write_text("short")
    backup = str(bare.folder / "x.backup")
    outcome = bare.ok("key", "generate", *store(bare), "--backup", backup)
    told = "warning: weak passphrase: use at least 12 characters\n"
    assert outcome.err.count(told) == 1
    again = bare.ok("key", "backup", "main", str(bare.folder / "y.backup"))
    assert again.err == told


@pytest.mark.slow
def test_one_new_passphrase_at_the_terminal(empty_desk: Desk) -> None:
    """Asked twice, for key file and backup together, without echo; both open with it."""
    backup = empty_desk.folder / "main.backup"
    options = (*store(empty_desk), "--backup", str(backup))
    with terminal(empty_desk, "key", "generate", *options) as person:
        person.sees("passphrase for the new key file and its backup: ")
        person.types_secretly(PASSPHRASE)
        person.sees("repeat the passphrase: ")
        person.types_secretly(PASSPHRASE)
        person.sees("generated the key main")
        assert person.ends() == 0
    assert PASSPHRASE not in person.screen
    assert person.screen.count("passphrase for the") + person.screen.count("again: ") == 2
    assert kid_of(backup) == kid_of(empty_desk.folder / "new.key")
    # What stays is sealed as it should be, nothing hastened.
    assert file_store.parse_openssh(backup.read_bytes()).rounds == 64


def test_two_passphrases_that_differ(empty_desk: Desk) -> None:
    """Exit 6; no key."""
    with terminal(empty_desk, "key", "generate", *store(empty_desk), "--no-backup") as person:
        person.sees("passphrase for the new key file new.key: ")
        person.types_secretly(PASSPHRASE)
        person.sees("again: ")
        person.types_secretly(PASSPHRASE + "x")
        person.sees("error: the two passphrases differ")
        assert person.ends() == 6
    assert PASSPHRASE not in person.screen
    assert labels(empty_desk) == []


def test_the_place_of_the_backup_is_asked(empty_desk: Desk) -> None:
    """At a terminal: again after a wrong answer; none is an answer."""
    (empty_desk.folder / "taken").write_text("mine")
    passphrase = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(empty_desk.folder / "taken")}
    argv = ("key", "generate", *store(empty_desk))
    with terminal(empty_desk, *argv, environ=passphrase, quickly=True) as person:
        person.sees("best on another disk, or none: ")
        person.types("taken")
        person.sees("exists already")
        person.sees("or none: ")
        person.types("none")
        person.sees("backup        none")
        assert person.ends() == 0
    argv = ("key", "generate", *store(empty_desk, "2"))
    with terminal(empty_desk, *argv, environ=passphrase, quickly=True) as person:
        person.sees("best on another disk, or none: ")
        person.types("second.backup")
        assert person.ends() == 0
    assert kid_of(empty_desk.folder / "second.backup", "mine")


def test_a_taken_place_leads_to_a_free_one(bare: Desk) -> None:
    """Whatever a crash left there stays; the hint of each refusal can be typed as it stands."""
    folder = bare.folder / "with space"
    folder.mkdir()
    for name in ("k.key", "k-2.key", "b.key"):
        (folder / name).write_text("left")
    argv = ["key", "generate", "main", "--store", f"file:{folder}/k.key"]
    argv += ["--backup", f"{folder}/b.key"]
    for _ in ("the backup", "the key"):
        refused = bare.run(*argv)
        assert refused.code == 8
        assert "exists already\nhint: nothing is written over" in refused.err
        argv = shlex.split(refused.err.partition("polygent-issue ")[2])
    bare.ok(*argv)
    assert kid_of(folder / "k-3.key") == kid_of(folder / "b-2.key")
    assert (folder / "k.key").read_text() == "left"


def test_a_failed_backup_can_be_done_again(bare: Desk) -> None:
    """No key file is left in the way of the same command when there is room again."""
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
