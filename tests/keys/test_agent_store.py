"""Keys in SSH agents: OpenSSH's, also with a token behind it, gpg-agent, and a fake one."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import (
    ALLOW,
    DENY,
    SshAgent,
    fake_agent,
    framed,
    gpg_agent,
    identities,
    ssh_agent,
)
from support.keys import refusal, store
from support.softhsm import SoftHsm

from polygent_issuer.keys import openssh
from polygent_issuer.keys.agent_store import Agent, fingerprint
from polygent_issuer.keys.signer import PROBE, Presence, SoftwareSigner, generate_private_key
from polygent_issuer.store_uri.remote import parse_remote_uri
from polygent_issuer.verifier import jws

OURS = SoftwareSigner(generate_private_key())
BLOB = openssh.blob_of(OURS.public_key)
MINUTE = timedelta(minutes=1)
DATA = b"eyJhbGciOiJFUzI1NiJ9.e30"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshAgent]:
    """OpenSSH's agent, which this process uses."""
    with ssh_agent(tmp_path / "agent") as running:
        running.enter(monkeypatch)
        yield running


def test_a_key_of_an_agent_signs(agent: SshAgent) -> None:
    """It is adopted by its fingerprint, which pins it, and with the comment as its label."""
    name = agent.generate("ada@host")
    entry = store("agent:").adopt()
    assert (entry.uri, entry.label) == (f"agent:{name}", "ada@host")
    assert store(entry.uri).adopt() == store("agent:ada@host").adopt() == entry
    signer = store(entry.uri).load(entry.key)
    assert signer.at_once == 1
    for item, signature in zip([b"", DATA], signer.sign_many([b"", DATA]), strict=True):
        assert entry.key.verifies(signature, item)
    assert store(entry.uri).presence(entry.key.kid) is Presence.PRESENT
    assert store(entry.uri).presence(OURS.kid) is Presence.ABSENT


