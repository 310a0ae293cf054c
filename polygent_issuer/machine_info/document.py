"""Reading `machine-info.json` (FORMAT §4): bytes, text, spellings, then each field by its rule.

1. At most 64 KiB; UTF-8 with or without BOM, or UTF-16 with BOM.
2. One JSON object: no duplicate names, no lone surrogates; ignored names may hold anything else.
3. One value per field, whatever its spellings; `null` in an optional field is absent.
4. Each field by its rule.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from polygent_issuer.errors import InvalidMachineInfo
from polygent_issuer.machine_info.encoding import decode, wrong_file
from polygent_issuer.machine_info.fields import MachineInfo, fingerprint, moment, parts, told_text
from polygent_issuer.machine_info.foreign_json import NotJson, Value, loads
from polygent_issuer.text import brief

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
_HINT: Final = "ask the customer to download machine info again, and to send it unchanged"


def parse(data: bytes) -> MachineInfo:
    """Read a document as it was received.

    Raises:
        InvalidMachineInfo: (`invalid_machine_info`) when it breaks FORMAT §4; the message names
            each field that is wrong, and repeats no value.
    """
    document = _load(data)
    fields: dict[str, Value | tuple[str, ...]] = {}
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


def _load(data: bytes) -> dict[str, Value]:
    text = decode(data)
    try:
        document = loads(text)
    except NotJson as error:
        raise InvalidMachineInfo(
            f"the machine info is not JSON: {error}", hint=wrong_file(data) or _HINT
        ) from None
    if not isinstance(document, dict):
        raise InvalidMachineInfo("the machine info is not a JSON object", hint=_HINT)
    return document


def _one(field: str, given: dict[str, Value]) -> Value:
    """Take the value that all spellings of a field agree on."""
    (name, value), *others = given.items()
    for its_value in given.values():
        if not _comparable(field, its_value):
            return its_value  # refused by its rule; comparing deep values would recurse
    for other, its_value in others:
        if _canonical(field, its_value) != _canonical(field, value):
            raise InvalidMachineInfo(
                f"the machine info contradicts itself: {name} and {other} differ", hint=_HINT
            )
    return value


def _comparable(field: str, value: Value) -> bool:
    """Check that a value has the type of its field: an object of strings, or a string."""
    if field == "components" and isinstance(value, dict):
        return all(isinstance(part, str) for part in value.values())
    return field != "components" and isinstance(value, str)


def _canonical(field: str, value: Value) -> object:
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
    name = ".".join([_SPELLINGS[str(field)][0], *(brief(str(part)) for part in inner)])
    return f"{name} {_PROBLEMS.get(problem['type'], problem['msg'])}"
