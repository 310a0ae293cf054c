"""The report: what runs now, what changed in a period, and which customers each key has signed for.

The terms come from the stored license files, whose rows are compared with the journal. The changes
come from the journal. Nothing is verified with a key: `journal verify` does that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from polygent_issuer.registry import (
    Customer,
    KeyRecord,
    LicenseRecord,
    Reading,
    customers,
    holds,
    journal,
    keys,
    licenses,
)
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.terms import dates
from polygent_issuer.text import run
from polygent_issuer.verifier import License, jws
from polygent_issuer.verifier.errors import LicenseError

MONTHS: Final = 16
"""The number of months with a total of their own; later expiries are counted together.

A license for a year, renewed up to 90 days before its expiry, expires within them.
"""

ACTIONS: Final = {
    "license-signed": "issued",
    "license-renewed": "renewed",
    "license-reissued": "reissued",
    "license-retired": "retired",
}
"""The journal's events that change which licenses run, each with its name in a report."""

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedLicense:
    """A license with its customer and the terms in its file; a current one may have expired."""

    record: LicenseRecord
    terms: License
    customer: Customer
    expired: bool
    on_hold: bool

    @classmethod
    def of(cls, record: LicenseRecord, customer: Customer, now: datetime) -> Self:
        """Read the terms of a license; `registry_damaged` if the stored file has none."""
        return cls(
            record=record,
            terms=_terms(record),
            customer=customer,
            expired=record.expires_at <= now,
            on_hold=holds.on_hold(customer, now),
        )

    @property
    def place(self) -> str:
        """The machine or the domain that the license is bound to, else `any`."""
        domain = self.terms.allowed_domain
        return self.record.machine_label or ("any" if domain is None else str(domain))

    @property
    def hosts(self) -> str:
        """The session hosts and the deploy hosts: `2+1`."""
        return f"{self.terms.limits.session_hosts}+{self.terms.limits.deploy_hosts}"

    @property
    def last_day(self) -> str:
        """The last full day, and whether that is over."""
        day = dates.last_full_day(self.record.expires_at).isoformat()
        return f"{day}, expired" if self.expired else day

    @property
    def hold(self) -> str:
        """The last day of the hold, in the customer's time zone, and its reason, or nothing."""
        if not self.on_hold:
            return ""
        last_day, reason = holds.hold_end(self.customer), self.customer.held_reason
        end = f"until {last_day}" if last_day else "on hold"
        return f"{end}: {reason}" if reason else end


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """Totals of the licenses that run and have something in common, which is their `name`."""

    name: str
    licenses: int
    customers: int
    users: int
    session_hosts: int
    deploy_hosts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseChange:
    """A journal row about a license.

    Attributes:
        action: issued, renewed, reissued or retired.
        users_before: of the licenses that it replaced, or of the retired one; 0 for the first.
        users: of the license; 0 if it was retired.

    None where the registry lacks the license.
    """

    row: JournalRow
    action: str
    users_before: int | None
    users: int | None

    @property
    def users_text(self) -> str:
        """The users before and after: `25→30`; a question mark if they are not known."""
        numbers = (self.users_before, self.users)
        return "→".join("?" if number is None else f"{number:,}" for number in numbers)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyReach:
    """A key, the number of licenses that run and that it signed, and the slugs of customers."""

    key: KeyRecord
    licenses: int
    customers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseReport:
    """A report at the instant `now`; changes from `since` on and before `until`.

    Attributes:
        licenses: the current ones, by customer; expired ones only if the customer is not archived.
        total: of those that run, as in `by_plan`, `by_tier`, `months` and `later`.
        months: this month and the fifteen after it (UTC), by the last second that is covered.
        later: the expiries after these months.
    """

    now: datetime
    since: datetime
    until: datetime
    licenses: tuple[ReportedLicense, ...]
    total: Total
    by_plan: tuple[Total, ...]
    by_tier: tuple[Total, ...]
    months: tuple[Total, ...]
    later: Total
    changes: tuple[LicenseChange, ...]
    keys: tuple[KeyReach, ...]


