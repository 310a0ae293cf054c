"""FORMAT §1: hints for malformed files."""

import base64
import bz2
import gzip
import io
import json
import lzma
import quopri
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from vectors.signing import EXAMPLE, file, header, payload, token

from polygent_issuer.verifier import KeySet, LicenseError, Verifier, hints, jws

PLAIN = token(payload())
LICENSE = file(payload())
TEXT = LICENSE.decode()
LINES = [TEXT[at : at + 76] for at in range(0, len(TEXT), 76)]
EXAMPLES = Path(__file__).parents[2] / "keys.example"
KEYS = KeySet.from_pem((EXAMPLES / "public.pem").read_bytes(), allow_example=True)
VERIFIER = Verifier(KEYS)


def hint(data: bytes) -> str:
    """Return the hint of a malformed file."""
    with pytest.raises(LicenseError) as refused:
        jws.parse(data)
    assert refused.value.code == "malformed"
    return refused.value.hint or ""


def zipped(*names: str) -> bytes:
    """A ZIP archive of the license under these names."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, LICENSE)
    return made.getvalue()


def tarred() -> bytes:
    """A tar archive of the license."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.add(EXAMPLES / "example.lic", "acme.lic")
    return made.getvalue()


def mail(**first: str) -> bytes:
    """A mail with the license attached."""
    message = EmailMessage()
    for name, value in first.items():
        message[name.replace("_", "-")] = value
    message["Subject"] = "Your license"
    message.set_content("Hello")
    message.add_attachment(
        LICENSE, maintype="application", subtype="octet-stream", filename="acme.lic"
    )
    return message.as_bytes()


