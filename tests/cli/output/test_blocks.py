"""The rows of blocks for a width: what may be broken, and where the rest goes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from polygent_issuer.cli.output.blocks import Block, Fields, Line, Table, cells, cut, pieces, rows
from polygent_issuer.text import Hint, escape, option, run

FILE = "/home/ada/Documents/licenses of 2026/customers/acme-gmbh-prod-1-2027-11-30-1f3a9c2e.lic"
FINGERPRINT = "sha256:" + "ab" * 32
INSTANT = "2027-12-01T00:00:00Z"
RENEW = "polygent-issue renew acme-manufacturing-and-sales --license 1f3a9c2e"


def text_of(*blocks: Block, width: int | None = 80) -> list[str]:
    """The rows of blocks as text."""
    return ["".join(text for text, _ in row) for row in rows(blocks, width)]


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        (f"wrote {FILE}: edit it", f"{FILE}:"),
        (f"no such folder: {FILE}", FILE),
        (f"key file:{FILE} (present)", f"file:{FILE}"),
        (f"rm '{FILE}' by hand", f"rm '{FILE}' by hand"),
        ("cp /a/settings.toml '/b c/d'", "cp /a/settings.toml '/b c/d'"),
        ("cp /a /b, then", "cp /a /b,"),
        ("see /a/b and then c", "/a/b"),
        ("see /a/b, or c/d", "/a/b,"),
        ("see /a/b or /c/d", "/a/b"),
        (r"see C:\Polygent Licenses\acme.lic", r"C:\Polygent Licenses\acme.lic"),
        (f"renew it: {RENEW}", RENEW),
        (f"renew it: {RENEW}; or not", f"{RENEW};"),
        (f"did you mean `{RENEW}`? or", f"`{RENEW}`?"),
        ("polygent-issue renew 'A, B; C' -y, or", "polygent-issue renew 'A, B; C' -y,"),
        ("the customer 'Acme Ltd' has", "'Acme Ltd'"),
        ("it's Acme's", "it's"),
        ("$ cd '/a b'; export X=$PWD/home", "$ cd '/a b'; export X=$PWD/home"),
    ],
)  # fmt: skip
def test_a_path_and_a_command_are_one_piece(text: str, piece: str) -> None:
    """Also with spaces in them; a command ends at a comma, semicolon or bracket."""
    assert piece in [each.strip() for each in pieces(text)]


def test_a_hint_knows_where_its_commands_end() -> None:
    """Words after a command are not part of it, and a comma is next to it."""
    hint = Hint("first ", run("key", "import", "BACKUP"), " takes it, or ", run("key", "list"), ".")
    parts = [each.strip() for each in pieces(hint)]
    assert parts[1:3] == ["polygent-issue key import BACKUP", "takes"]
    assert parts[-1] == "polygent-issue key list."
    assert "".join(pieces(hint)) == str(hint)
    option_hint = Hint("columns are name: ", option("--map", "Acme GmbH=COLUMN"), "; or not")
    assert [each.strip() for each in pieces(option_hint)][3] == "--map 'Acme GmbH=COLUMN';"


def test_options_in_a_row_are_one_piece() -> None:
    """They are copied together into the command that was refused."""
    parts = [each.strip() for each in pieces("add --accept not-due --reason TEXT; or wait")]
    assert parts == ["add", "--accept not-due --reason TEXT;", "or", "wait"]
    assert [each.strip() for each in pieces("--json, or not")] == ["--json,", "or", "not"]
    assert [each.strip() for each in pieces("add --reason")] == ["add", "--reason"]


@given(st.text(alphabet="ab/-':;,.` ~$(é漢\x1b", max_size=120))
def test_pieces_are_the_text(text: str) -> None:
    """Nothing is lost but white space at the end."""
    assert "".join(pieces(text)) == escape(text).rstrip()


@given(
    st.lists(st.sampled_from(["word", "x" * 30, FILE, FINGERPRINT, INSTANT, f"{RENEW};"])),
    st.integers(20, 100),
)
def test_a_row_is_wider_than_the_screen_only_for_one_piece(words: list[str], width: int) -> None:
    """Then it begins at the left edge, so that the terminal breaks it as late as possible."""
    text = " ".join(words)
    lines = text_of(Line(text, indent=1), Fields((("name", text),)), width=width)
    for piece in pieces(text):
        assert sum(piece.strip() in line for line in lines) >= 1
    for line in lines:
        assert cells(line) <= width or len(pieces(line)) == 1
        assert cells(line) <= width or not line.startswith(" ")


def test_without_a_width_nothing_is_wrapped() -> None:
    """A pipe gets a line for each block, field and row."""
    text = f"{FILE} {RENEW} " * 5
    blocks = (Line(text), Fields((("name", text), ("none", None))), Table(("h",), ((text,),)))
    assert len(text_of(*blocks, width=None)) == 4


def test_a_line_of_a_file_is_never_wrapped() -> None:
    """A template or script is copied as it is."""
    assert text_of(Line("x " * 90, verbatim=True)) == ["x " * 90]


def test_a_long_line_goes_on_where_it_hangs() -> None:
    """By default one step to the right; what does not fit there is further left."""
    check = Line(f"FAILED       code: {'word ' * 14}{FINGERPRINT}", indent=1, hang=15)
    first, second, third = text_of(check)
    assert first.startswith("  FAILED       code: word")
    assert second == " " * 15 + "word word"
    assert third == f"    {FINGERPRINT}"
    assert text_of(Line("word " * 17, indent=1))[1] == "    word word"


def test_a_value_that_does_not_fit_is_below_its_name() -> None:
    """A path gets a line of its own; other values keep their column, and fold in it."""
    fields = Fields((("customer", "Acme " * 20), ("file", FILE[:70]), ("expires", INSTANT)))
    lines = text_of(fields)
    assert lines[:2] == [
        f"  customer  {'Acme ' * 13}".rstrip(),
        f"            {'Acme ' * 7}".rstrip(),
    ]
    assert lines[2:] == ["  file", f"    {FILE[:70]}", f"  expires   {INSTANT}"]


HEADERS = ("license", "customer", "machine", "status", "last full day", "why")
SLUG = "globex-international-holdings-and-sales"
ROWS = (
    ("1f3a9c2e", "acme", "prod-1", "current", "2027-11-30", ""),
    ("2f3a9c2e", SLUG, "production.globex.example", "current, expired", "2027-11-30", "asked " * 9),
    ("3f3a9c2e", "initech", "a-machine", "replaced", "2027-11-30", FILE),
)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_keeps_every_piece_whole(width: int) -> None:
    """IDs, dates, slugs and paths; headers fold between words; no cell is lost."""
    lines = text_of(Table(HEADERS, ROWS), width=width)
    for row in ROWS:
        for cell in row:
            for piece in pieces(cell):
                assert any(piece.strip() in line for line in lines), piece
    assert all(cells(line) <= width or line == FILE for line in lines)
    assert re.findall(r"\S+", "".join(lines)) != []


def test_a_cell_that_is_too_long_ends_a_line() -> None:
    """The cells after it are on the next line, in their columns."""
    table = Table(("customer", "license", "last full day"), ((SLUG, "1f3a9c2e", "2027-11-30"),))
    assert text_of(table, width=40) == [
        "customer  license   last full day",
        SLUG,
        "          1f3a9c2e  2027-11-30",
    ]


def test_a_sentence_is_not_squeezed_into_a_narrow_last_column() -> None:
    """It gets a row of its own, and a short text stays in the column."""
    sentence = "the customer left after the merger"
    table = Table(
        ("license", "customer", "why"), (("1f3a9c2e", "globex-sales", sentence), ("2", "b", "c"))
    )
    assert text_of(table, width=40)[1:] == [
        "1f3a9c2e  globex-sales",
        f"  {sentence}",
        "2         b             c",
    ]


def test_a_wide_screen_folds_nothing() -> None:
    """A table that fits is as narrow as its cells."""
    lines = text_of(Table(HEADERS[:2], tuple(row[:2] for row in ROWS)), width=200)
    assert lines[:2] == ["license   customer", "1f3a9c2e  acme"]


def test_a_cell_below_its_row_follows_all_lines_of_the_row() -> None:
    """A name that is folded into two lines is not interrupted by the reason below it."""
    table = Table(
        ("at", "by", "why"),
        [("2026-11-30T19:08:49Z", "Ada (polygent_owner)", "accepted registry-rollback: a test")],
    )
    _, *lines = text_of(table, width=44)
    assert lines == [
        "2026-11-30T19:08:49Z  Ada",
        "                      (polygent_owner)",
        "  accepted registry-rollback: a test",
    ]


def test_a_column_with_one_value_can_be_left_out() -> None:
    """A column with the same value in each row is left out; one with two values stays."""
    table = Table(HEADERS, ROWS)
    assert table.without_repeated("last full day", "status").headers == (
        *HEADERS[:4],
        HEADERS[5],
    )
    assert [len(row) for row in table.without_repeated("last full day").rows] == [5, 5, 5]


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("Acme", 4), ("Zoë", 3), ("e\u0301", 1), ("東京", 4), ("🚀", 2), ("a\ufe0f", 2)],
)
def test_widths(text: str, width: int) -> None:
    """Marks take no column, ideographs and emoji two."""
    assert cells(text) == width


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("Acme GmbH", 9, "Acme GmbH"),
        ("Acme GmbH", 8, "Acme ..."),
        ("東京株式", 7, "東京..."),
        ("東京株式", 6, "東..."),
        ("Acme", 3, ""),
        ("Acme", 0, ""),
        ("", 0, ""),
    ],
)
def test_cutting(text: str, room: int, shown: str) -> None:
    """To whole characters, with dots; nothing where not even one fits."""
    assert cut(text, room) == shown


@given(st.text(alphabet="aé漢字ｱ\u0301🚀ﬀＡ", max_size=40), st.integers(0, 60))
def test_what_is_cut_fits(text: str, room: int) -> None:
    """By our measure, and by the one of the library that draws the rest."""
    shown = cut(text, room)
    assert cells(shown) <= room
    assert cell_len(shown) <= room
