"""Hints for malformed files (FORMAT §1): the kind of the file, and what to do.

A hint is text for people. The bytes that are decoded or repaired here only select the hint; they
are never used as a license.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Final

_EXAMINED_BYTES: Final = 16_384
"""The bytes of a file that are examined: the size that a license file may have (FORMAT §1)."""

_AGAIN: Final = "use the .lic file as it was received, or ask for it again"
_INSTEAD: Final = "use the .lic file instead"
_UNPACK: Final = "unpack it and use the .lic file in it"

_SPACE: Final = b" \t\r\n"
_UTF16: Final = rb"\xff\xfe|\xfe\xff|(?:[^\0]\0)+\Z|(?:\0[^\0])+\Z"
_UTF16_HINT: Final = "the file is UTF-16, as a Windows shell or editor writes it"

_KINDS: Final = {
    rb"\Z": f"the file was not saved completely: {_AGAIN}",
    rb"\0+\Z": f"the file has only NUL bytes, so it was not saved completely: {_AGAIN}",
    rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|docProps/|word/|xl/|mimetypeapp)": (
        f"this is an office document, not a license: {_INSTEAD}"
    ),
    rb"PK(?:\x03\x04|\x05\x06|\x07\x08)": f"this is a ZIP archive: {_UNPACK}",
    (
        rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ\0|\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|"
        rb"MSCF|.{257}ustar"
    ): f"this is an archive or a compressed file: {_UNPACK}",
    # TNEF, [MS-OXTNEF] 2.1.3.1
    rb"\x78\x9f\x3e\x22": (
        "this is winmail.dat, which Outlook makes of a mail in rich text: ask for the .lic "
        "file in a mail in plain text or HTML"
    ),
    # compound file, [MS-CFB] 2.2
    rb"\xd0\xcf\x11\xe0": (
        "this is a mail saved by Outlook (.msg), or an office document: open it and save "
        "the .lic file that is attached"
    ),
    rb"\x30[\x80-\x84].{0,4}?\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07|-----BEGIN PGP": (
        "this is encrypted or signed with S/MIME or PGP: open it in a mail program and "
        "save the .lic file"
    ),
    (
        rb"From [^\n]*\n|(?i:arc-[a-z-]+|authentication-results|content-[a-z-]+|date|"
        rb"delivered-to|dkim-signature|from|message-id|mime-version|received|reply-to|"
        rb"return-path|subject|to|x-[a-z-]+):[ \t]"
    ): "this is a saved mail: open it in a mail program and save the .lic file that is attached",
    rb"%PDF-": f"this is a PDF document, not a license: {_INSTEAD}",
    rb"\{\\rtf": f"this is an RTF document, not a license: {_INSTEAD}",
    rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP|.{4}ftyp": (
        f"this is a picture, not a license: {_INSTEAD}"
    ),
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY": (
        f"this is a private key, not a license: keep it secret, and {_INSTEAD}"
    ),
    rb"-----BEGIN [A-Z0-9 ]*PUBLIC KEY": f"this is a public key, not a license: {_INSTEAD}",
    rb"-----BEGIN ": f"this is a PEM file, not a license: {_INSTEAD}",
    rb"<(?i:!doctype html|html|head|body|meta|div|p|pre|span|table|script)\b": (
        "this is an HTML page, not a license: it may be a sign-in page that was saved "
        "instead of the file; download the .lic file again"
    ),
    rb"<[?!a-zA-Z]": f"this is an XML document, not a license: {_INSTEAD}",
    rb'\{(?=.*(?i:polygent-machine-info|"(?:machine_?)?fingerprint"))': (
        "this is a machine-info document, not a license: use the .lic file issued for it"
    ),
    rb"SQLite format 3\0": f"this is a database, perhaps a registry, not a license: {_INSTEAD}",
    rb"[\[{]": f"this is a JSON document, not a license: {_INSTEAD}",
}
"""Beginnings of files that are not licenses, each with its hint; the first match counts. Patterns
are compiled at their first use, since most files are licenses."""

_QUOTES: Final = r"\"'`\xab\xbb\u2018-\u201f"
_MARKS: Final = (
    (
        r"^[ \t]*>[> \t]*",
        "",
        f"the license was copied from a quoted mail, with > before its lines: {_AGAIN}",
    ),
    (
        r"=\r?\n(?=\S)|=[0-9A-F]{2}",
        "",
        f"the license is in quoted-printable, an encoding for mail: {_AGAIN}",
    ),
    (
        r"[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]",
        "-",
        f"a mail program or an editor replaced hyphens with dashes: {_AGAIN}",
    ),
    (
        rf"\A\s*[{_QUOTES}]+|(?<![{_QUOTES}])[{_QUOTES}]+\s*\Z",
        "",
        f"the license is in quotation marks: {_AGAIN}",
    ),
    (
        (
            r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f"
            r"\u205f-\u206f\u3000\ufeff]"
        ),
        "",
        (
            "the license has invisible characters or no-break spaces, because it was "
            f"copied from a mail, a page or a document: {_AGAIN}"
        ),
    ),
)
"""Traces of mail, editors and copying in a license: pattern, replacement that undoes it, hint."""

_WRAPPED: Final = "a mail program re-wrapped the line: use the attachment itself"
_CUT: Final = f"the end of the license is missing: {_AGAIN}"
_SEVERAL: Final = "the file has several licenses: save each in its own file"
_ENCODED: Final = (
    "the license is in base64, an encoding for mail: open the mail in a mail program and save the "
    ".lic file that is attached"
)
_MIXED: Final = f"the license has other characters before, after or in it: {_AGAIN}"

START: Final = "eyJhbGciOiJFUzI1NiIsImtpZCI6I"
"""The beginning of every license that this project issues: base64url of `{"alg":"ES256","kid":"`,
except for the last character, which depends on the kid."""
START_ENCODED: Final = "ZXlKaGJHY2lPaUpGVXpJMU5pSXNJbXRwWkNJ"
"""The base64 of that beginning."""
_CHARACTERS: Final = r"[A-Za-z0-9_.-]+"
_ENDS: Final = r"\..+\.(?:[^.]{86,}\Z|.*\.)"  # 86 characters are a signature
_LEAST: Final = len("eyJ")


def hint(data: bytes, is_token: Callable[[bytes], bool]) -> str | None:
    """Return the hint for a malformed file; None if no hint fits.

    Args:
        data: the file as received; only its first 16,384 bytes are examined.
        is_token: the function that returns whether bytes are a token of the right form.
    """
    examined = data[:_EXAMINED_BYTES]
    if re.match(_UTF16, examined):
        return f"{_UTF16_HINT}: {_AGAIN}"
    beginning = examined.removeprefix(BOM_UTF8).lstrip(_SPACE)
    for pattern, text in _KINDS.items():
        if re.match(pattern, beginning, re.DOTALL):
            return text
    return _of_license(beginning, is_token) if len(data) <= _EXAMINED_BYTES else None


def _of_license(data: bytes, is_token: Callable[[bytes], bool]) -> str | None:
    """Return the hint for a license that was changed in transit."""
    text, reason = _text(data), None
    for pattern, replacement, mark in _MARKS:
        undone = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        if undone != text:
            text, reason = undone, reason or mark
    token = "".join(text.split())
    if is_token(token.encode()):
        return reason or _WRAPPED
    if token.startswith(START_ENCODED):
        return _ENCODED
    if START not in token:
        return _CUT if START.startswith(token) and len(token) >= _LEAST else None
    if token.count(START) > 1:
        return _SEVERAL
    if not token.startswith(START) or not re.fullmatch(_CHARACTERS, token):
        return reason or _MIXED
    return reason or (None if re.search(_ENDS, token) else _CUT)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
