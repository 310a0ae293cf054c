"""Match rows with customers and licenses, by the customer and a machine's label."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from polygent_issuer.batch.row_files import RowFile
from polygent_issuer.batch.rows import DuplicateRow, RefusedRow, Row
from polygent_issuer.errors import Ambiguous, IssuerError, UnreadableInput
from polygent_issuer.files import within
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.issuing.machines import own_machine
from polygent_issuer.issuing.next_license import check_not_archived
from polygent_issuer.issuing.proposal import NewCustomer, Proposal, load_license, similar_customer
from polygent_issuer.registry import Customer, LicenseRecord, Reading, Registry, customers, licenses
from polygent_issuer.registry.customer_names import NameIndex
from polygent_issuer.registry.engine import in_chunks
from polygent_issuer.registry.errors import ambiguous
from polygent_issuer.text import Hint, escape, nfc, run
from polygent_issuer.verifier import License

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


_OUT = "remove one of the rows"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowMatch:
    """The customer and the current license of a row; None for what does not exist yet."""

    customer: Customer | None
    record: LicenseRecord | None


def match_row(db: Reading, row: Row, document: "ReceivedDocument | None") -> RowMatch:
    """Find the customer by slug or name, and the license by the label of its machine.

    A row without a machine matches the license without a machine. If that does not exist, it
    matches the customer's only license, else the license for the document's machine.

    Args:
        document: the document that the row names.

    Raises:
        Ambiguous: (`ambiguous`) several customers or licenses match.
        InputRefused: (`customer_archived`) the customer is archived.
    """
    customer = customers.find_known(db, row.customer)
    if customer is None:
        return RowMatch(customer=None, record=None)
    check_not_archived(customer)
    record = _current(db, customer, row)
    if record is None and document is not None and row.machine is None:
        record = _of_machine(db, customer, document.info.fingerprint)
    return RowMatch(customer=customer, record=record)


def require_sound(db: Reading, file: RowFile) -> None:
    """Check the whole file: its problems, and that no two rows match the same license.

    Raises:
        InvalidApplyFile, DuplicateRow, SeveralProblems: (`invalid_apply_file`, `duplicate_row`).
    """
    file.require_sound(_duplicates(db, file))


def customers_missing_from(registry: Registry, rows: Iterable[Row | RefusedRow]) -> tuple[str, ...]:
    """Return the slugs of customers with a current license and without a row, in order."""
    with registry.reading(checked=False) as db:  # the rows are only named
        matches = (customers.matches(db, row.customer) for row in rows if row.customer is not None)
        named = {match.id for several in matches for match in several}
        return tuple(
            customer.slug
            for customer in customers.every(db)
            if customer.id not in named and licenses.current(db, customer)
        )


def read_document(row: Row, folder: Path | None) -> "ReceivedDocument | None":
    """Read the machine-info document that the row names, if it names one.

    Args:
        folder: the folder of the apply file; None for stdin.

    Raises:
        UnreadableInput: (`unreadable_input`) the document cannot be read, or the folder is unknown.
        InputRefused: (`invalid_machine_info`) the file is not a machine-info document.
    """
    if row.machine_info is None:
        return None
    if folder is None:
        raise UnreadableInput(
            "a row from stdin cannot have machine_info, whose path is relative to the apply file",
            hint=run("apply", "FILE"),
        )
    from polygent_issuer.machine_info import document  # noqa: PLC0415 - most rows have no document

    content = within.read_within(
        folder, row.machine_info, limit=document.LIMIT, what="machine-info document"
    )
    return document.ReceivedDocument(content=content, info=document.parse(content))


@dataclass(slots=True)
class NewCustomers:
    """The new customers of a file by name, each with the number and the place of its first row.

    `_names` has the name of the first row by each other spelling of it, and `_slugs` the name by
    the slug.
    """

    _first: dict[str, tuple[int, str]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _index: NameIndex = field(default_factory=NameIndex)
    _slugs: dict[str, str] = field(default_factory=dict)

    def place(self, name: str) -> str | None:
        """Return the place of the row that adds the customer of this name, if there is one."""
        return self._first[name][1] if name in self._first else None

    def name_of(self, row: Row) -> str:
        """Return the name of the new customer that a row means, as its first row spells it.

        Raises:
            Ambiguous: (`ambiguous`) several new customers match, and none has exactly this name.
        """
        name = nfc(row.customer)
        if name not in self._names:
            same = self._index.matches(name)
            if len(same) > 1:
                raise ambiguous(f"several new customers match {escape(name)}", same)
            if not same:
                self._first[name] = len(self._first), row.place
                self._index.add(name)
            self._names[name] = same[0] if same else name
        return self._names[name]

    def check_against_earlier_rows(self, db: Reading, row: Row, proposal: Proposal) -> Proposal:
        """Add the findings that earlier rows cause, and choose a slug that they do not use.

        Raises:
            Ambiguous: as `name_of`.
        """
        if not isinstance(proposal.customer, NewCustomer):
            return proposal
        name = self.name_of(row)
        proposal = self._with_slug(db, proposal, proposal.customer, name)
        if self.place(name) != row.place:
            return self._second(proposal, name)
        known = {finding.code for finding in proposal.findings}
        if FindingCode.SIMILAR_CUSTOMER in known:
            return proposal
        number, _ = self._first[name]
        alike = [each for each in self._index.similar(name) if self._first[each][0] < number]
        subject = f"{name} would be a new customer, but"
        hint = f"if it is the same customer, {_OUT}"
        where = " from earlier rows"
        return proposal.with_findings(similar_customer(subject, alike, hint=hint, where=where))

    def _with_slug(
        self, db: Reading, proposal: Proposal, customer: NewCustomer, name: str
    ) -> Proposal:
        """Give the new customer its name, and the slug of its earlier rows or an unused one."""
        slug = customer.slug
        if name != customer.name or self._slugs.get(slug, name) != name:
            others = (each for each, owner in self._slugs.items() if owner != name)
            slug = customers.free_slug(db, name, besides=others)
        self._slugs[slug] = name
        if (slug, name) == (customer.slug, customer.name):
            return proposal
        return replace(
            proposal,
            customer=replace(customer, slug=slug, name=name),
            license=replace(proposal.license, sub=slug, customer=name),
        )

    def _second(self, proposal: Proposal, name: str) -> Proposal:
        if proposal.machine is None:
            return proposal
        finding = Finding(
            code=FindingCode.ADDITIONAL_MACHINE,
            message=f"an earlier row already adds a machine for {name}",
            hint=_OUT,
        )
        return proposal.with_findings(finding)


def _of_machine(db: Reading, customer: Customer, fingerprint: str) -> LicenseRecord | None:
    """Return the current license for the machine of a document, if there is exactly one."""
    known = own_machine(db, customer, fingerprint)
    if known is None:
        return None
    records = [each for each in licenses.current(db, customer) if each.machine_id == known.id]
    return records[0] if len(records) == 1 else None


def _duplicates(db: Reading, file: RowFile) -> Iterator[DuplicateRow]:
    """Yield each row that matches the license of an earlier row, however its customer is written.

    The licenses of many customers are read in a few queries.
    """
    places: dict[tuple[str, str], str] = {}
    new = NewCustomers()
    for rows in in_chunks(row for row in file.rows if isinstance(row, Row)):
        licenses.read_ahead_of(db, [row.customer for row in rows])
        for row in rows:
            key = _key(db, row, file.folder, new)
            if key in places:
                yield DuplicateRow(f"{places[key]} and {row.place}")
            elif key is not None:
                places[key] = row.place


def _key(db: Reading, row: Row, folder: Path | None, new: "NewCustomers") -> tuple[str, str] | None:
    """Return the row's customer and machine; None if the row fails."""
    try:
        document = read_document(row, folder) if row.machine is None else None
        match = match_row(db, row, document)
        customer = match.customer.slug if match.customer else f"new: {new.name_of(row)}"
    except IssuerError:  # reported as the outcome of that row
        return None
    label = nfc(row.machine or "")
    if match.record is not None:
        label = match.record.machine_label or match.record.id
    return customer, label


