"""Questions to the person at the terminal. They go to stderr; stdout is for results."""

from collections.abc import Callable, Sequence

import typer

from polygent_issuer.cli import output
from polygent_issuer.errors import ExitCode, InputRefused, IssuerError
from polygent_issuer.text import shown


class Declined(IssuerError):
    """The operator looked at it and said no."""

    code = "declined"
    exit_code = ExitCode.INTERRUPTED


def text(question: str, *, default: str | None = None, check: Callable[[str], object]) -> str:
    """Ask until `check` no longer refuses the answer."""
    while True:
        prompt_default = None if default is None else shown(default)
        answer = typer.prompt(shown(question), default=prompt_default, err=True, type=str)
        answer = default if default is not None and answer == prompt_default else answer
        try:
            check(answer)
        except InputRefused as refused:
            output.note("error", refused.message, style="bad")
            if refused.hint:
                output.note("hint", refused.hint)
        else:
            return str(answer)


def choice(question: str, options: Sequence[str], *, default: str) -> str:
    """Ask for one of a few words."""

    def known(answer: str) -> None:
        if answer not in options:
            raise InputRefused(f"not one of {', '.join(options)}")

    return text(f"{question} ({', '.join(options)})", default=default, check=known)


def confirm(question: str, *, default: bool = False) -> bool:
    """Ask for yes or no."""
    return typer.confirm(shown(question), default=default, err=True)


def go_ahead(question: str, *, default: bool = False) -> None:
    """Ask for a last yes.

    Raises:
        Declined: (`declined`) for a no.
    """
    if not confirm(question, default=default):
        raise Declined("nothing was changed, as you said")
