"""FORMAT §1, the file: hints, the parts of a token, and written files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.signing import EXAMPLE, file, header, payload, token

from polygent_issuer.verifier import LicenseError, jws

PLAIN = token(payload())


def _hint(data: bytes) -> str | None:
    with pytest.raises(LicenseError) as refused:
        jws.parse(data)
    assert refused.value.code == "malformed"
    return refused.value.hint


def test_token_has_the_received_bytes() -> None:
    """The parts are those of the file, and the signing input is its exact bytes."""
    token = jws.parse(b"\xef\xbb\xbf " + PLAIN + b"\r\n")
    assert token.kid == EXAMPLE.kid
    assert token.header == {"alg": "ES256", "kid": EXAMPLE.kid, "typ": "polygent-license+jwt"}
    assert token.payload == payload()
    assert token.signing_input == PLAIN.rpartition(b".")[0]
    assert token.signature == EXAMPLE.sign(token.signing_input)


def test_written_file_follows_the_format() -> None:
    """A written file is, byte for byte, that of an independent writer."""
    signed = jws.signing_input(EXAMPLE.kid, payload())
    assert signed == PLAIN.rpartition(b".")[0]
    assert jws.assemble(signed, EXAMPLE.sign(signed)) == file(payload()) == PLAIN + b"\n"


@given(kid=st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True), data=st.binary(min_size=1))
def test_write_and_parse(kid: str, data: bytes) -> None:
    """Any payload is read as it was written, from one line of ASCII."""
    written = jws.assemble(jws.signing_input(kid, data), bytes(64))
    token = jws.parse(written)
    assert (token.kid, token.payload, token.signature) == (kid, data, bytes(64))
    assert written.isascii()
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b" \r\n", b"\n\t"])
@pytest.mark.parametrize("width", [64, 76])
def test_rewrapped_file_gets_its_hint(width: int, newline: bytes) -> None:
    """A line that a mail program broke is refused, and the hint names the mail program."""
    lines = [PLAIN[at : at + width] for at in range(0, len(PLAIN), width)]
    assert "mail program" in str(_hint(newline.join(lines)))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_utf16_file_gets_its_hint(codec: str, end: str) -> None:
    """A file that a Windows shell wrote is refused, and the hint names the shell."""
    assert "UTF-16" in str(_hint((PLAIN.decode() + end).encode(codec)))
    assert "UTF-16" in str(_hint(b"\xfe\xff" + PLAIN.decode().encode("utf-16-be")))


@pytest.mark.parametrize(
    "data",
    [
        b"a",
        b"\0a\0",
        PLAIN + b".a",
        b"hello world",
        b"x" * 16_385,
        file(payload(), header(typ="JWT")),
    ],
)
def test_other_files_get_no_wrong_hint(data: bytes) -> None:
    """A file gets no hint if it is not clear what happened to it."""
    assert _hint(data) is None


@given(st.binary() | st.text("ab.\n=_-").map(str.encode))
def test_any_bytes_are_a_token_or_malformed(data: bytes) -> None:
    """Any bytes raise at most LicenseError, and a hint is one line of ASCII."""
    hint = _hint(data)
    assert hint is None or (hint.isascii() and hint.isprintable())


def test_length_is_checked_first() -> None:
    """A file over the limit is refused for its length as received, including white space."""
    with pytest.raises(LicenseError, match="larger than 16384 bytes"):
        jws.parse(PLAIN.ljust(16_385, b"\n"))


def test_example_is_one_line() -> None:
    """The example license is one line of ASCII with a final newline."""
    data = (Path(__file__).parents[2] / "keys.example/example.lic").read_bytes()
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
