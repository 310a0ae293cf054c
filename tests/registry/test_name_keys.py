"""The keys of customers' names for comparison."""

import pytest

from polygent_issuer.registry.name_keys import name_keys


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
