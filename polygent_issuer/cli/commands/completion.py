"""`polygent-issue completion`: print a shell completion script."""

from enum import StrEnum
from typing import Annotated

from polygent_issuer.cli.candidates import VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report


class Shell(StrEnum):
    """Supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(
    _invocation: Invocation,
    shell: Annotated[Shell, argument("SHELL", "Select the shell: bash, zsh, fish or powershell.")],
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