def test_the_socket_of_the_uri_comes_before_the_variable(
    agent: SshAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adopted key keeps it."""
    name = agent.generate("one")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    entry = store(f"agent:one?socket={agent.socket}").adopt()
    assert entry.uri == f"agent:{name}?socket={agent.socket}"
    assert store(entry.uri).presence(entry.key.kid) is Presence.PRESENT


def test_only_p256_keys_count(agent: SshAgent) -> None:
    """Other types and certificates are passed over; without a P-256 key that is the reason."""
    for kind in ("ed25519", "rsa"):
        agent.add(agent.key_file(kind, "-t", kind))
    agent.add(agent.key_file("p384", "-t", "ecdsa", "-b", "384"))
    code, _, hint = refusal(store("agent:").adopt)
    assert (code, "not ecdsa-sk" in hint) == ("unsupported_key", True)
    assert refusal(store("agent:p384").adopt)[0] == "unsupported_key"
    agent.generate("p256")
    assert store("agent:").adopt().label == "p256"
    assert refusal(store("agent:rsa").adopt)[0] == "unsupported_key"


def test_one_of_several_keys_is_named(agent: SshAgent) -> None:
    """The refusal lists a command for each; two keys may have the same comment."""
    names = [agent.generate(comment) for comment in ("one", "two")]
    code, _, hint = refusal(store("agent:").adopt)
    assert code == "key_ambiguous"
    for name in names:
        assert f"key import agent:{name}" in hint
    assert store("agent:two").adopt().uri == f"agent:{names[1]}"
    first = store("agent:one").adopt()
    assert refusal(lambda: store("agent:two").load(first.key))[0] == "key_mismatch"
    assert store("agent:").load(first.key).sign(b"")


def test_a_key_that_is_listed_twice_is_one_key(tmp_path: Path) -> None:
    """As by an agent that joins two others: a refusal could only name the same key twice."""
    listed = identities([(BLOB, "first"), (BLOB, "second")])
    with fake_agent(tmp_path / "s", lambda _: listed):
        (entry,) = Agent(parse_remote_uri(f"agent:?socket={tmp_path}/s"), timeout=MINUTE).keys()
    assert (entry.key, entry.label) == (OURS.public_key, "first")


def test_a_missing_key_and_a_locked_agent(agent: SshAgent) -> None:
    """Both look alike, so the hint has both remedies; an unlocked agent signs again."""
    agent.generate("one")
    entry = store("agent:").adopt()
    signer = store(entry.uri).load(entry.key)
    agent.lock()
    for call in (
        store("agent:").adopt,
        lambda: store(entry.uri).load(entry.key),
        lambda: signer.sign(b""),
    ):
        code, message, hint = refusal(call)
        assert (code, message.endswith(" in the SSH agent")) == ("no_such_key", True)
        assert hint == "add it to the agent: ssh-add FILE; if the agent is locked: ssh-add -X"
    assert store(entry.uri).presence(entry.key.kid) is Presence.ABSENT
    agent.lock(unlock=True)
    assert signer.sign(DATA)
    agent.add("-D")
    assert refusal(lambda: signer.sign(DATA))[0] == "no_such_key"


def test_each_signature_may_need_a_confirmation(agent: SshAgent) -> None:
    """`ssh-add -c` asks each time; a no is a refusal with its own hint."""
    confirm = agent.socket.with_name("confirm")
    agent.generate("asking", "-c")
    for answer, signs in ((ALLOW, True), (DENY, False), (ALLOW, True)):
        confirm.write_text(answer)
        confirm.chmod(0o700)
        if signs:
            store("agent:").adopt()
            continue
        code, message, hint = refusal(store("agent:").adopt)
        assert (code, message) == ("remote_refused", "the SSH agent refused to sign")
        assert "ssh-add -c" in hint
        store("agent:").require_ready()


def test_an_unanswered_confirmation_ends_at_the_deadline(agent: SshAgent, tmp_path: Path) -> None:
    """The command does not wait for a person who is away."""
    confirm, away = agent.socket.with_name("confirm"), tmp_path / "away"
    away.touch()  # a folder that is deleted ends the waiting, too
    confirm.write_text(f"#!/bin/sh\nwhile test -e {away}; do sleep 0.01; done\n")
    confirm.chmod(0o700)
    agent.generate("asking", "-c")
    code, message, hint = refusal(store("agent:", seconds=0.1).adopt)
    assert (code, message) == ("remote_timeout", "the SSH agent did not answer within 0.1 s")
    assert "answer its prompt" in hint
    away.unlink()


def test_a_restricted_key_does_not_sign_licenses(agent: SshAgent, tmp_path: Path) -> None:
    """A key for one host (`ssh-add -h`) is refused by the agent; the hint names the option."""
    hosts, host = tmp_path / "hosts", agent.key_file("host").with_suffix(".pub").read_text()
    hosts.write_text(f"build.example {host}")
    agent.generate("restricted", "-h", "build.example", "-H", str(hosts))
    code, _, hint = refusal(store("agent:").adopt)
    assert code == "remote_refused"
    assert "ssh-add without -h" in hint


def test_a_key_in_a_token_behind_the_agent_signs(tmp_path: Path, hsm: SoftHsm) -> None:
    """`ssh-add -s` needs the module in the agent's allow-list; a removed token is a refusal."""
    hsm.ceremony("root", "aa")
    modules = "/usr/lib/softhsm/*,/usr/lib/*/softhsm/*"
    with ssh_agent(tmp_path / "agent", "-P", modules, environ=hsm.environ) as running:
        running.add_token(hsm)
        entry = store(f"agent:?socket={running.socket}").adopt()
        assert entry.label == "root"
        signer = store(entry.uri).load(entry.key)
        assert entry.key.verifies(signer.sign(DATA), DATA)
        hsm.tool("--delete-object", "--type", "privkey", "--label", "root")
        code, _, hint = refusal(lambda: signer.sign(DATA))
        assert (code, "plug in the key's token" in hint) == ("remote_refused", True)


def test_gpg_agent_signs(tmp_path: Path) -> None:
    """Its ssh socket speaks the same protocol; `ssh-add` imports the key."""
    with gpg_agent(tmp_path / "gpg") as running:
        name = running.generate("gpg")
        entry = store(f"agent:?socket={running.socket}").adopt()
        assert entry.uri.startswith(f"agent:{name}?")
        assert entry.key.verifies(store(entry.uri).load(entry.key).sign(DATA), DATA)


@pytest.mark.parametrize("where", ["unset", "empty", "absent", "file", "dead"])
def test_without_an_agent_the_hint_starts_one(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable, no socket, or no agent behind it; the message names the path."""
    path = tmp_path / "s"
    monkeypatch.setenv("SSH_AUTH_SOCK", "" if where == "empty" else str(path))
    if where == "unset":
        monkeypatch.delenv("SSH_AUTH_SOCK")
    elif where == "file":
        path.touch()
    elif where == "dead":
        with fake_agent(path, lambda _: b""):
            pass
    code, message, hint = refusal(store("agent:").adopt)
    assert code == "remote_absent"
    expected = "SSH_AUTH_SOCK is not set" if where in ("unset", "empty") else f"{path}: "
    assert f"cannot be reached: {expected}" in message
    assert "eval $(ssh-agent); ssh-add FILE" in hint
    assert store("agent:").presence(OURS.kid) is Presence.UNAVAILABLE
    assert str(path) in refusal(store(f"agent:?socket={path}").adopt)[1]


def test_a_long_path_of_a_socket_is_refused(tmp_path: Path) -> None:
    """The system limits it to about 100 bytes."""
    assert refusal(store(f"agent:?socket={tmp_path}/{'x' * 200}").adopt)[0] == "remote_absent"


LISTED = identities([(BLOB, "ours")])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        b"\0\0\0\0",
        b"\0\4\0\1" + b"x" * 100,
        b"\xff\xff\xff\xff",
        framed(12),
        framed(12, b"\0\0\0\1"),
        framed(12, b"\xff\xff\xff\xff"),
        framed(12, b"\0\0\0\1", b"\0\0\0\x09"),
        framed(14, b"\0\0\0\0"),
        framed(6),
        framed(5)[:-1],
    ],
)
def test_a_malformed_answer_is_refused(answer: bytes, tmp_path: Path) -> None:
    """Lengths are bounded, and nothing is guessed; the presence is `unavailable`."""
    with fake_agent(tmp_path / "s", lambda _: answer):
        code, message, _ = refusal(store(f"agent:?socket={tmp_path}/s").adopt)
        assert code == "remote_failed"
        assert message.startswith("the SSH agent returned ")
        too_long = int.from_bytes(answer[:4], "big") > 256 * 1024
        assert message.endswith("a message of an invalid length") is (
            too_long or answer == bytes(4)
        )
        presence = store(f"agent:?socket={tmp_path}/s").presence(OURS.kid)
        assert presence is Presence.UNAVAILABLE


def numbers(r: bytes, s: bytes, kind: bytes = openssh.KIND, after: bytes = b"") -> bytes:
    """Return an answer to a request to sign."""
    string = openssh.string
    return framed(14, string(string(kind) + string(string(r) + string(s))), after)


@pytest.mark.parametrize(
    "answer",
    [
        framed(14, b"\0\0\0\0"),
        numbers(b"", b"\1"),
        numbers(b"\0", b"\1"),
        numbers(b"\x80", b"\1"),
        numbers(b"\1" * 33, b"\1"),
        numbers(b"\1", b"\1", kind=b"ssh-ed25519"),
        numbers(b"\1", b"\1", after=b"x"),
        numbers(b"\1", b"\1") + b"more",
    ],
)
def test_a_malformed_signature_is_refused(answer: bytes, tmp_path: Path) -> None:
    """Zero, negative and long numbers, and anything after them; or it does not verify."""
    with fake_agent(tmp_path / "s", lambda request: LISTED if request[0] == 11 else answer):
        code = refusal(store(f"agent:?socket={tmp_path}/s").adopt)[0]
        assert code == ("key_mismatch" if answer.endswith(b"more") else "remote_failed")


def test_a_silent_agent_is_left_at_the_deadline(tmp_path: Path) -> None:
    """Its answer may never come."""
    done = Event()

    def answer(_: bytes) -> bytes:
        done.wait(20)
        return b""

    with fake_agent(tmp_path / "s", answer):
        assert refusal(store(f"agent:?socket={tmp_path}/s", 0.05).adopt)[0] == "remote_timeout"
        done.set()


def test_an_agent_that_sends_a_byte_now_and_then_is_left_at_the_deadline(tmp_path: Path) -> None:
    """The deadline is that of the whole call, not that of each byte."""
    done = Event()

    def drip(_: bytes) -> Iterator[bytes]:
        yield (256 * 1024).to_bytes(4, "big")
        while not done.wait(0.02):
            yield b"x"

    with fake_agent(tmp_path / "s", drip):
        assert refusal(store(f"agent:?socket={tmp_path}/s", 0.3).adopt)[0] == "remote_timeout"
        done.set()


@given(r=st.integers(1, 2**256 - 1), s=st.integers(1, 2**256 - 1))
def test_numbers_are_32_bytes_each(r: int, s: int) -> None:
    """Short numbers are padded, and the zero before a high bit is dropped."""
    encoded = [openssh.string(each.to_bytes(each.bit_length() // 8 + 1, "big")) for each in (r, s)]
    first, rest = openssh.take_mpint(b"".join(encoded))
    second, rest = openssh.take_mpint(rest)
    assert (first, second, rest) == (r.to_bytes(32, "big"), s.to_bytes(32, "big"), b"")


@pytest.mark.parametrize("number", [b"", b"\0", b"\x80", b"\1" * 33, b"\0" + b"\xff" * 33])
def test_another_number_is_refused(number: bytes) -> None:
    """Zero, negative numbers, and those of more than 32 bytes."""
    with pytest.raises(ValueError, match="number"):
        openssh.take_mpint(openssh.string(number))


def test_a_blob_is_the_public_key(agent: SshAgent) -> None:
    """Our blob of a key has the fingerprint that OpenSSH prints, and reads back."""
    name = agent.generate("one")
    key = store("agent:").adopt().key
    assert fingerprint(openssh.blob_of(key)) == name
    assert openssh.key_of(openssh.blob_of(key)) == key


def test_signed_data_is_not_taken_for_an_ssh_login() -> None:
    """A login begins with the length of a session ID (RFC 4252 §7), a file's signature `SSHSIG`.

    Read as a length, the first four bytes of what we sign are far above the longest SSH packet.
    """
    longest_packet = 256 * 1024
    for data in (jws.signing_input(OURS.kid, b"{}"), PROBE):
        assert int.from_bytes(data[:4], "big") > 1000 * longest_packet
        assert not data.startswith(b"SSHSIG")
    assert jws.signing_input(OURS.kid, b"{}").startswith(b"eyJ")
