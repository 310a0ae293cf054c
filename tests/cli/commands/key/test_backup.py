"""`polygent-issue key backup`: an encrypted backup that can be imported."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.desk_state import tree
from support.keys import kid_of
from support.secret_service import secret_service
from support.softhsm import PIN, SoftHsm
from support.terminal import terminal

from polygent_issuer.keys import openssh


def test_a_backup_has_the_same_key(desk: Desk) -> None:
    """The backup is encrypted, 0600 and journalled, and the restore command is printed."""
    target = desk.folder / "main.backup"
    outcome = desk.ok("key", "backup", "main", str(target), after=timedelta(days=1))
    assert kid_of(target) == kid_of(desk.folder / "main.key")
    assert not openssh.parse_openssh(target.read_bytes()).is_plaintext
    assert target.stat().st_mode & 0o777 == 0o600
    assert f"file    {target}\n" in outcome.text
    assert f"polygent-issue key import {target} --no-backup\n" in outcome.text
    (key,) = desk.ok("key", "list", "--json").json["keys"]
    assert key["backed_up_at"] == "2026-12-01T09:30:00Z"
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["kid"]) == ("key-backed-up", key["kid"])


def test_a_backup_in_a_folder_gets_a_name(desk: Desk) -> None:
    """In a folder the backup gets its own name, which JSON has."""
    result = desk.ok("key", "backup", "main", str(desk.output), "--json").json
    kid = result["key"]["kid"]
    assert result["backup"] == str(desk.output / f"main-{kid[:8]}.key")
    assert result["key"]["backed_up_at"] == "2026-11-30T09:30:00Z"


@pytest.mark.parametrize(
    ("to", "code", "exit_code"),
    [
        ("taken", "output_exists", 8),
        ("missing/x", "output_failed", 8),
        ("-", "input_refused", 3),
        ("", "input_refused", 3),
    ],
)
def test_nothing_is_overwritten(
    desk: Desk, to: str, code: str, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An existing file or stdout is refused, and no backup is recorded."""
    monkeypatch.chdir(desk.folder)
    (desk.folder / "taken").write_text("mine")
    before = tree(desk.folder)
    outcome = desk.run("key", "backup", "main", to, "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (exit_code, code)
    assert outcome.json["error"]["hint"]
    assert tree(desk.folder) == before


def test_a_wrong_passphrase_writes_nothing(desk: Desk) -> None:
    """A wrong passphrase is exit 6 without a file or a journal row."""
    desk.passphrase_file.write_text("another")
    before = tree(desk.folder)
    outcome = desk.run("key", "backup", "main", str(desk.folder / "x"), "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (6, "wrong_passphrase")
    assert tree(desk.folder) == before


def test_an_unknown_key_is_refused(desk: Desk) -> None:
    """An unknown key is exit 5 before any prompt."""
    desk.passphrase_file.unlink()
    assert desk.run("key", "backup", "second", str(desk.folder / "x")).code == 5


def test_a_key_of_the_keyring_is_backed_up(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passphrase is only that of the backup, which another desk imports."""
    empty_desk.passphrase_file.write_text(PASSPHRASE)
    with secret_service() as service:
        service.enter(monkeypatch)
        empty_desk.ok("key", "generate", "--no-backup")
        empty_desk.ok("key", "backup", "main", str(empty_desk.folder / "b"))
    kid = kid_of(empty_desk.folder / "b")
    other = Desk(
        empty_desk.folder / "other",
        environ={"POLYGENT_ISSUER_PASSPHRASE_FILE": str(empty_desk.passphrase_file)},
    )
    other.folder.mkdir()
    store = ("--store", f"file:{other.folder}/k")
    argv = ("key", "import", str(empty_desk.folder / "b"), "--label", "m", *store, "--no-backup")
    assert other.ok(*argv, "--json").json["key"]["kid"] == kid


def test_a_terminal_prompts_for_both_passphrases(desk: Desk) -> None:
    """A wrong passphrase is asked for again; a weak new one that is declined, too."""
    with terminal(desk, "key", "backup", "main", "b") as person:
        person.sees("passphrase for the key file main.key: ")
        person.types_secretly("wrong")
        person.sees("wrong passphrase, or the key file is damaged; 2 tries left")
        person.sees("passphrase for the key file main.key: ")
        person.types_secretly(PASSPHRASE)
        for secret in ("safe", "for the safe"):
            person.sees("passphrase for the new backup b: ")
            person.types_secretly(secret)
            person.sees("repeat the passphrase: ")
            person.types_secretly(secret)
            if secret == "safe":
                person.sees("weak-passphrase: the new passphrase has fewer than 12 characters")
                person.sees("accept this? [y/N]: ")
                person.types("n")
        person.sees("backed up the key main")
        assert person.ends() == 0
    assert "for the safe" not in person.screen
    assert PASSPHRASE not in person.screen
    assert kid_of(desk.folder / "b", "for the safe") == kid_of(desk.folder / "main.key")
    (row,) = desk.ok("journal", "show", "--json").json["rows"][-1:]
    assert (row["event"], row["accepted"]) == ("key-backed-up", [])


def test_recorded_backups_are_checked(desk: Desk) -> None:
    """Each is opened with the passphrase; a lost or exchanged one is exit 6 with a reason."""
    argv = ("key", "backup", "main", "--check")
    missing = desk.run(*argv, "--json")
    assert (missing.code, missing.json["error"]["code"]) == (5, "no_backup")
    good, gone, other = (desk.folder / name for name in ("good", "gone", "other"))
    for path in (good, gone, other):
        desk.ok("key", "backup", "main", str(path))
    before = tree(desk.folder)
    checked = desk.ok(*argv)
    assert checked.text.count("opens, and it is the key main\n") == 3
    assert "good is on the disk of the private key, so both can fail together\n" in checked.text
    assert tree(desk.folder) == before
    gone.unlink()
    other.unlink()
    desk.ok("key", "generate", "other", "--store", f"file:{other}", "--no-backup")
    outcome = desk.run(*argv, "--json")
    assert outcome.code == 6
    backups = outcome.json["backups"]
    assert [(each["presence"], each["opens"]) for each in backups] == [
        ("present", True),
        ("absent", False),
        ("absent", False),
    ]
    assert [each["problem"] for each in backups] == [
        None,
        "it is out of reach",
        "it has another key",
    ]
    desk.passphrase_file.write_text("another one, and long")
    wrong = desk.run(*argv)
    assert wrong.code == 6
    assert f"{good}: it has another passphrase, or is damaged\n" in wrong.text
    desk.passphrase_file.unlink()
    assert desk.run(*argv, "--json").json["error"]["code"] == "passphrase_refused"


def test_a_checked_file_is_recorded(desk: Desk) -> None:
    """The backup of an earlier home, whose place is unknown, is recorded once it opens."""
    path = desk.folder / "b"
    kid = desk.ok("key", "backup", "main", str(path), "--json").json["key"]["kid"]
    desk.ok("config", "set", f"backups.{kid}", "none")
    check = ("key", "backup", "--check", "main")
    assert "is not recorded" in desk.run(*check).err
    assert "polygent-issue key backup --check main FILE\n" in desk.ok("key", "show", "main").text
    assert desk.run(*check, str(desk.folder / "passphrase")).code == 6
    assert "is not recorded" in desk.run(*check).err
    desk.ok(*check, str(path))
    assert desk.ok(*check, "--json").json["backups"][0]["file"] == str(path)


def test_the_key_file_is_not_its_own_backup(desk: Desk) -> None:
    """It opens, but it is lost with the key; neither it nor a link to it is recorded."""
    link = desk.folder / "link"
    link.symlink_to(desk.folder / "main.key")
    before = tree(desk.home)
    for path in (desk.folder / "main.key", link):
        outcome = desk.run("key", "backup", "--check", "main", str(path))
        assert (outcome.code, outcome.text) == (3, "")
        assert f"{path} is the key file of main, not a backup\n" in outcome.err
    assert tree(desk.home) == before


@pytest.mark.parametrize(("argv", "code"), [((), 2), (("--check", "-"), 3), (("--check", ""), 3)])
def test_a_file_or_check_is_needed(desk: Desk, argv: tuple[str, ...], code: int) -> None:
    """Without FILE and --check nothing is to do; stdin is not a backup."""
    assert desk.run("key", "backup", "main", *argv).code == code


def test_a_place_that_cannot_be_recorded_is_a_warning(desk: Desk) -> None:
    """The backup exists and is journalled; only its place is unknown."""
    desk.ok("key", "backup", "main", str(desk.folder / "two\nlines"))
    (row,) = desk.ok("journal", "show", "--json").json["rows"][-1:]
    assert row["event"] == "key-backed-up"
    assert (desk.folder / "two\nlines").exists()


def test_a_retired_key_is_not_backed_up(desk: Desk) -> None:
    """A retired key needs no backup: it is exit 6 before any prompt."""
    argv = ("key", "retire", "main", "--compromised", "--reason", "stolen")
    desk.ok(*argv)
    desk.passphrase_file.unlink()
    outcome = desk.run("key", "backup", "main", str(desk.folder / "x"), "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (6, "key_compromised")
    assert not (desk.folder / "x").exists()


NEW = "another horse, and long"


def new_file(desk: Desk, passphrase: str = NEW) -> tuple[str, str]:
    """Write the new passphrase into a file; return the option that reads it."""
    path = desk.folder / "new"
    path.write_text(passphrase + "\n")
    path.chmod(0o600)
    return "--new-passphrase-file", str(path)


def test_the_passphrase_is_changed(desk: Desk) -> None:
    """Only the new one opens the file, which stays 0600; the journal has the change."""
    path = desk.folder / "main.key"
    kid = kid_of(path)
    path.chmod(0o640)
    outcome = desk.ok("key", "passphrase", *new_file(desk))
    assert kid_of(path, NEW) == kid
    assert path.stat().st_mode & 0o777 == 0o600
    assert desk.run("sign", "--machine-info", desk.machine_info()).code == 6
    desk.passphrase_file.write_text(NEW)
    desk.ok("sign", "--machine-info", desk.machine_info())
    row = desk.ok("journal", "show", "--json").json["rows"][-2]
    assert (row["event"], row["kid"], row["accepted"]) == ("key-passphrase-changed", kid, [])
    assert desk.ok("journal", "verify").code == 0
    assert f"changed the passphrase of the key main\n  key file  {path}\n" in outcome.text
    assert f"now outdated: the passphrase file {desk.passphrase_file}\n" in outcome.text
    assert not list(desk.folder.glob(".polygent-*"))


def test_backups_in_reach_follow_and_others_are_named(desk: Desk) -> None:
    """A backup with the same passphrase gets the new one; every other one keeps its own."""
    paths = {name: desk.folder / name for name in ("same", "gone", "own", "other", "locked")}
    for name in ("same", "gone", "other", "locked"):
        desk.ok("key", "backup", "main", str(paths[name]))
    with terminal(desk, "key", "backup", "main", "own") as person:
        person.types_secretly(PASSPHRASE)
        for prompt in ("passphrase for the new backup own: ", "repeat the passphrase: "):
            person.sees(prompt)
            person.types_secretly("for the safe alone")
        assert person.ends() == 0
    paths["gone"].unlink()
    paths["other"].unlink()
    desk.ok("key", "generate", "other", "--store", f"file:{paths['other']}", "--no-backup")
    before = {name: paths[name].read_bytes() for name in ("own", "other")}
    changed = desk.ok("key", "passphrase", "main", *new_file(desk), "--json").json
    assert changed["file"] == str(desk.folder / "main.key")
    assert changed["backups"] == [str(paths["same"]), str(paths["locked"])]
    assert [(Path(each["file"]).name, each["reason"]) for each in changed["unchanged_backups"]] == [
        ("gone", "it is out of reach"),
        ("other", "it has another key"),
        ("own", "it has another passphrase, or is damaged"),
    ]
    assert kid_of(paths["same"], NEW) == kid_of(desk.folder / "main.key", NEW)
    assert {name: paths[name].read_bytes() for name in before} == before
    desk.passphrase_file.write_text(NEW)
    text = desk.ok("key", "passphrase", "main", *new_file(desk, f"{NEW}er")).text
    assert f"the backup {paths['gone']} keeps its passphrase: it is out of reach\n" in text
    assert f"  backup    {paths['same']}\n" in text


def test_a_backup_that_became_the_key_file_has_the_new_passphrase(desk: Desk) -> None:
    """A key that is used from its backup's place has no other file that keeps the old one."""
    path = desk.folder / "b"
    desk.ok("key", "backup", "main", str(path))
    desk.ok("key", "import", f"file:{path}")
    changed = desk.ok("key", "passphrase", *new_file(desk), "--json").json
    assert (changed["file"], changed["backups"]) == (str(path), [str(path)])
    assert changed["unchanged_backups"] == []


def test_a_backup_without_a_place_is_named(desk: Desk) -> None:
    """The registry has its day, which is all that is known of it."""
    made = desk.ok("key", "backup", "main", str(desk.folder / "b"), "--json").json
    desk.ok("config", "set", f"backups.{made['key']['kid']}", "none")
    text = desk.ok("key", "passphrase", *new_file(desk)).text
    assert "the backup of 2026-11-30 keeps the old passphrase; its place is unknown\n" in text


def test_a_link_stays_and_its_file_is_replaced(desk: Desk) -> None:
    """Containers mount secrets as links; a key in a folder of keys is found, too."""
    folder = desk.folder / "keys"
    desk.ok("key", "generate", "second", "--store", f"file:{folder}/", "--no-backup")
    (path,) = folder.iterdir()
    real = path.rename(desk.folder / "real.key")
    path.symlink_to(real)
    desk.ok("key", "passphrase", "second", *new_file(desk))
    assert path.is_symlink()
    assert kid_of(real, NEW)


@pytest.mark.parametrize(
    ("new", "code", "exit_code"),
    [
        ("short", "consent_needed", 4),
        (PASSPHRASE, "passphrase_refused", 6),
        ("", "passphrase_refused", 6),
        (None, "missing_input", 3),
    ],
)
def test_a_new_passphrase_that_is_refused_changes_nothing(
    desk: Desk, new: str | None, code: str, exit_code: int
) -> None:
    """A short one without consent, the same one, an empty one, or none at all."""
    options = () if new is None else new_file(desk, new)
    before = tree(desk.folder)
    outcome = desk.run("key", "passphrase", *options, "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (exit_code, code)
    assert tree(desk.folder) == before


def test_a_short_passphrase_is_accepted_with_a_reason(desk: Desk) -> None:
    """The journal has the code and the reason."""
    consent = ("--accept", "weak-passphrase", "--reason", "a test machine")
    desk.ok("key", "passphrase", *new_file(desk, "short"), *consent)
    row = desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["accepted"], row["reason"]) == (["weak-passphrase"], "a test machine")


def test_a_wrong_passphrase_changes_nothing(desk: Desk) -> None:
    """The present passphrase is needed, even if the new one is fine."""
    desk.passphrase_file.write_text("not this one")
    options, before = new_file(desk), tree(desk.folder)
    outcome = desk.run("key", "passphrase", *options, "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (6, "wrong_passphrase")
    assert tree(desk.folder) == before | {"new": (NEW + "\n").encode()}


def test_a_terminal_prompts_for_both(desk: Desk) -> None:
    """The present one comes first, with three tries; a new one that differs is asked for again."""
    with terminal(desk, "key", "passphrase") as person:
        for secret in ("wrong", PASSPHRASE):
            person.sees("passphrase for the key file main.key: ")
            person.types_secretly(secret)
        for again in ("a typing error", NEW):
            person.sees("passphrase for the key file of main from now on: ")
            person.types_secretly(NEW)
            person.sees("repeat the passphrase: ")
            person.types_secretly(again)
        person.sees("changed the passphrase of the key main")
        assert person.ends() == 0
    assert NEW not in person.screen
    assert "outdated" not in person.screen
    assert kid_of(desk.folder / "main.key", NEW)


def test_a_key_in_the_keyring_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason and the commands that help are named, without a prompt."""
    with secret_service() as service:
        service.enter(monkeypatch)
        desk.ok("key", "generate", "ring", "--store", "keyring:", "--no-backup")
    desk.passphrase_file.unlink()
    outcome = desk.run("key", "passphrase", "ring", *new_file(desk), "--json")
    error = outcome.json["error"]
    assert (outcome.code, error["code"]) == (6, "no_passphrase")
    assert "the key ring is in the keyring, which has a password for all" in error["message"]
    assert "key backup ring FILE" in error["hint"]


def test_a_key_in_a_token_is_refused(desk: Desk, hsm: SoftHsm) -> None:
    """Its PIN is changed with the token's own tool."""
    desk.passphrase_file.write_text(PIN)
    desk.ok("key", "generate", "token", "--store", hsm.uri, "--no-backup")
    outcome = desk.run("key", "passphrase", "token", *new_file(desk), "--json")
    error = outcome.json["error"]
    assert (outcome.code, error["code"]) == (6, "no_passphrase")
    assert "has a PIN instead of a passphrase" in error["message"]
    assert "--login --change-pin" in error["hint"]


def test_a_missing_key_is_found_before_any_prompt(desk: Desk) -> None:
    """The error names what follows, since no backup is recorded."""
    (desk.folder / "main.key").unlink()
    desk.passphrase_file.unlink()
    outcome = desk.run("key", "passphrase", *new_file(desk), "--json")
    error = outcome.json["error"]
    assert (outcome.code, error["code"]) == (6, "no_such_key")
    assert error["message"].endswith("main.key does not exist, and no backup is recorded")
    assert "servers need a new public key before the next renewal" in error["hint"]
