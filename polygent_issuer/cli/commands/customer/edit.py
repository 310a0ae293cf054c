"""`polygent-issue customer edit`: name, contacts, time zone, CRM reference, a machine's label."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli import consent
from polygent_issuer.cli.commands.customer.show import CustomerName
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows import customer_update
from polygent_issuer.cli.flows.customer_update import ChangeOptions
from polygent_issuer.cli.output.customer import customer_json, outdated_json, outdated_lines
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.findings import FindingCode
from polygent_issuer.issuing.customer_changes import OutdatedLicense
from polygent_issuer.registry import Customer, Writing, change


@dataclass(frozen=True, kw_only=True, slots=True)
class EditedCustomer(Result):
    """A customer after the changes.

    Attributes:
        changes: old and new by name; empty when everything was so already.
        still_named: the licenses that carry the old name.
    """

    customer: Customer
    changes: Mapping[str, tuple[str | None, str | None]]
    still_named: tuple[OutdatedLicense, ...]
    accepted: tuple[FindingCode, ...]

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `changes`, `still_named`."""
        return {
            "customer": customer_json(self.customer),
            "changes": [
                {"name": name, "old": old, "new": new} for name, (old, new) in self.changes.items()
            ],
            "still_named": [outdated_json(each) for each in self.still_named],
            "accepted": [str(code) for code in self.accepted],
        }

    def blocks(self) -> Iterable[Block]:
        """Old → new, and what to reissue."""
        if not self.changes:
            yield Line(f"{self.customer.slug} is so already; nothing was changed", "dim")
            return
        yield Line(f"changed {self.customer.slug}", "good")
        yield Fields(
            tuple(
                (name.replace("_", " "), f"{old or 'none'} → {new or 'none'}")
                for name, (old, new) in self.changes.items()
            )
        )
        yield from outdated_lines(self.still_named, "the old name")


def edit(
    invocation: Invocation,
    customer: CustomerName,
    *,
    wanted: ChangeOptions,
    consents: consent.ConsentOptions,
) -> EditedCustomer:
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
        return EditedCustomer(customer=update.customer, changes={}, still_named=(), accepted=())
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
    return EditedCustomer(
        customer=edited, changes=update.changes, still_named=update.still_named, accepted=accepted
    )
