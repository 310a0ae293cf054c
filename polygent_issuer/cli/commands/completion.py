"""`polygent-issue completion`: the script that lets TAB complete."""

from enum import StrEnum
from typing import Annotated

from polygent_issuer.cli.completion import VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(
    _invocation: Invocation,
    shell: Annotated[Shell, argument("SHELL", "bash, zsh, fish or powershell.")],
) -> Report:
    """Print the script that lets TAB complete, also customers and licenses.

    No file of yours is changed: add the line for your shell, and open a new one.

    \b
    bash, in ~/.bashrc:
      source <(polygent-issue completion bash)
    zsh, in ~/.zshrc, after compinit:
      source <(polygent-issue completion zsh)
    fish, once:
      polygent-issue completion fish > ~/.config/fish/completions/polygent-issue.fish
    PowerShell, in the file that $PROFILE names:
      polygent-issue completion powershell | Out-String | Invoke-Expression
    """  # noqa: D301 - Typer wants the character itself: it keeps the lines as they are
    from typer._completion_shared import get_completion_script

    script = get_completion_script(
        prog_name="polygent-issue", complete_var=VARIABLE, shell=str(shell)
    )
    members = {"shell": str(shell), "script": f"{script}\n"}
    return Report(members, map(Line, script.splitlines()))
