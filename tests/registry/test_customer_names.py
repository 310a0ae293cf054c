"""The keys of customers' names, and the search for similar ones by them."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.registries import writing

from polygent_issuer.registry import Reading, Registry, Writing, customer_names, customers
from polygent_issuer.registry.customer_names import (
    NameIndex,
    NameKey,
    compare,
    divisions,
    name_keys,
    one_letter_apart,
)
from polygent_issuer.registry.customers import similar
from polygent_issuer.text import slugify

LETTERS = st.text(alphabet="abc", max_size=6)
NAMES = st.text(alphabet="aü1 2", min_size=1, max_size=6)


def keys(name: str) -> set[tuple[str, str]]:
    """Return letters and legal form of each key."""
    return {(key.letters, key.legal_form) for key in name_keys(name)}


@pytest.mark.parametrize(
    ("name", "letters", "form"),
    [
        ("Acme GmbH", "acme", "gmbh"),
        ("ACME  g.m.b.h.", "acme", "gmbh"),
        ("Acme GmbH & Co. KG", "acme", "gmbhcokg"),
        ("Acme Pty. Ltd.", "acme", "ptyltd"),
        ("Acme Limited", "acme", "ltd"),
        ("Acme S.A.S.", "acme", "sas"),
        ("Acme sp. z o.o.", "acme", "spzoo"),
        ("Acme-Werke", "acmewerke", ""),
        ("O\u2019Brien & Sons", "obriensons", ""),
        ("Café Zürich", "cafezurich", ""),
        ("GmbH", "gmbh", ""),
        ("AG SE", "ag", "se"),
        ("Store 1 1", "store1.1", ""),
        ("Store 11", "store11", ""),
        ("東京 ガス", "東京ガス", ""),
        ("!!!", "!!!", ""),
    ],
)
def test_letters_and_legal_form(name: str, letters: str, form: str) -> None:
    """Case, spacing, punctuation and accents disappear; the legal form is apart."""
    assert (letters, form) in keys(name)


def test_an_umlaut_has_two_readings() -> None:
    """Müller is Muller and Mueller, which are not each other; ß is only ss."""
    assert keys("Müller") == keys("Muller") | keys("Mueller")
    assert keys("Muller").isdisjoint(keys("Mueller"))
    assert keys("Groß") == keys("GROSS")


def test_signs_of_other_scripts_stay() -> None:
    """A mark that changes the sound stays: カ and ガ differ."""
    assert keys("カス").isdisjoint(keys("ガス"))


def distance(one: str, other: str) -> int:
    """Return the Levenshtein distance, by its textbook recurrence."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


@given(LETTERS, LETTERS)
def test_one_letter_apart_is_levenshtein_one(one: str, other: str) -> None:
    """The result is that of the textbook for words of letters, in both directions."""
    assert one_letter_apart(one, other) == (distance(one, other) <= 1)


@given(*[st.text(alphabet="ab12.", max_size=6)] * 2)
def test_a_text_one_letter_apart_has_a_part_of_each_division(one: str, other: str) -> None:
    """So two ranges of two indexes contain every candidate, also of names with numbers."""
    if one_letter_apart(one, other):
        assert all(other.startswith(a) or other.endswith(b) for a, b in divisions(one))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("acme", "Acme GmbH", True),
        ("Acme Inc", "Acme Incorporated", True),
        ("Acme Inc", "Acme GmbH", False),
        ("Müller", "MUELLER AG", True),
        ("Muller", "Mueller", False),
        ("Acmes", "Acme", False),
    ],
)
def test_a_legal_form_is_disregarded_if_one_name_has_none(
    one: str, other: str, *, expected: bool
) -> None:
    """Else names match only if they have the same legal form."""
    assert compare(one, other, NameKey.matches) is expected
    assert compare(other, one, NameKey.matches) is expected


