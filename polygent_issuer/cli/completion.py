"""Answer a completion request of bash, zsh, fish or PowerShell, made by Typer's scripts.

These scripts let the shell evaluate or split the output of the tool. Names of customers and
machines are foreign text, so only values and help are printed that every shell reads as plain
words. Any error gives no candidates.
"""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, Final

from typer import _completion_classes as of_typer
from typer._click.shell_completion import CompletionItem, ShellComplete

from polygent_issuer.cli.candidates import VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import result

_VALUE: Final = re.compile(r"[A-Za-z0-9._:@-]+")
_NOT_PLAIN: Final = re.compile(r"[^\w\s.,:()/@+-]")

# Our help has no markup, so rich need not be imported to remove it.
of_typer._sanitize_help_text = str  # type: ignore[assignment]  # noqa: SLF001


def answer(tool: Any, invocation: Invocation) -> int:  # noqa: ANN401 - Typer's own are private
    """Print the candidates for the word at the cursor in the form that the shell reads.

    The environment names the shell and the line. Return 0, or 1 if fish checks for candidates and
    none exist.
    """
    invocation.options["quiet"] = True
    text = ""
    try:
        with suppress(Exception, KeyboardInterrupt):
            shell = _SHELLS[invocation.environ[VARIABLE]]
            text = shell(tool, {"obj": invocation}, "polygent-issue", VARIABLE).complete()
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # values are ASCII, help may not be
        sys.stdout.write(f"{text}\n" if text else "")
        sys.stdout.flush()
    except result.STREAM_ERRORS as problem:
        result.stdout_failed(problem)  # discards the unread output
    return 0


class _Plain(ShellComplete):
    """Candidates that every shell reads as one word, with help that it reads as text."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return Typer's candidates, except those that would need quoting."""
        words = [word for word in args if word != "="]  # bash splits --option=value into three
        return [
            CompletionItem(item.value, help=_plain(item.help or ""))
            for item in super().get_completions(words, incomplete)
            if _VALUE.fullmatch(item.value)
        ]


def _plain(text: str) -> str:
    return " ".join(_NOT_PLAIN.sub("", text.replace(";", ",")).split())


_SHELLS: Final[Mapping[str, type[ShellComplete]]] = {
    f"complete_{of_shell.name}": type(of_shell.__name__, (_Plain, of_shell), {})
    for of_shell in (
        of_typer.BashComplete,
        of_typer.ZshComplete,
        of_typer.FishComplete,
        of_typer.PowerShellComplete,
    )
}
