"""JSON for programs: ASCII alone, so that nothing in it can steer a terminal."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

SCHEMA = "polygent-issue/1"
"""What each object says first."""

_ENCODE = json.JSONEncoder(indent=2).encode


def document(members: Mapping[str, Any]) -> Iterator[str]:
    """An object and a final newline, piece by piece, as `json.dump` writes it with `indent=2`.

    A member that is an iterator is an array, item by item.
    """
    before = "{"
    for name, value in {"schema": SCHEMA, **members}.items():
        yield f"{before}\n  {_ENCODE(name)}: "
        yield from _array(value) if isinstance(value, Iterator) else (_indented(value, "  "),)
        before = ","
    yield "\n}\n"


def line(members: Mapping[str, Any]) -> str:
    """An object on one line, without its end."""
    return json.dumps({"schema": SCHEMA, **members})


def _array(items: Iterator[Any]) -> Iterator[str]:
    before = "["
    for item in items:
        yield f"{before}\n    {_indented(item, '    ')}"
        before = ","
    yield "[]" if before == "[" else "\n  ]"


def _indented(value: object, indent: str) -> str:
    # Within a text of JSON there are no line breaks.
    return _ENCODE(value).replace("\n", f"\n{indent}")
