"""Decode received bytes, and recognise files of another type."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.errors import InvalidMachineInfo
from polygent_issuer.machine_info.document import LIMIT, decode
from polygent_issuer.text import escape

TEXT = '{"os": "Größe 日本 \U0001f600"}'


def refused(data: bytes) -> InvalidMachineInfo:
    """Decode invalid bytes; return the error."""
    with pytest.raises(InvalidMachineInfo) as caught:
        decode(data)
    assert caught.value.code == "invalid_machine_info"
    assert caught.value.hint
    assert escape(caught.value.message) == caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
)
def test_the_allowed_encodings_are_decoded(data: bytes) -> None:
    """UTF-8 with and without BOM, and UTF-16 of both byte orders with BOM, are decoded."""
    assert decode(data) == TEXT


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_32_is_refused(order: str) -> None:
    """UTF-32 is refused, also little-endian, whose BOM begins like that of UTF-16."""
    mark = codecs.BOM_UTF32_LE if order == "le" else codecs.BOM_UTF32_BE
    assert "UTF-32" in refused(mark + TEXT.encode(f"utf-32-{order}")).message
    refused(TEXT.encode(f"utf-32-{order}"))


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_needs_its_mark(order: str) -> None:
    """UTF-16 without BOM is refused; the hint names UTF-8."""
    error = refused(TEXT.encode(f"utf-16-{order}"))
    assert "UTF-8" in str(error.hint)


@pytest.mark.parametrize(
    "data",
    [
        b'{"os": "\xff"}',
        b'{"os": "\xed\xa0\x80"}',
        b'{"os": "\xc0\xaf"}',
        "Größe".encode("latin-1"),
        codecs.BOM_UTF16_LE + b"{\0}",
        codecs.BOM_UTF16_LE + b"\x00\xd8{\0}\0",
        codecs.BOM_UTF16_BE + b"\xdc\x00\0{\0}",
    ],
)
def test_damaged_text_is_refused(data: bytes) -> None:
    """Invalid sequences, encoded surrogates and incomplete characters are refused."""
    assert "text" in refused(data).message


@pytest.mark.parametrize("data", [b"", b" \r\n", codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_an_empty_file_is_refused(data: bytes) -> None:
    """An empty file, or only white space, is reported as empty."""
    assert refused(data).message == "the machine-info document is empty"


def test_the_limit_counts_received_bytes() -> None:
    """64 KiB including the BOM are accepted; one byte more is refused."""
    assert LIMIT == 65_536
    full = codecs.BOM_UTF8 + b"{}" + b" " * (LIMIT - 5)
    assert len(full) == LIMIT
    assert decode(full).strip() == "{}"
    assert "larger than 65536 bytes" in refused(full + b" ").message


@given(st.binary() | st.binary().map(codecs.BOM_UTF16_LE.__add__))
def test_any_bytes_are_text_or_our_error(data: bytes) -> None:
    """Random bytes are decoded or raise our error."""
    try:
        text = decode(data)
    except InvalidMachineInfo:
        text = None
    assert refused(data).message if text is None else text.strip(" \t\r\n")
