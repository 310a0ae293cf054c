"""Records of the registry as text and JSON: customers, licenses and journal rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.output.blocks import Block, Line, Style, Table, cut
from polygent_issuer.cli.output.result import hint_json
from polygent_issuer.registry.holds import hold_end, on_hold
from polygent_issuer.registry.journal import JournalRow
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, run

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from polygent_issuer.delivery.report import ReportedLicense
    from polygent_issuer.issuing.customer_changes import OutdatedLicense
    from polygent_issuer.registry import Customer, LicenseRecord
    from polygent_issuer.verifier import License

LICENSE_COLUMNS: Final = (
    *("id", "customer", "machine", "tier", "status", "expired"),
    *("issued_at", "expires_at", "last_full_day", "kid", "replaced_by", "sent_at"),
    *("order_id", "note", "on_hold"),
)
"""The members of a license, as the columns of its CSV."""
DETAILS: Final = (
    *("name", "plan", "users", "session_hosts", "deploy_hosts", "allowed_domain"),
    *("held_until", "held_reason"),
)
"""The members of `details_json`."""
JOURNAL_COLUMNS: Final = (
    *("seq", "at", "event", "operator", "os_user", "uid", "host", "customer", "license", "kid"),
    *("accepted", "reason", "details", "previous", "hash", "server_user"),
)
"""The members of a row, as the columns of its CSV."""
ORDER: Final = 24
"""The number of columns of an order id in a table; `show` and `--json` have all of it."""


def customer_json(customer: "Customer") -> dict[str, Any]:
    """Return a customer as JSON."""
    return {
        "slug": customer.slug,
        "name": customer.name,
        "contacts": list(customer.contacts),
        "time_zone": customer.time_zone,
        "crm": customer.crm,
        "aliases": list(customer.aliases),
        "created_at": dates.instant(customer.created_at),
        "archived_at": dates.optional_instant(customer.archived_at),
        "notes": customer.notes,
        "held_at": dates.optional_instant(customer.held_at),
        "held_until": dates.optional_instant(customer.held_until),
        "held_reason": customer.held_reason,
    }


def customer_rows(
    customer: "Customer", now: "datetime | None" = None
) -> Iterable[tuple[str, str | None]]:
    """Yield the fields of a customer for people, and its hold unless `now` is after its end."""
    yield "name", customer.name
    yield "slug", customer.slug
    yield "aliases", ", ".join(customer.aliases) or None
    yield "contacts", ", ".join(customer.contacts) or None
    yield "time zone", customer.time_zone
    yield "CRM", customer.crm
    yield "notes", customer.notes
    yield "since", dates.instant(customer.created_at)
    yield "archived", dates.optional_instant(customer.archived_at)
    if customer.held_at is not None and (now is None or on_hold(customer, now)):
        yield "on hold", hold_text(customer)


def hold_text(customer: "Customer") -> str:
    """Return beginning, end and reason of a hold."""
    end = hold_end(customer)
    since = dates.optional_instant(customer.held_at)
    return f"since {since}{end and f', until {end}'}: {customer.held_reason}"


def hold_line(customer: "Customer") -> Line:
    """Return a hold and the command that ends it as one line, for lists of licenses."""
    end, slug = hold_end(customer), customer.slug
    state = f"{slug} is on hold{end and f' until {end}'}: {customer.held_reason}"
    release = run("customer", "hold", slug, "--release")
    return Line(Hint(f"{state}; to release it: ", release), "warn")


def zone_of(customer: "Customer") -> "ZoneInfo | None":
    """Return the customer's time zone, or None if it is not set or not known on this machine."""
    return dates.known_zone(customer.time_zone)


def outdated_json(license_: "OutdatedLicense") -> dict[str, Any]:
    """Return a license as JSON; `mend` is the command that reissues it."""
    return {
        "id": license_.license_id,
        "name": license_.name,
        "slug": license_.sub,
        "machine": license_.machine,
        "expires_at": dates.instant(license_.expires_at),
        **hint_json(license_.command, "mend"),
    }


def outdated_lines(licenses: "Sequence[OutdatedLicense]", what: str) -> Iterable[Block]:
    """Yield each license that still contains `what` (`the old name`), and below it the command."""
    if not licenses:
        return
    yield Line(f"these license files still contain {what}, and stay valid:", "warn")
    for each in licenses:
        until = dates.describe_expiry(each.expires_at)
        yield Line(f"{each.name}, {each.machine or 'any machine'}, until {until}", indent=1)
        yield Line(each.command, indent=2)


def license_json(record: "LicenseRecord", now: datetime) -> dict[str, Any]:
    """Return a license as JSON; a current one may have expired at `now`."""
    return {
        "id": record.id,
        "customer": record.customer_slug,
        "machine": record.machine_label,
        "tier": record.tier,
        "status": str(record.status),
        "expired": record.expires_at <= now,
        "issued_at": dates.instant(record.issued_at),
        "expires_at": dates.instant(record.expires_at),
        "last_full_day": dates.last_full_day(record.expires_at).isoformat(),
        "kid": record.kid,
        "replaced_by": record.replaced_by,
        "sent_at": dates.optional_instant(record.sent_at),
        "order_id": record.order_id,
        "note": record.note,
        "on_hold": on_hold(record, now),
    }


