"""Runbooks of the guide: a test runs exactly their commands.

A runbook is a section of the topic *runbooks*, with its commands in console blocks. Values that
only the reader knows are examples; a test prepares its desk so that the example is right.
"""

import shlex
from collections.abc import Iterator, Mapping

from polygent_issuer.guide import markdown
from support.cli import Desk, Outcome

PROGRAM = "polygent-issue"


def blocks(title: str, topic: str = "runbooks", *, language: str = "console") -> tuple[str, ...]:
    """Return the console blocks, or those in another language, of the section with this heading."""
    return blocks_in(markdown(topic), title, language)


def blocks_in(text: str, title: str, language: str = "console") -> tuple[str, ...]:
    """Return the console blocks, or those in another language, of a section of some Markdown."""
    lines = text.splitlines()
    starts = [at for at, line in enumerate(lines) if line.lstrip("#") == f" {title}"]
    assert len(starts) == 1, f"there are {len(starts)} sections {title!a}"
    depth = lines[starts[0]].index(" ")
    return tuple(_blocks(lines[starts[0] + 1 :], depth, f"```{language}"))


def titles(topic: str = "runbooks") -> tuple[str, ...]:
    """Return the headings of a topic's sections."""
    return tuple(line[3:] for line in markdown(topic).splitlines() if line.startswith("## "))


def commands(block: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of each line; a backslash at its end continues it."""
    return tuple(tuple(shlex.split(line)) for line in lines(block))


def lines(block: str) -> tuple[str, ...]:
    """Return each `$` line without its prompt."""
    joined = block.replace("\\\n", "").splitlines()
    return tuple(line[2:] for line in joined if line.startswith("$ "))


def walk(desk: Desk, block: str, examples: Mapping[str, str] | None = None) -> list[Outcome]:
    """Run each command of a block at a desk; each must succeed.

    Args:
        desk: the desk; its folder is the current one.
        block: a result of `blocks`.
        examples: the examples of the guide, and their values here.
    """
    for example, here in (examples or {}).items():
        assert example in block, example
        block = block.replace(example, here)
    typed = commands(block)
    assert {program for program, *_ in typed} == {PROGRAM}, block
    return [desk.ok(*argv) for _, *argv in typed]


def _blocks(lines: list[str], depth: int, fence: str) -> Iterator[str]:
    inside: list[str] | None = None
    for line in lines:
        if inside is None and line.startswith("#") and line.index(" ") <= depth:
            return
        if line == fence:
            inside = []
        elif line == "```" and inside is not None:
            yield "".join(f"{each}\n" for each in inside)
            inside = None
        elif inside is not None:
            inside.append(line)
