"""`polygent-issue key export-public`: public keys for servers."""

import json
from pathlib import Path

import pytest
from support.cli import Desk
from support.keys import kid_of
from support.registries import ACTOR

from polygent_issuer.registry import Registry
from polygent_issuer.verifier import Key, KeySet, Verifier


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Create a desk with a second key."""
    key = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", key, "--no-backup")
    return desk


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