def database() -> bytes:
    """A SQLite database."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("CREATE TABLE licenses (file BLOB)")
        made.execute("INSERT INTO licenses VALUES (?)", (LICENSE,))
        return made.serialize()


FORMS = {
    "empty": (b"", "the file was not saved completely"),
    "a blank line": (b"\xef\xbb\xbf\r\n", "the file was not saved completely"),
    "a sparse file": (bytes(len(LICENSE)), "only NUL bytes"),
    "ZIP": (zipped("acme.lic"), "ZIP archive: unpack"),
    "an empty ZIP": (zipped(), "ZIP archive: unpack"),
    "a large ZIP": (zipped(*map(str, range(50))), "ZIP archive: unpack"),
    "Word": (zipped("[Content_Types].xml", "word/document.xml"), "office document"),
    "OpenDocument": (zipped("mimetypeapplication/vnd.oasis"), "office document"),
    "gzip": (gzip.compress(LICENSE), "compressed file: unpack"),
    "bzip2": (bz2.compress(LICENSE), "compressed file: unpack"),
    "xz": (lzma.compress(LICENSE), "compressed file: unpack"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "compressed file: unpack"),
    "tar": (tarred(), "compressed file: unpack"),
    "winmail.dat": (b"\x78\x9f\x3e\x22\x01\x00\x06\x90", "winmail.dat"),
    "Outlook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "saved by Outlook"),
    "S/MIME": (b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "S/MIME or PGP"),
    "PGP": (b"-----BEGIN PGP MESSAGE-----\n\nhQEM", "S/MIME or PGP"),
    "a mail": (mail(), "saved mail"),
    "a received mail": (mail(Return_Path="<a@x.example>", Received="from x"), "saved mail"),
    "a mailbox": (b"From a@x.example Mon Nov 30 09:30:00 2026\n" + mail(), "saved mail"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", "PDF document"),
    "RTF": (rb"{\rtf1\ansi " + LICENSE + b"}", "RTF document"),
    "a screenshot": (b"\x89PNG\r\n\x1a\n", "picture"),
    "a photo": (b"\xff\xd8\xff\xe1", "picture"),
    "a phone's photo": (b"\0\0\0\x24ftypheic", "picture"),
    "a private key": (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key, not a license: keep"),
    "a public key": ((EXAMPLES / "public.pem").read_bytes(), "public key"),
    "a license in PEM": (b"-----BEGIN LICENSE-----\n" + LICENSE, "PEM file"),
    "HTML": (b"\r\n<!DOCTYPE html>\n<html>", "HTML page"),
    "a part of HTML": (b"<p>" + LICENSE + b"</p>", "HTML page"),
    "XML": (b'<?xml version="1.0"?><a/>', "XML document"),
    "a machine-info": (b'{"format": "polygent-machine-info/1"}', "machine-info"),
    "an older machine-info": (b'{"MachineFingerprint": "12345678"}', "machine-info"),
    "JSON": (json.dumps({"license": TEXT}).encode(), "JSON document"),
    "a registry": (database(), "database"),
    "UTF-16": (TEXT.encode("utf-16"), "UTF-16"),
    "UTF-16, very long": (TEXT.ljust(20_000).encode("utf-16-le"), "UTF-16"),
    "re-wrapped": ("\n".join(LINES).encode(), "re-wrapped"),
    "quoted": ("".join(f"> {line}\r\n" for line in LINES).encode(), "quoted mail"),
    "quoted twice": ("".join(f">> {line}\n" for line in LINES).encode(), "quoted mail"),
    "quoted-printable": (quopri.encodestring(LICENSE), "quoted-printable"),
    "quoted-printable dots": (TEXT.replace(".", "=2E").encode(), "quoted-printable"),
    "base64": (base64.b64encode(LICENSE), "base64"),
    "base64 in lines": (base64.encodebytes(LICENSE), "base64"),
    "an en dash": ((TEXT[:60] + "\u2013" + TEXT[61:]).encode(), "dashes"),
    "a dash for two hyphens": (TEXT[:-9].encode() + "\u2014".encode() + PLAIN[-7:], "dashes"),
    "a dash of Windows": (PLAIN[:99] + b"\x96" + PLAIN[100:], "dashes"),
    "a no-break space": (b"\xc2\xa0" + LICENSE, "invisible"),
    "no-break spaces of Windows": (LICENSE.rstrip() + b"\xa0\xa0", "invisible"),
    "zero width": (PLAIN[:50] + b"\xe2\x80\x8b" + PLAIN[50:], "invisible"),
    "a soft hyphen": (PLAIN[:50] + b"\xc2\xad" + PLAIN[50:], "invisible"),
    "two BOMs": (b"\xef\xbb\xbf" * 2 + LICENSE, "invisible"),
    "a NUL at the end": (LICENSE + b"\0", "invisible"),
    "quotation marks": (b'"' + PLAIN + b'"\n', "quotation marks"),
    "other quotation marks": (f"\u201e{TEXT.strip()}\u201c".encode(), "quotation marks"),
    "a quotation mark behind": (PLAIN + b"'\n", "quotation marks"),
    "several": (LICENSE + LICENSE, "several licenses"),
    "several in one line": (PLAIN + PLAIN, "several licenses"),
    "text before": (b"Here is your license:\n" + LICENSE, "before, after or in"),
    "text behind": (LICENSE + b"Kind regards,\nAda", "before, after or in"),
    "padding": (PLAIN + b"==", "before, after or in"),
    "the beginning of it": (PLAIN[:10], "end of the license is missing"),
    "the header of it": (PLAIN[:60], "end of the license is missing"),
    "half of it": (PLAIN[: len(PLAIN) // 2], "end of the license is missing"),
    "all but a letter": (PLAIN[:-1], "end of the license is missing"),
    "re-wrapped, and half of it": (b"\n".join((PLAIN[:60], PLAIN[60:90])), "end of the license"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_malformed_file_gets_its_hint(name: str) -> None:
    """The hint names the form of a file and what to do."""
    data, part = FORMS[name]
    message = hint(data)
    assert part in message
    assert any(verb in message for verb in ("use ", "save ", "ask for ", "download"))


@pytest.mark.parametrize("name", FORMS)
def test_a_file_with_a_hint_is_refused(name: str) -> None:
    """Nothing that is repaired for a hint is accepted, and the report has the hint too."""
    data, part = FORMS[name]
    report = VERIFIER.report(data, now=datetime(2026, 6, 1, tzinfo=UTC))
    assert report.failure is not None
    assert (report.license, report.failure.code) == (None, "malformed")
    assert part in str(report.failure.hint)


def test_another_token_gets_no_hint() -> None:
    """A token with a wrong header gets that message and no hint."""
    assert hint(token(payload(), header(typ="JWT"))) == ""


def test_the_beginning_is_that_of_every_license() -> None:
    """`signing_input` writes the beginning by which a license is recognised."""
    for kid in ("A" * 43, "_" * 43, EXAMPLE.kid):
        begins = jws.signing_input(kid, b"{}")
        assert begins.startswith(hints.START.encode())
        assert base64.b64encode(begins).startswith(hints.START_ENCODED.encode())