def details_json(license_: "ReportedLicense") -> dict[str, Any]:
    """Return the terms, the customer's name and its hold, which `license_json` does not have."""
    record, limits, customer = license_.record, license_.terms.limits, license_.customer
    domain = license_.terms.allowed_domain
    return {
        "name": customer.name,
        "plan": record.plan,
        "users": limits.users,
        "session_hosts": limits.session_hosts,
        "deploy_hosts": limits.deploy_hosts,
        "allowed_domain": None if domain is None else str(domain),
        "held_until": dates.optional_instant(customer.held_until) if license_.on_hold else None,
        "held_reason": customer.held_reason if license_.on_hold else None,
    }


def license_table(records: "Sequence[LicenseRecord]", now: datetime) -> Table:
    """Return licenses as a table. Those that are not current are dim, expired ones are red."""
    headers = ("license", "customer", "machine", "tier", "status", "sent", "last full day")
    rows = tuple(_license_cells(record, now) for record in records)
    styles = tuple(_license_style(record, now) for record in records)
    if any(record.order_id for record in records):
        with_order = zip(rows, records, strict=True)
        rows = tuple((*row, cut(record.order_id or "", ORDER)) for row, record in with_order)
        return Table((*headers, "order"), rows, styles)
    return Table(headers, rows, styles)


def _license_cells(record: "LicenseRecord", now: datetime) -> tuple[str, ...]:
    state = str(record.status)
    if record.is_current:
        state += ", expired" if record.expires_at <= now else ""
        state += ", on hold" if on_hold(record, now) else ""
    return (
        record.id[:8],
        record.customer_slug,
        record.machine_label or "any",
        record.tier,
        state,
        "" if record.sent_at is None else record.sent_at.date().isoformat(),
        dates.last_full_day(record.expires_at).isoformat(),
    )


def _license_style(record: "LicenseRecord", now: datetime) -> Style:
    if not record.is_current:
        return "dim"
    return "bad" if record.expires_at <= now else "plain"


def claim_rows(
    license_: "License", zone: "ZoneInfo | None" = None
) -> Iterable[tuple[str, str | None]]:
    """Yield every claim of a license; its expiry also in `zone`, the customer's."""
    yield "license", license_.jti
    yield "customer", f"{license_.customer} ({license_.sub})"
    yield "issuer", license_.iss
    yield "tier", str(license_.tier)
    yield "fingerprint", license_.machine_fingerprint
    yield "allowed domain", str(license_.allowed_domain) if license_.allowed_domain else None
    yield "features", ", ".join(license_.features) or "none"
    yield "users", str(license_.limits.users)
    yield "session hosts", str(license_.limits.session_hosts)
    yield "deploy hosts", str(license_.limits.deploy_hosts)
    yield "issued", dates.instant(license_.issued_at)
    yield "expires", dates.describe_expiry(license_.expires_at, zone)
    yield "replaces", ", ".join(license_.replaces) or None


def list_command(label: str) -> Hint:
    """Return the command that lists the current licenses signed with a key."""
    return run("license", "list", "--status", "current", f"--key={label}")


def reissue_all_command(label: str) -> Hint:
    """Return the command that reissues every current license signed with a key."""
    named = [f"--signed-with={label}"] if label.startswith("-") else ["--signed-with", label]
    return run("reissue", *named)


def reissue_command(record: "LicenseRecord", now: datetime) -> Hint:
    """Return the command that reissues a current license, or renews it if it has expired."""
    verb = "reissue" if record.expires_at > now else "renew"
    return run(verb, record.customer_slug, "--license", record.id[:8])


def journal_json(row: JournalRow) -> dict[str, Any]:
    """Return a row as JSON, with its place in the chain."""
    return {
        "seq": row.seq,
        "at": dates.instant(row.at),
        "event": row.event,
        "operator": row.operator,
        "os_user": row.body.get("os_user"),
        "uid": row.body.get("uid"),
        "host": row.body.get("host"),
        "customer": row.customer,
        "license": row.license,
        "kid": row.kid,
        "accepted": list(row.accepted),
        "reason": row.reason,
        "details": dict(row.details),
        "previous": row.previous,
        "hash": row.hash,
        "server_user": row.server_user,
    }


def journal_table(rows: Iterable[JournalRow]) -> Table:
    """Return the rows as a table, oldest first."""
    headers = ("#", "at", "event", "customer", "license", "by", "why")
    return Table(headers, tuple(map(_journal_cells, rows)))


def _journal_cells(row: JournalRow) -> tuple[str, ...]:
    accepted = f"accepted {', '.join(row.accepted)}" if row.accepted else None
    user = None if row.server_user == row.body.get("os_user") else row.server_user
    return (
        str(row.seq),
        dates.instant(row.at),
        row.event,
        row.customer or "",
        (row.license or "")[:8],
        f"{row.operator} ({user})" if user else row.operator,
        ": ".join(part for part in (accepted, row.reason) if part),
    )
