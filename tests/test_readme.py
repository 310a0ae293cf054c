"""README tells the truth: its help blocks are the real ones, and every command is there.

`python tests/test_readme.py --write` writes the blocks anew.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from support.runbooks import blocks as blocks_of
from support.runbooks import titles

from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.main import run
from polygent_issuer.errors import ExitCode
from polygent_issuer.findings import FindingCode
from polygent_issuer.verifier import CheckCode

README = Path(__file__).parents[1] / "README.md"
RUNBOOKS = Path(__file__).parent / "runbooks"
BEGIN, END = "<!-- help: begin -->\n", "<!-- help: end -->\n"


def commands(entry: Entry = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, by the words one types."""
    for child in entry.entries:
        here = (*path, child.name)
        if child.entries:
            yield from commands(child, here)
        else:
            yield here


def help_of(*path: str) -> str:
    """What `--help` prints off a terminal, 80 columns wide."""
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with redirect_stdout(out):
            assert run([*path, "--help"]) == 0
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip()


def blocks() -> str:
    """The part of README between the markers, as it must be."""
    parts = [f"```text\n$ polygent-issue --help\n{help_of()}\n```\n"]
    for path in commands():
        words, told = " ".join(path), help_of(*path)
        summary = f"<details><summary><code>{words}</code></summary>\n"
        parts.append(
            f"{summary}\n```text\n$ polygent-issue {words} --help\n{told}\n```\n\n</details>\n"
        )
    return "\n" + "\n".join(parts) + "\n"


def test_the_help_blocks_are_the_real_ones() -> None:
    """Each command's block equals its `--help`."""
    text = README.read_text(encoding="utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == blocks()


@pytest.mark.parametrize("code", [*FindingCode, *CheckCode])
def test_every_code_is_explained(code: str) -> None:
    """Findings and checks stand in README's tables."""
    assert f"| `{code}` |" in README.read_text(encoding="utf-8")


def test_every_exit_code_is_explained() -> None:
    """Each has its row."""
    text = README.read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"\n| {code:d} | " in text, code


def test_every_runbook_is_walked() -> None:
    """Each has its commands, and a test that reads them from there."""
    tests = "".join(path.read_text(encoding="utf-8") for path in RUNBOOKS.glob("test_*.py"))
    for title in titles("Runbooks"):
        assert blocks_of(title), title
        assert f'blocks("{title}")' in tests, title


def test_the_example_of_the_five_commands_parses() -> None:
    """Each command of README's first example exists with these options."""
    text = README.read_text(encoding="utf-8")
    example = text[text.index("```console\n") :].split("```")[1]
    lines = [line[2:].split() for line in example.splitlines() if line.startswith("$ ")]
    assert len(lines) == 5
    for words in lines:
        path = next(p for p in commands() if tuple(words[1 : 1 + len(p)]) == p)
        told = help_of(*path)
        for word in words:
            assert not word.startswith("--") or f"{word} " in told, (path, word)


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    old = README.read_text(encoding="utf-8")
    new = old[: old.index(BEGIN) + len(BEGIN)] + blocks() + old[old.index(END) :]
    README.write_text(new, encoding="utf-8")
