"""Licenses of the registry as rows, JSON and claims, and warnings before one is sent."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.output.layout import cut
from polygent_issuer.cli.output.model import Style, Table
from polygent_issuer.hints import Hint, run
from polygent_issuer.registry.holds import on_hold
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from polygent_issuer.registry import KeyRecord, LicenseRecord
    from polygent_issuer.verifier import License

COLUMNS: Final = (
    *("id", "customer", "machine", "tier", "status", "expired"),
    *("issued_at", "expires_at", "last_full_day", "kid", "replaced_by", "sent_at"),
    *("order_id", "note", "on_hold"),
)
"""The members of a license, as the columns of its CSV."""


ORDER: Final = 24
"""The number of columns of an order id in a table; `show` and `--json` have all of it."""


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


def license_table(records: "Sequence[LicenseRecord]", now: datetime) -> Table:
    """Return licenses as a table. Those that are not current are dim, expired ones are red."""
    headers = ("license", "customer", "machine", "tier", "status", "sent", "last full day")
    rows = tuple(_row(record, now) for record in records)
    if any(record.order_id for record in records):
        with_order = zip(rows, records, strict=True)
        rows = tuple((*row, cut(record.order_id or "", ORDER)) for row, record in with_order)
        return Table((*headers, "order"), rows, tuple(_style(record, now) for record in records))
    return Table(headers, rows, tuple(_style(record, now) for record in records))


def _row(record: "LicenseRecord", now: datetime) -> tuple[str, ...]:
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


def _style(record: "LicenseRecord", now: datetime) -> Style:
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


def send_warnings(
    record: "LicenseRecord", key: "KeyRecord", *, upload_before: datetime, now: datetime
) -> Iterable[str]:
    """Yield the reason not to send a file now, with the command that issues a new one, if any.

    `key` signed it, and a server accepts it until `upload_before`.
    """
    this, again = f"license {record.id[:8]}", f"for a new license: {reissue_command(record, now)}"
    if not record.is_current:
        by = f" by {record.replaced_by[:8]}" if record.replaced_by else ""
        yield f"{this} was {record.status}{by}: do not send it"
    elif key.compromised:
        yield (
            f"{this} was signed with {escape(key.label)}, which is compromised: servers must "
            f"refuse it; {again}"
        )
    elif record.expires_at <= now:
        yield f"{this} expired at {dates.instant(record.expires_at)}; {again}"
    elif now > upload_before:
        until = dates.instant(upload_before)
        yield f"the upload deadline of {this} was {until}; {again}"