def license_report(
    db: Reading, *, now: datetime, since: datetime, until: datetime | None = None
) -> LicenseReport:
    """Make the report from a snapshot; without `until` all changes up to now count.

    Raises:
        RegistryDamaged: (`registry_damaged`) a row is not as the journal recorded it, or a stored
            file cannot be read.
    """
    owners = {each.id: each for each in customers.every(db, archived=True)}
    reported = [
        ReportedLicense.of(record, owners[record.customer_id], now)
        for record in licenses.read_each(db, tuple(licenses.current_ids(db)))
    ]
    reported.sort(key=lambda each: (each.customer.slug, each.record.expires_at, each.record.id))
    running = [each for each in reported if not each.expired]
    rows = tuple(journal.rows(db, since=since, until=until, events=tuple(ACTIONS)))
    months = _months(running, now)
    return LicenseReport(
        now=now,
        since=since,
        until=until or now,
        licenses=tuple(
            each for each in reported if not each.expired or each.customer.archived_at is None
        ),
        total=_total("total", running),
        by_plan=_grouped(running, lambda each: each.record.plan or "none"),
        by_tier=_grouped(running, lambda each: each.record.tier),
        months=months[:-1],
        later=months[-1],
        changes=tuple(_changes(rows, _users(db, rows, reported))),
        keys=tuple(_keys(db, running)),
    )


def _terms(record: LicenseRecord) -> License:
    try:
        return License.from_payload(jws.parse(record.file).payload)
    except LicenseError:
        raise RegistryDamaged(
            f"the stored file of license {record.id} cannot be read", hint=run("journal", "verify")
        ) from None


def _total(name: str, several: Sequence[ReportedLicense]) -> Total:
    limits = [each.terms.limits for each in several]
    return Total(
        name=name,
        licenses=len(several),
        customers=len({each.customer.id for each in several}),
        users=sum(each.users for each in limits),
        session_hosts=sum(each.session_hosts for each in limits),
        deploy_hosts=sum(each.deploy_hosts for each in limits),
    )


def _grouped(
    running: Iterable[ReportedLicense], name_of: Callable[[ReportedLicense], str]
) -> tuple[Total, ...]:
    """Return a total for each name, the one with the most users first."""
    groups: dict[str, list[ReportedLicense]] = {}
    for each in running:
        groups.setdefault(name_of(each), []).append(each)
    totals = [_total(name, group) for name, group in groups.items()]
    return tuple(sorted(totals, key=lambda total: (-total.users, total.name)))


def _months(running: Iterable[ReportedLicense], now: datetime) -> tuple[Total, ...]:
    """Return a total for each of the months, and one for all later expiries."""
    groups: dict[str, list[ReportedLicense]] = {each: [] for each in (*_labels(now), "later")}
    for each in running:
        last = each.record.expires_at - _SECOND
        groups.get(f"{last:%Y-%m}", groups["later"]).append(each)
    return tuple(_total(name, group) for name, group in groups.items())


def _labels(now: datetime) -> Iterator[str]:
    for number in range(MONTHS):
        years, month = divmod(now.month - 1 + number, 12)
        yield f"{datetime(now.year + years, month + 1, 1, tzinfo=UTC):%Y-%m}"


def _users(
    db: Reading, rows: Iterable[JournalRow], reported: Iterable[ReportedLicense]
) -> Mapping[str, int]:
    """Return the users of each license that the rows are about or that it replaced, by id."""
    known = {each.record.id: each.terms.limits.users for each in reported}
    needed = dict.fromkeys(
        license_id
        for row in rows
        for license_id in (row.license, *_replaced(row))
        if license_id is not None and license_id not in known
    )
    for record in licenses.read_each(db, needed):
        known[record.id] = _terms(record).limits.users
    return known


def _replaced(row: JournalRow) -> tuple[str, ...]:
    """Return the ids that a journal row replaced; the row has one as text, several as a list."""
    ids = row.details.get("replaces") or ()
    return (ids,) if isinstance(ids, str) else tuple(map(str, ids))


def _changes(rows: Iterable[JournalRow], users: Mapping[str, int]) -> Iterator[LicenseChange]:
    for row in rows:
        action, own = ACTIONS[row.event], users.get(row.license or "")
        before = [users.get(each) for each in _replaced(row)]
        if action == "retired":
            before, own = [own], 0
        known = [number for number in before if number is not None]
        yield LicenseChange(
            row=row,
            action=action,
            users_before=sum(known) if len(known) == len(before) else None,
            users=own,
        )


def _keys(db: Reading, running: Iterable[ReportedLicense]) -> Iterator[KeyReach]:
    slugs: dict[str, list[str]] = {}
    for each in running:
        slugs.setdefault(each.record.kid, []).append(each.customer.slug)
    for key in keys.every(db):
        signed = slugs.get(key.kid, [])
        yield KeyReach(key=key, licenses=len(signed), customers=tuple(dict.fromkeys(signed)))
