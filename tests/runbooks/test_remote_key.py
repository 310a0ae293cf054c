"""The runbook for a key that moves into an SSH agent."""

from pathlib import Path

import pytest
from support.agents import ssh_agent
from support.cli import Desk
from support.runbooks import blocks, walk

from polygent_issuer.verifier import KeySet, LicenseError, Verifier

ROLL_OUT, SWITCH, REISSUE = blocks("Rotation to a remote key")
(GENERATE,) = blocks("Rotation to a remote key", language="sh")
(KEYS_GENERATE,) = blocks("SSH agent", "keys", language="sh")


def without_a_passphrase(script: str) -> str:
    """Return the commands with an answer to the prompt of `ssh-keygen`."""
    assert "-N" not in script  # the guide leaves no unencrypted key behind
    return script.replace("ssh-keygen", "ssh-keygen -q -N ''")


def accepts(keys: KeySet, file: bytes, desk: Desk) -> bool:
    """Return whether a server with these public keys accepts a license for any machine."""
    try:
        Verifier(keys).verify(file, now=desk.now)
    except LicenseError:
        return False
    return True


def test_from_a_key_file_to_an_agent(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step the servers accept each file, and afterwards the agent alone signs."""
    monkeypatch.chdir(desk.folder)
    desk.hasten()
    desk.ok("config", "set", "store", f"file:{desk.folder}/keys/")
    first = server(desk)
    desk.ok("sign", "--customer", "Acme", "--tier", "enterprise", "-o", "old.lic")
    old = Path("old.lic").read_bytes()
    (desk.folder / "drafts").mkdir()
    with ssh_agent(tmp_path / "agent") as agent:
        agent.enter(monkeypatch)
        agent.run("bash", "-euc", without_a_passphrase(GENERATE))
        imported, *_ = walk(desk, ROLL_OUT)
        assert "registered the key licensing" in imported.text
        both = KeySet.from_jwks((desk.folder / "keys.json").read_bytes())
        assert len(both) == 3
        assert desk.ok("key", "show", "main", "--json").json["key"]["active"]
        walk(desk, SWITCH)
        *_, shown = walk(desk, REISSUE)
        assert "state        retired" in shown.text
        (license_,) = desk.ok("license", "list", "--status", "current", "--json").json["licenses"]
        new = desk.ok("license", "export", license_["id"], "-o", "-", "--quiet").out
        assert len(list((desk.folder / "drafts").iterdir())) == 1
    assert [accepts(both, file, desk) for file in (old, new)] == [True, True]
    assert [accepts(first, file, desk) for file in (old, new)] == [True, False]

    # The agent has ended. The spare key signs what the servers accept.
    refused = desk.run("reissue", "acme", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (6, "remote_absent")
    desk.ok("key", "use", "spare", "--accept", "key-rollout", "--reason", "the agent is lost")
    desk.ok("reissue", "acme", "-o", "spare.lic")
    assert accepts(both, Path("spare.lic").read_bytes(), desk)


def server(desk: Desk) -> KeySet:
    """Return the public keys of a server that gets all keys of now."""
    return KeySet.from_jwks(desk.ok("key", "export-public", "--all").out)


def test_the_topic_keys_generates_a_key_in_the_same_way(
    empty_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands work as they are; `ssh-keygen` only asks for a passphrase in addition."""
    monkeypatch.chdir(empty_desk.folder)
    *prepare, last = KEYS_GENERATE.splitlines()
    with ssh_agent(tmp_path / "agent") as agent:
        agent.enter(monkeypatch)
        agent.run("bash", "-euc", without_a_passphrase("\n".join(prepare)))
        outcome = empty_desk.ok(*last.split()[1:], "--json")
        assert outcome.json["key"]["label"] == "licensing"
