"""Frozen records of the registry's rows, and readers of its columns.

A damaged file may contain any type in any column. Each reader returns only its own type, and raises
ValueError otherwise, which `Reading` turns into `RegistryDamaged`. Instants are aware UTC
datetimes. They are stored with microseconds as ISO 8601 text of a fixed length, so that they sort
as text. `iat` and `exp` are whole seconds as in the license.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.text import run

if TYPE_CHECKING:
    from polygent_issuer.verifier.keys import Key

Value = str | int | bytes | None
Row = tuple[Value, ...]
Fields = Mapping[str, Value]
"""A row: its values by column."""
RowKey = str | int
"""The value of a row's primary key."""

_Kind = TypeVar("_Kind")
_Record = TypeVar("_Record", bound=NamedTuple)
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
"""The reader of a JSON object within another."""
_items: Final[Callable[[object], list[Any]]] = _typed(list)


def moment(value: Value) -> datetime:
    """Read an aware UTC datetime from ISO 8601 text."""
    return _aware(datetime.fromisoformat(text(value))).astimezone(UTC)


def seconds(value: Value) -> datetime:
    """Read an aware UTC datetime from a NumericDate in seconds."""
    try:
        return _since_epoch(as_int(value))
    except OverflowError:
        raise ValueError("not a date") from None


@lru_cache(maxsize=1024)  # many licenses share few instants
def _since_epoch(count: int) -> datetime:
    return _EPOCH + timedelta(seconds=count)


def strings(value: Value) -> tuple[str, ...]:
    """Read the texts of a JSON array."""
    return tuple(map(text, _items(_loads(text(value)))))


def mapping(value: Value) -> dict[str, str]:
    """Read a JSON object of texts."""
    return {name: text(item) for name, item in json_object(text(value)).items()}


def optional(read: Callable[[Value], _Kind]) -> Callable[[Value], _Kind | None]:
    """Return a reader that also reads an empty column, as None."""
    return lambda value: None if value is None else read(value)


maybe_text: Final = optional(text)
maybe_moment: Final = optional(moment)
as_optional_int: Final = optional(as_int)


def json_object(value: str | bytes) -> dict[str, Any]:
    """Decode a JSON object, or raise ValueError."""
    return members(_loads(value))


@lru_cache(maxsize=64)  # all rows of one transaction have the same instant
def moment_text(value: datetime) -> str:
    """Return the stored form of an aware datetime: `2026-01-02T03:04:05.000006Z`."""
    plain = _aware(value).astimezone(UTC).replace(tzinfo=None)
    return f"{plain.isoformat(timespec='microseconds')}Z"


def whole_seconds(value: datetime) -> int:
    """Return the NumericDate of an aware datetime, in seconds, rounded down."""
    return (_aware(value) - _EPOCH) // _SECOND


def canonical(value: Mapping[str, object] | tuple[str, ...]) -> str:
    """Encode as JSON with sorted names, without white space, with non-ASCII text unescaped."""
    return _encode(value)


def _loads(value: str | bytes) -> object:
    """Decode JSON; ValueError for a lone surrogate or a number that is not finite."""
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
        raise ValueError("datetime must be timezone-aware")
    return value


class LicenseStatus(StrEnum):
    """The status of a license in the registry; a current license may have expired."""

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
# The types of values that are used without a call of a reader, which saves time.
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
    """Return a function that makes records of rows; each field is read from its column.

    Args:
        record: a named tuple; the types of its fields select the readers.
        others: other readers, by column.
    """
    columns = [
        (name, (), others[name])
        if name in others
        else (name, _AS_IT_IS.get(kind, ()), _READERS[kind])
        for name, kind in record.__annotations__.items()
    ]

    def build(row: Fields) -> _Record:
        return record._make(
            [
                value if isinstance(value := row[name], as_it_is) else read(value)
                for name, as_it_is, read in columns
            ]
        )

    return build


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """The actor in a journal row: the operator of the settings, the OS user, and the host.

    `home` is the id of the home, which delivers the files that it issues; it is in no journal row.
    """

    operator: str
    os_user: str
    uid: int | None
    host: str
    home: str | None = None


class Customer(NamedTuple):
    """A customer; `slug` is the `sub` of its licenses, `aliases` are slugs of merged customers."""

    id: int
    slug: str
    name: str
    created_at: datetime
    archived_at: datetime | None
    held_at: datetime | None
    held_until: datetime | None
    held_reason: str | None
    time_zone: str | None
    crm: str | None
    notes: str | None
    contacts: tuple[str, ...]
    aliases: tuple[str, ...]


class Machine(NamedTuple):
    """A customer's machine with its current identity, valid since `since`."""

    id: int
    customer_id: int
    label: str
    fingerprint: str
    hostname: str | None
    components: Mapping[str, str]
    since: datetime
    document_id: int | None


class KnownFingerprint(NamedTuple):
    """A machine that has or had a fingerprint, with its hostname and document of that time."""

    customer: Customer
    machine: Machine
    since: datetime
    until: datetime | None
    hostname: str | None
    document_sha256: str | None


class Identity(NamedTuple):
    """An identity of a machine, valid from `since` until `until` (None for the current one)."""

    fingerprint: str
    hostname: str | None
    components: Mapping[str, str]
    since: datetime
    until: datetime | None
    document_id: int | None


class LicenseRecord(NamedTuple):
    """An issued license: `id` is its `jti`, `file` has the exact bytes of its `.lic`.

    `term` and `plan` are the defaults of the next renewal. The hold is that of the customer.
    """

    id: str
    customer_id: int
    customer_slug: str
    held_at: datetime | None
    held_until: datetime | None
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
    order_id: str | None
    note: str | None

    @property
    def status(self) -> LicenseStatus:
        """The status: current, replaced or retired."""
        if self.replaced_by is not None:
            return LicenseStatus.REPLACED
        return LicenseStatus.CURRENT if self.retired_at is None else LicenseStatus.RETIRED

    @property
    def is_current(self) -> bool:
        """True if the license is neither replaced nor retired."""
        return self.status is LicenseStatus.CURRENT


class KeyRecord(NamedTuple):
    """The pinned public key of a signing key; `kid` is its RFC 7638 thumbprint."""

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
        """True if the key is neither retired nor compromised."""
        return self.retired_at is None and not self.compromised

    @property
    def state(self) -> str:
        """The state in one word: active, standby, retired or compromised."""
        if self.compromised:
            return "compromised"
        if self.retired_at is not None:
            return "retired"
        return "active" if self.active else "standby"

    @property
    def public_key(self) -> "Key":
        """The decoded public key; `registry_damaged` if it does not belong to `kid`."""
        # Imported here: most commands open the registry without cryptography (30 ms).
        from polygent_issuer.verifier.errors import InvalidKey  # noqa: PLC0415
        from polygent_issuer.verifier.keys import Key  # noqa: PLC0415

        hint = run("journal", "verify")
        try:
            key = Key.from_pem(self.public_pem)
        except InvalidKey as error:
            problem = f"the public key of {self.kid} in the registry is invalid: {error.message}"
            raise RegistryDamaged(problem, hint=hint) from error
        if key.kid != self.kid:
            problem = f"the public key in the registry does not belong to {self.kid}"
            raise RegistryDamaged(problem, hint=hint)
        return key


class KeyUse(NamedTuple):
    """The licenses of a key: their number, how many are current, and the last expiry of all."""

    licenses: int
    current: int
    last_end: datetime


class Document(NamedTuple):
    """A `machine-info.json` with the bytes that were received."""

    id: int
    sha256: str
    content: bytes
    fingerprint: str
    generated_at: datetime
    received_at: datetime
