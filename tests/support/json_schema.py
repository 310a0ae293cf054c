"""Validation of JSON output against the shipped JSON Schema."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from polygent_issuer.cli.commands import COMMANDS
from polygent_issuer.guide import JSON_SCHEMA


def check(argv: Sequence[str], members: object) -> None:
    """Check one object of a command's output; a member that is not in the schema is an error.

    Args:
        argv: the command line; without a command, the output may be that of any.
        members: the object.
    """
    _validator(_command(argv)).validate(members)


def command_names() -> list[str]:
    """Return the name of every command, with its group."""
    return [
        name
        for entry in COMMANDS.entries
        for name in ([f"{entry.name} {each.name}" for each in entry.entries] or [entry.name])
    ]


def _command(argv: Sequence[str]) -> str:
    words = " ".join(word for word in argv if not word.startswith("-"))
    names = [name for name in command_names() if f" {name} " in f" {words} "]
    return min(names, key=lambda name: f" {words} ".index(f" {name} "), default="")


@cache
def _validator(command: str) -> Draft202012Validator:
    schema = _schema()
    definitions, of_any = schema["$defs"], {"anyOf": schema["anyOf"]}
    return Draft202012Validator({**definitions.get(command, of_any), "$defs": definitions})


@cache
def _schema() -> dict[str, Any]:
    """Return the schema, whose definitions refuse additional members."""
    schema: dict[str, Any] = json.loads(JSON_SCHEMA.read_bytes())
    return schema | {"$defs": {name: _closed(each) for name, each in schema["$defs"].items()}}


def _closed(node: Any) -> Any:
    """Return a part of the schema that refuses additional members."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _closed(each) for name, each in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
