"""`polygent-issue key backup`: an encrypted backup that can be imported."""

from datetime import timedelta

import pytest
from support.cli import PASSPHRASE, Desk
from support.keys import kid_of, tree
from support.secret_service import secret_service
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
    with terminal(desk, "key", "backup", "main", "b", quickly=True) as person:
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
