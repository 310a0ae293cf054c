"""Find the customer of a first license, and the licenses to renew or reissue."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer.errors import Ambiguous, InputRefused, InvalidTerms, MissingInput, NotFound
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.proposal import Action, MachineChoice, NewCustomer, similar_customer
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses, machines
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import Changes, parse_name
from polygent_issuer.text import Hint, for_shell, option, run
from polygent_issuer.verifier import Tier

if TYPE_CHECKING:
    from polygent_issuer.machine_info.document import ReceivedDocument


def resolve_customer(
    db: Reading,
    named: str | None,
    document: "ReceivedDocument | None",
    *,
    claimed: bool,
    slug: str | None = None,
) -> Customer | NewCustomer:
    """Return the customer: by name, else by the machine, else a new one.

    Args:
        claimed: the name comes only from the document; the owner of the machine takes precedence.
        slug: for a new customer, instead of one made from the name.

    Raises:
        MissingInput: (`missing_input`) the name is missing.
        Ambiguous: (`ambiguous`) several customers match.
        InputRefused: (`customer_archived`) the customer is archived; (`input_refused`) it has
            another slug.
        InvalidTerms, InputRefused, Taken: as `new_customer`.
    """
    customer = owner_of_machine(db, document) if claimed or named is None else None
    if customer is None:
        if named is None:
            raise MissingInput(
                "no customer given, and no document names one",
                hint=Hint("add ", option("--customer", "NAME")),
            )
        customer = customers.find_known(db, _name(named))
        if customer is None:
            return new_customer(db, named, slug)
    check_not_archived(customer)
    if slug not in (None, customer.slug):
        raise InputRefused(
            f"{customer.name} already has the slug {customer.slug}, and slugs cannot be changed",
            hint="leave out --slug",
        )
    return customer


def check_not_archived(customer: Customer) -> Customer:
    """Return the customer; if it is archived, `customer_archived`."""
    if customer.archived_at is None:
        return customer
    raise InputRefused(
        f"{customer.name} was archived at {dates.instant(customer.archived_at)}; "
        "archived customers cannot be issued licenses",
        hint=Hint("unarchive it first: ", run("customer", "archive", customer.slug, "--undo")),
        code="customer_archived",
    )


def owner_of_machine(db: Reading, document: "ReceivedDocument | None") -> Customer | None:
    """Return the customer that has the document's machine at present, if exactly one has."""
    if document is None:
        return None
    known = machines.with_fingerprint(db, document.info.fingerprint)
    owners = {each.customer.slug: each.customer for each in known if each.until is None}
    return next(iter(owners.values())) if len(owners) == 1 else None


def new_customer(db: Reading, name: str, slug: str | None = None) -> NewCustomer:
    """Return a new customer with this name in NFC, and a free slug; nothing is written.

    Raises:
        InvalidTerms: (`invalid_terms`) the name is not a display name (FORMAT §1).
        InputRefused, Taken: as `customers.require_free_slug`, for an explicit slug.
    """
    name = _name(name)
    if slug is not None:
        customers.require_free_slug(db, slug)
    return NewCustomer(slug=slug or customers.free_slug(db, name), name=name)


def _name(text: str) -> str:
    try:
        return parse_name(text)
    except InvalidTerms as refused:
        raise InvalidTerms(
            f"invalid customer name: {refused.message}",
            hint=Hint("give another name with ", option("--customer", "NAME")),
        ) from None


