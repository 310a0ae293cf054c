"""Mail drafts (RFC 5322): one for each contact, ready to be looked at and sent.

The same license, contact, settings and template give the same bytes, so that a draft which is there
already can be told from another one.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from typing import Final

from polygent_issuer.delivery.letter import Letter
from polygent_issuer.delivery.template import Template
from polygent_issuer.delivery.wording import words
from polygent_issuer.mailbox import Mailbox
from polygent_issuer.text import slugify

_NOWHERE: Final = "polygent-issue.invalid"  # RFC 2606 §2: nobody's domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One mail that is not sent yet: the name of its file, and its bytes."""

    name: str
    data: bytes


def drafts(letter: Letter, template: Template, sender: Mailbox | None) -> tuple[Draft, ...]:
    """A draft for each contact with an address; one that names nobody where there is none.

    Args:
        letter: of the license.
        template: checked by `template.load`.
        sender: whom they are from; None leaves it to the mail program.
    """
    recipients: tuple[Mailbox | None, ...] = letter.recipients or (None,)
    return tuple(
        Draft(name=name, data=_message(letter, template, sender, recipient))
        for name, recipient in zip(_names(letter), recipients, strict=True)
    )


def _names(letter: Letter) -> list[str]:
    """`acme-prod-2027-11-30-1f3a9c2e-ada-acme-example.eml`; of two alike the later has a number."""
    if not letter.recipients:
        return [f"{letter.stem}.eml"]
    names, seen = [], Counter[str]()
    for recipient in letter.recipients:
        whose = slugify(recipient.address)
        seen[whose] += 1
        again = f"_{seen[whose]}" if seen[whose] > 1 else ""
        names.append(f"{letter.stem}-{whose}{again}.eml")
    return names


def _message(
    letter: Letter, template: Template, sender: Mailbox | None, recipient: Mailbox | None
) -> bytes:
    told = words(letter, recipient)
    to = recipient.address if recipient else ""
    digest = hashlib.sha256(f"{letter.license.jti} {to}".encode()).hexdigest()[:32]
    message = EmailMessage(policy=policy.SMTP)
    message["X-Unsent"] = "1"  # Outlook opens it for editing
    for header, box in (("From", sender), ("To", recipient)):
        if box is not None:
            message[header] = _address(header, box)
    message["Subject"] = template.subject(told)
    # Not the present instant: the same draft, made again, has the same bytes.
    message["Date"] = letter.license.issued_at
    message["Message-ID"] = f"<{digest}@{sender.host if sender else _NOWHERE}>"
    # Neither this encoding nor base64 has a line with "=_" in it (RFC 2045 §6.7).
    message.set_content(template.body(told), cte="quoted-printable")
    message.add_attachment(
        letter.file, maintype="application", subtype="octet-stream", filename=letter.file_name
    )
    message.set_boundary(f"=_{digest}")
    return message.as_bytes()


def _address(header: str, box: Mailbox) -> Address:
    """The name and the address, if that reads back as this one address; else the address alone.

    Versions of Python differ in how they fold a long name that needs quotes.
    """
    name = " ".join(box.name.split())  # a header has no two spaces together
    named = Address(display_name=name, addr_spec=box.address)
    trial = EmailMessage(policy=policy.SMTP)
    trial[header] = named
    read = BytesHeaderParser(policy=policy.default).parsebytes(trial.as_bytes())[header]
    if [(each.display_name, each.addr_spec) for each in read.addresses] == [(name, box.address)]:
        return named
    return Address(addr_spec=box.address)
