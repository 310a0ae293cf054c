"""Seals: signatures of the journal's head, the newest one of each key (FORMAT §7).

Whoever can edit the registry can rewrite the journal together with all rows, but cannot sign the
new head. A seal is checked in this order:

1. It is a token of the type of a seal, of a key that the registry pins.
2. The key's signature verifies.
3. It states the claims of a seal, for this registry.
4. The journal has the sealed row, with the sealed hash. The chain vouches for all rows before it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from polygent_issuer.errors import RegistryChanged
from polygent_issuer.registry.engine import Query
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import Row, Value, as_bytes, as_int, canonical, moment, text
from polygent_issuer.registry.writing import Writing
from polygent_issuer.terms import dates
from polygent_issuer.text import escape, escape_short

if TYPE_CHECKING:
    from polygent_issuer.verifier.jws import Token
    from polygent_issuer.verifier.keys import Key

TYPE: Final = "polygent-journal-seal+jwt"
VERSION: Final = 1

_SEALS: Final = """SELECT seals.kid, token, label, public_pem, compromised
    FROM seals LEFT JOIN keys ON keys.kid = seals.kid ORDER BY seals.kid"""
# Most seals are of the end of the journal, whose hashes need no further query then.
_LAST: Final = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 100"
QUERIES: Final[tuple[Query, ...]] = ((_SEALS, ()), (_LAST, ()))
"""The queries of `due`."""
_OF_KEY: Final = "SELECT token FROM seals WHERE kid = ?"
_HASH: Final = "SELECT hash FROM journal WHERE seq = ?"
_AT: Final = "SELECT at FROM journal WHERE seq = ?"
_EARLIER: Final = "SELECT 1 FROM licenses WHERE kid = ? AND issued_at < ? LIMIT 1"
_LATEST: Final = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """A statement of a key: at an instant, a registry's journal had this head.

    Attributes:
        kid: the key that signs it.
        registry: the id of the registry.
        seq: the number of journal rows.
        head: the hash of the last one, in hex.
        at: the instant, in whole seconds.
    """

    kid: str
    registry: str
    seq: int
    head: str
    at: datetime

    def to_payload(self) -> bytes:
        """Return the payload of the token (FORMAT §7)."""
        claims = {
            "head": self.head,
            "iat": int(self.at.timestamp()),
            "registry": self.registry,
            "seq": self.seq,
            "ver": VERSION,
        }
        return canonical(claims).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedSeal:
    """A stored seal after the checks.

    Attributes:
        kid, label: its key; without a label the registry does not have it.
        token: the seal as it is stored.
        seal: what it states; None if that is not authentic.
        problem: why it is not a seal of this journal; None if it is.
        weak: the key is marked as compromised, so anyone with it can write such a seal.
    """

    kid: str
    label: str | None
    token: str
    seal: Seal | None
    problem: str | None
    weak: bool

    @property
    def sealed(self) -> int:
        """The number of journal rows for which it vouches."""
        return 0 if self.seal is None or self.problem or self.weak else self.seal.seq


def read(token: str, key: "Key", *, registry: str) -> Seal:
    """Return what a seal of a key for a registry states, after steps 1 to 3.

    Raises:
        ValueError: it fails one of them; the message continues "the seal ".
    """
    parsed = _parse(token)
    if parsed.kid != key.kid:
        raise ValueError("names another key")
    if not key.verifies(parsed.signature, parsed.signing_input):
        raise ValueError("has an invalid signature: it was modified or forged")
    seal = _stated(parsed)
    if seal.registry != registry:
        raise ValueError(f"belongs to the registry {escape_short(seal.registry)}")
    return seal


def _parse(token: str) -> "Token":
    """Make step 1."""
    # Imported here: most commands open the registry without cryptography (30 ms).
    from polygent_issuer.verifier import jws  # noqa: PLC0415
    from polygent_issuer.verifier.errors import LicenseError  # noqa: PLC0415

    try:
        data = token.encode("ascii")
        if len(data) > jws.MAX_FILE_BYTES:
            raise ValueError(f"is larger than {jws.MAX_FILE_BYTES} bytes")
        return jws.parse_token(data, typ=TYPE)
    except (LicenseError, UnicodeEncodeError):
        raise ValueError(f"is not a token of the type {TYPE}") from None


def _stated(token: "Token") -> Seal:
    """Make step 3, except for the registry."""
    from polygent_issuer.verifier import jws  # noqa: PLC0415  # as above
    from polygent_issuer.verifier.errors import LicenseError  # noqa: PLC0415

    try:
        claims = jws.loads_object(token.payload)
    except LicenseError:
        raise ValueError("does not contain JSON") from None
    if type(claims.get("ver")) is not int or claims["ver"] != VERSION:
        raise ValueError("has another version; a newer polygent-issue may have made it")
    seq, head, at = claims.get("seq"), claims.get("head"), claims.get("iat")
    registry = claims.get("registry")
    if (
        type(seq) is not int
        or seq < 1
        or type(at) is not int
        or not 1 <= at <= _LATEST
        or not isinstance(head, str)
        or not _is_hash(head)
        or not isinstance(registry, str)
    ):
        raise ValueError("lacks a claim, or one is invalid")
    instant = datetime.fromtimestamp(at, UTC)
    return Seal(kid=token.kid, registry=registry, seq=seq, head=head, at=instant)


def _is_hash(head: str) -> bool:
    try:
        return bytes.fromhex(head).hex() == head and len(head) == len(bytes(32).hex())
    except ValueError:
        return False


def check(db: Reading) -> tuple[CheckedSeal, ...]:
    """Return all seals after the checks, by kid; none if the tables are of an older version."""
    columns = db.connection.columns
    # The check of the schema reports a missing table.
    return _every(db) if columns("keys") and columns("seals") else ()


def _every(db: Reading) -> tuple[CheckedSeal, ...]:
    registry = db.registry_id() or ""
    rows = tuple(db.execute(_SEALS))
    last = dict(db.each_row(lambda row: (as_int(row[0]), as_bytes(row[1]).hex()), _LAST))
    return tuple(_check(db, row, registry, last) for row in rows)


def _check(db: Reading, row: Row, registry: str, last: Mapping[int, str]) -> CheckedSeal:
    kid, token, label, pem, compromised = row
    seal, problem = None, None
    name = escape(str(kid if label is None else label))
    try:
        seal = read(text(token), _pinned(kid, pem), registry=registry)
        problem = _journal_problem(db, seal, last, name=name)
    except (ValueError, TypeError) as error:
        problem = f"the seal of the key {name} {error}"
    return CheckedSeal(
        kid=str(kid),
        label=None if label is None else str(label),
        token=str(token),
        seal=seal,
        problem=problem,
        weak=bool(compromised),
    )


def _pinned(kid: Value, pem: Value) -> "Key":
    """Return the public key with a kid; ValueError as `read`."""
    from polygent_issuer.verifier.errors import InvalidKey  # noqa: PLC0415  # as above
    from polygent_issuer.verifier.keys import Key  # noqa: PLC0415

    try:
        key = Key.from_pem(as_bytes(pem))
    except (InvalidKey, TypeError, ValueError):
        key = None
    if key is None or key.kid != kid:
        raise ValueError("cannot be checked, because the registry lacks its public key")
    return key


def _journal_problem(db: Reading, seal: Seal, last: Mapping[int, str], *, name: str) -> str | None:
    """Make step 4."""
    size, _ = db.head()
    sealed_by = f"which the key {name} sealed on {dates.instant(seal.at)}"
    if seal.seq > size:
        return (
            f"the journal ends at row {size} and lacks row {seal.seq}, {sealed_by}: "
            "rows were removed, or an older copy was restored"
        )
    if (last.get(seal.seq) or _hash(db, seal.seq)) != seal.head:
        return (
            f"journal row {seal.seq} is not the one {sealed_by}: "
            "the journal was rewritten from that row or an earlier one on"
        )
    return None


def _hash(db: Reading, seq: int) -> str | None:
    hashed = db.value(as_bytes, _HASH, (seq,))
    return None if hashed is None else hashed.hex()


def sealed_rows(checked: tuple[CheckedSeal, ...]) -> int:
    """Return the number of journal rows for which a seal vouches."""
    return max((each.sealed for each in checked), default=0)


def unsealed_since(db: Reading, sealed: int) -> datetime | None:
    """Return the instant of the first journal row after the sealed ones, if there is one."""
    return db.value(moment, _AT, (sealed + 1,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A seal to be signed.

    Attributes:
        seal: what it states.
        is_late: the key has no seal, although it signed licenses before.
    """

    seal: Seal
    is_late: bool


