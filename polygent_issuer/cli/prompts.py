"""Prompts at a terminal, on stderr; stdout is for results."""

import sys
from collections.abc import Callable, Sequence

import typer

from polygent_issuer.cli.errors_boundary import Stopped
from polygent_issuer.cli.output.result import note
from polygent_issuer.errors import InputRefused
from polygent_issuer.text import escape

_WORDS = {"y": True, "yes": True, "n": False, "no": False}


def line(question: str) -> str:
    """Prompt for one line, which may be empty; raise `typer.Abort` at end of input (Ctrl-D).

    Typer's own prompts write a space to stdout, which may be the output of the license.
    """
    sys.stderr.write(f"{escape(question)}: ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stderr.write("\n")
        raise typer.Abort
    return answer.rstrip("\r\n")


def text(
    question: str,
    *,
    default: str | None = None,
    check: Callable[[str], object],
    what: str = "answer",
) -> str:
    """Prompt until `check` accepts the answer, a `what`; an empty one means the default."""
    prompt = question if default is None else f"{question} [{default}]"
    while True:
        answer = line(prompt) or default
        if answer is None:
            note("error", f"no {what} was typed", style="bad")
            continue
        try:
            check(answer)
        except InputRefused as refused:
            note("error", refused.message, style="bad")
            if refused.hint:
                note("hint", refused.hint)
        else:
            return answer


def choice(question: str, options: Sequence[str], *, default: str) -> str:
    """Prompt for one of the options; the only one is the answer without a prompt."""
    if len(options) == 1:
        return options[0]
    words = ", ".join(options)

    def known(answer: str) -> None:
        if answer not in options:
            raise InputRefused(f"answer with one of {words}")

    return text(f"{question} ({words})", default=default, check=known)


def confirm(question: str, *, default: bool = False) -> bool:
    """Prompt for yes or no; an empty answer means the default."""
    prompt = f"{question} [{'Y/n' if default else 'y/N'}]"
    while True:
        answer = line(prompt).strip().lower()
        if answer in _WORDS:
            return _WORDS[answer]
        if not answer:
            return default
        note("error", "answer y or n", style="bad")


def require_yes(question: str, *, default: bool = False) -> None:
    """Prompt for confirmation; raise `Stopped` (`declined`) on a no."""
    if not confirm(question, default=default):
        raise Stopped("cancelled; nothing was changed", code="declined")
