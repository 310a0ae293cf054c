"""Which of a customer's current licenses `renew` and `reissue` mean."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from polygent_issuer.errors import Ambiguous, InvalidTerms, NotFound
from polygent_issuer.hints import Hint, run
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import customer_resolution, expiry
from polygent_issuer.issuing.proposal import Action
from polygent_issuer.issuing.renewal import RenewalRequest
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers, licenses, machines
from polygent_issuer.terms import dates
from polygent_issuer.text import for_shell
from polygent_issuer.verifier import Tier


def choose(
    db: Reading, request: RenewalRequest, *, settings: Settings, now: datetime
) -> tuple[LicenseRecord, ...]:
    """The licenses that a request means, by machine label.

    `renew` without terms means every current license; terms, and `reissue`, mean one, unless
    `all_machines` says otherwise. What lapsed long ago counts only when named.

    Raises:
        NotFound: (`not_found`) nothing current matches.
        Ambiguous: (`ambiguous`) several match where one is needed; the hint names them.
        InvalidTerms: (`invalid_terms`) the named license is not current.
        CustomerArchived: (`customer_archived`) the customer is none any more.
    """
    customer = customer_resolution.check_not_archived(customers.find(db, request.customer))
    if request.license_ids:
        named = (_by_id(db, customer, typed) for typed in request.license_ids)
        return tuple({record.id: record for record in named}.values())
    found = tuple(sorted(licenses.current(db, customer), key=lambda r: r.machine_label or ""))
    if request.machine is not None:
        machine = machines.by_label(db, customer, request.machine)
        found = tuple(record for record in found if record.machine_id == machine.id)
        return _one_of(customer, found, request, f"for machine {machine.label!a}")
    found = _not_long_lapsed(customer, found, settings, now)
    every = request.all_machines or (
        request.action is Action.RENEW
        and not request.changes.touches_terms
        and request.document is None
    )
    if every and found:
        return found
    return _one_of(customer, found, request, "")


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


def _not_long_lapsed(
    customer: Customer, found: Sequence[LicenseRecord], settings: Settings, now: datetime
) -> tuple[LicenseRecord, ...]:
    near = tuple(
        record for record in found if not expiry.lapsed_beyond_limit(record, settings, now)
    )
    if found and not near:
        newest = max(found, key=lambda record: record.expires_at)
        raise NotFound(
            f"what {customer.name} had lapsed over {settings.lapsed.days} days ago, "
            f"last at {dates.instant(newest.expires_at)}",
            hint=Hint("to mean it: ", run("renew", customer.slug, "--license", newest.id[:8])),
        )
    return near


def _one_of(
    customer: Customer, found: Sequence[LicenseRecord], request: RenewalRequest, scope: str
) -> tuple[LicenseRecord, ...]:
    if not found:
        raise NotFound(
            f"{customer.name} has no current license {scope}".rstrip(),
            hint=Hint("for a first one: ", run("sign", "--customer", customer.slug)),
        )
    if len(found) > 1:
        labels = Counter(record.machine_label for record in found)
        candidates = "; ".join(
            _candidate(record, by_label=labels[record.machine_label] == 1) for record in found
        )
        raise Ambiguous(
            f"{customer.name} has {len(found)} current licenses {scope}".rstrip(),
            hint=f"name one: {candidates}{_or_all(found, request)}",
        )
    return tuple(found)


def _or_all(found: Sequence[LicenseRecord], request: RenewalRequest) -> str:
    if request.machine or request.document:
        return ""
    bound = any(record.tier == Tier.STANDARD for record in found)
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