def due(db: Reading, kid: str, *, now: datetime) -> Due | None:
    """Return the seal that a key can sign now; None if the whole journal is sealed.

    Raises:
        RegistryDamaged: (`registry_damaged`) a present seal fails a check. A new seal in its place
            would hide that.
    """
    checked = _every(db)
    for each in checked:
        if each.problem is not None:
            raise db.tampered(each.problem)
    size, head = db.head()
    if size == sealed_rows(checked):
        return None
    is_first = all(each.kid != kid for each in checked)
    second = int(now.timestamp())
    return Due(
        seal=Seal(
            kid=kid,
            registry=db.registry_id() or "",
            seq=size,
            head=head.hex(),
            at=datetime.fromtimestamp(second, UTC),
        ),
        is_late=is_first and db.value(bool, _EARLIER, (kid, second)) is not None,
    )


def queries_of(kid: str) -> tuple[Query, ...]:
    """Return the queries of `keep`."""
    return ((_OF_KEY, (kid,)),)


def keep(db: Writing, seal: Seal, token: str) -> None:
    """Store a seal in place of the key's earlier one, unless that seals more rows.

    The journal may have grown since the seal was signed.

    Raises:
        RegistryChanged: (`registry_changed`) the journal no longer has the sealed row.
        RegistryDamaged: (`registry_damaged`) the earlier seal cannot be read.
    """
    size, head = db.head()
    if (head.hex() if size == seal.seq else _hash(db, seal.seq)) != seal.head:
        raise RegistryChanged.since_shown("the journal was not sealed")
    for stored in tuple(db.values(text, _OF_KEY, (seal.kid,))):
        try:
            covers_more = json.loads(_parse(stored).payload)["seq"] >= seal.seq
        except (ValueError, KeyError, TypeError):
            raise db.tampered("a seal was changed while another was made") from None
        if not covers_more:
            # Not deleted: in a team's registry the signers must not be able to remove seals.
            db.execute_later("UPDATE seals SET token = ? WHERE kid = ?", (token, seal.kid))
        return
    db.insert("seals", kid=seal.kid, token=token)


def problems(checked: tuple[CheckedSeal, ...]) -> Iterator[str]:
    """Yield one line for each seal that fails a check."""
    return (each.problem for each in checked if each.problem is not None)