def _current(db: Reading, customer: Customer, row: Row) -> LicenseRecord | None:
    current = licenses.current(db, customer)
    if row.machine is not None:
        label = nfc(row.machine)
        return _one(db, customer, row, [each for each in current if each.machine_label == label])
    unbound = [each for each in current if each.machine_label is None]
    if not unbound and len(current) > 1 and row.machine_info is None:
        labels = ", ".join(escape(each.machine_label or "") for each in current)
        raise Ambiguous(
            f"{customer.name} has {len(current)} current licenses", hint=f"give a machine: {labels}"
        )
    if not unbound and len(current) > 1:
        return None
    return _one(db, customer, row, unbound or list(current))


def _one(
    db: Reading, customer: Customer, row: Row, records: list[LicenseRecord]
) -> LicenseRecord | None:
    """Return the only license, or of several the one with the row's domain or the row's terms.

    Of several licenses with the row's terms any is returned, since nothing has to be done for it.
    """
    if len(records) < 2:  # noqa: PLR2004 - one or zero
        return records[0] if records else None
    pairs = [(each, load_license(db, each)) for each in records]
    of_domain = [pair for pair in pairs if pair[1].allowed_domain == row.allowed_domain]
    if row.expires is not None:
        equal = [each for each, old in (*of_domain, *pairs) if _has_terms(row, old)]
        if equal:
            return equal[0]
    if row.allowed_domain is not None:
        records = [each for each, _ in of_domain]
    if len(records) > 1:
        raise Ambiguous(
            f"{customer.name} has {len(records)} current licenses that match this row",
            hint=Hint(
                "change them one at a time: ",
                run("license", "list", "--customer", customer.slug),
                ", then ",
                run("renew"),
                " or reissue with --license ID",
            ),
        )
    return records[0] if records else None


def _has_terms(row: Row, old: License) -> bool:
    """Return whether a license has all the terms that a row names."""
    terms = (
        (row.tier, old.tier),
        (row.expires, old.expires_at),
        (row.users, old.limits.users),
        (row.session_hosts, old.limits.session_hosts),
        (row.deploy_hosts, old.limits.deploy_hosts),
        (row.allowed_domain, old.allowed_domain),
        (None if row.features is None else set(row.features), set(old.features)),
    )
    return all(wanted in (None, present) for wanted, present in terms)
