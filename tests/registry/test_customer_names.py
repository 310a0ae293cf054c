"""The keys of customers' names for comparison."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygent_issuer.registry.customer_names import (
    NameIndex,
    NameKey,
    compare,
    divisions,
    name_keys,
    one_letter_apart,
)

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
