"""Customers: add, change, find, archive."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, writing

from polygent_issuer.errors import Ambiguous, InputRefused, NotFound
from polygent_issuer.registry import Registry, Writing, customers, journal
from polygent_issuer.registry.errors import RegistryDamaged, Taken


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction with a few customers."""
    with writing(registry) as opened:
        customers.add(opened, slug="acme", name="Acme GmbH")
        customers.add(opened, slug="globex", name="Globex")
        initech = customers.add(opened, slug="initech", name="Initech")
        opened.insert("aliases", slug="penetrode", customer_id=initech.id, created_at=opened.at)
        yield opened


def test_a_customer_comes_back_as_it_was_added(registry: Registry) -> None:
    """A new customer has the given values, and no others."""
    with writing(registry) as db:
        added = customers.add(
            db,
            slug="acme",
            name="Acme",
            contacts=("Ann <ann@acme.example>", "ops@acme.example"),
            time_zone="Europe/Vienna",
            crm="C-42",
        )
    with registry.reading() as read:
        found = customers.get(read, "acme")
    assert found == added
    assert (found.name, found.created_at, found.archived_at) == ("Acme", NOW, None)
    assert (found.time_zone, found.crm, found.aliases) == ("Europe/Vienna", "C-42", ())
    assert found.contacts == ("Ann <ann@acme.example>", "ops@acme.example")


def test_a_name_is_stored_in_nfc(db: Writing) -> None:
    """A name is stored in NFC (FORMAT §1, Issuing)."""
    added = customers.add(db, slug="cafe", name="Cafe\u0301")
    assert added.name == "Caf\u00e9"
    assert customers.edit(db, added, name="Cafe\u0301 2").name == "Caf\u00e9 2"


@pytest.mark.parametrize("slug", ["Acme", "-a", "a-", "", "a b", "../x", "a" * 65, "a\n"])
def test_an_invalid_slug_is_refused(db: Writing, slug: str) -> None:
    """A slug that violates FORMAT §1 (`sub`) is refused."""
    with pytest.raises(InputRefused, match="is not a slug"):
        customers.add(db, slug=slug, name="Name")


@pytest.mark.parametrize("text", ["\x1b[31mred", "bidi\u202e", "", " x", "x" * 201])
def test_an_invalid_display_name_is_refused(db: Writing, text: str) -> None:
    """A name, contact or reference with control characters is refused."""
    with pytest.raises(InputRefused):
        customers.add(db, slug="new", name=text)
    with pytest.raises(InputRefused):
        customers.add(db, slug="new", name="New", contacts=("ok", text))
    with pytest.raises(InputRefused):
        customers.add(db, slug="new", name="New", crm=text)
    acme = customers.get(db, "acme")
    with pytest.raises(InputRefused):
        customers.edit(db, acme, name=text)
    assert customers.get(db, "acme") == acme


@pytest.mark.parametrize(
    "name", ['O\'Brien "& Sons"', "[/red] 100% {x}", "'; DROP TABLE x; --", "株式会社" * 50]
)
def test_unusual_names_are_stored_and_found(db: Writing, name: str) -> None:
    """Names with quotes, markup or other scripts are stored and found unchanged."""
    added = customers.add(db, slug=customers.free_slug(db, name), name=name)
    assert added.name == name
    assert customers.find(db, name) == added


def test_a_taken_slug_is_refused(db: Writing) -> None:
    """The slug or alias of another customer is refused; the hint has a free one."""
    with pytest.raises(Taken, match="belongs to Acme GmbH") as caught:
        customers.add(db, slug="acme", name="New")
    assert caught.value.hint == "choose another slug, such as acme-2"
    with pytest.raises(Taken, match="belongs to Initech"):
        customers.add(db, slug="penetrode", name="New")


def test_an_edit_changes_only_the_given_columns(db: Writing) -> None:
    """Other columns stay; None clears a column; the slug never changes."""
    acme = customers.get(db, "acme")
    edited = customers.edit(db, acme, contacts=("a@b.example",), time_zone="UTC", crm="1")
    assert (edited.name, edited.slug) == ("Acme GmbH", "acme")
    assert (edited.contacts, edited.time_zone, edited.crm) == (("a@b.example",), "UTC", "1")
    renamed = customers.edit(db, edited, name="Acme AG", crm=None)
    assert (renamed.name, renamed.crm, renamed.time_zone) == ("Acme AG", None, "UTC")
    assert renamed.contacts == ("a@b.example",)
    assert customers.find(db, "ACME ag") == renamed
    with pytest.raises(NotFound):
        customers.find(db, "Acme GmbH")
    assert customers.find(db, "acme") == renamed


