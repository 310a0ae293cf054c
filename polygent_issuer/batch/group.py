"""Items that are decided, signed and written together, and the effects of what was written."""

from dataclasses import dataclass, field
from typing import Any

from polygent_issuer.batch.outcomes import Decision, Failed, Job, Kept
from polygent_issuer.errors import IssuerError
from polygent_issuer.issuing.proposal import NewCustomer
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.registry.change import Decided


@dataclass(frozen=True, kw_only=True, slots=True)
class ToIssue:
    """An item with licenses to issue, as of its last decision."""

    job: Job
    decision: Decision


DecidedItem = ToIssue | Kept | Failed
"""A decided item: licenses to issue, or its outcome."""
SignedItem = tuple[DecidedItem, tuple[Issued, ...] | IssuerError]
"""A decided item with its signed licenses, or the error that prevents them."""


@dataclass(kw_only=True, slots=True)
class Group:
    """Items that were decided on one snapshot, and the effects of later writes.

    Attributes:
        unsigned: the items that are not signed yet.
        signed: the items that are signed and not written yet.
        affects_all: whether a later write may affect any decision.
        customers: the customers that the rows of this group affect.
    """

    decided: Decided[Any]
    unsigned: list[DecidedItem]
    signed: list[SignedItem] = field(default_factory=list)
    affects_all: bool = False
    customers: set[int] = field(default_factory=set)

    def note(self, item: ToIssue) -> None:
        """Note the customers that the rows of an item affect."""
        affected = _affected(item)
        self.customers |= affected
        self.affects_all = self.affects_all or not affected

    def may_affect(self, item: DecidedItem) -> bool:
        """Return whether later writes may change the decision on an item."""
        if self.affects_all or not self.customers:
            return self.affects_all
        affected = _affected(item) if isinstance(item, ToIssue) else None
        # The decision to issue nothing may depend on any row.
        return not affected or not affected.isdisjoint(self.customers)


def _affected(item: ToIssue) -> set[int]:
    """Return the customers that an item affects; empty if it may affect any customer.

    A renewal for the same customer and machine affects this customer only. A new customer or
    machine may change the findings of all others.
    """
    customers: set[int] = set()
    for proposal in item.decision.proposals:
        machine = proposal.machine
        if isinstance(proposal.customer, NewCustomer) or proposal.document is not None:
            return set()
        if machine is not None and (machine.known is None or machine.changed):
            return set()
        customers.add(proposal.customer.id)
    return customers
