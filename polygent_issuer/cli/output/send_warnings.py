"""Whether a license file is the one to send, and which commands make or list those that are."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from polygent_issuer.hints import Hint, run
from polygent_issuer.terms import dates
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.registry import KeyRecord, LicenseRecord


def list_command(label: str) -> Hint:
    """The command that lists the current licenses under a key."""
    return run("license", "list", "--status", "current", f"--key={label}")


def made_again(record: "LicenseRecord", now: datetime) -> Hint:
    """The command that issues a current license again: the next one, if this one has ended."""
    verb = "reissue" if record.expires_at > now else "renew"
    return run(verb, record.customer_slug, "--license", record.id[:8])


def objections(
    record: "LicenseRecord", key: "KeyRecord", *, upload_before: datetime, now: datetime
) -> Iterable[str]:
    """What speaks against mailing a file: one line at most, with the command that mends it.

    Args:
        record: the license.
        key: the one that it was signed with.
        upload_before: until when a server takes its file; after that a new one is needed.
        now: the instant at which it would be sent.
    """
    this, again = f"license {record.id[:8]}", f"for a new one: {made_again(record, now)}"
    if not record.is_current:
        by = f" by {record.replaced_by[:8]}" if record.replaced_by else ""
        yield f"{this} is {record.status}{by}; it is not the one to send"
    elif key.compromised:
        yield (
            f"{this} was signed with {escape(key.label)}, which is compromised: servers must "
            f"refuse it; {again}"
        )
    elif record.expires_at <= now:
        yield f"{this} expired at {dates.instant(record.expires_at)}; {again}"
    elif now > upload_before:
        until = dates.instant(upload_before)
        yield f"a server took the file of {record.id[:8]} until {until}; {again}"
