"""What the registry holds, as frozen values, and the values of its columns.

A damaged file may hold any type anywhere: each reader of a column returns the one type that it is
named for and raises ValueError otherwise; `Reading` makes `RegistryDamaged` of that. Moments are
aware UTC datetimes, stored with microseconds as ISO 8601 text of one fixed length, so that text
sorts as time; `iat` and `exp` are whole seconds as in the license.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from polygent_issuer.hints import run
from polygent_issuer.registry.errors import RegistryDamaged

if TYPE_CHECKING:
    from polygent_issuer.verifier.keys import Key

Value = str | int | bytes | None
Row = tuple[Value, ...]
Fields = Mapping[str, Value]
"""A row by the names of its columns."""

_Kind = TypeVar("_Kind")
_Record = TypeVar("_Record")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_encode: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def _typed(kind: type[_Kind]) -> Callable[[object], _Kind]:
    def read(value: object) -> _Kind:
        if isinstance(value, kind):
            return value
        raise ValueError(f"not of type {kind.__name__}")

    return read


text: Final = _typed(str)
as_int: Final = _typed(int)
as_bytes: Final = _typed(bytes)
members: Final[Callable[[object], dict[str, Any]]] = _typed(dict)
"""What reads the members of a JSON object within another."""
_items: Final[Callable[[object], list[Any]]] = _typed(list)


def moment(value: Value) -> datetime:
    """Read an aware UTC datetime from its text."""
    return _aware(datetime.fromisoformat(text(value))).astimezone(UTC)


def seconds(value: Value) -> datetime:
    """Read an aware UTC datetime from a NumericDate in seconds."""
    try:
        return _EPOCH + timedelta(seconds=as_int(value))
    except OverflowError:
        raise ValueError("no date") from None


def strings(value: Value) -> tuple[str, ...]:
    """Read the texts of a JSON array."""
    return tuple(map(text, _items(_loads(text(value)))))


def mapping(value: Value) -> dict[str, str]:
    """Read the texts by name of a JSON object."""
    return {name: text(item) for name, item in json_object(text(value)).items()}


def optional(read: Callable[[Value], _Kind]) -> Callable[[Value], _Kind | None]:
    """Return what reads the same, or an empty column as None."""
    return lambda value: None if value is None else read(value)


maybe_text: Final = optional(text)
maybe_moment: Final = optional(moment)
as_optional_int: Final = optional(as_int)


def json_object(value: str | bytes) -> dict[str, Any]:
    """Decode a JSON object, or raise ValueError."""
    return members(_loads(value))


@lru_cache(maxsize=64)  # all rows of one transaction have the same
def moment_text(value: datetime) -> str:
    """Return the stored form of an aware datetime: `2026-01-02T03:04:05.000006Z`."""
    plain = _aware(value).astimezone(UTC).replace(tzinfo=None)
    return f"{plain.isoformat(timespec='microseconds')}Z"


def whole_seconds(value: datetime) -> int:
    """Return the NumericDate of an aware datetime, in seconds, rounded down."""
    return (_aware(value) - _EPOCH) // _SECOND


def canonical(value: Mapping[str, object] | tuple[str, ...]) -> str:
    """Encode as JSON with sorted names, no white space, non-ASCII as it is."""
    return _encode(value)


def _loads(value: str | bytes) -> object:
    """Decode JSON. A lone surrogate, or a number that is not finite, is a ValueError."""
    document = value if isinstance(value, str) else value.decode()
    decoded = _decode(document)
    if "\\u" in document:
        _encode({"": decoded}).encode()
    return decoded


def _finite(value: str) -> float:
    number = float(value)
    if isfinite(number):
        return number
    raise ValueError("not a finite number")


_decode: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite).decode


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts: the operator by the settings and, beside it, the OS user by uid and the host."""

    operator: str
    os_user: str
    uid: int | None
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """Whom licenses are for; `slug` is their `sub`, `aliases` are slugs of merged customers."""

    id: int
    slug: str
    name: str
    created_at: datetime
    archived_at: datetime | None
    time_zone: str | None
    crm: str | None
    contacts: tuple[str, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A customer's machine as it is today: its label, and since when it is this fingerprint."""

    id: int
    customer_id: int
    label: str
    fingerprint: str
    hostname: str | None
    components: Mapping[str, str]
    since: datetime
    document_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What one machine was, `since` … `until`; `until` is None today."""

    fingerprint: str
    hostname: str | None
    components: Mapping[str, str]
    since: datetime
    until: datetime | None
    document_id: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownFingerprint:
    """Whose machine a fingerprint is, or was; with hostname and document of that time."""

    customer: Customer
    machine: Machine
    since: datetime
    until: datetime | None
    hostname: str | None
    document_sha256: str | None


class LicenseStatus(StrEnum):
    """What became of a license; a current one may have expired."""

    CURRENT = "current"
    REPLACED = "replaced"
    RETIRED = "retired"


_READERS: Final[dict[object, Callable[[Value], object]]] = {
    str: text,
    str | None: maybe_text,
    int: as_int,
    int | None: as_optional_int,
    bool: lambda value: bool(as_int(value)),
    bytes: as_bytes,
    datetime: moment,
    datetime | None: maybe_moment,
    tuple[str, ...]: strings,
    Mapping[str, str]: mapping,
    LicenseStatus: lambda value: LicenseStatus(text(value)),
}
# The types of values that need no reader, which saves its call.
_AS_IT_IS: Final[dict[object, tuple[type, ...]]] = {
    str: (str,),
    str | None: (str, NoneType),
    int: (int,),
    int | None: (int, NoneType),
    bytes: (bytes,),
    datetime | None: (NoneType,),
}


def reader(
    record: type[_Record], **others: Callable[[Value], object]
) -> Callable[[Fields], _Record]:
    """Return what makes records of rows, each field of the column of the same name.

    Args:
        record: a dataclass; the types of its fields say how its columns are read.
        others: how a column is read otherwise, by name.
    """
    columns = [
        (each.name, (), others[each.name])
        if each.name in others
        else (each.name, _AS_IT_IS.get(each.type, ()), _READERS[each.type])
        for each in fields(record)  # type: ignore[arg-type]  # a dataclass
    ]

    def build(row: Fields) -> _Record:
        return record(
            **{
                name: value if isinstance(value := row[name], as_it_is) else read(value)
                for name, as_it_is, read in columns
            }
        )

    return build


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseRecord:
    """A license that was issued: `id` is its `jti`, `file` the exact bytes of its `.lic`.

    The next renewal goes by `term` and `plan`.
    """

    id: str
    customer_id: int
    customer_slug: str
    machine_id: int | None
    machine_label: str | None
    kid: str
    file: bytes
    sha256: str
    tier: str
    issued_at: datetime
    expires_at: datetime
    term: str | None
    plan: str | None
    document_id: int | None
    replaced_by: str | None
    retired_at: datetime | None
    retired_reason: str | None
    sent_at: datetime | None

    @property
    def status(self) -> LicenseStatus:
        """Current, replaced or retired; only one of them."""
        if self.replaced_by is not None:
            return LicenseStatus.REPLACED
        return LicenseStatus.CURRENT if self.retired_at is None else LicenseStatus.RETIRED

    @property
    def is_current(self) -> bool:
        """Neither replaced nor retired."""
        return self.status is LicenseStatus.CURRENT


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """A signing key's public half, pinned: `kid` is its RFC 7638 thumbprint."""

    kid: str
    label: str
    public_pem: bytes
    created_at: datetime
    active: bool
    retired_at: datetime | None
    compromised: bool
    backed_up_at: datetime | None

    @property
    def may_sign(self) -> bool:
        """Neither retired nor compromised."""
        return self.retired_at is None and not self.compromised

    @property
    def public_key(self) -> "Key":
        """The public half, decoded; `registry_damaged` when it is not the one of `kid`."""
        # Listing licenses opens the registry too; only here is cryptography needed (30 ms).
        from polygent_issuer.verifier.errors import InvalidKey  # noqa: PLC0415
        from polygent_issuer.verifier.keys import Key  # noqa: PLC0415

        hint = run("journal", "verify")
        try:
            key = Key.from_pem(self.public_pem)
        except InvalidKey as error:
            refused = f"the public key of {self.kid} in the registry is refused: {error.message}"
            raise RegistryDamaged(refused, hint=hint) from error
        if key.kid != self.kid:
            raise RegistryDamaged(f"the public key stored for {self.kid} is another one", hint=hint)
        return key


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyUse:
    """How many licenses a key signed, how many are current, and when the last of all ends."""

    licenses: int
    current: int
    last_end: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A `machine-info.json` as it was received, byte for byte."""

    id: int
    sha256: str
    content: bytes
    fingerprint: str
    generated_at: datetime
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalRow:
    """Who did what, when and why; `previous` and `hash` are SHA-256 in hex, `body` is all of it."""

    seq: int
    at: datetime
    event: str
    operator: str
    customer: str | None
    license: str | None
    kid: str | None
    accepted: tuple[str, ...]
    reason: str | None
    details: Mapping[str, Any]
    body: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """A committed license whose file may not have reached its place; `folder` None: stdout."""

    license_id: str
    folder: str | None
    name: str | None
    at: datetime