@given(st.lists(NAMES, max_size=5), NAMES)
def test_names_in_memory_are_searched_by_the_same_rules(known: list[str], name: str) -> None:
    """The index finds each name that a comparison of all names finds."""
    index = NameIndex()
    for each in known:
        index.add(each)
    others = sorted({*known} - {name})
    for rule, found in (
        (NameKey.matches, index.matches(name)),
        (NameKey.is_similar, index.similar(name)),
    ):
        assert found == [each for each in others if compare(each, name, rule)]


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction with a customer whose name has many words."""
    with writing(registry) as opened:
        customers.add(opened, slug="acme-systems", name="Acme Systems")
        customers.add(opened, slug="globex", name="Globex")
        yield opened


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
        "Acme Systems Ltd",
        "\u00c4cme Systems",
        "Acme",
        "ACME GmbH",
        "Acme Systems Nord",
    ],
)
def test_similar_names_are_found(db: Writing, name: str) -> None:
    """Case, spacing, punctuation, legal form, one letter, and more words at the end may differ."""
    assert [one.slug for one in similar(db, name)] == ["acme-systems"]


@pytest.mark.parametrize("name", ["Acm", "Acme Sistem", "Systems", "Acmes Nord", "Initech"])
def test_names_that_differ_more_are_not_found(db: Writing, name: str) -> None:
    """A difference of two letters, or of a part of a word, means another customer."""
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
        ("Store 11", "Store 1 1"),
        ("Store 11", "Store 1x1"),
        ("Store", "Store 1 Berlin 2"),
    ],
)
def test_a_difference_in_a_digit_means_another_customer(db: Writing, one: str, other: str) -> None:
    """This applies to digits of any script, and to names of any length."""
    customers.add(db, slug=customers.free_slug(db, one), name=one)
    assert similar(db, other) == ()
    customers.add(db, slug=customers.free_slug(db, other), name=other)
    assert [found.name for found in similar(db, one.upper())] == [one]


def test_letters_count_in_names_with_digits(db: Writing) -> None:
    """A mistyped letter before or after a number is similar, and so is another word."""
    customers.add(db, slug="store-001", name="Store 001")
    assert [found.slug for found in similar(db, "Stoer 001")] == []
    for name in ("Stor 001", "Store 001x", "xStore 001", "Store 001 Berlin"):
        assert [found.slug for found in similar(db, name)] == ["store-001"]


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


@pytest.mark.parametrize("name", ["Mueller", "Muller", "MULLAR AG", "Mueler"])
def test_an_umlaut_is_found_by_both_readings(db: Writing, name: str) -> None:
    """M\u00fcller is Muller and Mueller, and a slip of either reading is found."""
    customers.add(db, slug="customer-7", name="M\u00fcller")
    assert [one.slug for one in similar(db, name)] == ["customer-7"]


def test_an_alias_is_found(db: Writing) -> None:
    """The name of a merged customer finds the remaining customer."""
    globex = customers.get(db, "globex")
    db.insert("aliases", slug="hammock-labs", customer_id=globex.id, created_at=db.at)
    assert [one.slug for one in similar(db, "Hammock Labs")] == ["globex"]
    db.insert("aliases", slug="customer", customer_id=globex.id, created_at=db.at)
    assert similar(db, "!!!") == ()


@pytest.mark.parametrize("name", ["Bücher Labs", "Buecher Labs AG", "bucher labs, inc."])
def test_an_alias_is_found_without_its_legal_form(db: Writing, name: str) -> None:
    """As names are that differ only in the legal form; a number still means another customer."""
    globex = customers.get(db, "globex")
    for slug in ("bucher-labs-gmbh", "buecher-labs-kg", "bucher-labs-gmbh-2"):
        db.insert("aliases", slug=slug, customer_id=globex.id, created_at=db.at)
    assert [one.slug for one in similar(db, name)] == ["globex"]
    assert similar(db, f"{name} 3") == ()


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


@pytest.mark.sqlite("its query plan")
def test_a_search_reads_few_rows_of_many(registry: Registry) -> None:
    """Among 500 stores a search uses indexes, and compares a few names with the journal."""
    with writing(registry) as db:
        for number in range(500):
            customers.add(db, slug=f"s{number}", name=f"Store {number:03} AG")
    with registry.reading() as read:
        plans, compared = watch(read)
        assert [one.slug for one in similar(read, "Store 123 GmbH")] == ["s123"]
        assert customers.find(read, "store123").slug == "s123"
        assert customers.find_by_beginning(read, "store 012 a").name == "Store 012 AG"
    steps = [step for step in plans if "customer" in step or "alias" in step]
    assert steps
    assert [step for step in steps if step.startswith("SCAN")] == []
    assert len(compared) < 20


@pytest.mark.parametrize("form", ["Municipality {}", "{} Waterworks", "Works {} 1"])
def test_names_with_a_common_word_are_divided_elsewhere(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A search compares a few letters of many names, not each name with that word."""
    places = [f"{a}{b}{c}o" for a in "bdgkl" for b in "aeiou" for c in "mnprstvz"]
    with writing(registry) as db:
        for place in places:
            customers.add(db, slug=place, name=form.format(place))
    compared: list[str] = []

    def noted(one: str, other: str) -> bool:
        compared.append(one)
        return one_letter_apart(one, other)

    monkeypatch.setattr(customer_names, "one_letter_apart", noted)
    with registry.reading() as read:
        assert "bamo" in {one.slug for one in similar(read, form.format("bamoo"))}
    assert len(compared) < len(places) / 2


def watch(db: Reading) -> tuple[list[str], list[str]]:
    """Note the plan of each query from now on, and each row that is compared with the journal."""
    plans: list[str] = []
    compared: list[str] = []
    connection = db.connection
    run, first, require = connection.run, connection.first, db.row_check.require

    def explain(sql: str, params: tuple[object, ...]) -> None:
        with closing(run(f"EXPLAIN QUERY PLAN {sql}", params)) as rows:  # type: ignore[arg-type]
            plans.extend(str(row[3]) for row in rows)

    def explained_run(sql: str, params: tuple[object, ...] = ()) -> object:
        explain(sql, params)
        return run(sql, params)  # type: ignore[arg-type]

    def explained_first(sql: str, params: tuple[object, ...] = ()) -> object:
        explain(sql, params)
        return first(sql, params)  # type: ignore[arg-type]

    def noted(table: str, key: str | int) -> None:
        compared.append(f"{table}/{key}")
        require(table, key)

    connection.run, connection.first = explained_run, explained_first  # type: ignore[assignment,method-assign]
    db.row_check.require = noted  # type: ignore[method-assign]
    return plans, compared