def test_an_edit_of_nothing_writes_nothing(registry: Registry) -> None:
    """An edit without changes writes no row and needs no journal row."""
    with writing(registry) as db:
        acme = customers.add(db, slug="acme", name="Acme")
    with registry.writing(now=NOW, actor=ACTOR) as db:
        assert customers.edit(db, acme) == acme
    with registry.reading() as read:
        assert journal.head(read)[0] == 2


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("acme", "acme"),
        ("Acme GmbH", "acme"),
        ("  ACME   gmbh ", "acme"),
        ("\uff21cme GmbH", "acme"),
        ("ACME", "acme"),
        ("\u00c1cme, G.m.b.H.", "acme"),
        ("Globex Ltd.", "globex"),
        ("penetrode", "initech"),
    ],
)
def test_a_customer_is_found_by_slug_alias_or_name(db: Writing, typed: str, slug: str) -> None:
    """Case, spacing, punctuation, accents, and a legal form that one name lacks do not matter."""
    assert customers.find(db, typed).slug == slug


def test_aliases_come_with_the_customer(db: Writing) -> None:
    """A customer has the slugs of merged customers."""
    initech = customers.find(db, "Initech")
    db.insert("aliases", slug="a-first", customer_id=initech.id, created_at=db.at)
    assert customers.get(db, "initech").aliases == ("a-first", "penetrode")
    assert customers.get(db, "a-first").slug == "initech"


def test_a_slug_wins_over_a_name(db: Writing) -> None:
    """A slug is found even if another customer has it as a name."""
    customers.add(db, slug="other", name="acme")
    assert customers.find(db, "acme").slug == "acme"


def test_a_name_of_two_customers_is_ambiguous(db: Writing) -> None:
    """The hint names both customers, archived ones as such; an exact name is found before."""
    other = customers.add(db, slug="acme-2", name="ACME gmbh")
    assert customers.find(db, "Acme GmbH").slug == "acme"
    assert customers.find(db, "ACME gmbh").slug == "acme-2"
    customers.archive(db, other)
    for search in (customers.find, customers.find_by_beginning):
        for typed in ("Acme", "acme g.m.b.h."):
            with pytest.raises(Ambiguous) as caught:
                search(db, typed)
            hint = "give one of acme (Acme GmbH), acme-2 (ACME gmbh, archived)"
            assert caught.value.hint == hint
    customers.add(db, slug="acme-3", name="Acme GmbH")
    with pytest.raises(Ambiguous):
        customers.find(db, "Acme GmbH")


def test_another_legal_form_is_another_customer(db: Writing) -> None:
    """Acme Inc is not Acme GmbH, but Globex, which has no legal form, is Globex Inc."""
    with pytest.raises(NotFound) as caught:
        customers.find(db, "Acme Inc")
    assert caught.value.hint == "did you mean acme? or polygent-issue customer list"
    assert customers.find(db, "Globex Inc").slug == "globex"


def test_an_edited_key_of_a_name_never_decides(registry: Registry, path: Path) -> None:
    """The name in the customer's row decides, so a name that an edit gave away finds nothing."""
    with writing(registry) as db:
        customers.add(db, slug="c1", name="Acme GmbH")
        customers.add(db, slug="c2", name="Globex AG")
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        sql = """UPDATE customer_names SET words = 'globex', legal_form = 'ag', letters = 'globex',
            letters_reversed = 'xebolg' WHERE customer_id = 1"""
        raw.execute(sql)
        raw.commit()
    with Registry.open(path) as opened, opened.reading() as read:
        assert customers.find(read, "globex").slug == "c2"
        assert customers.find_by_beginning(read, "glob").slug == "c2"
        assert [one.slug for one in customers.similar(read, "Globexx")] == ["c2"]
        with pytest.raises(NotFound):
            customers.find(read, "acme")


@pytest.mark.parametrize(
    ("typed", "near"), [("acmee", "acme"), ("Globecs", "globex"), ("Acne gmbh", "acme")]
)
def test_a_mistyped_customer_gets_a_suggestion(db: Writing, typed: str, near: str) -> None:
    """The hint names the customer with the most similar slug or name."""
    for search in (customers.find, customers.get, customers.find_by_beginning):
        with pytest.raises(NotFound) as caught:
            search(db, typed)
        assert caught.value.hint == f"did you mean {near}? or polygent-issue customer list"


