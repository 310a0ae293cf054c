"""Which license a row is about: its key is the customer and the label of a machine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.batch.row_documents import document_of
from polygent_issuer.batch.rows import RefusedRow, Row
from polygent_issuer.errors import Ambiguous, IssuerError, NotFound
from polygent_issuer.issuing.machines import own_machine
from polygent_issuer.issuing.proposal import ReceivedDocument
from polygent_issuer.issuing.stored import read_license
from polygent_issuer.issuing.whose import active
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses
from polygent_issuer.text import fold, nfc, shown
from polygent_issuer.verifier import License


@dataclass(frozen=True, kw_only=True, slots=True)
class Whose:
    """The customer and the current license of a row; None for what there is not yet."""

    customer: Customer | None
    record: LicenseRecord | None


def whose(db: Reading, row: Row, document: ReceivedDocument | None = None) -> Whose:
    """Find them: the slug or name as a whole, the label as it is.

    A row without a machine is about the license without one; where there is none, about the only
    one that there is, else about that of the document's machine.

    Args:
        document: the one that the row names.

    Raises:
        Ambiguous: (`ambiguous`) when several customers or licenses match.
        CustomerArchived: (`customer_archived`) when nothing is issued to the customer any more.
    """
    try:
        customer = active(customers.find(db, row.customer))
    except NotFound:
        return Whose(customer=None, record=None)
    record = _current(db, customer, row)
    if record is None and document is not None and row.machine is None:
        record = _of_machine(db, customer, document.info.fingerprint)
    return Whose(customer=customer, record=record)


def _of_machine(db: Reading, customer: Customer, fingerprint: str) -> LicenseRecord | None:
    """The current license for a machine that is known by its document, not by its label."""
    known = own_machine(db, customer, fingerprint)
    if known is None:
        return None
    found = [each for each in licenses.current(db, customer) if each.machine_id == known.id]
    return found[0] if len(found) == 1 else None


def keys(
    db: Reading, rows: Iterable[Row | RefusedRow], folder: Path | None
) -> Iterator[tuple[str, str]]:
    """The place and the key of each row, however its customer is written; for `require_unique`.

    Args:
        folder: where the files are that `machine_info` names.
    """
    for row in rows:
        if isinstance(row, RefusedRow):
            continue
        try:
            document = document_of(row, folder) if row.machine is None else None
            found = whose(db, row, document)
        except IssuerError:  # the outcome of that row
            continue
        label = nfc(row.machine or "")
        if found.record is not None:
            label = found.record.machine_label or found.record.id
        slug = found.customer.slug if found.customer else f"new: {fold(row.customer)}"
        yield row.place, f"{slug}\n{label}"


def _current(db: Reading, customer: Customer, row: Row) -> LicenseRecord | None:
    current = licenses.current(db, customer)
    if row.machine is not None:
        label = nfc(row.machine)
        return _one(db, customer, row, [each for each in current if each.machine_label == label])
    unbound = [each for each in current if each.machine_label is None]
    if not unbound and len(current) > 1 and row.machine_info is None:
        labels = ", ".join(shown(each.machine_label or "") for each in current)
        raise Ambiguous(
            f"{customer.name} has {len(current)} current licenses", hint=f"name a machine: {labels}"
        )
    if not unbound and len(current) > 1:
        return None
    return _one(db, customer, row, unbound or list(current))


def _one(
    db: Reading, customer: Customer, row: Row, found: list[LicenseRecord]
) -> LicenseRecord | None:
    """The only one; of several, the one whose domain the row has, or that is as the row says.

    Of several that are alike, any is: there is nothing to do for it.
    """
    if len(found) < 2:  # noqa: PLR2004 - one, or none
        return found[0] if found else None
    held = [(each, read_license(db, each)) for each in found]
    of_domain = [pair for pair in held if pair[1].allowed_domain == row.allowed_domain]
    if row.expires is not None:
        alike = [each for each, old in (*of_domain, *held) if _is_as(row, old)]
        if alike:
            return alike[0]
    if row.allowed_domain is not None:
        found = [each for each, _ in of_domain]
    if len(found) > 1:
        raise Ambiguous(
            f"{customer.name} has {len(found)} current licenses that this row may mean",
            hint="change them one by one: polygent-issue license list --customer "
            f"{customer.slug}, then polygent-issue renew or reissue with --license ID",
        )
    return found[0] if found else None


def _is_as(row: Row, held: License) -> bool:
    """Whether a license is as a row wishes it to be."""
    wishes = (
        (row.tier, held.tier),
        (row.expires, held.expires_at),
        (row.users, held.limits.users),
        (row.session_hosts, held.limits.session_hosts),
        (row.deploy_hosts, held.limits.deploy_hosts),
        (row.allowed_domain, held.allowed_domain),
        (None if row.features is None else set(row.features), set(held.features)),
    )
    return all(wish in (None, now) for wish, now in wishes)
