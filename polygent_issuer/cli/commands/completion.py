"""`polygent-issue completion`: print a completion script, and answer it at TAB."""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from io import TextIOWrapper
from typing import Any, Final

from typer import _completion_classes as of_typer
from typer._click.shell_completion import CompletionItem, ShellComplete

from polygent_issuer.cli.candidates import VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.result import Report

_VALUE: Final = re.compile(r"[A-Za-z0-9._:@-]+")
_NOT_PLAIN: Final = re.compile(r"[^\w\s.,:()/@+-]")


class Shell(StrEnum):
    """Supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(
    _invocation: Invocation,
    shell: Shell = argument("SHELL", "Select the shell: bash, zsh, fish or powershell."),
) -> Report:
    """Print a shell completion script.

    It completes commands, options, customers, machines and licenses. No file is changed: add the
    line for your shell to its configuration, then open a new shell.

    \b
    bash, in ~/.bashrc:
      source <(polygent-issue completion bash)
    zsh, in ~/.zshrc, after compinit:
      source <(polygent-issue completion zsh)
    fish, once, in ~/.config/fish/completions:
      polygent-issue completion fish > polygent-issue.fish
    PowerShell, in the $PROFILE file:
      polygent-issue completion powershell | Out-String | Invoke-Expression
    """  # noqa: D301 - Typer needs the character itself, which keeps the line breaks
    from typer._completion_shared import get_completion_script

    script = get_completion_script(
        prog_name="polygent-issue", complete_var=VARIABLE, shell=str(shell)
    )
    members = {"shell": str(shell), "script": f"{script}\n"}
    return Report(members, (Line(line, verbatim=True) for line in script.splitlines()))


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
