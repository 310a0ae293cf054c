"""Completion in bash, zsh, fish and PowerShell, with Typer's scripts.

These scripts let the shell evaluate or split the output of the tool. Names of customers and
machines are foreign text, so `answer` prints only values and help that every shell reads as plain
words.
"""

from typing import Final

VARIABLE: Final = "_POLYGENT_ISSUE_COMPLETE"
"""Environment variable in which Typer's scripts name the shell."""

EARLIER: Final = "__complete"
"""First argument in the scripts of earlier versions, which get no candidates."""
