"""Printed commands can be run as they are: they have the `--home` of the command that failed."""

import re

import pytest
from support.cli import Desk, Outcome

_COMMAND = re.compile(r"polygent-issue (?!\d)[^;,\"]+")


def commands(outcome: Outcome) -> list[list[str]]:
    """Return the words of each command in the text of a result or an error, by its line."""
    lines = f"{outcome.text}{outcome.err}".splitlines()
    return [part.split() for line in lines for part in _COMMAND.findall(line)]


@pytest.mark.parametrize(
    "argv",
    [
        ("renew", "acmee"),
        ("license", "show", "ffffffff"),
        ("license", "list", "--status", "curent"),
        ("key", "retire", "main", "--reason", "old"),
        ("customer", "edit", "acme-gmbh", "--name", "Acme AG"),
        ("customer", "list"),
        ("expiring", "--within", "9y"),
        ("journal", "verify"),
        ("key", "show", "main"),
        ("doctor", "--quick"),
        ("renew", "acme-gmbh"),
        ("verify", "{folder}/old.lic", "--machine-info", "{folder}/m.json"),
        ("key", "use", "spare", "--accept", "key-rollout", "--reason", "test"),
        ("customer", "hold", "acme-gmbh", "--reason", "unpaid"),
        ("customer", "archive", "acme-gmbh", "--reason", "gone"),
        ("customer", "show", "acme-gmbh"),
        ("help", "licence"),
        ("machine-info", "check", "{folder}/m.json"),
    ],
    ids=" ".join,
)
def test_commands_name_the_home_that_was_given(desk: Desk, argv: tuple[str, ...]) -> None:
    """Each printed command has `--home` in text, and the hint in JSON is the printed one."""
    old, spare = f"{desk.folder}/old.lic", f"file:{desk.folder}/spare.key"
    desk.ok("sign", "--machine-info", desk.machine_info(), "--term", "3y", "--output", old)
    desk.ok("reissue", "acme-gmbh", "--users", "99")
    desk.ok("key", "generate", "spare", "--store", spare, "--no-backup")
    desk.ok("customer", "add", "Globex")
    desk.ok("customer", "archive", "globex", "--reason", "gone")
    desk.machine_info(fingerprint="sha256:" + "cd" * 32)
    check(desk, *(word.format(folder=desk.folder) for word in argv))


def test_the_first_command_names_the_home(empty_desk: Desk) -> None:
    """`init` prints how to set what it assumed, and the next command."""
    check(empty_desk, "init", "--issuer", "Polygent Ltd", "--operator", "Ada")


def check(desk: Desk, *argv: str) -> None:
    """Check the commands that a command prints as text and as JSON."""
    there = ["--home", str(desk.home)]
    text, members = commands(desk.printed(*argv)), commands(desk.printed(*argv, "--json"))
    assert text
    assert all(words[1:3] == there for words in (*text, *members)), (text, members)
