"""Foreign text: escapes, comparison, slugs."""
# ruff: noqa: RUF001 - names in other scripts are intended

import re
import tomllib
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polygent_issuer.home.settings_editing import toml_literal
from polygent_issuer.text import (
    escape,
    escape_short,
    list_first,
    nearest,
    nfc,
    normalize_for_comparison,
    slugify,
    without_accents,
)
from polygent_issuer.verifier.license import display_name_problem, is_slug
from polygent_issuer.verifier.tables import FORBIDDEN

APOSTROPHES = str.maketrans("", "", "'`\u00b4")
ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("foreign", "safe"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\tc\x7f", r"a\x0ab\x09c\x7f"),
        ("\x9b1m", r"\x9b1m"),
        ("abc\u202edcba", r"abc\u202edcba"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\U000e0041tag", r"\U000e0041tag"),
        ("\udc80", r"\udc80"),
        ("line\u2028end", r"line\u2028end"),
    ],
)
def test_control_characters_are_escaped(foreign: str, safe: str) -> None:
    """Control sequences, line ends, bidi, invisible characters and lone surrogates are escaped."""
    assert escape(foreign) == safe


@pytest.mark.parametrize(
    "name",
    [
        "[/red]",
        "../Acme",
        "CON",
        "日本電気株式会社" * 25,
        "Müller & Söhne\u3000東京",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    ],
)
def test_display_names_are_not_escaped(name: str) -> None:
    """Markup, paths, devices, Chinese and Persian names stay unchanged."""
    assert escape(name) == name


def test_printable_characters_are_never_escaped() -> None:
    """`escape` returns printable text unchanged, so it may escape no printable character."""
    forbidden = (chr(code) for first, last in FORBIDDEN for code in range(first, last + 1))
    assert not any(map(str.isprintable, forbidden))


@given(ANY_TEXT)
def test_a_toml_parser_returns_the_original_text(text: str) -> None:
    """A TOML literal contains escapes for control characters, and parses to the original text."""
    assume(not any("\ud800" <= character <= "\udfff" for character in text))
    literal = toml_literal(text)
    assert tomllib.loads(f"x = {literal}") == {"x": text}
    assert escape(literal) == literal


@given(ANY_TEXT)
def test_escaped_text_has_no_forbidden_character(text: str) -> None:
    """Escaped text has no character of FORMAT §1's list and no Unicode control character."""
    out = escape(text)
    assert not any(first <= ord(c) <= last for c in out for first, last in FORBIDDEN)
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in out)
    out.encode()


@given(ANY_TEXT)
def test_every_display_name_is_unchanged(text: str) -> None:
    """A name that FORMAT §1 allows is not escaped."""
    if display_name_problem(text) is None:
        assert escape(text) == text


