"""Keys in an SSH agent, from `key import` to a batch of renewals."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from support.agents import LIST, SshAgent, fake_agent, signing, ssh_agent
from support.cli import PASSPHRASE, Desk
from support.doctor_rows import look

from polygent_issuer.home.settings import settings_path
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key

ENTERPRISE = ("sign", "--customer", "Globex", "--tier", "enterprise")
EARLY = ("--accept", "not-due", "--reason", "early")
FIX = "add it to the agent: ssh-add FILE; if the agent is locked: ssh-add -X"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshAgent]:
    """OpenSSH's agent, which this process uses."""
    with ssh_agent(tmp_path / "agent") as running:
        running.enter(monkeypatch)
        yield running


@pytest.fixture
def remote(at_hand: Desk, agent: SshAgent) -> Desk:
    """Create a desk with one key, which stays in the agent."""
    agent.generate("remote")
    at_hand.ok("init", "--issuer", "Polygent Ltd", "--output", str(at_hand.output))
    at_hand.ok("key", "import", "agent:remote")
    return at_hand


def test_a_key_of_an_agent_signs_and_renews(at_hand: Desk, agent: SshAgent) -> None:
    """The settings pin it by its fingerprint, the journal names the store, and others verify."""
    name = agent.generate("ada@host")
    outcome = at_hand.ok("key", "import", "agent:", "--json").json
    key = outcome["key"]
    assert (key["label"], key["active"], key["store"]) == ("ada@host", True, f"agent:{name}")
    assert f'"agent:{name}"' in settings_path(at_hand.home).read_text()
    row = at_hand.ok("journal", "show", "--json").json["rows"][1]
    assert (row["event"], row["details"]) == ("key-imported", {"store": "agent", "backup": False})
    signed = at_hand.ok(*ENTERPRISE, "--output", str(at_hand.output), "--json").json
    renewed = at_hand.ok("renew", "globex", *EARLY, "-o", str(at_hand.output), "--json").json
    public = load_pem_public_key(at_hand.ok("key", "export-public", "ada@host").out)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    for (issued,) in (signed["licenses"], renewed["licenses"]):
        token = Path(issued["file"]).read_bytes().strip()
        claims = jwt.decode(
            token, public, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
        )
        assert claims["jti"] == issued["id"]


def test_import_prints_what_follows_without_a_backup(at_hand: Desk, agent: SshAgent) -> None:
    """A spare key takes the place of a backup; lists have the key without its socket."""
    name = agent.generate("one")
    text = at_hand.ok("key", "import", f"agent:one?socket={agent.socket}").text
    assert text.startswith("registered the key one\n")
    assert "cannot export the key from the SSH agent; keep a spare key" in text
    listed = at_hand.ok("key", "list").text
    assert f"agent:{name}" in listed
    assert "socket" not in listed
    (key,) = at_hand.ok("key", "list", "--json").json["keys"]
    assert key["store"] == f"agent:{name}?socket={agent.socket}"


def test_a_key_file_moves_into_an_agent(desk: Desk, agent: SshAgent) -> None:
    """The same key from its file, in an agent: the registry keeps its label."""
    desk.hasten()
    with agent.answering(f"#!/bin/sh\ncat {desk.passphrase_file}\n"):
        agent.add(desk.folder / "main.key")
    outcome = desk.ok("key", "import", "agent:", "--json").json
    assert (outcome["new"], outcome["key"]["label"]) == (False, "main")
    (desk.folder / "main.key").unlink()
    assert desk.ok(*ENTERPRISE).code == 0


def test_no_key_is_put_into_an_agent(desk: Desk) -> None:
    """Neither generated nor imported: exit 6, the way there, and nothing is created."""
    backup = str(desk.folder / "b")
    desk.ok("key", "backup", "main", backup)
    before = settings_path(desk.home).read_text()
    for argv in (
        ("key", "generate", "two", "--store", "agent:", "--no-backup"),
        ("key", "generate", "two", "--store", "agent:", "--backup", f"{backup}2"),
        ("key", "import", backup, "--store", "agent:"),
    ):
        code, name, hint = desk.refused(*argv)
        assert (code, name) == (6, "store_read_only")
        assert "generate the key there: ssh-keygen -t ecdsa -b 256 -f FILE" in hint
        assert "key import agent:SHA256:FINGERPRINT" in hint
    assert settings_path(desk.home).read_text() == before
    assert not Path(f"{backup}2").exists()


