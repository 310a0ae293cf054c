"""The customers whom the rows of one file would make, before any of them is in the registry.

A preview decides every row on the registry as it is, and a run on what the rows before have made of
it; so that both decide the same, a row is compared with the earlier ones as with the registry.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.issuing.proposal import NewCustomer, Proposal
from polygent_issuer.registry import Reading, customers
from polygent_issuer.registry.customer_search import one_letter_apart, variants
from polygent_issuer.text import list_first

_OUT = "leave one of the rows out"


@dataclass(slots=True)
class NewCustomers:
    """New customers by name, each with the place of its first row."""

    _first: dict[str, tuple[int, str]] = field(default_factory=dict)
    _slugs: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _words: list[tuple[str, str]] = field(default_factory=list)
    _backwards: list[tuple[str, str]] = field(default_factory=list)

    def place(self, name: str) -> str | None:
        """Return the place of the row that makes the customer of this name; None when none does."""
        return self._first[name][1] if name in self._first else None

    def check_against_earlier_rows(self, db: Reading, place: str, proposal: Proposal) -> Proposal:
        """Add the findings that earlier rows give rise to, and the slug that they leave."""
        if not isinstance(proposal.customer, NewCustomer):
            return proposal
        name = proposal.customer.name
        self._add(name, place)
        proposal = self._with_slug(db, proposal, proposal.customer)
        if self.place(name) != place:
            return self._second(proposal, name)
        known = {finding.code for finding in proposal.findings}
        alike = self._alike(name)
        if not alike or FindingCode.SIMILAR_CUSTOMER in known:
            return proposal
        finding = Finding(
            code=FindingCode.SIMILAR_CUSTOMER,
            message=f"{name} would be a new customer, but is very like {list_first(alike)} "
            "of an earlier row",
            hint=f"if it is the same, {_OUT}",
        )
        return proposal.with_findings(finding)

    def _with_slug(self, db: Reading, proposal: Proposal, customer: NewCustomer) -> Proposal:
        """With the slug that the earlier rows leave, or have given the customer already."""
        self._taken.discard(self._slugs.get(customer.name, ""))
        slug = customer.slug
        if slug in self._taken:
            slug = customers.free_slug(db, customer.name, besides=self._taken)
        self._slugs[customer.name] = slug
        self._taken.add(slug)
        if slug == customer.slug:
            return proposal
        return replace(
            proposal,
            customer=replace(customer, slug=slug),
            license=replace(proposal.license, sub=slug),
        )

    def _second(self, proposal: Proposal, name: str) -> Proposal:
        if proposal.machine is None:
            return proposal
        finding = Finding(
            code=FindingCode.ADDITIONAL_MACHINE,
            message=f"{name} gets a machine by an earlier row, and this is another",
            hint=_OUT,
        )
        return proposal.with_findings(finding)

    def _add(self, name: str, place: str) -> None:
        if name in self._first:
            return
        self._first[name] = len(self._first), place
        for word in variants(name):
            insort(self._words, (word, name))
            insort(self._backwards, (word[::-1], name))

    def _alike(self, name: str) -> list[str]:
        """The earlier names that are equal but for form, or one letter apart (`similar_names`)."""
        number, _ = self._first[name]
        found = {
            other
            for word in variants(name)
            for spelt, other in self._candidates(word)
            if self._first[other][0] < number and one_letter_apart(spelt, word)
        }
        return sorted(found)

    def _candidates(self, word: str) -> Iterator[tuple[str, str]]:
        """Whatever is one letter apart shares the first half of the word, or the last."""
        middle, backwards = len(word) // 2, word[::-1]
        yield from _beginning(self._words, word[:middle])
        rest = backwards[: len(word) - middle]
        yield from ((spelt[::-1], other) for spelt, other in _beginning(self._backwards, rest))


def _beginning(words: list[tuple[str, str]], prefix: str) -> Iterator[tuple[str, str]]:
    for number in range(bisect_left(words, (prefix,)), len(words)):
        if not words[number][0].startswith(prefix):
            return
        yield words[number]
