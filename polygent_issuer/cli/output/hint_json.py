"""Hints for programs, and their commands for the home that was named with `--home`."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from polygent_issuer.hints import Hint

if TYPE_CHECKING:
    from polygent_issuer.findings import Finding

GLOBAL_OPTIONS: ContextVar[Mapping[str, Any]] = ContextVar("global_options")
"""What was given of them to the command that runs."""


def at_home(hint: str | None) -> str | None:
    """The hint with `--home` in its commands, if that was given; the variable is in the shell."""
    home = GLOBAL_OPTIONS.get({}).get("home")
    return hint if home is None or not isinstance(hint, Hint) else hint.at_home(str(home))


def hint_json(hint: str | None, name: str = "hint") -> dict[str, Any]:
    """The hint as it is shown, and `argv`, the words of its command, where it has one."""
    command = at_home(hint)
    argv = command.argv if isinstance(command, Hint) else None
    return {name: hint} if argv is None else {name: hint, "argv": list(argv)}


def finding_json(finding: "Finding") -> dict[str, Any]:
    """A finding for programs."""
    return {"code": str(finding.code), "message": finding.message, **hint_json(finding.hint)}