@pytest.mark.parametrize("option", ["--store", "--backup"])
def test_a_key_in_place_takes_no_store_or_backup(at_hand: Desk, option: str) -> None:
    """`--store` and `--backup` are refused for it."""
    assert at_hand.refused("key", "import", "agent:", option, "x")[:2] == (2, "usage")


def test_a_missing_agent_creates_nothing(
    at_hand: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal comes before there is a home."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    assert at_hand.refused("key", "import", "agent:")[:2] == (6, "remote_absent")
    assert at_hand.refused("key", "import", "agent:a b")[:2] == (3, "invalid_store")
    assert not at_hand.home.exists()


def test_the_key_has_no_backup_and_no_passphrase(remote: Desk, tmp_path: Path) -> None:
    """Both commands name another way."""
    code, name, hint = remote.refused("key", "backup", "remote", str(tmp_path / "b"))
    assert (code, name) == (6, "not_extractable")
    assert "key generate spare --store file:~/polygent-keys/ --backup FILE" in hint
    (tmp_path / "new").write_text("another passphrase")
    change = ("key", "passphrase", "remote", "--new-passphrase-file", str(tmp_path / "new"))
    assert remote.refused(*change)[:2] == (6, "no_passphrase")
    assert remote.refused(*change[:3])[:2] == (6, "no_passphrase")  # not: add a new passphrase
    assert look(remote, "key-backup")["message"] == (
        "remote is stored in the SSH agent and cannot be backed up"
    )


def test_a_key_that_left_the_agent_is_missed(remote: Desk, agent: SshAgent) -> None:
    """Each command states how to add it again; nothing is issued without it."""
    assert remote.ok("key", "show", "remote", "--json").json["key"]["presence"] == "present"
    assert look(remote, "key")["state"] == "ok"
    (name,) = agent.fingerprints()
    agent.add("-D")
    shown = remote.ok("key", "show", "remote")
    assert f"(missing; {FIX})" in shown.text
    assert "if it has a backup" not in shown.text
    assert remote.refused(*ENTERPRISE) == (6, "no_such_key", FIX)
    result = look(remote, "key")
    assert (result["state"], result["mend"]) == ("fail", FIX)
    assert remote.ok("license", "list", "--json").json["licenses"] == []
    spare = f"file:{remote.folder}/spare.key"
    remote.passphrase_file.write_text(PASSPHRASE)
    remote.passphrase_file.chmod(0o600)
    remote.ok("key", "generate", "spare", "--store", spare, "--no-backup")
    for label in ("spare", "remote"):
        used = remote.ok("key", "use", label, "--accept", "key-rollout", "--reason", "a test")
    assert f"the private key of remote is not in agent:{name}; {FIX}" in used.err


def test_an_agent_that_ended_is_unavailable(
    remote: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`key show` never fails, and `doctor` has the fix."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    assert remote.ok("key", "show", "remote", "--json").json["key"]["presence"] == "unavailable"
    result = look(remote, "key")
    assert (result["state"], "eval $(ssh-agent)" in result["mend"]) == ("fail", True)
    assert remote.refused(*ENTERPRISE)[:2] == (6, "remote_absent")


def test_only_signing_signs(at_hand: Desk, tmp_path: Path) -> None:
    """An import signs once; `doctor`, `key show` and a dry run only list the agent's keys."""
    signer = SoftwareSigner(generate_private_key())
    with fake_agent(tmp_path / "s", signing(signer)) as agent:
        at_hand.ok("key", "import", f"agent:?socket={tmp_path}/s")
        assert agent.requests.count(LIST) < len(agent.requests)
        agent.requests.clear()
        for argv in (("doctor",), ("key", "show", "remote"), (*ENTERPRISE, "--dry-run")):
            at_hand.ok(*argv)
        assert set(agent.requests) == {LIST}


def test_another_key_in_the_agent_is_not_used(at_hand: Desk, tmp_path: Path) -> None:
    """A key under the recorded name with another public key signs nothing."""
    signer, other = (SoftwareSigner(generate_private_key()) for _ in range(2))
    with fake_agent(tmp_path / "s", signing(signer)):
        at_hand.ok("key", "import", f"agent:?socket={tmp_path}/s")
    (tmp_path / "s").unlink()
    at_hand.ok("config", "set", f"stores.{signer.kid}", f"agent:remote?socket={tmp_path}/s")
    with fake_agent(tmp_path / "s", signing(other)) as agent:
        assert at_hand.refused(*ENTERPRISE)[:2] == (6, "key_mismatch")
        assert set(agent.requests) == {LIST}


def test_the_default_store_may_be_an_agent(at_hand: Desk, agent: SshAgent) -> None:
    """`init` prints the import as the next command; a pinned key without a store is found."""
    agent.generate("one")
    outcome = at_hand.ok("init", "--store", "agent:", "--output", str(at_hand.output), "--json")
    assert outcome.json["next"].endswith("key import agent:")
    kid = at_hand.ok("key", "import", "agent:", "--json").json["key"]["kid"]
    at_hand.ok("config", "set", f"stores.{kid}", "agent:")
    assert at_hand.ok(*ENTERPRISE).code == 0
    refused = at_hand.run("config", "set", "store", "agent:a b")
    assert (refused.code, "must be percent-encoded" in refused.err) == (3, True)


def test_the_registry_is_not_locked_while_the_agent_signs(at_hand: Desk, tmp_path: Path) -> None:
    """Another process can commit before each signature of each command, also of a batch."""
    write = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('BEGIN EXCLUSIVE')"
    registry = str(at_hand.home / "registry.db")
    codes: list[int] = []

    def meanwhile() -> None:
        command = [sys.executable, "-c", write, registry]
        codes.append(subprocess.run(command, check=False, timeout=60).returncode)

    at_hand.ok("init", "--output", str(at_hand.output))
    signer = SoftwareSigner(generate_private_key())
    rows = at_hand.folder / "rows.csv"
    rows.write_text("customer,tier\nInitech,enterprise\nUmbrella,enterprise\n")
    steps: list[tuple[int, tuple[str, ...], int]] = [
        (0, ("key", "import", f"agent:?socket={tmp_path}/s"), 1),
        (0, ENTERPRISE, 1),
        (0, ("renew", "globex", *EARLY), 1),
        (0, ("reissue", "globex"), 1),
        (0, ("apply", str(rows)), 2),
        (350, ("renew", "initech", "umbrella"), 2),
        (0, ("reissue", "--signed-with", "remote"), 1),
    ]
    with fake_agent(tmp_path / "s", signing(signer, meanwhile)):
        for days, argv, signatures in steps:
            codes.clear()
            outcome = at_hand.ok(*argv, after=timedelta(days=days))
            assert codes == [0] * signatures, outcome


def test_a_key_file_needs_no_module_of_remote_keys(desk: Desk) -> None:
    """A renewal with a key in a file does not import the stores of other keys."""
    desk.ok(*ENTERPRISE)
    program = (
        "import sys\nfrom polygent_issuer.cli.main import run\n"
        f"code = run({['--home', str(desk.home), 'renew', 'globex', *EARLY]!r})\n"
        "print(*sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    environ = {"PATH": "/usr/bin", "POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)}
    done = subprocess.run(
        ["faketime", "-f", f"@{desk.now:%Y-%m-%d %H:%M:%S}", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split())
    assert "polygent_issuer.keys.file_store" in loaded
    unused = {"remote", "agent_store", "pkcs11_store"}
    assert not loaded & {f"polygent_issuer.keys.{name}" for name in unused}
    assert not any(name.startswith("polygent_issuer.store_uri.") for name in loaded)
