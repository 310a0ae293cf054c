"""Help texts: each summary, option and argument has one sentence in the imperative.

A sentence begins with one of `VERBS`, ends with a full stop, and is short enough for a terminal of
80 columns. A new verb is added on purpose: where one of these fits, it is used.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from support.cli import Desk

from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.main import load

VERBS = {
    *("Accept", "Add", "Allow", "Append", "Archive", "Back", "Bring", "Change", "Check"),
    *("Clear", "Compare", "Create", "Disable", "Evaluate", "Export", "Generate", "Honour"),
    *(
        "Import",
        "Include",
        "Install",
        "Issue",
        "Keep",
        "List",
        "Listen",
        "Manage",
        "Mark",
        "Merge",
        "Move",
    ),
    *("Print", "Put", "Read", "Rebuild", "Record", "Reissue", "Release", "Remove", "Renew"),
    *(
        "Replace",
        "Report",
        "Restore",
        "Retire",
        "Run",
        "Select",
        "Set",
        "Show",
        "Sign",
        "Skip",
        "Start",
    ),
    *("Suppress", "Trust", "Try", "Unarchive", "Upgrade", "Use", "Verify", "Write"),
}
#: Columns for a summary in the list of commands, and for two lines of an option's help.
SUMMARY, OPTION = 60, 80


def _entries(entry: Entry, path: str = "") -> Iterator[tuple[str, Entry]]:
    yield path or entry.name, entry
    for child in entry.entries:
        yield from _entries(child, f"{path} {child.name}".strip())


ENTRIES = dict(_entries(COMMANDS))


def _parameters(entry: Entry) -> dict[str, str]:
    """Return the help of each option and argument of a command or group."""
    command: Any = load(entry, None)
    return {parameter.opts[0]: parameter.help or "" for parameter in command.params}


def _problems(text: str, limit: int) -> list[str]:
    verb = text.split(" ", maxsplit=1)[0].rstrip(",")
    return [
        problem
        for problem, is_wrong in {
            f"{verb!r} is not one of VERBS": verb not in VERBS,
            "no full stop at the end": not text.endswith(".") or text.endswith(".."),
            f"{len(text)} characters, {limit} fit": len(text) > limit,
            "a second sentence": ". " in text or ";" in text,
        }.items()
        if is_wrong
    ]


@pytest.mark.parametrize("path", ENTRIES)
def test_a_summary_is_a_sentence_that_begins_with_a_verb(path: str) -> None:
    """The list of commands has one short imperative sentence for each."""
    assert _problems(ENTRIES[path].help, SUMMARY) == []


@pytest.mark.parametrize("path", [path for path, entry in ENTRIES.items() if entry.target])
def test_the_help_of_a_command_begins_with_its_summary(path: str) -> None:
    """`COMMAND --help` begins with the sentence of the list of commands, then explains it."""
    command: Any = load(ENTRIES[path], None)
    assert command.help.split("\n\n")[0] == ENTRIES[path].help


@pytest.mark.parametrize("path", ENTRIES)
def test_the_help_breaks_no_word(path: str) -> None:
    """At 80 columns (help leaves two free), an option is in one line, so that it can be copied."""
    command: Any = load(ENTRIES[path], None)
    settings = {**command.context_settings, "terminal_width": 78}
    context = command.context_class(command, info_name=path, **settings)
    assert [line for line in command.get_help(context).splitlines() if line.endswith("-")] == []


def test_each_verb_is_used() -> None:
    """`VERBS` is no longer than it need be."""
    texts = [entry.help for entry in ENTRIES.values()]
    texts += [text for entry in ENTRIES.values() for text in _parameters(entry).values()]
    assert {text.split(" ", maxsplit=1)[0].rstrip(",") for text in texts} == VERBS


@pytest.mark.parametrize("path", ENTRIES)
def test_each_option_has_a_sentence_that_begins_with_a_verb(path: str) -> None:
    """Options and arguments, those that commands share included, have an imperative sentence."""
    problems = {
        name: found
        for name, text in _parameters(ENTRIES[path]).items()
        if (found := _problems(text, OPTION))
    }
    assert problems == {}


def test_a_default_is_shown_without_the_range(empty_desk: Desk) -> None:
    """The range of a number is in the error, not as an expression behind the default."""
    text = " ".join(empty_desk.ok("sandbox", "--help").text.split())
    assert "Listen on this port (0 for a free one). [default: 8321] --" in text
