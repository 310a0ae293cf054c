"""`polygent-issue key show`: a signing key and whether it can sign."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.disks import folder_on_another_disk
from support.keys import kid_of
from support.registries import ACTOR
from support.secret_service import secret_service

from polygent_issuer.registry import Registry
from polygent_issuer.verifier import Key, KeySet, Verifier


def test_the_public_key_is_shown(desk: Desk) -> None:
    """The fields come first, then the PEM; the private key is reported as there."""
    kid = kid_of(desk.folder / "main.key")
    text = desk.ok("key", "show", "main").text
    assert text.startswith(f"main\n  kid          {kid}\n  state        active\n")
    assert f"  private key  file:{desk.folder}/main.key (present)\n" in text
    assert "  backup       none\n" in text
    assert "  created      2025-11-30T09:30:00Z\n" in text
    pem = text[text.index("-----BEGIN PUBLIC KEY-----") :]
    assert Key.from_pem(pem.encode()).kid == kid
    assert "PRIVATE" not in text


def test_a_key_is_found_by_the_beginning_of_its_kid(desk: Desk) -> None:
    """A kid may begin with a hyphen, so it comes after `--`."""
    kid = kid_of(desk.folder / "main.key")
    shown = desk.ok("key", "show", "--json", "--", kid[:6]).json["key"]
    assert (shown["kid"], shown["presence"]) == (kid, "present")
    assert Key.from_pem(shown["public_pem"].encode()).kid == kid


def test_the_licenses_of_a_key_are_counted(desk: Desk) -> None:
    """All licenses and the current ones are counted."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.ok("reissue", "acme-gmbh")
    shown = desk.ok("key", "show", "main", "--json").json["key"]
    assert (shown["licenses"], shown["current_licenses"]) == (2, 1)
    listed = "to list its current licenses: polygent-issue license list --status current --key=main"
    assert listed in desk.ok("key", "show", "main").text.splitlines()
    assert "licenses     2, 1 of them current\n" in desk.ok("key", "show", "main").text


def test_no_prompt_is_needed(desk: Desk) -> None:
    """Neither the file's passphrase nor an unlocked keyring is needed."""
    desk.passphrase_file.unlink()
    assert desk.ok("key", "show", "main", "--json").json["key"]["presence"] == "present"


def test_a_missing_key_file_is_reported(desk: Desk) -> None:
    """The path is named, with the command to restore it from a backup."""
    desk.ok("key", "generate", "other", "--store", f"file:{desk.folder}/other.key", "--no-backup")
    desk.ok("key", "backup", "main", str(desk.folder / "main.backup"))
    for name in ("main", "other"):
        (desk.folder / f"{name}.key").unlink()
    text = desk.ok("key", "show", "main").text
    assert (
        f"file:{desk.folder}/main.key (missing; to restore it from its backup: "
        "polygent-issue key import BACKUP" in text
    )
    text = desk.ok("key", "show", "other").text
    assert f"file:{desk.folder}/other.key (missing, and no backup is recorded)\n" in text
    assert (
        "otherwise installed licenses keep working, and servers need a new public key before the "
        "next renewal: polygent-issue help runbooks\n"
    ) in text
    refused = desk.run("sign", "--machine-info", desk.machine_info(), "--key", "other")
    assert refused.code == 6
    assert f"{desk.folder}/other.key does not exist, and no backup is recorded\n" in refused.err
    assert "installed licenses keep working" in refused.err
    assert "installed licenses" not in desk.ok("key", "show", "main").text