def test_every_forbidden_code_point_is_escaped() -> None:
    """Both ends and the middle of each range of FORMAT §1 come out as ASCII."""
    for first, last in FORBIDDEN:
        for point in (first, (first + last) // 2, last):
            assert escape(chr(point)).isascii()
            assert escape(chr(point)).startswith("\\")


def test_a_long_text_is_shortened() -> None:
    """A long text is cut before it is escaped, and ends in an ellipsis."""
    assert escape_short("a" * 60) == "a" * 60
    assert escape_short("a" * 61) == "a" * 60 + "..."
    assert escape_short("\x1b" * 9, limit=2) == r"\x1b\x1b..."


def test_nfc_composes() -> None:
    """A decomposed name, as a Mac writes it, becomes the composed one."""
    assert nfc("Mu\u0308ller") == "M\u00fcller"


@pytest.mark.parametrize(
    "alike",
    [
        "ACME  Corp",
        " acme corp ",
        "\uff21\uff43\uff4d\uff45\u3000\uff23\uff4f\uff52\uff50",
        "acme\u00a0corp",
        "Acme\tCorp",
    ],
)
def test_similar_spellings_are_equal(alike: str) -> None:
    """Names that differ only in case, width or white space are equal."""
    assert normalize_for_comparison(alike) == normalize_for_comparison("Acme Corp") == "acme corp"


def test_different_names_stay_different() -> None:
    """Names that differ in a letter or an accent are different; ß equals ss."""
    assert normalize_for_comparison("Acme") != normalize_for_comparison("Acne")
    assert normalize_for_comparison("Muller") != normalize_for_comparison("Müller")
    assert normalize_for_comparison("STRASSE") == normalize_for_comparison("Straße")


@given(ANY_TEXT)
def test_normalization_is_stable(text: str) -> None:
    """A normalized name does not change when it is normalized again."""
    assert normalize_for_comparison(normalize_for_comparison(text)) == normalize_for_comparison(
        text
    )


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Corp.", "acme-corp"),
        ("Müller & Söhne GmbH", "muller-sohne-gmbh"),
        ("Straße 9", "strasse-9"),
        ("O'Brien\u2019s \u00b4Pub\u00b4", "obriens-pub"),
        ("Øresund Ærø Łódź Þór", "oresund-aero-lodz-thor"),
        ("Ǿ", "o"),
        ("株式会社アクメ", "zhushihuisheakume"),
        ("東京グループ", "dongjinggurupu"),
        ("Store 東京", "store-dongjing"),
        ("ООО Ромашка", "ooo-romashka"),
        ("Альянс Ёлка", "alyans-elka"),
        ("Ελλάδα ΑΕ", "ellada-ae"),
        ("서울", "seoul"),
        ("हिन्दी", "hindi"),
        ("กรุงเทพ", "krungethph"),
        ("Store ٣", "store-3"),
        ("Ŧest", "test"),
        ("Ærø Øl", "aero-ol"),
        ("Café – Bar™ €5 🚀", "cafe-bartm-5"),
        ("Hawai\u02bbi", "hawai-i"),
        ("x\u0302y", "xy"),
        ("🚀 — !", "customer"),
        ("", "customer"),
        ("../../etc/passwd", "etc-passwd"),
        ("-x-", "x"),
        ("CON", "con-customer"),
        ("nul.", "nul-customer"),
        ("COM¹", "com1-customer"),
        ("LPT9", "lpt9-customer"),
        ("console", "console"),
        ("[/red]", "red"),
        ("İstanbul", "istanbul"),
        ("x" * 63 + " y", "x" * 63),
        ("x" * 80, "x" * 64),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    """A name becomes a readable slug."""
    assert slugify(name) == slug


@given(ANY_TEXT)
def test_every_name_gets_a_slug(text: str) -> None:
    """The slug of any name is valid (FORMAT §1), and its own slug."""
    slug = slugify(text)
    assert is_slug(slug)
    assert slugify(slug) == slug


@given(st.text(st.characters(max_codepoint=0x17F, exclude_characters="µĸŉŊŋŦŧſ")))
def test_a_latin_name_needs_no_transliteration(text: str) -> None:
    """The slug of a Latin name consists of its letters without accents."""
    words = re.findall(
        "[a-z0-9]+", without_accents(normalize_for_comparison(text.translate(APOSTROPHES)))
    )
    slug = "-".join(words)[:64].rstrip("-")
    assert slugify(text) in (slug, f"{slug}-customer".removeprefix("-"))


def test_a_list_names_the_first_and_counts_the_rest() -> None:
    """A list names three items by default, and counts only those that it does not name."""
    assert list_first(["a", "b", "c"]) == "a, b, c"
    assert list_first([str(number) for number in range(1300)]) == "0, 1, 2 and 1,297 more"
    assert list_first(["a", "b"], most=1) == "a and 1 more"


def test_nearest_word() -> None:
    """A mistyped word finds the similar known word; an unrelated word finds none."""
    words = ("workflows", "planner", "sso-saml")
    assert nearest("workflow", words) == "workflows"
    assert nearest("sso", iter(words)) == "sso-saml"
    assert nearest("zzz", words) is None
