"""Import of customers: match each row of a file, decide what changes, write all of it or nothing.

A row means the customer with its slug, else the one that its name means (`customers.matches`), else
a new customer. The slug of a customer never changes. A name changes only in a row with the slug,
not with an alias.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from polygent_issuer.batch.customer_rows import CustomerFile, CustomerRow, InvalidCustomerFile
from polygent_issuer.batch.rows import plain_spaces
from polygent_issuer.errors import InputRefused, IssuerError, SeveralProblems
from polygent_issuer.findings import Consent, Finding
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import CustomerUpdate
from polygent_issuer.issuing.proposal import NewCustomer, similar_customer
from polygent_issuer.registry import Customer, Reading, Writing, customers
from polygent_issuer.registry.customer_names import NameIndex
from polygent_issuer.registry.errors import ambiguous
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, run


@dataclass(frozen=True, kw_only=True, slots=True)
class RowImport:
    """The decision on a row; two are equal if they rest on the same facts.

    Attributes:
        columns: the columns of a new customer, apart from its name.
        customer: the new customer, or the known one.
        update: the changes of a known customer.
        findings: risks that need consent.
    """

    row: CustomerRow
    customer: NewCustomer | Customer
    columns: Mapping[str, Any] = field(default_factory=dict)
    update: CustomerUpdate | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> str:
        """`new`, `changed` or `unchanged`."""
        if self.update is None:
            return "new"
        return "changed" if self.update.columns else "unchanged"


def decide(db: Reading, file: CustomerFile, *, now: datetime) -> tuple[RowImport, ...]:
    """Decide each row of a file; nothing is written.

    Raises:
        InvalidCustomerFile, SeveralProblems: (`invalid_customer_file`) every problem of the file
            and of its rows.
    """
    problems, rows = list(file.problems), _Rows(file.rows)
    decided = []
    for row in file.rows:
        try:
            decided.append(rows.decide(db, row, now))
        except IssuerError as error:
            problems.append(InvalidCustomerFile.at(row.place, None, error))
    if problems:
        SeveralProblems.raise_for(problems)
    return tuple(decided)


def carry_out(
    db: Writing, decided: Sequence[RowImport], findings: tuple[Finding, ...], consent: Consent
) -> None:
    """Write the rows that need it, with a journal row for each customer.

    Args:
        findings: those of the whole command, in addition to those of each row.
        consent: the consent to all of them.
    """
    for each in decided:
        accepted = consent.used((*each.findings, *findings))
        if each.outcome == "new":
            customer_changes.record_new(
                db,
                slug=each.customer.slug,
                name=each.customer.name,
                columns=each.columns,
                accepted=accepted,
                reason=consent.reason,
            )
        elif each.update is not None and each.update.columns:
            customer_changes.record_update(
                db, each.update, accepted=accepted, reason=consent.reason
            )


class _Rows:
    """The rows of a file that are decided already, for comparison with the next one."""

    def __init__(self, rows: Sequence[CustomerRow]) -> None:
        self._taken = {row.slug for row in rows if row.slug is not None}
        self._slugs: dict[str, str] = {}
        self._names: dict[str, CustomerRow] = {}
        self._index = NameIndex()

    def decide(self, db: Reading, row: CustomerRow, now: datetime) -> RowImport:
        customer = _match(db, row)
        if customer is None:
            return self._new(db, row)
        self._require_first(customer.slug, row)
        update = customer_changes.plan_update(
            db, customer.slug, _changes(row, customer), machine=None, label=None, now=now
        )
        name = update.columns.get("name")
        findings = () if name is None else self._similar(row, name, update.findings)
        return RowImport(row=row, customer=customer, update=update, findings=findings)

    def _new(self, db: Reading, row: CustomerRow) -> RowImport:
        name = row.columns.get("name")
        if name is None and row.slug is None:
            raise InputRefused("name: the name is missing", hint="give a name, or the slug")
        if name is None:
            raise InputRefused(
                f"name: no customer has the slug {row.slug}, and a new one needs a name",
                hint="give the name, or correct the slug",
            )
        for other in self._index.matches(name) + ([name] if name in self._names else []):
            first = self._names[other]
            if row.slug is None or first.slug is None:
                raise _twice(first.place)
        slug = row.slug or customers.free_slug(db, name, besides=self._taken)
        self._taken.add(slug)
        self._require_first(slug, row)
        finding = customer_changes.similar_name_finding(db, name)
        findings = self._similar(row, name, () if finding is None else (finding,))
        columns = {key: value for key, value in row.columns.items() if key != "name"}
        customer = NewCustomer(slug=slug, name=name)
        return RowImport(row=row, customer=customer, columns=columns, findings=findings)

    def _require_first(self, slug: str, row: CustomerRow) -> None:
        """Check that no earlier row is for the customer with this slug."""
        first = self._slugs.setdefault(slug, row.place)
        if first != row.place:
            raise _twice(first)

    def _similar(
        self, row: CustomerRow, name: str, findings: tuple[Finding, ...]
    ) -> tuple[Finding, ...]:
        """Return these findings on a new name, else the one on similar names of earlier rows."""
        same = [name] if name in self._names else []
        alike = [*same, *self._index.matches(name), *self._index.similar(name)]
        self._names.setdefault(name, row)
        self._index.add(name)
        line = f"line {row.line}"
        if findings:
            return tuple(replace(each, message=f"{line}: {each.message}") for each in findings)
        names = [f"{each} (line {self._names[each].line})" for each in dict.fromkeys(alike)]
        hint = "if it is the same customer, remove one of the rows"
        finding = similar_customer(f"{line}: the name {name}", names, hint=hint)
        return () if finding is None else (finding,)


def _match(db: Reading, row: CustomerRow) -> Customer | None:
    """Return the customer of a row, by the slug, else by the name; None for a new one.

    Raises:
        Ambiguous: (`ambiguous`) several customers match.
        InputRefused: the customer is archived, or has another slug than the row.
    """
    customer = None if row.slug is None else customers.by_slug(db, row.slug)
    name = row.columns.get("name")
    if customer is None and name is not None:
        matches = customers.matches(db, name)
        if len(matches) > 1:
            names = [f"{each.slug} ({each.name})" for each in matches]
            raise ambiguous(f"name: several customers match {escape(name)}", names)
        customer = matches[0] if matches else None
        if customer is not None and row.slug is not None:
            raise InputRefused(
                f"slug: {escape(customer.name)} has the slug {customer.slug}, which never changes",
                hint=Hint(
                    "leave the slug empty; for a second customer of this name: ",
                    run("customer", "add", name, "--slug", row.slug),
                ),
            )
    if customer is not None and customer.archived_at is not None:
        raise InputRefused(
            f"{escape(customer.name)} was archived at {dates.instant(customer.archived_at)}",
            hint=Hint("unarchive it first: ", run("customer", "archive", customer.slug, "--undo")),
        )
    return customer


def _changes(row: CustomerRow, customer: Customer) -> dict[str, Any]:
    """Return the columns of a row that differ from those of the customer.

    A cell has no no-break spaces, and no contact twice.
    """
    changes = {**row.columns, "contacts": row.columns.get("contacts", customer.contacts)}
    if changes["contacts"] == tuple(dict.fromkeys(customer.contacts)):
        del changes["contacts"]
    name = changes.get("name")
    # An older file still names a merged customer, with its slug: now an alias of this customer.
    if row.slug != customer.slug or name == plain_spaces(customer.name):
        changes.pop("name", None)
    return changes


def _twice(place: str) -> InputRefused:
    return InputRefused(
        f"the row is for the same customer as {place}", hint="keep one row for each customer"
    )
