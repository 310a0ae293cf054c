"""Read `machine-info.json` (FORMAT §4): the bytes, the text, the spellings, then each field.

1. At most 64 KiB; UTF-8 with or without BOM, or UTF-16 with BOM.
2. One JSON object: no duplicate names, no lone surrogates, at most 64 levels; any numbers.
3. One value per field among its spellings; `null` in an optional field counts as absent.
4. The rule of each field. Text for people must not contain control, bidi or invisible characters,
   which could control a terminal. Surrounding white space is dropped; empty text counts as absent.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from polygent_issuer.errors import InvalidMachineInfo, InvalidTerms
from polygent_issuer.terms.parsing import parse_instant
from polygent_issuer.text import Hint, escape_short, nfc, run
from polygent_issuer.verifier.license import canonical_fingerprint, display_name_problem

LIMIT: Final = 64 * 1024
"""The size limit of a received document, in bytes."""

_SPACE: Final = " \t\r\n"
_DOWNLOAD: Final = "ask the customer for the file from Download machine info"

_ENCODINGS: Final = (
    # UTF-32 first: in little-endian its BOM begins with that of UTF-16
    (codecs.BOM_UTF32_LE, None),
    (codecs.BOM_UTF32_BE, None),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"", "utf-8"),
)
_WRONG_FILES: Final = (
    (
        re.compile(r"[\w-]+\.[\w-]+\.[\w-]*\s*\Z", re.ASCII),
        Hint("it looks like a signed license; to read it: ", run("inspect", "FILE")),
    ),
    (re.compile(r"<"), "it looks like an HTML page, perhaps a login page: " + _DOWNLOAD),
    (
        re.compile(r"(?:From |[A-Z][A-Za-z-]{1,40}: ).*\r?\n(?:[A-Z][A-Za-z-]{1,40}: |[ \t]\S)"),
        "it looks like an email: save its attachment and use that file",
    ),
    (re.compile(r"-----BEGIN "), "it looks like a key or a certificate: " + _DOWNLOAD),
    (re.compile(r"PK\x03\x04|\x1f\ufffd"), "it looks like an archive: unpack it first"),
)


def decode(data: bytes) -> str:
    """Decode a document according to its byte order mark.

    Raises:
        InvalidMachineInfo: (`invalid_machine_info`) when it is too large, empty, or in an encoding
            that FORMAT §4 does not allow.
    """
    if len(data) > LIMIT:
        raise InvalidMachineInfo(
            f"the machine-info document is larger than {LIMIT} bytes",
            hint=wrong_file(data) or _DOWNLOAD,
        )
    mark, encoding = _encoding(data)
    if encoding is None:
        raise InvalidMachineInfo("the machine-info document is in UTF-32", hint="save it as UTF-8")
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        raise InvalidMachineInfo(
            f"the machine-info document is not {encoding.upper()} text",
            hint=wrong_file(data) or f"save it as UTF-8, or {_DOWNLOAD}",
        ) from None
    if not text.strip(_SPACE):
        raise InvalidMachineInfo("the machine-info document is empty", hint=_DOWNLOAD)
    if "\0" in text:
        raise InvalidMachineInfo(
            "the machine-info document contains NUL characters; perhaps it is UTF-16 without a "
            "byte order mark",
            hint="save it as UTF-8",
        )
    return text


def wrong_file(data: bytes) -> str | None:
    """Return a hint for another type of file, guessed from its beginning; None if unknown."""
    mark, encoding = _encoding(data)
    beginning = data[len(mark) :].decode(encoding or "utf-8", "replace").lstrip(_SPACE)
    return next((hint for pattern, hint in _WRONG_FILES if pattern.match(beginning)), None)


def _encoding(data: bytes) -> tuple[bytes, str | None]:
    return next((mark, name) for mark, name in _ENCODINGS if data.startswith(mark))


_GENERATED_AT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,7})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def _fingerprint(text: str) -> str:
    """Return the canonical form of a fingerprint."""
    canonical = canonical_fingerprint(text)
    if canonical is None:
        raise _refused("must be 8 to 256 characters of visible ASCII")
    return canonical


def _generated_at(text: object) -> datetime:
    """Parse `generatedAt`; the seventh digit of a fraction is dropped."""
    if not isinstance(text, str):
        raise _refused("must be a string")
    if not _GENERATED_AT.fullmatch(text):
        raise _refused("must have the form 2026-11-23T09:30:00Z")
    try:
        return parse_instant(text)
    except InvalidTerms:
        raise _refused("is not a valid time") from None


def _display_text(text: str | None) -> str | None:
    """Trim and compose a text for people; None if nothing is left."""
    trimmed = nfc((text or "").strip(_SPACE))
    if not trimmed:
        return None
    if problem := display_name_problem(trimmed):
        raise _refused(problem)
    return trimmed


def _components(components: Mapping[str, str]) -> Mapping[str, str]:
    """Check components by the rule of other texts; drop those without a name or a value."""
    pairs = [
        (_display_text(name) or "", _display_text(value)) for name, value in components.items()
    ]
    if len({name for name, _ in pairs}) != len(pairs):
        raise _refused("has two names that differ only in white space or Unicode composition")
    return MappingProxyType({name: value for name, value in sorted(pairs) if name and value})


def _refused(why: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{why}", {"why": why})


_Text: TypeAlias = Annotated[str | None, AfterValidator(_display_text)]


class MachineInfo(BaseModel):
    """A valid document; times are UTC.

    `extra` lists the ignored names of the document, sorted and unchanged. It is foreign text: use
    `text.escape` to display it. Callers store the received bytes.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    fingerprint: Annotated[str, AfterValidator(_fingerprint)]
    generated_at: Annotated[datetime, BeforeValidator(_generated_at)]
    format: Literal["polygent-machine-info/1"] | None = None
    hostname: _Text = None
    os: _Text = None
    product_version: _Text = None
    customer: _Text = None
    components: Annotated[Mapping[str, str], AfterValidator(_components)] = Field(
        default_factory=lambda: MappingProxyType({})
    )
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedDocument:
    """A `machine-info.json`: the exact bytes, and their content."""

    content: bytes
    info: MachineInfo

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, lower-case hex."""
        return hashlib.sha256(self.content).hexdigest()


# The accepted names of each field; the first is the canonical one. .NET writes PascalCase.
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
_CANONICAL: Final[Mapping[str, Callable[[Any], object]]] = {
    "fingerprint": _fingerprint,
    "generated_at": _generated_at,
    "format": str,
    "hostname": _display_text,
    "os": _display_text,
    "product_version": _display_text,
    "customer": _display_text,
    "components": _components,
}
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
_HINT: Final = "ask the customer to download the machine info again and send it unchanged"


def parse(data: bytes) -> MachineInfo:
    """Parse the received bytes of a document.

    Raises:
        InvalidMachineInfo: (`invalid_machine_info`) when it violates FORMAT §4; the message names
            each invalid field, but repeats no value.
    """
    document = _load(data)
    fields: dict[str, Any] = {}
    for field, spellings in _SPELLINGS.items():
        values = {name: document[name] for name in spellings if name in document}
        if field not in _REQUIRED:
            values = {name: value for name, value in values.items() if value is not None}
        if values:
            fields[field] = _one(field, values)
    fields["extra"] = tuple(sorted(document.keys() - _LISTED))
    try:
        return MachineInfo.model_validate(fields)
    except ValidationError as error:
        # the error contains the input, so only its messages and locations are used
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    raise InvalidMachineInfo(
        f"the machine-info document is invalid: {_listed(problems)}", hint=_HINT
    )


class _NotJson(Exception):
    """The text violates RFC 8259 or FORMAT §4; the message gives the place or the reason."""


def _load(data: bytes) -> dict[str, Any]:
    text = decode(data)
    try:
        document = _read_json(text)
    except _NotJson as error:
        raise InvalidMachineInfo(
            f"the machine-info document is not JSON: {error}", hint=wrong_file(data) or _HINT
        ) from None
    if not isinstance(document, dict):
        raise InvalidMachineInfo("the machine-info document is not a JSON object", hint=_HINT)
    return document


def _read_json(text: str) -> object:
    """Parse one JSON value, with 0 for every number, since no field is a number."""
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _NotJson(f"see line {error.lineno}, column {error.colno}") from None
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _NotJson("a string contains a lone surrogate") from None
    return value


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > _MAX_DEPTH:
            raise _NotJson(f"it is nested deeper than {_MAX_DEPTH} levels")


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
    raise _NotJson(f"it contains {name}, which JSON does not allow")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_zero, parse_float=_zero, parse_constant=_no_constant
)


def _one(field: str, values: dict[str, Any]) -> object:
    """Return the value of a field, which must be the same in all its spellings."""
    (name, value), *others = values.items()
    for its_value in values.values():
        if not _comparable(field, its_value):
            return its_value  # the rule of the field refuses it
    for other, its_value in others:
        if _canonical(field, its_value) != _canonical(field, value):
            raise InvalidMachineInfo(
                f"the machine-info document is contradictory: {name} and {other} differ", hint=_HINT
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


def _listed(problems: list[ErrorDetails]) -> str:
    listed = [_problem(problem) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        listed.append(f"{len(problems) - _MAX_PROBLEMS} more")
    return "; ".join(listed)


def _problem(problem: ErrorDetails) -> str:
    field, *inner = problem["loc"]
    name = ".".join([_SPELLINGS[str(field)][0], *(escape_short(str(part)) for part in inner)])
    return f"{name} {_PROBLEMS.get(problem['type'], problem['msg'])}"
