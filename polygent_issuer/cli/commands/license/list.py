"""`polygent-issue license list`: list licenses, filtered by their properties."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag, option
from polygent_issuer.cli.output.files import CsvOptions
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.records import COLUMNS as OWN
from polygent_issuer.cli.output.records import license_json, license_table
from polygent_issuer.cli.output.report import DETAILS, details_json
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.errors import UsageProblem
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    LicenseStatus,
    customers,
    keys,
    licenses,
)
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.terms.parsing import parse_date_or_instant
from polygent_issuer.verifier.license import Tier

COLUMNS: Final = (*OWN, *DETAILS)
"""The JSON members of a license, which are the columns of the CSV."""


def list_all(
    invocation: Invocation,
    *,
    customer: Annotated[
        str | None,
        option("--customer", "NAME", "List only this customer's licenses.", candidates.customers),
    ] = None,
    tier: Annotated[Tier | None, option("--tier", None, "List only licenses of this tier.")] = None,
    status: Annotated[
        LicenseStatus | None, option("--status", None, "List only licenses with this status.")
    ] = None,
    key: Annotated[
        str | None,
        option("--key", "LABEL|KID", "List only licenses signed with this key.", candidates.keys),
    ] = None,
    unsent: Annotated[
        bool, flag("--unsent", "List only current licenses not yet marked as sent.")
    ] = False,
    expires_before: Annotated[
        str | None,
        option("--expires-before", "DATE", "List only licenses that expire before this date."),
    ] = None,
    order_id: Annotated[
        str | None, option("--order-id", "TEXT", "List only licenses with this in the order id.")
    ] = None,
    note: Annotated[
        str | None, option("--note", "TEXT", "List only licenses with this text in the note.")
    ] = None,
    form: CsvOptions,
) -> Result:
    """List licenses.

    Without options every license ever issued is listed, ordered by expiry. A license is current
    until it is replaced or retired, even if it has expired.
    """
    as_csv = form.asked(invocation)
    _require_current(status, unsent=unsent)
    until = None if expires_before is None else parse_date_or_instant(expires_before)
    owner = None if customer is None else invocation.customer(customer, checked=False)
    with invocation.registry.reading(checked=False) as db:
        matching = licenses.select(
            db,
            customer=owner,
            tier=tier,
            status=LicenseStatus.CURRENT if unsent else status,
            kid=None if key is None else keys.find(db, key).kid,
            unsent=True if unsent else None,
            expires_before=until,
            archived=False if unsent else None,  # no files are sent to archived customers
            order_id=order_id,
            note=note,
        )
        records = tuple(matching)
        every = customers.every(db, archived=True) if owner is None else (owner,)
        owners = {each.id: each for each in every}
    items = (_item(each, owners[each.customer_id], invocation.now) for each in records)
    if as_csv:
        return form.table(COLUMNS, items, name="licenses.csv")
    text = license_table(records, invocation.now) if records else Line("no licenses match", "dim")
    return Report({"licenses": items}, [text], is_idle=not records)


def _require_current(status: LicenseStatus | None, *, unsent: bool) -> None:
    if unsent and status not in (None, LicenseStatus.CURRENT):
        raise UsageProblem(
            f"--unsent lists only current licenses, so --status {status} does not apply",
            hint="leave out --status",
        )


def _item(record: LicenseRecord, customer: Customer, now: datetime) -> Mapping[str, Any]:
    """Return a license as JSON, with the terms in its file; without them if that is damaged."""
    from polygent_issuer.delivery.report import ReportedLicense

    details: dict[str, Any] = {**dict.fromkeys(DETAILS), "name": customer.name, "plan": record.plan}
    with suppress(RegistryDamaged):  # `journal verify` reports it
        details = details_json(ReportedLicense.of(record, customer, now))
    return {**license_json(record, now), **details}
