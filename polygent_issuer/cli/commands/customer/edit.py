"""`polygent-issue customer edit`: name, contacts, time zone, CRM reference, a machine's label."""

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows import customer_update
from polygent_issuer.cli.flows.customer_update import Change, ChangeOptions
from polygent_issuer.cli.options.common import CustomerName
from polygent_issuer.cli.output.customer import customer_json, outdated_json, outdated_lines
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.result import Report
from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import Customer, Writing, change


def edit(
    invocation: Invocation,
    customer: CustomerName,
    *,
    wanted: ChangeOptions,
    consents: consent.ConsentOptions,
) -> Report:
    """Change a customer; the slug stays for ever.

    A new name goes into the licenses that are issued from now on: those that still carry the old
    one are listed. A machine is renamed with --machine OLD --label NEW.
    """
    typed, now = consent.given(consents), invocation.now
    wanted.check()
    slug = invocation.customer(customer).slug
    decided = invocation.decide(lambda db: customer_update.decide(db, slug, wanted, now=now))
    update = decided.decision
    if not update.changes:
        return _report(update.customer, update, ())
    findings = (*update.findings, *decided.behind)
    agreed = consent.obtain(invocation, findings, typed)
    accepted = agreed.used(findings)

    def write(db: Writing) -> Customer:
        edited = customer_update.write(db, update)
        db.record(
            "customer-edited",
            customer=slug,
            accepted=accepted,
            reason=agreed.reason,
            details={"changes": {name: list(pair) for name, pair in update.changes.items()}},
        )
        return edited

    edited = change.carry_out(decided, write)
    return _report(edited, update, accepted)


def _report(customer: Customer, update: Change, accepted: tuple[FindingCode, ...]) -> Report:
    changes = update.changes
    members = {
        "customer": customer_json(customer),
        "changes": [{"name": name, "old": old, "new": new} for name, (old, new) in changes.items()],
        "still_named": [outdated_json(each) for each in update.still_named],
        "accepted": [str(code) for code in accepted],
    }
    if not changes:
        return Report(members, [Line(f"{customer.slug} is so already; nothing was changed", "dim")])
    rows = tuple(
        (name.replace("_", " "), f"{old or 'none'} → {new or 'none'}")
        for name, (old, new) in changes.items()
    )
    renamed = outdated_lines(update.still_named, "the old name")
    return Report(members, [Line(f"changed {customer.slug}", "good"), Fields(rows), *renamed])
