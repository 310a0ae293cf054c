"""Names, slugs, IDs, fingerprints; tiers and features (FORMAT §1, §2, §4)."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.verifier import Tier
from polygent_issuer.verifier.license import (
    canonical_fingerprint,
    display_name_problem,
    is_feature_name,
)
from polygent_issuer.verifier.tables import (
    ENTERPRISE_FEATURES,
    FEATURES,
    FORBIDDEN,
    FORBIDDEN_AT_EDGES,
)

# The list of FORMAT §1, to find a mistake in the module's table
_FORBIDDEN_TEXT = """
0000-001F 007F-009F 00AD 0600-0605 061C 06DD 070F 0890-0891 08E2 180E 200B 200E-200F 2028-202E
2060-206F D800-DFFF FDD0-FDEF FEFF FFF0-FFFB 110BD 110CD 13430-1343F 1BCA0-1BCA3 1D173-1D17A
E0000-E00FF E01F0-E0FFF
"""
_EDGES_TEXT = "0020 00A0 1680 2000-200A 202F 205F 3000 200C 200D"


def _code_points(text: str) -> set[int]:
    points: set[int] = set()
    for span in text.split():
        first, _, last = span.partition("-")
        points |= set(range(int(first, 16), int(last or first, 16) + 1))
    return points


FORBIDDEN_POINTS = _code_points(_FORBIDDEN_TEXT) | {
    plane * 0x10000 + low for plane in range(17) for low in (0xFFFE, 0xFFFF)
}
EDGE_POINTS = _code_points(_EDGES_TEXT)


# Planes 0 to 2, the tags, and the ends of the planes: FORMAT names no other code points
PLACES = {
    *range(0x30000),
    *range(0xE0000, 0xE2000),
    *(plane * 0x10000 + n for plane in range(17) for n in (0, *range(0xFFF0, 0x10000))),
}


def test_every_code_point_within_a_name() -> None:
    """Exactly FORMAT's code points are refused in the middle of a name."""
    refused = {n for n in PLACES if display_name_problem(f"a{chr(n)}b") is not None}
    assert refused == FORBIDDEN_POINTS


@pytest.mark.parametrize("pattern", ["{}b", "b{}", "{}"])
def test_every_code_point_at_an_edge(pattern: str) -> None:
    """FORMAT's white space and joiners are also refused at either edge and alone."""
    refused = {
        n for n in range(0x30000) if display_name_problem(pattern.format(chr(n))) is not None
    }
    assert refused == {n for n in FORBIDDEN_POINTS | EDGE_POINTS if n < 0x30000}


def test_tables_do_not_overlap() -> None:
    """Each code point is in the tables once."""
    for table in (FORBIDDEN, FORBIDDEN_AT_EDGES):
        points = [n for first, last in table for n in range(first, last + 1)]
        assert len(points) == len(set(points))


@pytest.mark.parametrize(("length", "right"), [(0, False), (1, True), (200, True), (201, False)])
@pytest.mark.parametrize("character", ["x", "\u6f22", "\U0001f680"])
def test_length_is_counted_in_code_points(character: str, length: int, *, right: bool) -> None:
    """A name has 1 to 200 code points, in ASCII and beyond the BMP."""
    assert (display_name_problem(character * length) is None) is right


@given(st.text(st.characters(codec=None)))
def test_problem_is_one_line_of_ascii(text: str) -> None:
    """The problem of a name never repeats its characters."""
    problem = display_name_problem(text)
    assert problem is None or (problem.isascii() and problem.isprintable())


@given(st.text(st.characters(codec=None)))
def test_canonical_fingerprint_is_idempotent(text: str) -> None:
    """A canonical form is its own canonical form, in ASCII, 8 to 256 characters long."""
    form = canonical_fingerprint(text)
    if form is not None:
        assert canonical_fingerprint(form) == form
        assert re.fullmatch(r"[\x21-\x7e]{8,256}", form)


@given(st.from_regex(r"(sha256:)?[0-9a-fA-F]{8,64}", fullmatch=True), st.text(" \t\r\n"))
def test_hexadecimal_is_folded(text: str, space: str) -> None:
    """Two hexadecimal fingerprints are equal without regard to case and white space around them."""
    assert canonical_fingerprint(space + text.upper() + space) == text.lower()


def test_source_uses_no_unicode_database() -> None:
    """The verdict on a name does not depend on the version of Python."""
    source = Path(display_name_problem.__code__.co_filename).read_text(encoding="utf-8")
    assert not re.search(r"unicodedata|\.is(alnum|alpha|digit|print|space)|\.casefold", source)


def test_catalogue_follows_the_format() -> None:
    """There are twelve features for any tier, three for enterprise only, and two tiers."""
    assert " ".join(FEATURES) == (
        "workflows automations planner round-table insights ticket-sync deployments"
        " code-review verification memory bots multiple-active-sessions"
    )
    assert " ".join(ENTERPRISE_FEATURES) == "sso-saml audit-export multi-tenant"
    assert list(Tier) == ["standard", "enterprise"]
    assert all(map(is_feature_name, (*FEATURES, *ENTERPRISE_FEATURES)))
