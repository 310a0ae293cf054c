"""Mail drafts (RFC 5322): one for each contact, ready to review and send.

The same license, contact, settings and template give the same bytes, so that an existing draft can
be recognised.

Names and subjects are foreign text. Python's newer mail classes decode encoded words (RFC 2047),
which can insert a line break and another header. Therefore drafts are made with the older classes,
which decode nothing. Each draft is read back and compared before it is written.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from email import policy
from email.charset import QP, Charset
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import BytesParser
from email.utils import format_datetime, getaddresses
from typing import Final

from polygent_issuer.delivery.license_mail import LicenseMail, template_values
from polygent_issuer.delivery.template import Template
from polygent_issuer.email_address import ENCODED_WORD, Mailbox
from polygent_issuer.errors import InternalError
from polygent_issuer.text import slugify

_NOWHERE: Final = "polygent-issue.invalid"  # RFC 2606 §2: a domain that cannot exist
# RFC 2047 §2: a line with an encoded word has at most 76 characters.
_POLICY: Final = policy.compat32.clone(linesep="\r\n", max_line_length=76)
# RFC 5322 §3.2.3: a phrase of atoms needs no quotes.
_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=^_`{|}~ -]+")
# RFC 5322 §2.1.1: a line can only be folded at a space.
_LONG_WORD: Final = re.compile(r"[^ ]{61}")
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_UTF_8: Final = Charset("utf-8")
_UTF_8.body_encoding = QP


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A mail draft: its file name and its bytes."""

    name: str
    data: bytes


def drafts(letter: LicenseMail, template: Template, sender: Mailbox | None) -> tuple[Draft, ...]:
    """Return a draft for each contact with an address, or one draft without a recipient.

    Args:
        letter: the facts of the license.
        template: checked by `template.load`.
        sender: for the From header; None leaves it to the mail program.

    Raises:
        InternalError: (`bug`) when a draft reads back differently.
    """
    recipients: tuple[Mailbox | None, ...] = letter.recipients or (None,)
    return tuple(
        Draft(name=name, data=_message(letter, template, sender, recipient))
        for name, recipient in zip(_names(letter), recipients, strict=True)
    )


def _names(letter: LicenseMail) -> list[str]:
    """Return names like `acme-prod-2027-11-30-1f3a9c2e-ada-acme-example.eml`, all different."""
    if not letter.recipients:
        return [f"{letter.stem}.eml"]
    names, seen = [], Counter[str]()
    for recipient in letter.recipients:
        slug = slugify(recipient.address)
        seen[slug] += 1
        again = f"_{seen[slug]}" if seen[slug] > 1 else ""
        names.append(f"{letter.stem}-{slug}{again}.eml")
    return names


def _message(
    letter: LicenseMail, template: Template, sender: Mailbox | None, recipient: Mailbox | None
) -> bytes:
    values = template_values(letter, recipient)
    to = recipient.address if recipient else ""
    digest = hashlib.sha256(f"{letter.license.jti} {to}".encode()).hexdigest()[:32]
    boxes = (("From", sender), ("To", recipient))
    fields: tuple[tuple[str, str | Mailbox], ...] = (
        ("X-Unsent", "1"),  # Outlook opens it for editing
        *((name, box) for name, box in boxes if box is not None),
        ("Subject", template.subject(values)),
        # Not the current time, so that the same draft always has the same bytes.
        ("Date", format_datetime(letter.license.issued_at)),
        ("Message-ID", f"<{digest}@{sender.host if sender else _NOWHERE}>"),
    )
    body = template.body(values)
    # Neither quoted-printable nor base64 contains "=_" (RFC 2045 §6.7).
    message = MIMEMultipart(boundary=f"=_{digest}", policy=_POLICY)
    for name, value in fields:
        message[name] = _encoded(name, value)  # type: ignore[assignment] # typeshed knows no Header
    message.attach(MIMEText(body, _charset=_UTF_8))  # type: ignore[arg-type] # documented
    attachment = MIMEApplication(letter.file)
    attachment.add_header("Content-Disposition", "attachment", filename=letter.file_name)
    message.attach(attachment)
    try:
        data = message.as_bytes()
    except HeaderParseError:
        raise _misread("a header") from None
    _require_as_composed(data, fields, body, letter)
    return data


def _encoded(name: str, value: str | Mailbox) -> Header | str:
    """Return a header that every mail program shows unchanged, even if it contains `=?`."""
    if isinstance(value, Mailbox):
        display_name = _name(value)
        if not display_name or (
            _PHRASE.fullmatch(display_name) and ENCODED_WORD not in display_name
        ):
            return _text(value)
        header = Header(display_name, "utf-8", header_name=name)
        header.append(f"<{value.address}>", "us-ascii")
        return header
    plain = value.isascii() and ENCODED_WORD not in value
    if name != "Subject" or (plain and not _LONG_WORD.search(value)):
        return value
    return Header(value, "utf-8", header_name=name)


def _text(value: str | Mailbox) -> str:
    """Return the decoded value of a header."""
    if isinstance(value, str):
        return value
    return f"{_name(value)} <{value.address}>" if value.name else value.address


def _name(box: Mailbox) -> str:
    return " ".join(box.name.split())  # a header has no consecutive spaces


def _require_as_composed(
    data: bytes, fields: Iterable[tuple[str, str | Mailbox]], body: str, letter: LicenseMail
) -> None:
    """Parse a draft like a mail program and compare every header and part."""
    message = BytesParser(policy=policy.compat32).parsebytes(data)
    boundary = message.get_boundary()
    expected = [
        ("Content-Type", f'multipart/mixed; boundary="{boundary}"'),
        ("MIME-Version", "1.0"),
        *((name, _text(value)) for name, value in fields),
    ]
    if _headers(message) != expected:
        raise _misread("a header")
    for name, value in fields:
        if isinstance(value, Mailbox):
            addresses = [address for _, address in getaddresses([message[name]])]
            if addresses != [value.address]:
                raise _misread("an address")
    expected_parts = [
        (
            [
                ("Content-Type", 'text/plain; charset="utf-8"'),
                ("MIME-Version", "1.0"),
                ("Content-Transfer-Encoding", "quoted-printable"),
            ],
            body.replace("\n", "\r\n").encode(),
        ),
        (
            [
                ("Content-Type", "application/octet-stream"),
                ("MIME-Version", "1.0"),
                ("Content-Transfer-Encoding", "base64"),
                ("Content-Disposition", f'attachment; filename="{letter.file_name}"'),
            ],
            letter.file,
        ),
    ]
    _, *inner = message.walk()
    parts = [(_headers(part), part.get_payload(decode=True)) for part in inner]
    if parts != expected_parts:
        raise _misread("a part")


def _headers(message: Message) -> list[tuple[str, str]]:
    """Return the headers, unfolded (RFC 5322 §2.2.3) and decoded (RFC 2047)."""
    # A long value, such as a long address, may begin in the second line.
    unfolded = ((name, _FOLD.sub("", value).lstrip(" ")) for name, value in message.items())
    return [(name, str(make_header(decode_header(value)))) for name, value in unfolded]


def _misread(what: str) -> InternalError:
    return InternalError(
        f"{what} of the mail draft changed when the draft was read back",
        hint="run the command again with --debug and report its output",
    )
