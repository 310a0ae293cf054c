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
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn

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

_FORMAT: Final = "polygent-machine-info/1"
_ABSENT: Final = object()
_GENERATED_AT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,7})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_REQUIRED: Final = frozenset({"fingerprint", "generated_at"})
_MAX_PROBLEMS: Final = 5
_MAX_DEPTH: Final = 64
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_HINT: Final = "ask the customer to download the machine info again and send it unchanged"


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


class _Refused(Exception):
    """A field violates its rule; each problem continues the name of the field."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems


class _WrongType(_Refused):
    """The value of a field is neither a string nor, for components, an object of strings."""


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongType(" must be a string")
    return value


def _fingerprint(value: object) -> str:
    """Return the canonical form of a fingerprint."""
    canonical = canonical_fingerprint(_string(value))
    if canonical is None:
        raise _Refused(" must be 8 to 256 characters of visible ASCII")
    return canonical


def _generated_at(value: object) -> datetime:
    """Parse `generatedAt`; the seventh digit of a fraction is dropped."""
    text = _string(value)
    if not _GENERATED_AT.fullmatch(text):
        raise _Refused(" must have the form 2026-11-23T09:30:00Z")
    try:
        return parse_instant(text)
    except InvalidTerms:
        raise _Refused(" is not a valid time") from None


def _format(value: object) -> str:
    if value != _FORMAT:
        kind = _Refused if isinstance(value, str) else _WrongType
        raise kind(f" must be {_FORMAT}")
    return _FORMAT


def _display_text(value: object) -> str | None:
    """Trim and compose a text for people; None if nothing is left."""
    trimmed = nfc(_string(value).strip(_SPACE))
    if not trimmed:
        return None
    if problem := display_name_problem(trimmed):
        raise _Refused(f" {problem}")
    return trimmed


def _components(value: object) -> Mapping[str, str]:
    """Check components by the rule of other texts; drop those without a name or a value."""
    if not isinstance(value, dict):
        raise _WrongType(" must be an object of strings")
    others = [name for name, text in value.items() if not isinstance(text, str)]
    if others:
        raise _WrongType(*(f".{escape_short(name)} must be a string" for name in others))
    pairs = [(_display_text(name) or "", _display_text(text)) for name, text in value.items()]
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Refused(" has two names that differ only in white space or Unicode composition")
    return MappingProxyType({name: text for name, text in sorted(pairs) if name and text})


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineInfo:
    """A valid document; times are UTC.

    `extra` lists the ignored names of the document, sorted and unchanged. It is foreign text: use
    `text.escape` to display it. Callers store the received bytes.
    """

    fingerprint: str
    generated_at: datetime
    format: str | None = None
    hostname: str | None = None
    os: str | None = None
    product_version: str | None = None
    customer: str | None = None
    components: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
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


# The rule of each field and its accepted names; the first is the canonical one. .NET writes
# PascalCase.
_FIELDS: Final[Mapping[str, tuple[Callable[[object], object], tuple[str, ...]]]] = {
    "fingerprint": (
        _fingerprint,
        (
            *("fingerprint", "machineFingerprint", "machine_fingerprint"),
            *("Fingerprint", "MachineFingerprint"),
        ),
    ),
    "generated_at": (
        _generated_at,
        (
            *("generatedAt", "generated_at", "timestamp", "createdAt"),
            *("GeneratedAt", "Timestamp", "CreatedAt"),
        ),
    ),
    "format": (_format, ("format", "Format")),
    "hostname": (
        _display_text,
        ("hostname", "machineName", "Hostname", "HostName", "MachineName"),
    ),
    "os": (_display_text, ("os", "Os", "OS")),
    "product_version": (_display_text, ("productVersion", "ProductVersion")),
    "customer": (_display_text, ("customer", "Customer")),
    "components": (_components, ("components", "Components")),
}
_LISTED: Final = frozenset(name for _, names in _FIELDS.values() for name in names)


def parse(data: bytes) -> MachineInfo:
    """Parse the received bytes of a document.

    Raises:
        InvalidMachineInfo: (`invalid_machine_info`) when it violates FORMAT §4; the message names
            each invalid field, but repeats no value.
    """
    document = _load(data)
    values = {name: _value(document, name) for name in _FIELDS}
    fields: dict[str, Any] = {"extra": tuple(sorted(document.keys() - _LISTED))}
    problems = []
    for name, (rule, (canonical, *_)) in _FIELDS.items():
        if values[name] is not _ABSENT:
            try:
                fields[name] = rule(values[name])
            except _Refused as refused:
                problems += [f"{canonical}{problem}" for problem in refused.problems]
        elif name in _REQUIRED:
            problems.append(f"{canonical} is missing")
    if problems:
        rest = problems[_MAX_PROBLEMS:]
        listed = [*problems[:_MAX_PROBLEMS], *([f"{len(rest)} more"] if rest else [])]
        raise InvalidMachineInfo(
            f"the machine-info document is invalid: {'; '.join(listed)}", hint=_HINT
        )
    return MachineInfo(**fields)


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


def _value(document: Mapping[str, Any], field: str) -> object:
    """Return the value of a field, which must be the same in all its spellings."""
    rule, spellings = _FIELDS[field]
    values = {name: document[name] for name in spellings if name in document}
    if field not in _REQUIRED:
        values = {name: value for name, value in values.items() if value is not None}
    if not values:
        return _ABSENT
    canonical = dict[str, object]()
    for name, value in values.items():
        try:
            canonical[name] = rule(value)
        except _WrongType:
            return value  # refused later, with all other problems
        except _Refused:
            canonical[name] = value
    first, *others = values
    for other in others:
        if canonical[other] != canonical[first]:
            raise InvalidMachineInfo(
                f"the machine-info document is contradictory: {first} and {other} differ",
                hint=_HINT,
            )
    return values[first]
