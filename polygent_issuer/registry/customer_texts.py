"""Texts about customers: display names, contacts and notes, checked before they are written."""

import re
from collections.abc import Iterable
from typing import Final

from polygent_issuer.errors import InputRefused
from polygent_issuer.text import escape, escape_short, one_line

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_LONGEST_NOTES: Final = 1_000


def require_slug(slug: str) -> None:
    """Refuse a slug that violates FORMAT §1: `input_refused`."""
    from polygent_issuer.verifier.license import is_slug  # noqa: PLC0415 - the verifier loads cryptography (30 ms)

    if not is_slug(slug):
        raise InputRefused(
            f"{escape_short(slug)} is not a slug",
            hint="use lower-case letters, digits and inner hyphens",
        )


def require_contacts(contacts: Iterable[str]) -> tuple[str, ...]:
    """Return the contacts, each of them a mail address or a name; else `input_refused`."""
    from polygent_issuer import email_address  # noqa: PLC0415 - the verifier loads cryptography (30 ms)

    contacts, encoded = tuple(contacts), email_address.ENCODED_WORD
    for contact in contacts:
        require_text("contact", contact)
        if encoded in contact:
            raise InputRefused(
                f"invalid contact: {escape(contact)} contains {encoded}, the beginning of an "
                "encoded word (RFC 2047)",
                hint="type the name without encoding: Ada <ada@acme.example>",
            )
        plain = _NOT_ASCII.sub("x", contact)  # characters outside ASCII are allowed
        if "@" in contact and email_address.parse_address(plain) is None:
            raise InputRefused(
                f"not an email address: {escape(contact)}",
                hint="leave out mailto:"
                if "mailto:" in contact.lower()
                else "write it like ops@acme.example or Ada <ada@acme.example>; a name has no @",
            )
    return contacts


def require_notes(notes: str | None) -> None:
    """Refuse notes that are empty, too long or not printable in one line: `input_refused`."""
    if notes is None:
        return
    if not 0 < len(notes) <= _LONGEST_NOTES:
        raise InputRefused(
            f"invalid notes: must have 1 to {_LONGEST_NOTES:,} characters, have {len(notes):,}",
            hint="shorten them" if notes else "--no-notes removes them",
        )
    if escape(notes) != notes or one_line(notes) != notes:
        raise InputRefused(
            "invalid notes: they have unprintable characters", hint="write plain text"
        )


def require_text(what: str, value: str | None, *, hint: str = "write it differently") -> None:
    """Refuse a text that is not a display name (FORMAT §1): `input_refused`."""
    from polygent_issuer.verifier.license import display_name_problem  # noqa: PLC0415 - the verifier loads cryptography (30 ms)

    problem = None if value is None else display_name_problem(value)
    if problem is not None:
        raise InputRefused(f"invalid {what}: {problem}", hint=hint)
