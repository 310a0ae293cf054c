"""`polygent-issue completion`: the script that lets TAB complete."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from polygent_issuer.cli.completion import VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionScript(Result):
    """A shell's script, which is the same for everybody."""

    shell: Shell
    text: str

    def to_json(self) -> Mapping[str, Any]:
        """`shell` and `script`."""
        return {"shell": str(self.shell), "script": self.text}

    def blocks(self) -> Iterable[Block]:
        """The script, line by line."""
        yield from map(Line, self.text.splitlines())


def completion(
    _invocation: Invocation,
    shell: Annotated[Shell, argument("SHELL", "bash, zsh, fish or powershell.")],
) -> CompletionScript:
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
    return CompletionScript(shell=shell, text=f"{script}\n")
