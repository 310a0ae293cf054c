"""The coming twelve months of `expiring`, at a real terminal."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from support.cli import NOW
from support.licenses import Books
from support.screen import at_terminal, finish

from polygent_issuer.cli.output.blocks import cells
from polygent_issuer.cli.output.expiry_chart import ExpiryChart, months

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def screen(books: Books, *argv: str, columns: int = 100, **environ: str) -> str:
    """Return the output of `expiring` on a terminal of this width."""
    code, shown = finish(
        at_terminal(books.desk.home, "expiring", *argv, COLUMNS=str(columns), **environ)
    )
    assert code == 0, shown
    return shown.replace("\r\n", "\n")


def bars(shown: str) -> list[str]:
    """The lines of the months."""
    return [line for line in COLOUR.sub("", shown).splitlines() if re.match(r"20\d\d-\d\d  ", line)]


@pytest.fixture
def full(books: Books) -> Books:
    """Licenses of four customers, most of them of one month; the clock is the machine's."""
    books.desk.now = datetime.now(UTC)
    later = _middle(books.desk.now, 3)
    names = ("[bold]Globex[/bold]", "株式会社ポリジェント", "Zoë Müller & Söhne", "Acme GmbH")
    for number, name in enumerate(names):
        owner = books.customer(name, f"c{number}")
        for _ in range(2):
            books.license(owner, expires_at=later + timedelta(hours=number))
    books.license(owner, expires_at=_middle(books.desk.now, 5))
    return books


def _middle(now: datetime, later: int) -> datetime:
    """The 15th of a month to come."""
    years, month = divmod(now.month - 1 + later, 12)
    return datetime(now.year + years, month + 1, 15, tzinfo=UTC)


def test_months_with_counts_bars_and_names(full: Books) -> None:
    """Twelve of them, the fullest the longest; names once, as they are written."""
    shown = screen(full)
    assert "the coming twelve months" in shown
    lines = bars(shown)
    assert len(lines) == 12
    assert lines[0].split() == [f"{full.desk.now:%Y-%m}", "0"]
    named = "[bold]Globex[/bold], 株式会社ポリジェント, Zoë Müller & Söhne"
    most = re.fullmatch(rf"{_middle(full.desk.now, 3):%Y-%m}  8  (█+)  (.*)", lines[3])
    assert most is not None
    assert most[2].startswith("[bold]Globex[/bold], 株式会社ポリジェント")
    wide = bars(screen(full, columns=200))[3]
    assert wide.endswith(f"{named}, Acme GmbH")
    least = re.fullmatch(rf"{_middle(full.desk.now, 5):%Y-%m}  1  (█+) +Acme GmbH", lines[5])
    assert least is not None
    assert len(least[1]) == -(-len(most[1]) // 8)
    assert "\x1b[1m" not in lines[3]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 60, 80, 133])
def test_they_fit(full: Books, columns: int) -> None:
    """However narrow it is; who finds no room is counted."""
    for line in bars(screen(full, columns=columns)):
        assert cells(line) < columns
    assert re.search(r" and \d more$", bars(screen(full, columns=40))[3])


def test_without_colour_they_are_drawn_too(full: Books) -> None:
    """NO_COLOR is heard; a dumb terminal gets no escape either."""
    for shown in (screen(full, NO_COLOR="1"), screen(full, TERM="dumb")):
        assert "\x1b" not in shown
        assert len(bars(shown)) == 12
        assert "█" in shown


def test_a_terminal_without_the_character_gets_another(full: Books) -> None:
    """By the encoding of stdout."""
    shown = screen(full, PYTHONIOENCODING="ascii")
    assert "8  ####" in bars(shown)[3]


def test_off_a_terminal_nothing_is_drawn(full: Books) -> None:
    """A pipe gets the plain list; CSV and JSON have no chart at a terminal either."""
    assert bars(full.desk.ok("expiring", "--within", "1y").text) == []
    assert bars(screen(full, "--csv")) == []
    assert "twelve months" not in screen(full, "--json")


def test_without_expiries_no_chart_is_drawn(books: Books) -> None:
    """Only the sentence."""
    shown = COLOUR.sub("", screen(books))
    assert shown.startswith("nothing expires before")


def test_a_license_counts_for_its_last_second(books: Books) -> None:
    """One that ends with a month is of that month; what has ended, and next year, is of none."""
    acme = books.customer()
    books.desk.now = NOW - timedelta(days=1)
    ends = (
        NOW,
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC),
        datetime(2027, 11, 1, tzinfo=UTC),
        datetime(2027, 11, 1, 0, 0, 1, tzinfo=UTC),
    )
    for end in ends:
        books.license(acme, expires_at=end)
    with books.reading() as db:
        found = months(db, NOW)
    assert list(found)[::11] == ["2026-11", "2027-10"]
    assert {label: len(ends) for label, ends in found.items() if ends} == {
        "2026-11": 1,
        "2026-12": 1,
        "2027-10": 1,
    }


def test_a_customer_is_named_once_and_counted_once(books: Books) -> None:
    """However many licenses end; of many customers the first are named."""
    for number in range(20):
        owner = books.customer(f"Customer {number}", f"c{number}")
        for _ in range(2):
            books.license(owner, expires_at=NOW + timedelta(days=31, minutes=number))
    with books.reading() as db:
        chart = ExpiryChart(months=months(db, NOW), width=99, bar="#")
    [line] = [str(block) for block in chart.blocks() if "2026-12  40" in str(block)]
    named = ", ".join(f"Customer {number}" for number in range(3))
    assert f" {named}, " in line
    [more] = re.findall(r"and (\d+) more", line)
    assert line.count("Customer") + int(more) == 20


def test_the_list_below_keeps_what_is_copied_whole(books: Books) -> None:
    """At 80 columns each row has the ID and the last full day; the slug is whole, too."""
    books.desk.now = datetime.now(UTC)
    owner = books.customer("Globex International", "globex-international-holdings")
    soon = (books.desk.now + timedelta(days=10)).replace(microsecond=0)
    held = books.license(owner, expires_at=soon)
    [row] = [line for line in screen(books, columns=80).splitlines() if held.id[:8] in line]
    assert f"{soon - timedelta(days=1):%Y-%m-%d}" in row
    assert owner.slug in row
    assert " 10d " in row
