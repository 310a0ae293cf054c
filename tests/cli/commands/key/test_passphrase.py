"""`polygent-issue key passphrase`: a key file with another passphrase."""

from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of, tree
from support.secret_service import secret_service
from support.softhsm import PIN, SoftHsm
from support.terminal import terminal

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
    with terminal(desk, "key", "backup", "main", "own", quickly=True) as person:
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
    with terminal(desk, "key", "passphrase", quickly=True) as person:
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