def test_a_missing_key_is_restored_from_its_place(desk: Desk) -> None:
    """The hint has the path of the backup; if that is gone, too, it states what follows."""
    backup = desk.folder / "main.backup"
    desk.ok("key", "backup", "main", str(backup))
    (desk.folder / "main.key").unlink()
    sign = ("sign", "--machine-info", desk.machine_info())
    refused = desk.run(*sign, "--json").json["error"]
    assert refused["hint"].endswith(f"key import {backup}")
    backup.rename(desk.folder / "elsewhere")
    refused = desk.run(*sign, "--json").json["error"]
    assert refused["code"] == "no_such_key"
    assert refused["message"].endswith("does not exist, and its backup is out of reach")
    assert "installed licenses keep working" in refused["hint"]
    assert "installed licenses keep working" in desk.ok("key", "show", "main").text
    (desk.folder / "elsewhere").rename(backup)
    desk.ok("key", "import", str(backup))
    desk.ok(*sign)


def test_backups_are_looked_for(desk: Desk) -> None:
    """Each recorded backup is named, with a warning if it is gone, unreadable or on one disk."""
    assert desk.ok("key", "show", "main", "--json").json["key"]["backups"] == []
    paths = [desk.folder / name for name in ("here", "gone", "bad")]
    for path in paths:
        desk.ok("key", "backup", "main", str(path))
    paths[1].unlink()
    paths[2].write_text("rubbish")
    text = desk.ok("key", "show", "main").text
    for path, risk in zip(
        paths,
        (
            "is on the disk of the private key, so both can fail together",
            "is gone",
            "cannot be read",
        ),
        strict=True,
    ):
        assert f"backup file  {path}\n" in text
        assert f"the backup {path} {risk}\n" in text
    backups = desk.ok("key", "show", "main", "--json").json["key"]["backups"]
    assert [(each["presence"], each["same_disk"]) for each in backups] == [
        ("present", True),
        ("absent", False),
        ("unavailable", True),
    ]


def test_a_backup_on_another_disk_has_no_warning(desk: Desk) -> None:
    """Its place is named, and nothing else."""
    with folder_on_another_disk(desk.folder) as folder:
        desk.ok("key", "backup", "main", f"{folder}/b")
        text = desk.ok("key", "show", "main").text
        assert f"backup file  {folder}/b\n" in text
        assert "the backup" not in text