def test_an_unknown_customer_gets_the_list(db: Writing) -> None:
    """Without a similar customer the hint names `customer list`; the message is escaped."""
    with pytest.raises(NotFound) as caught:
        customers.find(db, "zz\x1b[31m")
    assert caught.value.hint == "polygent-issue customer list"
    assert "\x1b" not in caught.value.message
    assert "\\x1b" in caught.value.message


@pytest.mark.parametrize(
    ("typed", "slug"),
    [
        ("glo", "globex"),
        ("ini", "initech"),
        ("pene", "initech"),
        ("ACME G", "acme"),
        ("M\u00fcl", "c7"),
        ("mueller & s", "c7"),
        ("Mueller Soehne Gm", "c7"),
    ],
)
def test_an_unambiguous_beginning_is_enough(db: Writing, typed: str, slug: str) -> None:
    """A customer is found by the beginning of a slug, an alias or a name; `find` suggests it."""
    customers.add(db, slug="c7", name="M\u00fcller & S\u00f6hne GmbH")
    assert customers.find_by_beginning(db, typed).slug == slug
    with pytest.raises(NotFound) as caught:
        customers.find(db, typed)
    assert str(caught.value.hint).startswith(f"did you mean {slug}?")


def test_the_hint_for_an_ambiguous_beginning_names_five(db: Writing) -> None:
    """The hint names at most five customers, and shows that there are more."""
    for number in range(7):
        customers.add(db, slug=f"site-{number}", name=f"Site {number}")
    with pytest.raises(Ambiguous) as caught:
        customers.find_by_beginning(db, "site")
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("site-4 (Site 4), …")
    with pytest.raises(NotFound) as unknown:
        customers.find(db, "site")
    assert unknown.value.hint == caught.value.hint
    with pytest.raises(Ambiguous) as caught:
        customers.find_by_beginning(db, "site-")
    assert customers.find_by_beginning(db, "site-6").slug == "site-6"


@pytest.mark.parametrize("typed", ["", "  "])
def test_an_empty_text_finds_no_customer(registry: Registry, typed: str) -> None:
    """An empty text does not find the only customer."""
    with writing(registry) as db:
        customers.add(db, slug="acme", name="Acme")
        with pytest.raises(NotFound):
            customers.find_by_beginning(db, typed)


def test_archived_customers_are_listed_on_request(db: Writing) -> None:
    """`every` lists customers by slug, archived ones only on request."""
    db.update("customers", customers.get(db, "globex").id, archived_at=db.at)
    assert [one.slug for one in customers.every(db)] == ["acme", "initech"]
    everyone = list(customers.every(db, archived=True))
    assert [one.slug for one in everyone] == ["acme", "globex", "initech"]
    assert everyone[1].archived_at == NOW


def test_a_free_slug_is_free(db: Writing) -> None:
    """A free slug has a number if a customer or an alias has the slug."""
    assert customers.free_slug(db, "Umbrella") == "umbrella"
    assert customers.free_slug(db, "ACME") == "acme-2"
    customers.add(db, slug="acme-2", name="Another")
    assert customers.free_slug(db, "acme") == "acme-3"
    assert customers.free_slug(db, "Penetrode") == "penetrode-2"


def test_a_free_slug_of_a_long_name_stays_a_slug(db: Writing) -> None:
    """The number replaces the end of a long slug, which keeps its 64 characters."""
    for _ in range(11):
        slug = customers.free_slug(db, "n" * 200)
        customers.add(db, slug=slug, name="Long")
        assert len(slug) <= 64
    assert slug == "n" * 61 + "-11"


def test_a_missing_customer_is_damage(db: Writing) -> None:
    """Customers are never deleted, so a row id without a row is damage."""
    gone = customers.get(db, "acme")._replace(id=99)
    with pytest.raises(RegistryDamaged, match="lacks the customer 99"):
        customers.edit(db, gone, crm="1")


def test_the_time_zones_of_customers(registry: Registry) -> None:
    """`zones` lists the customers with a time zone by slug, without archived ones."""
    with writing(registry) as db:
        for slug in ("umbrella", "globex", "acme"):
            customers.add(db, slug=slug, name=slug.title(), time_zone="Europe/Berlin")
        customers.add(db, slug="initech", name="Initech")
        customers.archive(db, customers.get(db, "globex"))
    with registry.reading() as read:
        zones = list(customers.zones(read))
    assert zones == [("acme", "Europe/Berlin"), ("umbrella", "Europe/Berlin")]
