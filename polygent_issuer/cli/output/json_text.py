"""JSON for programs. It is ASCII, so that no text in it can control a terminal."""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from polygent_issuer.hints import Hint

if TYPE_CHECKING:
    from polygent_issuer.errors import IssuerError
    from polygent_issuer.findings import Finding

SCHEMA = "polygent-issue/1"
GLOBAL_OPTIONS: ContextVar[Mapping[str, Any]] = ContextVar("global_options")


def document(members: Mapping[str, Any]) -> str:
    """Return an indented object and a final newline; a member that is an iterator is an array."""
    import json

    arrays = {name: list(value) for name, value in members.items() if isinstance(value, Iterator)}
    return json.dumps({"schema": SCHEMA, **members, **arrays}, indent=2) + "\n"


def line(members: Mapping[str, Any], encoded: Mapping[str, str] | None = None) -> str:
    """Return an object on one line, without its end; `encoded` are more members, as JSON."""
    text = encode({"schema": SCHEMA, **members})
    more = (f', "{name}": {value}' for name, value in (encoded or {}).items())
    return f"{text[:-1]}{''.join(more)}}}" if encoded else text


def encode(value: object) -> str:
    """Return a value as JSON on one line."""
    import json

    return json.dumps(value)


def at_home(hint: str | None) -> str | None:
    """Return a hint with `--home` in its commands if it was given; the variable is inherited."""
    home = GLOBAL_OPTIONS.get({}).get("home")
    return hint if home is None or not isinstance(hint, Hint) else hint.at_home(str(home))


def hint_json(hint: str | None, name: str = "hint") -> dict[str, Any]:
    """Return a hint as it is printed, and `argv`, the words of its command, if it has one."""
    command = at_home(hint)
    argv = command.argv if isinstance(command, Hint) else None
    return {name: hint} if argv is None else {name: hint, "argv": list(argv)}


def finding_json(finding: "Finding") -> dict[str, Any]:
    """Return a finding as JSON."""
    return {"code": str(finding.code), "message": finding.message, **hint_json(finding.hint)}


def error_json(error: "IssuerError") -> dict[str, Any]:
    """Return an error as JSON."""
    return {"code": error.code, "message": error.message, **hint_json(error.hint)}
