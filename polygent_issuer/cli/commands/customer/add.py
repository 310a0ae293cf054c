"""`polygent-issue customer add`: add a customer before the first license."""

from typing import Annotated

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import argument, option
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.records import customer_json, customer_rows
from polygent_issuer.cli.output.result import Report
from polygent_issuer.issuing import customer_changes
from polygent_issuer.registry import change, customers
from polygent_issuer.terms import dates
from polygent_issuer.text import one_line


def add(
    invocation: Invocation,
    name: Annotated[str, argument("NAME", "Set the name written into licenses.")],
    *,
    slug: Annotated[
        str | None, option("--slug", "SLUG", "Set the slug (default: derived from the name).")
    ] = None,
    contact: Annotated[
        list[str] | None,
        option("--contact", "EMAIL", "Add a contact: an email address or a name (repeatable)."),
    ] = None,
    time_zone: Annotated[
        str | None, option("--time-zone", "ZONE", "Set the time zone, such as Europe/Berlin.")
    ] = None,
    crm: Annotated[str | None, option("--crm", "TEXT", "Set the reference in your CRM.")] = None,
    notes: Annotated[
        str | None, option("--notes", "TEXT", "Set the notes about the customer.")
    ] = None,
    consents: consent.ConsentOptions,
) -> Report:
    """Add a customer.

    sign also adds a new customer, but without contacts, time zone, CRM reference and notes. The
    slug is in every license and never changes; the name may change. A name that is similar to a
    known one needs consent (similar-customer).
    """
    typed, name = consent.parse_consent(consents), customer_changes.normalize_name(name)
    zone = None if time_zone is None else str(dates.parse_zone(time_zone))
    decided = invocation.decide(
        lambda db: (
            slug or customers.free_slug(db, name),
            customer_changes.similar_name_finding(db, name),
        )
    )
    new_slug, similar = decided.decision
    findings = (*((similar,) if similar else ()), *decided.behind)
    agreed = consent.obtain(invocation, findings, typed)
    accepted = agreed.used(findings)
    columns = {
        "contacts": contact or (),
        "time_zone": zone,
        "crm": crm,
        "notes": None if notes is None else one_line(notes),
    }
    added = change.carry_out(
        decided,
        lambda db: customer_changes.record_new(
            db, slug=new_slug, name=name, columns=columns, accepted=accepted, reason=agreed.reason
        ),
        undone="nothing was added",
    )
    members = {"customer": customer_json(added), "accepted": [str(code) for code in accepted]}
    done = Line(f"added {added.slug}", "good")
    next_command = Line(f"next: polygent-issue sign --customer {added.slug}", "dim")
    return Report(members, [done, Fields(tuple(customer_rows(added))), next_command])
