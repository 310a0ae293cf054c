"""Prompts at a real terminal, without echo and without stdin."""

import shlex
import sys

import pexpect
import pytest
from support.pty import press_ctrl_c, spawn

CODE = """
import sys
from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import passphrases
try:
    got = passphrases.TerminalPassphrase().get("{what}", confirm=True)
    print("got", len(got), got == "{secret}".encode())
except KeyUnavailable as refused:
    print("refused", refused.code)
except KeyboardInterrupt:
    print("interrupted")
"""
SECRET = "größer als ein Pferd"


def started(what: str) -> "pexpect.spawn[str]":
    """Start a process with a terminal and another stdin."""
    code = shlex.quote(CODE.format(secret=SECRET, what=what))
    command = f"echo from-stdin | {shlex.quote(sys.executable)} -c {code}; echo end"
    return spawn("/bin/sh", ["-c", command])


@pytest.fixture
def child() -> "pexpect.spawn[str]":
    """A process that prompts for the passphrase of a key."""
    return started("the key")


def answer(child: "pexpect.spawn[str]", prompt: str, line: str) -> None:
    """Wait for a prompt with the echo off, then type."""
    child.expect_exact(prompt)
    assert child.waitnoecho(timeout=30)
    child.sendline(line)


def test_a_passphrase_is_typed_without_echo(child: "pexpect.spawn[str]") -> None:
    """The passphrase comes from the terminal, not from stdin, and is not shown."""
    answer(child, "passphrase for the key: ", SECRET)
    answer(child, "repeat the passphrase: ", SECRET)
    child.expect_exact(f"got {len(SECRET.encode())} True")
    assert SECRET not in str(child.before)
    child.expect_exact("end")
    assert child.getecho()
    child.expect(pexpect.EOF)


def test_two_different_passphrases_are_refused(child: "pexpect.spawn[str]") -> None:
    """A typing error is detected before a key is encrypted; there are three tries."""
    for left in ("2 tries left", "1 try left", "refused passphrase_refused"):
        answer(child, "passphrase for the key: ", SECRET)
        answer(child, "repeat the passphrase: ", "another")
        child.expect_exact(left)
    child.expect(pexpect.EOF)


def test_an_end_of_input_is_refused(child: "pexpect.spawn[str]") -> None:
    """Ctrl-D at the prompt is refused at once."""
    child.expect_exact("passphrase for the key: ")
    assert child.waitnoecho(timeout=30)
    child.sendeof()
    child.expect_exact("refused passphrase_refused")
    child.expect(pexpect.EOF)


def test_an_interruption_leaves_the_echo_on(child: "pexpect.spawn[str]") -> None:
    """After Ctrl-C at the prompt the echo of the terminal is on again."""
    child.expect_exact("passphrase for the key: ")
    assert child.waitnoecho(timeout=30)
    press_ctrl_c(child)
    child.expect_exact("interrupted")
    assert child.getecho()
    child.close(force=True)


def test_a_prompt_contains_no_control_characters() -> None:
    """The name of a key file, which may come from others, is escaped."""
    child = started(r"the key file a\x1b[2J\u202e")
    answer(child, r"passphrase for the key file a\x1b[2J\u202e: ", SECRET)
    answer(child, "repeat the passphrase: ", SECRET)
    child.expect(pexpect.EOF)
