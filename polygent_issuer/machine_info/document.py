"""Reading `machine-info.json` (FORMAT §4): bytes, text, spellings, then each field by its rule.

1. At most 64 KiB; UTF-8 with or without BOM, or UTF-16 with BOM.
2. One JSON object: no duplicate names, no lone surrogates, at most 64 levels; numbers are free.
3. One value per field, whatever its spellings; `null` in an optional field is absent.
4. Each field by its rule.
"""

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from polygent_issuer.errors import InvalidMachineInfo
from polygent_issuer.machine_info.encoding import decode, wrong_file
from polygent_issuer.machine_info.fields import MachineInfo, fingerprint, moment, parts, told_text
from polygent_issuer.text import escape_short

# How the name of each field may be written; the first is ours. .NET writes PascalCase.
_SPELLINGS: Final = {
    "fingerprint": (
        *("fingerprint", "machineFingerprint", "machine_fingerprint"),
        *("Fingerprint", "MachineFingerprint"),
    ),
    "generated_at": (
        *("generatedAt", "generated_at", "timestamp", "createdAt"),
        *("GeneratedAt", "Timestamp", "CreatedAt"),
    ),
    "format": ("format", "Format"),
    "hostname": ("hostname", "machineName", "Hostname", "HostName", "MachineName"),
    "os": ("os", "Os", "OS"),
    "product_version": ("productVersion", "ProductVersion"),
    "customer": ("customer", "Customer"),
    "components": ("components", "Components"),
}
_LISTED: Final = frozenset(name for names in _SPELLINGS.values() for name in names)
_REQUIRED: Final = frozenset({"fingerprint", "generated_at"})
_CANONICAL: Final[Mapping[str, Callable[[Any], object]]] = MappingProxyType(
    {
        "fingerprint": fingerprint,
        "generated_at": moment,
        "format": str,
        "hostname": told_text,
        "os": told_text,
        "product_version": told_text,
        "customer": told_text,
        "components": parts,
    }
)
_PROBLEMS: Final = {
    "missing": "is missing",
    "string_type": "must be a string",
    "dict_type": "must be an object of strings",
    "mapping_type": "must be an object of strings",
    "literal_error": "must be polygent-machine-info/1",
}
_MAX_PROBLEMS: Final = 5
_MAX_DEPTH: Final = 64
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_HINT: Final = "ask the customer to download machine info again, and to send it unchanged"


def parse(data: bytes) -> MachineInfo:
    """Read a document as it was received.

    Raises:
        InvalidMachineInfo: (`invalid_machine_info`) when it breaks FORMAT §4; the message names
            each field that is wrong, and repeats no value.
    """
    document = _load(data)
    fields: dict[str, Any] = {}
    for field, spellings in _SPELLINGS.items():
        given = {name: document[name] for name in spellings if name in document}
        if field not in _REQUIRED:
            given = {name: value for name, value in given.items() if value is not None}
        if given:
            fields[field] = _one(field, given)
    fields["extra"] = tuple(sorted(document.keys() - _LISTED))
    try:
        return MachineInfo.model_validate(fields)
    except ValidationError as error:
        # the error holds the input: only its words and places are taken along
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    raise InvalidMachineInfo(f"the machine info is refused: {_told(problems)}", hint=_HINT)


class _NotJson(Exception):
    """The text breaks RFC 8259, or what FORMAT §4 requires beyond it; the message says where."""


def _load(data: bytes) -> dict[str, Any]:
    text = decode(data)
    try:
        document = _read_json(text)
    except _NotJson as error:
        raise InvalidMachineInfo(
            f"the machine info is not JSON: {error}", hint=wrong_file(data) or _HINT
        ) from None
    if not isinstance(document, dict):
        raise InvalidMachineInfo("the machine info is not a JSON object", hint=_HINT)
    return document


def _read_json(text: str) -> object:
    """Read one JSON value, with 0 for every number: no listed name holds one."""
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _NotJson(f"see line {error.lineno}, column {error.colno}") from None
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _NotJson("a string holds a lone surrogate") from None
    return value


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _NotJson(f"it nests deeper than {_MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise _NotJson(f"the name {escape_short(name)} is repeated")
        members[name] = value
    return members


def _zero(_number: str) -> int:
    return 0


def _no_constant(name: str) -> NoReturn:
    raise _NotJson(f"it holds {name}, which JSON does not have")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_zero, parse_float=_zero, parse_constant=_no_constant
)


def _one(field: str, given: dict[str, Any]) -> object:
    """Take the value that all spellings of a field agree on."""
    (name, value), *others = given.items()
    for its_value in given.values():
        if not _comparable(field, its_value):
            return its_value  # refused by its rule
    for other, its_value in others:
        if _canonical(field, its_value) != _canonical(field, value):
            raise InvalidMachineInfo(
                f"the machine info contradicts itself: {name} and {other} differ", hint=_HINT
            )
    return value


def _comparable(field: str, value: object) -> bool:
    """Check that a value has the type of its field: an object of strings, or a string."""
    if field == "components" and isinstance(value, dict):
        return all(isinstance(part, str) for part in value.values())
    return field != "components" and isinstance(value, str)


def _canonical(field: str, value: object) -> object:
    try:
        return _CANONICAL[field](value)
    except PydanticCustomError:
        return value


def _told(problems: list[ErrorDetails]) -> str:
    told = [_problem(problem) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        told.append(f"{len(problems) - _MAX_PROBLEMS} more")
    return "; ".join(told)


def _problem(problem: ErrorDetails) -> str:
    field, *inner = problem["loc"]
    name = ".".join([_SPELLINGS[str(field)][0], *(escape_short(str(part)) for part in inner)])
    return f"{name} {_PROBLEMS.get(problem['type'], problem['msg'])}"
