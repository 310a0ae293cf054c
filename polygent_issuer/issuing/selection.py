"""Whom and which licenses a command means: the customer of a first license, licenses to follow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer.errors import Ambiguous, InputRefused, InvalidTerms, MissingInput, NotFound
from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.issuing.proposal import (
    Action,
    MachineChoice,
    NewCustomer,
    similar_customer,
)
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses, machines
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import Changes, parse_name
from polygent_issuer.text import for_shell
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
    """The customer: named, or known by the machine, or else new.

    Args:
        claimed: only the document's sender gave the name; who has the machine counts more.
        slug: of a new customer, instead of one made from the name.

    Raises:
        MissingInput: (`missing_input`) when nothing names one.
        Ambiguous: (`ambiguous`) when several customers match.
        InputRefused: (`customer_archived`, `input_refused`) who was archived, or has another slug.
        InvalidTerms, InputRefused, Taken: as `new_customer`.
    """
    customer = owner_of_machine(db, document) if claimed or named is None else None
    if customer is None:
        if named is None:
            raise MissingInput(
                "the customer is not given, and no document names one",
                hint=Hint("add ", option("--customer", "NAME")),
            )
        try:
            customer = customers.find(db, _name(named))
        except NotFound:
            return new_customer(db, named, slug)
    check_not_archived(customer)
    if slug not in (None, customer.slug):
        raise InputRefused(
            f"{customer.name} is a customer already and has the slug {customer.slug}, "
            "which never changes",
            hint="leave out --slug",
        )
    return customer


def check_not_archived(customer: Customer) -> Customer:
    """The customer, who may be issued licenses; one who was archived is `customer_archived`."""
    if customer.archived_at is None:
        return customer
    raise InputRefused(
        f"{customer.name} was archived at {dates.instant(customer.archived_at)}, "
        "and nothing is issued to who is archived",
        hint=run("customer", "archive", customer.slug, "--undo"),
        code="customer_archived",
    )


def owner_of_machine(db: Reading, document: "ReceivedDocument | None") -> Customer | None:
    """The one customer who has the document's machine today, if it is one."""
    if document is None:
        return None
    known = machines.with_fingerprint(db, document.info.fingerprint)
    owners = {each.customer.slug: each.customer for each in known if each.until is None}
    return next(iter(owners.values())) if len(owners) == 1 else None


def new_customer(db: Reading, name: str, slug: str | None = None) -> NewCustomer:
    """A customer of this name, not yet in the registry; NFC, with a free slug.

    Raises:
        InvalidTerms: (`invalid_terms`) when it is no display name (FORMAT §1).
        InputRefused, Taken: as `customers.require_free_slug`, for a slug that was given.
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
            f"this cannot be a customer's name: {refused.message}",
            hint=Hint("name another with ", option("--customer", "NAME")),
        ) from None


def customer_finding(
    db: Reading, customer: Customer | NewCustomer, choice: MachineChoice | None, *, claimed: bool
) -> Finding | None:
    """`similar-customer` for a new one; `claimed-customer` if only a document's sender names it."""
    if isinstance(customer, NewCustomer):
        alike = customers.similar(db, customer.name)
        slug = alike[0].slug if alike else ""
        return similar_customer(
            f"{customer.name} would be a new customer, but",
            alike,
            hint=Hint("if it is the same: ", option("--customer", slug)),
        )
    if not claimed or choice is None or choice.known is not None:
        return None
    return Finding(
        code=FindingCode.CLAIMED_CUSTOMER,
        message=f"only the document says that it is of {customer.name}, "
        "who is known without this machine; its sender wrote that",
        hint=Hint(option("--customer", customer.slug), " if you know it"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RenewalRequest:
    """What `renew` or `reissue` was asked for.

    Attributes:
        license_ids: name some of several current licenses, by the beginnings of their IDs.
        machine, all_machines: mean the one of this machine, or each, though terms are given.
        document: replaces the machine's identity.
        key: a label or kid; the active key when not given.
        typed: the operator typed the changes. What stands in a file is no decision of hers, so
            that whatever it takes away is a finding.
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
    """The licenses that a request means, by machine label.

    `renew` without terms means every current license; terms, and `reissue`, mean one, unless
    `all_machines` says otherwise. What lapsed long ago counts only when named.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) nothing current matches, or several.
        InvalidTerms: (`invalid_terms`) the named license is not current.
        InputRefused: (`customer_archived`) the customer is none any more.
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
            f"what {customer.name} had lapsed over {settings.lapsed.days} days ago, "
            f"last at {dates.instant(newest.expires_at)}",
            hint=Hint("to mean it: ", run("renew", customer.slug, "--license", newest.id[:8])),
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
            f"license {record.id[:8]} is not {customer.name}'s but {record.customer_slug}'s",
            hint=run("license", "list", "--customer", customer.slug),
        )
    if not record.is_current:
        raise InvalidTerms(
            f"license {record.id[:8]} is {record.status}, and only a current one has a next",
            hint=run("license", "list", "--customer", customer.slug),
        )
    return record


def _one_of(
    customer: Customer, records: Sequence[LicenseRecord], request: RenewalRequest, scope: str
) -> tuple[LicenseRecord, ...]:
    if not records:
        raise NotFound(
            f"{customer.name} has no current license {scope}".rstrip(),
            hint=Hint("for a first one: ", run("sign", "--customer", customer.slug)),
        )
    if len(records) > 1:
        labels = Counter(record.machine_label for record in records)
        candidates = "; ".join(
            _candidate(record, by_label=labels[record.machine_label] == 1) for record in records
        )
        raise Ambiguous(
            f"{customer.name} has {len(records)} current licenses {scope}".rstrip(),
            hint=f"name one: {candidates}{_or_all(records, request)}",
        )
    return tuple(records)


def _or_all(records: Sequence[LicenseRecord], request: RenewalRequest) -> str:
    if request.machine or request.document:
        return ""
    bound = any(record.tier == Tier.STANDARD for record in records)
    what = "one for all of them" if bound and request.changes.makes_enterprise else "each of them"
    return f"; or {what}: --all-machines"


def _candidate(record: LicenseRecord, *, by_label: bool) -> str:
    """The option that names it: by its machine, unless another license is for that one, too."""
    day = dates.last_full_day(record.expires_at)
    label = f"machine {record.machine_label}" if record.machine_label else record.tier
    option = (
        f"--machine {for_shell(record.machine_label)}"
        if record.machine_label and by_label
        else f"--license {record.id[:8]}"
    )
    return f"{option} ({label}, until {day})"
