"""From received bytes to text (FORMAT §4), and what a file is that was taken for another."""

import codecs
import re
from typing import Final

from polygent_issuer.errors import InvalidMachineInfo
from polygent_issuer.hints import Hint, run

LIMIT: Final = 64 * 1024
"""The most bytes that a document may have, as received."""

_SPACE: Final = " \t\r\n"
_DOWNLOAD: Final = "ask the customer for the file that Download machine info gives"

_ENCODINGS: Final = (
    # UTF-32 first: in little-endian its BOM begins with that of UTF-16
    (codecs.BOM_UTF32_LE, None),
    (codecs.BOM_UTF32_BE, None),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"", "utf-8"),
)
_WRONG_FILES: Final = (
    (
        re.compile(r"[\w-]+\.[\w-]+\.[\w-]*\s*\Z", re.ASCII),
        Hint("it looks like a signed license: ", run("inspect", "FILE"), " reads that"),
    ),
    (
        re.compile(r"<"),
        "it looks like a web page, perhaps that of a login: " + _DOWNLOAD,
    ),
    (
        re.compile(r"(?:From |[A-Z][A-Za-z-]{1,40}: ).*\r?\n(?:[A-Z][A-Za-z-]{1,40}: |[ \t]\S)"),
        "it looks like a mail: save its attachment, and give that",
    ),
    (re.compile(r"-----BEGIN "), "it looks like a key or a certificate: " + _DOWNLOAD),
    (re.compile(r"PK\x03\x04|\x1f\ufffd"), "it looks like an archive: unpack it first"),
)


def decode(data: bytes) -> str:
    """Turn a document's bytes into text, by its byte order mark.

    Raises:
        InvalidMachineInfo: (`invalid_machine_info`) when it is too large, empty, or in no encoding
            that FORMAT §4 allows.
    """
    if len(data) > LIMIT:
        raise InvalidMachineInfo(
            f"the machine info is larger than {LIMIT} bytes", hint=wrong_file(data) or _DOWNLOAD
        )
    mark, encoding = _encoding(data)
    if encoding is None:
        raise InvalidMachineInfo("the machine info is in UTF-32", hint="save it as UTF-8")
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        raise InvalidMachineInfo(
            f"the machine info is not {encoding.upper()} text",
            hint=wrong_file(data) or f"save it as UTF-8, or {_DOWNLOAD}",
        ) from None
    if not text.strip(_SPACE):
        raise InvalidMachineInfo("the machine info is empty", hint=_DOWNLOAD)
    if "\0" in text:
        raise InvalidMachineInfo(
            "the machine info holds NUL characters: UTF-16 without a byte order mark, perhaps",
            hint="save it as UTF-8",
        )
    return text


def wrong_file(data: bytes) -> str | None:
    """Guess what else a file is that is no machine info, and say what to do; None if unknown."""
    mark, encoding = _encoding(data)
    beginning = data[len(mark) :].decode(encoding or "utf-8", "replace").lstrip(_SPACE)
    return next((hint for pattern, hint in _WRONG_FILES if pattern.match(beginning)), None)


def _encoding(data: bytes) -> tuple[bytes, str | None]:
    return next((mark, name) for mark, name in _ENCODINGS if data.startswith(mark))
