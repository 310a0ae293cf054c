"""`polygent-issue customer add`: a customer before the first license."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from polygent_issuer.cli import consent
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows import customer_update
from polygent_issuer.cli.options.common import argument, option
from polygent_issuer.cli.output.customer import customer_json, customer_rows
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import Customer, Writing, change, customers
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class AddedCustomer(Result):
    """A new customer, and the findings that were accepted."""

    customer: Customer
    accepted: tuple[FindingCode, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`customer`."""
        return {
            "customer": customer_json(self.customer),
            "accepted": [str(code) for code in self.accepted],
        }

    def blocks(self) -> Iterable[Block]:
        """What was added, and what comes next."""
        yield Line(f"added {self.customer.slug}", "good")
        yield Fields(tuple(customer_rows(self.customer)))
        yield Line(f"next: polygent-issue sign --customer {self.customer.slug}", "dim")


def add(
    invocation: Invocation,
    name: Annotated[str, argument("NAME", "As it stands in the licenses.")],
    *,
    slug: Annotated[str | None, option("--slug", "SLUG", "Instead of one from the name.")] = None,
    contact: Annotated[
        list[str] | None,
        option("--contact", "EMAIL", "Who gets the mail: an address or a name; repeatable."),
    ] = None,
    time_zone: Annotated[
        str | None, option("--time-zone", "ZONE", "Such as Europe/Berlin.")
    ] = None,
    crm: Annotated[str | None, option("--crm", "TEXT", "The reference in your own books.")] = None,
    consents: consent.ConsentOptions,
) -> AddedCustomer:
    """Add a customer; sign does that too, this one notes contacts and time zone with it.

    The slug is in every license and stays for ever; the name may change. A name that is very
    like a known one needs consent.
    """
    typed, name = consent.given(consents), customer_update.proper(name)
    zone = None if time_zone is None else str(dates.parse_zone(time_zone))
    decided = invocation.decide(
        lambda db: (slug or customers.free_slug(db, name), customer_update.similar(db, name))
    )
    new_slug, similar = decided.decision
    findings = (*similar, *decided.behind)
    agreed = consent.obtain(invocation, findings, typed)
    accepted = agreed.used(findings)

    def write(db: Writing) -> Customer:
        added = customers.add(
            db, slug=new_slug, name=name, contacts=contact or (), time_zone=zone, crm=crm
        )
        db.record(
            "customer-added",
            customer=added.slug,
            accepted=accepted,
            reason=agreed.reason,
            details={"name": added.name},
        )
        return added

    added = change.carry_out(decided, write, undone="nothing was added")
    return AddedCustomer(customer=added, accepted=accepted)
