"""`polygent-issue license retire`: no longer current, and not to be renewed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.commands.license.show import LicenseId
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.customer import zone_of
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result, note
from polygent_issuer.errors import InputRefused
from polygent_issuer.hints import run
from polygent_issuer.registry import (
    Customer,
    LicenseRecord,
    Reading,
    Writing,
    change,
    customers,
    licenses,
)
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class RetiredLicense(Result):
    """A license that is no longer current."""

    record: LicenseRecord
    customer: Customer

    def to_json(self) -> Mapping[str, Any]:
        """`id`, the reason, and until when the file works all the same."""
        return {
            "id": self.record.id,
            "customer": self.record.customer_slug,
            "status": str(self.record.status),
            "reason": self.record.retired_reason,
            "works_until": dates.instant(self.record.expires_at),
        }

    def blocks(self) -> Iterable[Block]:
        """What was retired, and what that does not do."""
        yield Line(f"retired license {self.record.id}", "good")
        yield Fields(
            (
                ("customer", f"{self.customer.name} ({self.customer.slug})"),
                ("machine", self.record.machine_label),
                ("reason", self.record.retired_reason),
            )
        )
        yield Line(_still_works(self.record, self.customer), "warn")


def retire(
    invocation: Invocation,
    license_id: LicenseId,
    *,
    consents: consent.ConsentOptions,
    yes: consent.Yes = False,
) -> RetiredLicense:
    """Mark a license as no longer current: it is not renewed, and expiring leaves it out.

    There is no revocation: where the file is installed it keeps working until it expires.
    """
    typed = consent.given(consents)
    decided = invocation.decide(lambda db: _current(db, license_id))
    record, customer = decided.decision
    agreed = consent.obtain(invocation, decided.behind, typed)
    reason = consent.required_reason(invocation, agreed.reason, "a license is retired")
    if invocation.interactive and not yes:
        note("note", _still_works(record, customer))
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
    return RetiredLicense(record=retired, customer=customer)


def _still_works(record: LicenseRecord, customer: Customer) -> str:
    until = dates.describe_expiry(record.expires_at, zone_of(customer))
    return (
        f"the old file keeps working until {until}, where it is installed; there is no revocation"
    )


def _current(db: Reading, license_id: str) -> tuple[LicenseRecord, Customer]:
    record = licenses.find(db, license_id)
    if record.is_current:
        return record, customers.get(db, record.customer_slug)
    by = f" by {record.replaced_by}" if record.replaced_by else ""
    raise InputRefused(
        f"license {record.id} is {record.status}{by} already",
        hint=run("license", "show", record.id[:8]),
    )