def test_the_keyring_is_only_checked(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real Secret Service has the key, is locked without a prompt, or is missing."""
    empty_desk.ok("init")

    def presence() -> str:
        return str(empty_desk.ok("key", "show", "main", "--json").json["key"]["presence"])

    with secret_service() as service:
        service.enter(monkeypatch)
        empty_desk.ok("key", "generate", "--no-backup")
        assert presence() == "present"
        service.hold_prompts()
        service.lock()
        assert presence() == "locked"
        assert "(its keyring is locked)" in empty_desk.ok("key", "show", "main").text
    assert presence() == "unavailable"


def test_an_unknown_key_is_refused(desk: Desk) -> None:
    """An unknown key is exit 5 with the nearest label."""
    outcome = desk.run("key", "show", "mian")
    assert outcome.code == 5
    assert "did you mean main?" in outcome.err


def second(desk: Desk) -> str:
    """Generate a second key, a day later and with a backup; return its kid."""
    key, backup = str(desk.folder / "second.key"), str(desk.folder / "second.backup")
    options = ("--store", f"file:{key}", "--backup", backup)
    desk.ok("key", "generate", "second", *options, after=timedelta(days=1))
    return kid_of(desk.folder / "second.key")


def test_each_key_is_a_row(desk: Desk) -> None:
    """Each row has label, state, kid, store, backup, time and licenses; no secret."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    first, later = kid_of(desk.folder / "main.key"), second(desk)
    lines = [line.split() for line in desk.ok("key", "list").text.splitlines()]
    made, now = "2025-11-30", "2026-12-01"
    assert lines == [
        ["label", "state", "kid", "current", "licenses", "backup", "created", "store"],
        ["main", "active", first[:8], "1", "none", made, f"file:{desk.folder}/main.key"],
        ["second", "standby", later[:8], "0", now, now, f"file:{desk.folder}/second.key"],
    ]


def test_json_has_the_same(desk: Desk) -> None:
    """JSON has the same data, with times in UTC."""
    later = second(desk)
    keys = desk.ok("key", "list", "--json").json["keys"]
    assert [key["active"] for key in keys] == [True, False]
    assert keys[1] == {
        "kid": later,
        "label": "second",
        "active": False,
        "store": f"file:{desk.folder}/second.key",
        "created_at": "2026-12-01T09:30:00Z",
        "backed_up_at": "2026-12-01T09:30:00Z",
        "retired_at": None,
        "compromised": False,
        "current_licenses": 0,
        "compromised_since": None,
    }


def test_retired_and_compromised_keys_have_their_date(desk: Desk) -> None:
    """The date is printed, with the command that lists their licenses."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    retired = second(desk)
    desk.ok("key", "retire", "second", "--reason", "unused")
    desk.ok("key", "retire", "main", "--reason", "leaked", "--compromised", after=timedelta(days=1))
    lines = desk.ok("key", "list").text.splitlines()
    assert [line.split()[1:4] for line in lines[1:3]] == [
        ["compromised", "since", "2026-12-02"],
        ["retired", "since", "2026-12-01"],
    ]
    assert lines[3:] == [
        (
            "to list licenses signed with main (compromised): "
            "polygent-issue license list --status current --key=main"
        ),
    ]
    keys = {key["label"]: key for key in desk.ok("key", "list", "--json").json["keys"]}
    assert keys["main"]["compromised_since"] == "2026-12-02T09:30:00Z"
    assert (keys["second"]["kid"], keys["second"]["compromised_since"]) == (retired, None)
    assert keys["main"]["current_licenses"] == 1


def test_an_empty_list_names_the_next_command(empty_desk: Desk) -> None:
    """An empty list is exit 0 with the command that generates a key."""
    empty_desk.ok("init")
    assert (
        empty_desk.ok("key", "list").text
        == "no keys yet; to generate one: polygent-issue key generate\n"
    )
    assert empty_desk.ok("key", "list", "--json").json["keys"] == []


def test_a_missing_home_is_not_created(empty_desk: Desk) -> None:
    """A missing home is exit 7, and none is created."""
    outcome = empty_desk.run("key", "list", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (7, "home_missing")
    assert not empty_desk.home.exists()


def test_the_active_key_is_exported_as_pem(two: Desk) -> None:
    """Stdout has only the key, which verifies licenses; messages go to stderr."""
    outcome = two.ok("key", "export-public")
    assert Key.from_pem(outcome.out).kid == kid_of(two.folder / "main.key")
    assert outcome.out.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert outcome.out.endswith(b"-----END PUBLIC KEY-----\n")
    assert outcome.err.startswith("exported the public key of main\n")
    (issued,) = two.ok("sign", "--machine-info", two.machine_info(), "--json").json["licenses"]
    verifier = Verifier(KeySet.from_pem(outcome.out))
    fingerprint = issued["claims"]["machineFingerprint"]
    license_file = Path(issued["file"]).read_bytes()
    verifier.verify(license_file, now=two.now, fingerprint=fingerprint)


def test_a_dash_is_stdout(two: Desk) -> None:
    """`-` writes the same bytes, and `--quiet` suppresses the messages."""
    outcome = two.ok("key", "export-public", "second", "-o", "-", "--quiet")
    assert Key.from_pem(outcome.out).kid == kid_of(two.folder / "second.key")
    assert outcome.err == ""


def test_one_key_is_exported_as_jwks(two: Desk) -> None:
    """The set has only this key."""
    outcome = two.ok("key", "export-public", "second", "--format", "jwks")
    (key,) = KeySet.from_jwks(outcome.out)
    assert key.kid == kid_of(two.folder / "second.key")


def test_all_trusted_keys_are_exported_as_jwks(two: Desk) -> None:
    """Retired keys are included; a compromised key is left out with a note."""
    main, second = kid_of(two.folder / "main.key"), kid_of(two.folder / "second.key")
    registry = Registry.open(two.registry)

    def change(**columns: str | int | None) -> None:
        with registry.writing(now=two.now, actor=ACTOR) as db:
            db.update("keys", second, **columns)
            db.record("key-retired", kid=second)

    def exported() -> set[str]:
        outcome = two.ok("key", "export-public", "--all")
        answer.append("compromised keys left out: second" in outcome.err)
        return {key.kid for key in KeySet.from_jwks(outcome.out)}

    answer: list[bool] = []
    with registry:
        assert exported() == {main, second}
        change(retired_at="2026-11-30T09:30:00Z")
        assert exported() == {main, second}
        assert Key.from_pem(two.ok("key", "export-public", "second").out).kid == second
        change(compromised=1)
        assert exported() == {main}
    assert answer == [False, False, True]
    refused = two.run("key", "export-public", "second")
    assert (refused.code, refused.out) == (6, b"")
    assert "servers must remove it" in refused.err
    assert (
        "hint: to export the keys that servers may trust: polygent-issue key export-public --all"
        in refused.err
    )
    assert set(json.loads(two.ok("key", "export-public", "--all").out)["keys"][0]) == {
        *("kty", "crv", "x", "y", "kid", "use", "alg")
    }


def test_an_existing_file_is_not_overwritten(two: Desk) -> None:
    """Another file is never overwritten; the same bytes are accepted."""
    target = two.folder / "public.pem"
    outcome = two.ok("key", "export-public", "--output", str(target))
    assert outcome.err == ""
    assert f"file  {target}\n" in outcome.text
    assert Key.from_pem(target.read_bytes()).kid == kid_of(two.folder / "main.key")
    two.ok("key", "export-public", "--output", str(target))
    before = target.read_bytes()
    other = two.run("key", "export-public", "second", "--output", str(target))
    assert other.code == 8
    assert "hint: choose another file with --output\n" in other.err
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("form", "name"), [("pem", "polygent-public.pem"), ("jwks", "polygent-public.jwks.json")]
)
def test_a_folder_gets_a_default_name(two: Desk, form: str, name: str) -> None:
    """In a folder the file has a name that describes it."""
    two.ok("key", "export-public", "--format", form, "-o", str(two.output))
    assert (two.output / name).stat().st_size > 0


def test_json_has_the_key_or_the_file(two: Desk) -> None:
    """Without a file JSON has the text, with one its path."""
    result = two.ok("key", "export-public", "--json").json
    kid = kid_of(two.folder / "main.key")
    assert result["keys"] == [{"kid": kid, "label": "main"}]
    assert (result["format"], result["file"]) == ("pem", None)
    assert Key.from_pem(result["text"].encode()).kid == kid
    target = str(two.folder / "x.pem")
    assert two.ok("key", "export-public", "--json", "-o", target).json["file"] == target


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("--json", "-o", "-"), 2),
        (("--all", "--format", "pem"), 2),
        (("main", "--all"), 2),
        (("--format", "der"), 2),
        (("third",), 5),
    ],
)
def test_wrong_input_exports_no_key(two: Desk, argv: tuple[str, ...], code: int) -> None:
    """Contradicting options are exit 2, an unknown key exit 5."""
    outcome = two.run("key", "export-public", *argv)
    assert outcome.code == code
    assert b"BEGIN" not in outcome.out
    assert "hint: " in outcome.err or "hint" in outcome.text


@pytest.mark.parametrize("argv", [(), ("--all",)])
def test_without_a_key_the_hint_generates_one(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """Without a key it is exit 6 with the command that generates one."""
    empty_desk.ok("init")
    outcome = empty_desk.run("key", "export-public", *argv)
    assert outcome.code == 6
    assert "hint: polygent-issue key generate" in outcome.err
