"""`polygent-issue key show`: one key, and whether it can sign here."""

import pytest
from support.cli import Desk
from support.keys import kid_of
from support.secret_service import secret_service

from polygent_issuer.verifier import Key


def test_its_public_side(desk: Desk) -> None:
    """Fields, then the public half as PEM; whether the private one is there."""
    kid = kid_of(desk.folder / "main.key")
    text = desk.ok("key", "show", "main").text
    assert text.startswith(f"main\n  kid          {kid}\n  state        active\n")
    assert f"  private key  file:{desk.folder}/main.key (there)\n" in text
    assert "  backup       none\n" in text
    assert "  created      2025-11-30T09:30:00Z\n" in text
    pem = text[text.index("-----BEGIN PUBLIC KEY-----") :]
    assert Key.from_pem(pem.encode()).kid == kid
    assert "PRIVATE" not in text


def test_by_the_beginning_of_its_kid(desk: Desk) -> None:
    """As JSON; a kid may begin with a hyphen, so it comes after `--`."""
    kid = kid_of(desk.folder / "main.key")
    shown = desk.ok("key", "show", "--json", "--", kid[:6]).json["key"]
    assert (shown["kid"], shown["presence"]) == (kid, "present")
    assert Key.from_pem(shown["public_pem"].encode()).kid == kid


def test_the_licenses_under_it(desk: Desk) -> None:
    """How many there are, and how many of them are current."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.ok("reissue", "acme-gmbh")
    shown = desk.ok("key", "show", "main", "--json").json["key"]
    assert (shown["licenses"], shown["current_licenses"]) == (2, 1)
    assert "licenses     2, 1 of them current\n" in desk.ok("key", "show", "main").text


def test_no_prompt_is_needed(desk: Desk) -> None:
    """Neither the file's passphrase nor an unlocked keyring."""
    desk.passphrase_file.unlink()
    assert desk.ok("key", "show", "main", "--json").json["key"]["presence"] == "present"


def test_a_key_file_that_is_gone(desk: Desk) -> None:
    """Its place is told, and how it comes back, if there is a backup."""
    desk.ok("key", "generate", "other", "--store", f"file:{desk.folder}/other.key", "--no-backup")
    desk.ok("key", "backup", "main", str(desk.folder / "main.backup"))
    for name in ("main", "other"):
        (desk.folder / f"{name}.key").unlink()
    text = desk.ok("key", "show", "main").text
    assert f"file:{desk.folder}/main.key (not there: polygent-issue key import BACKUP" in text
    text = desk.ok("key", "show", "other").text
    assert f"file:{desk.folder}/other.key (not there, and no backup was noted)\n" in text
    assert "key import" not in text


def test_keyrings(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a real Secret Service: present, locked without a prompt, and no service at all."""
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


def test_no_such_key(desk: Desk) -> None:
    """Exit 5 with the nearest label."""
    outcome = desk.run("key", "show", "mian")
    assert outcome.code == 5
    assert "did you mean `main`?" in outcome.err
