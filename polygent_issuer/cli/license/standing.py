"""Whether a license file is the one to send: what speaks against mailing it."""

from collections.abc import Iterable
from datetime import datetime

from polygent_issuer import dates
from polygent_issuer.registry import KeyRecord, LicenseRecord
from polygent_issuer.text import shown


def objections(
    record: LicenseRecord, key: KeyRecord, *, upload_before: datetime, now: datetime
) -> Iterable[str]:
    """One line at most, with the command that makes the file which is the one to send.

    Args:
        record: the license.
        key: what it is signed with.
        upload_before: until when a server takes its file; after that a new one is needed.
        now: the instant at which it would be sent.
    """
    this_one = f"{record.customer_slug} --license {record.id[:8]}"
    if not record.is_current:
        by = f" by {record.replaced_by[:8]}" if record.replaced_by else ""
        yield f"license {record.id[:8]} is {record.status}{by}; it is not the one to send"
    elif record.expires_at <= now:
        yield (
            f"license {record.id[:8]} expired at {dates.instant(record.expires_at)}; "
            f"for a new one: polygent-issue renew {this_one}"
        )
    elif key.compromised:
        yield (
            f"license {record.id[:8]} is signed with the key {shown(key.label)}, which is marked "
            "as compromised: servers must refuse it; "
            f"for a new one: polygent-issue reissue {this_one}"
        )
    elif now > upload_before:
        yield (
            f"a server took the file of {record.id[:8]} until {dates.instant(upload_before)}; "
            f"for a new one: polygent-issue reissue {this_one}"
        )
