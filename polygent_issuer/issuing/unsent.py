"""Licenses that have to be sent now, because a server will soon refuse their files."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from polygent_issuer.home.settings import Settings
from polygent_issuer.registry import LicenseRecord, LicenseStatus, Reading, licenses
from polygent_issuer.terms import dates

NEAR: Final = timedelta(days=2)
"""How long before its upload deadline a license has to be sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnsentLicense:
    """A license that is not marked as sent; a server accepts its file until `upload_before`."""

    record: LicenseRecord
    upload_before: datetime
    is_late: bool


def unsent(db: Reading, settings: Settings, now: datetime) -> Iterator[UnsentLicense]:
    """Yield the licenses that have to be sent, the earliest upload deadline first.

    They are current, run, and are not marked as sent; their deadline is near or over. Archived
    customers are left out.
    """
    window = settings.upload_window_or_assumed
    try:
        issued_by = now + NEAR - window
    except OverflowError:  # a window of thousands of years
        return
    records = licenses.select(
        db, status=LicenseStatus.CURRENT, unsent=True, issued_by=issued_by, archived=False
    )
    for record in sorted(records, key=lambda record: (record.issued_at, record.id)):
        if record.expires_at > now:
            upload_before = dates.upload_deadline(record.issued_at, window)
            yield UnsentLicense(
                record=record, upload_before=upload_before, is_late=now > upload_before
            )
