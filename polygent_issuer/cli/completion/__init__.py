"""`polygent-issue completion`: TAB in bash, zsh, fish and PowerShell, with Typer's own scripts.

They let the shell evaluate or split what the tool prints. Names of customers and machines come from
others, so `answer` lets through only values and help that every shell takes for plain words.
"""

from typing import Final

VARIABLE: Final = "_POLYGENT_ISSUE_COMPLETE"
"""Where Typer's scripts say which shell asks."""

EARLIER: Final = "__complete"
"""What the scripts of earlier versions ask first: they get no candidates, and nothing is done."""
