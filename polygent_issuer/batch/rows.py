"""Rows: a license each, as somebody wishes it to be; what a row does not say stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from polygent_issuer.batch.errors import InvalidApplyFile
from polygent_issuer.batch.row_fields import FIELDS, in_fields
from polygent_issuer.errors import InputRefused
from polygent_issuer.findings import FindingCode
from polygent_issuer.terms.dates import Term
from polygent_issuer.text import escape_short, nearest
from polygent_issuer.verifier import AllowedDomain, Tier

_ONE_OF_TWO: Final = ("term", "expires")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A wish for one license; `None` means as now, or as its plan says for a first one.

    Attributes:
        place: where it stands, for people: `licenses.csv, line 7`, `plan.toml, license 3`.
        customer: a slug or a name, in NFC.
        machine: the label.
        machine_info: a path below the apply file's folder (`files.inner_parts`).
        key: a signing key's label or kid.
        term: for how long, again and again; `expires`: until when, UTC; one of the two.
        features: exactly these; empty means none at all.
        accept: what the row's writer would consent to; whether that counts is the operator's say.
    """

    place: str
    customer: str
    machine: str | None = None
    machine_info: str | None = None
    plan: str | None = None
    tier: Tier | None = None
    key: str | None = None
    term: Term | None = None
    expires: datetime | None = None
    users: int | None = None
    session_hosts: int | None = None
    deploy_hosts: int | None = None
    allowed_domain: AllowedDomain | None = None
    features: tuple[str, ...] | None = None
    accept: tuple[FindingCode, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedRow:
    """A row that is none: its place, and which field is wrong and why; safe to show as it is.

    Attributes:
        customer: what stands there for it, escaped and short; None when nothing does.
        field: None when it is the row as a whole.
    """

    place: str
    customer: str | None
    field: str | None
    message: str
    hint: str | None


def read_row(
    place: str, given: Mapping[str, Any], *, cells: bool, defaults: Mapping[str, Any]
) -> Row | RefusedRow:
    """The row of what is written for each field.

    Args:
        place: for people.
        given: by names of `FIELDS`; what is empty is left out.
        cells: whether it comes from CSV, else from TOML.
        defaults: read values for fields that are not given.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        field = FIELDS[name]
        try:
            values[name] = field.cell(value) if cells else field.toml(value)
        except InputRefused as refused:
            return refuse(place, given, refused, field=name)
    if "customer" not in values:
        missing = InputRefused("the customer is missing", hint="give a slug or a name")
        return refuse(place, given, missing, field="customer")
    if "term" in values and "expires" in values:
        return refuse(place, given, contradiction(), field="expires")
    return Row(place=place, **(_filled(values, defaults) if defaults else values))


def refuse(
    place: str, given: Mapping[str, Any], why: InputRefused, *, field: str | None = None
) -> RefusedRow:
    """The row that is none, for a reason."""
    customer = given.get("customer")
    return RefusedRow(
        place=place,
        customer=escape_short(customer) if isinstance(customer, str) else None,
        field=field,
        message=why.message,
        hint=in_fields(why.hint),
    )


def contradiction() -> InputRefused:
    """A term and an expiry, both for one license."""
    return InputRefused("term and expires contradict each other", hint="give one of the two")


def unknown_field(
    place: str, name: str, known: tuple[str, ...] = tuple(FIELDS)
) -> InvalidApplyFile:
    """What a file is refused for whose field, or column, nobody knows."""
    near = nearest(name.strip().casefold().replace("-", "_").replace(" ", "_"), known)
    return InvalidApplyFile(
        f"{place}: there is no field {escape_short(name)}",
        hint=f"did you mean {near}?" if near else f"fields are {', '.join(known)}",
    )


def _filled(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, over them the values: a term or expiry of the row's own drops the other."""
    own = any(name in values for name in _ONE_OF_TWO)
    kept = {name: value for name, value in defaults.items() if not own or name not in _ONE_OF_TWO}
    return kept | dict(values)