def customer_finding(
    db: Reading, customer: Customer | NewCustomer, choice: MachineChoice | None, *, claimed: bool
) -> Finding | None:
    """Return `similar-customer` for a new customer, or `claimed-customer` for one in a document."""
    if isinstance(customer, NewCustomer):
        alike = customers.similar(db, customer.name)
        slug = alike[0].slug if alike else ""
        return similar_customer(
            f"{customer.name} would be a new customer, but",
            alike,
            hint=Hint("if it is the same customer: ", option("--customer", slug)),
        )
    if not claimed or choice is None or choice.known is not None:
        return None
    return Finding(
        code=FindingCode.CLAIMED_CUSTOMER,
        message=f"the name {customer.name} comes only from the document, which anyone can write, "
        "and that customer has no such machine",
        hint=Hint("if you know it is theirs: ", option("--customer", customer.slug)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RenewalRequest:
    """Options of `renew` or `reissue`.

    Attributes:
        license_ids: select current licenses by the beginnings of their IDs.
        machine, all_machines: select the license of this machine, or all, even if terms are given.
        document: replaces the machine's identity.
        key: a label or kid; by default the active key.
        typed: the operator typed the changes. Changes from a file are not the operator's decision,
            so every loss in them is a finding.
    """

    action: Action
    customer: str
    license_ids: tuple[str, ...] = ()
    machine: str | None = None
    all_machines: bool = False
    document: "ReceivedDocument | None" = None
    changes: Changes
    key: str | None = None
    typed: bool = True


def select_licenses(
    db: Reading, request: RenewalRequest, *, settings: Settings, now: datetime
) -> tuple[LicenseRecord, ...]:
    """Return the licenses that a request selects, by machine label.

    `renew` without terms selects every current license. With terms, and in `reissue`, it must be
    one, except with `all_machines`. Licenses that expired long ago must be named explicitly.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no current license matches, or several.
        InvalidTerms: (`invalid_terms`) the named license is not current.
        InputRefused: (`customer_archived`) the customer is archived.
    """
    customer = check_not_archived(customers.find(db, request.customer))
    if request.license_ids:
        named = (_by_id(db, customer, typed) for typed in request.license_ids)
        return tuple({record.id: record for record in named}.values())
    current = tuple(sorted(licenses.current(db, customer), key=lambda r: r.machine_label or ""))
    if request.machine is not None:
        machine = machines.by_label(db, customer, request.machine)
        of_machine = tuple(record for record in current if record.machine_id == machine.id)
        return _one_of(customer, of_machine, request, f"for machine {machine.label!a}")
    recent = tuple(each for each in current if not expiry.lapsed_beyond_limit(each, settings, now))
    if current and not recent:
        newest = expiry.last_to_end(current)
        raise NotFound(
            f"the licenses of {customer.name} expired over {settings.lapsed.days} days ago, "
            f"the last at {dates.instant(newest.expires_at)}",
            hint=Hint("to renew it: ", run("renew", customer.slug, "--license", newest.id[:8])),
        )
    every = request.all_machines or (
        request.action is Action.RENEW and not request.changes.named and request.document is None
    )
    if every and recent:
        return recent
    return _one_of(customer, recent, request, "")


def _by_id(db: Reading, customer: Customer, beginning: str) -> LicenseRecord:
    record = licenses.find(db, beginning)
    if record.customer_id != customer.id:
        raise NotFound(
            f"license {record.id[:8]} belongs to {record.customer_slug}, not to {customer.name}",
            hint=Hint(
                f"list those of {customer.name}: ",
                run("license", "list", "--customer", customer.slug),
            ),
        )
    if not record.is_current:
        raise InvalidTerms(
            f"license {record.id[:8]} is {record.status}; "
            "only current licenses can be renewed or reissued",
            hint=Hint("list them: ", run("license", "list", "--customer", customer.slug)),
        )
    return record


def _one_of(
    customer: Customer, records: Sequence[LicenseRecord], request: RenewalRequest, scope: str
) -> tuple[LicenseRecord, ...]:
    if not records:
        raise NotFound(
            f"{customer.name} has no current license {scope}".rstrip(),
            hint=Hint("sign a first one: ", run("sign", "--customer", customer.slug)),
        )
    if len(records) > 1:
        labels = Counter(record.machine_label for record in records)
        candidates = "; ".join(
            _candidate(record, by_label=labels[record.machine_label] == 1) for record in records
        )
        raise Ambiguous(
            f"{customer.name} has {len(records)} current licenses {scope}".rstrip(),
            hint=f"select one: {candidates}{_or_all(records, request)}",
        )
    return tuple(records)


def _or_all(records: Sequence[LicenseRecord], request: RenewalRequest) -> str:
    if request.machine or request.document:
        return ""
    bound = any(record.tier == Tier.STANDARD for record in records)
    what = "one for all of them" if bound and request.changes.makes_enterprise else "each of them"
    return f"; or {what}: --all-machines"


def _candidate(record: LicenseRecord, *, by_label: bool) -> str:
    """Return the option that selects a license: by its machine, if only this one is for it."""
    day = dates.last_full_day(record.expires_at)
    label = f"machine {record.machine_label}" if record.machine_label else record.tier
    option = (
        f"--machine {for_shell(record.machine_label)}"
        if record.machine_label and by_label
        else f"--license {record.id[:8]}"
    )
    return f"{option} ({label}, until {day})"
