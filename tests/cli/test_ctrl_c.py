"""Ctrl-C at every prompt: exit 130, no file is changed, and the terminal is restored."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from support.cli import PASSPHRASE, Desk
from support.desk_state import tree
from support.terminal import terminal

pytestmark = pytest.mark.slow

Dialogue = tuple[tuple[str, str], ...]

_KEYRING = {"DBUS_SESSION_BUS_ADDRESS": ""}  # none answers
_GO_AHEAD = ("go ahead? [Y/n]: ", "y")
_ACCEPT = (("accept this? [y/N]: ", "y"), ("reason for the journal: ", "asked for"))
_UNLOCK = ("passphrase for the key file main.key: ", PASSPHRASE)

# Command lines with their prompts and answers; the customer `acme-gmbh` has the license LICENSE.
DIALOGUES: dict[str, Dialogue] = {
    "sign --machine-info old.json": (
        _UNLOCK,
        ("customer [Initech]: ", ""),
        ("[standard-annual]: ", ""),
        *_ACCEPT,
        _GO_AHEAD,
    ),
    "renew acme-gmbh": (_UNLOCK, *_ACCEPT, _GO_AHEAD),
    "reissue acme-gmbh": (_GO_AHEAD, _UNLOCK),
    "license retire LICENSE": (
        ("reason for the journal: ", "asked for"),
        ("of Acme GmbH? [y/N]: ", "y"),
    ),
    "key generate second --store file:second.key": (
        ("preferably on another disk), or none: ", "second.backup"),
        ("passphrase for the new key file and its backup: ", PASSPHRASE),
        ("repeat the passphrase: ", PASSPHRASE),
    ),
    "key backup main main.backup": (
        _UNLOCK,
        ("passphrase for the new backup main.backup: ", PASSPHRASE),
        ("repeat the passphrase: ", PASSPHRASE),
    ),
    "customer add Acme-GmbH": _ACCEPT,
    "init --home another": (
        ("[polygent-operator]: ", "Polygent Ltd"),
        ("account's name) [none]: ", "Ada"),
        ("or unknown) [unknown]: ", "7d"),
        ("/keys/]: ", ""),
        ("(or none) [~/polygent-key-backup]: ", ""),
        ("[~/licenses]: ", ""),
        ("mail program's) [none]: ", ""),
    ),
}


def questions() -> Iterator[tuple[str, int]]:
    """Yield each command with the index of each of its prompts."""
    for command, prompts in DIALOGUES.items():
        for at in range(len(prompts)):
            yield command, at


@pytest.fixture
def today(desk: Desk) -> Desk:
    """Return a desk with the system's time, a license and an old document."""
    desk.now = datetime.now(UTC)
    desk.ok("sign", "--machine-info", desk.machine_info())
    initech = {"customer": "Initech", "fingerprint": f"sha256:{1:064x}"}
    desk.machine_info("old.json", **initech, generatedAt="2026-01-01T00:00:00Z")
    return desk


def words(desk: Desk, command: str) -> list[str]:
    """Return the command line with the ID of the license."""
    [signed] = desk.ok("license", "list", "--json").json["licenses"]
    return [signed["id"] if word == "LICENSE" else word for word in command.split()]


@pytest.mark.parametrize(("command", "at"), tuple(questions()))
def test_ctrl_c_at_a_prompt_changes_nothing(today: Desk, command: str, at: int) -> None:
    """Ctrl-C at any prompt ends the command with exit 130 and changes no file."""
    argv = words(today, command)
    before = tree(today.folder)
    with terminal(today, *argv, environ=_KEYRING) as person:
        for question, answer in DIALOGUES[command][:at]:
            person.sees(question)
            person.types_secretly(answer) if answer == PASSPHRASE else person.types(answer)
        question, answer = DIALOGUES[command][at]
        person.sees(question)
        person.presses_ctrl_c(unseen=answer == PASSPHRASE)
        assert person.ends() == 130
    assert "\nerror: interrupted" in person.screen
    assert "Traceback" not in person.screen
    assert PASSPHRASE not in person.screen
    assert tree(today.folder) == before
    assert not (today.folder / "another").exists()


@pytest.mark.parametrize("command", DIALOGUES)
def test_a_command_asks_only_these_questions(today: Desk, command: str) -> None:
    """A command whose prompts are all answered succeeds."""
    argv = words(today, command)
    with terminal(today, *argv, environ=_KEYRING) as person:
        for question, answer in DIALOGUES[command]:
            person.sees(question)
            person.types_secretly(answer) if answer == PASSPHRASE else person.types(answer)
        assert person.ends() == 0, person.screen
