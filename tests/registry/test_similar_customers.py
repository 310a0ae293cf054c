"""Search for customers with similar names."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.registries import writing

from polygent_issuer.registry import Registry, Writing, customers
from polygent_issuer.registry.customers import one_letter_apart, similar
from polygent_issuer.text import slugify

WORDS = st.text(alphabet="abc", max_size=6)


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction with a customer whose name has many words."""
    with writing(registry) as opened:
        customers.add(opened, slug="acme-systems", name="Acme Systems")
        customers.add(opened, slug="globex", name="Globex")
        yield opened


def distance(one: str, other: str) -> int:
    """Return the Levenshtein distance, by its textbook recurrence."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


@given(WORDS, WORDS)
def test_one_letter_apart_is_levenshtein_one(one: str, other: str) -> None:
    """The result is that of the textbook for words of letters, in both directions."""
    assert one_letter_apart(one, other) == (distance(one, other) <= 1)


@pytest.mark.parametrize(
    "name",
    [
        "Acme Systems",
        "ACME  systems",
        "\uff21cme Systems",
        "Acme System",
        "Acme Systemss",
        "cme Systems",
        "xAcme Systems",
        "Acme Sistems",
        "Acme-Systems!",
    ],
)
def test_similar_names_are_found(db: Writing, name: str) -> None:
    """Case, form, spacing, punctuation, and one letter may differ."""
    assert [one.slug for one in similar(db, name)] == ["acme-systems"]


@pytest.mark.parametrize("name", ["Acme", "Acme Sistem", "Systems", "Acme Systems Ltd", "Initech"])
def test_names_that_differ_more_are_not_found(db: Writing, name: str) -> None:
    """A difference of two letters means another customer."""
    assert similar(db, name) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Store 001", "Store 002"),
        ("Store 001", "Store 0010"),
        ("Store 1", "Store"),
        ("Store \uff11", "Store \uff12"),
        ("Store \u0663", "Store \u0664"),
        ("Store \u4e00", "Store \u4e03"),
        (f"{'N' * 70} 001", f"{'N' * 70} 002"),
        ("Plant O", "Plant 0"),
    ],
)
def test_a_difference_in_a_digit_means_another_customer(db: Writing, one: str, other: str) -> None:
    """This applies to digits of any script, and to names of any length."""
    customers.add(db, slug=customers.free_slug(db, one), name=one)
    assert similar(db, other) == ()
    customers.add(db, slug=customers.free_slug(db, other), name=other)
    assert [found.name for found in similar(db, one.upper())] == [one]
    assert [found.name for found in similar(db, one + "x")] == [one]


def test_letters_count_in_names_with_digits(db: Writing) -> None:
    """A mistyped letter in a name with a number is similar."""
    customers.add(db, slug="store-001", name="Store 001")
    assert [found.slug for found in similar(db, "Stoer 001")] == []
    assert [found.slug for found in similar(db, "Stor 001")] == ["store-001"]


def test_every_single_change_is_found(db: Writing) -> None:
    """Each letter of a name that is left out, doubled or changed is found."""
    name = "acme systems"
    for place in range(len(name)):
        for changed in (
            name[:place] + name[place + 1 :],
            name[:place] + "q" + name[place + 1 :],
            name[:place] + "q" + name[place:],
        ):
            assert [one.slug for one in similar(db, changed)] == ["acme-systems"], changed


def test_a_similar_slug_is_found(db: Writing) -> None:
    """A name may differ more than its slug."""
    customers.add(db, slug="muller", name="M\u00fcller")
    assert [one.slug for one in similar(db, "Mueller")] == ["muller"]


def test_an_alias_is_found(db: Writing) -> None:
    """The name of a merged customer finds the remaining customer."""
    globex = customers.get(db, "globex")
    db.insert("aliases", slug="hammock-labs", customer_id=globex.id, created_at=db.at)
    assert [one.slug for one in similar(db, "Hammock Labs")] == ["globex"]


def test_names_without_a_latin_slug_are_compared_as_names(db: Writing) -> None:
    """Two Chinese names are not similar because of similar slugs."""
    name = "\u6771\u4eac\u96fb\u529b"
    customers.add(db, slug=slugify(name), name=name)
    assert similar(db, "\u5927\u962a\u30ac\u30b9") == ()
    assert [one.name for one in similar(db, "\u6771\u4eac\u96fb\u6c17")] == [name]


def test_a_customer_is_not_similar_to_itself(db: Writing) -> None:
    """When a name is edited, the customer's own name is left out."""
    acme = customers.get(db, "acme-systems")
    assert similar(db, "Acme Systemz", besides=acme) == ()


def test_the_search_uses_indexes(registry: Registry) -> None:
    """The search does not read all customers."""
    sql = "EXPLAIN QUERY PLAN SELECT id, {0} FROM customers WHERE {0} >= 'a' AND {0} < 'b'"
    with registry.reading() as db:
        for column in ("folded", "folded_reversed", "slug", "slug_reversed"):
            (step,) = db.execute(sql.format(column))
            assert str(step[3]).startswith("SEARCH customers USING COVERING INDEX")
