"""`polygent-issue license retire`: retire a license so that it is not renewed."""

from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import LicenseId
from polygent_issuer.cli.output.model import Fields, Line
from polygent_issuer.cli.output.records import zone_of
from polygent_issuer.cli.output.result import Report, note
from polygent_issuer.errors import InputRefused
from polygent_issuer.hints import run
from polygent_issuer.registry import Reading, Writing, change, customers, licenses
from polygent_issuer.registry.records import Customer, LicenseRecord
from polygent_issuer.terms import dates


def retire(
    invocation: Invocation,
    license_id: LicenseId,
    *,
    consents: consent.ConsentOptions,
    yes: consent.Yes = False,
) -> Report:
    """Retire a license so that it is not renewed.

    A retired license is no longer current, and expiring leaves it out. The installed file stays
    valid until it expires; licenses cannot be revoked.
    """
    typed = consent.parse_consent(consents)
    decided = invocation.decide(lambda db: _current(db, license_id))
    record, customer = decided.decision
    agreed = consent.obtain(invocation, decided.behind, typed)
    reason = consent.required_reason(invocation, agreed.reason, "retire a license")
    if invocation.interactive and not yes:
        note("note", _validity(record, customer))
        prompts.require_yes(f"retire license {record.id[:8]} of {customer.name}?")

    def write(db: Writing) -> LicenseRecord:
        retired = licenses.retire(db, record.id, reason)
        db.record(
            "license-retired",
            customer=retired.customer_slug,
            license=retired.id,
            kid=retired.kid,
            accepted=agreed.used(decided.behind),
            reason=reason,
            details={"expires_at": dates.instant(retired.expires_at)},
        )
        return retired

    retired = change.carry_out(decided, write, undone="nothing was retired")
    members = {
        "id": retired.id,
        "customer": retired.customer_slug,
        "status": str(retired.status),
        "reason": retired.retired_reason,
        "works_until": dates.instant(retired.expires_at),
    }
    fields = Fields(
        (
            ("customer", f"{customer.name} ({customer.slug})"),
            ("machine", retired.machine_label),
            ("reason", retired.retired_reason),
        )
    )
    done = Line(f"retired license {retired.id}", "good")
    return Report(members, [done, fields, Line(_validity(retired, customer), "warn")])


def _validity(record: LicenseRecord, customer: Customer) -> str:
    until = dates.describe_expiry(record.expires_at, zone_of(customer))
    return f"the installed file stays valid until {until}; licenses cannot be revoked"


def _current(db: Reading, license_id: str) -> tuple[LicenseRecord, Customer]:
    record = licenses.find(db, license_id)
    if record.is_current:
        return record, customers.get(db, record.customer_slug)
    by = f" by {record.replaced_by}" if record.replaced_by else ""
    raise InputRefused(
        f"license {record.id} is already {record.status}{by}",
        hint=run("license", "show", record.id[:8]),
    )
