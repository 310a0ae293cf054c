"""Keys: pinned public halves, labels, and the one that signs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.registries import NOW, YEAR, add_license, license_id, new_key, writing

from polygent_issuer.errors import Ambiguous, InputRefused, NotFound
from polygent_issuer.registry import KeyUse, Registry, Writing, customers, keys, licenses
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse, Taken
from polygent_issuer.verifier.keys import Key


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction."""
    with writing(registry) as opened:
        yield opened


def labels(db: Writing) -> list[tuple[str, bool]]:
    """The labels, and which is active."""
    return [(key.label, key.active) for key in keys.every(db)]


def test_a_key_comes_back_as_it_was_pinned(db: Writing) -> None:
    """The public half, its thumbprint, its label."""
    key = new_key()
    added = keys.add(db, key=key, label="main")
    assert (added.kid, added.label, added.created_at) == (key.kid, "main", NOW)
    assert added.public_key == key
    assert added.public_pem == key.to_pem()
    assert (added.retired_at, added.compromised, added.backed_up_at) == (None, False, None)
    assert keys.every(db) == (added,)


def test_only_the_first_key_becomes_active_by_itself(db: Writing) -> None:
    """Servers need a new public key before files are signed with it."""
    assert keys.active(db) is None
    first = keys.add(db, key=new_key(), label="first")
    db.now = NOW + timedelta(days=1)
    second = keys.add(db, key=new_key(), label="second")
    assert keys.active(db) == first
    assert labels(db) == [("first", True), ("second", False)]
    assert keys.activate(db, second.kid).active
    assert labels(db) == [("first", False), ("second", True)]
    assert keys.activate(db, second.kid).active
    with pytest.raises(NotFound):
        keys.activate(db, "nobody")


def test_a_key_becomes_active_where_none_is(db: Writing) -> None:
    """After the only one was retired."""
    first = keys.add(db, key=new_key(), label="first")
    second = keys.add(db, key=new_key(), label="second")
    db.update("keys", first.kid, active=0, retired_at=db.at)
    assert keys.active(db) is None
    assert keys.activate(db, second.kid) == keys.active(db)


def test_a_retired_key_is_not_activated(db: Writing) -> None:
    """The database itself refuses it."""
    keys.add(db, key=new_key(), label="first")
    second = keys.add(db, key=new_key(), label="second")
    db.update("keys", second.kid, retired_at=db.at)
    with pytest.raises(RegistryMisuse):
        keys.activate(db, second.kid)


def test_a_key_and_a_label_are_there_once(db: Writing) -> None:
    """Nor is a label another key's kid: it would name two."""
    key = new_key()
    keys.add(db, key=key, label="main")
    with pytest.raises(Taken, match="already contains the key .*, as main"):
        keys.add(db, key=key, label="other")
    with pytest.raises(Taken, match="the label main"):
        keys.add(db, key=new_key(), label="main")
    with pytest.raises(Taken, match="label"):
        keys.add(db, key=new_key(), label=key.kid)
    with pytest.raises(InputRefused):
        keys.add(db, key=new_key(), label="\x1b[2J")


def test_a_key_is_found_by_label_kid_or_its_beginning(db: Writing) -> None:
    """What an operator has at hand."""
    added = keys.add(db, key=new_key(), label="main")
    other = keys.add(db, key=new_key(), label="spare")
    for typed in ("main", added.kid, added.kid[:20]):
        assert keys.find(db, typed) == added
    with pytest.raises(NotFound) as caught:
        keys.find(db, "spair")
    assert caught.value.hint == "did you mean `spare`? — or `polygent-issue key list`"
    with pytest.raises(NotFound):
        keys.find(db, "")
    assert keys.find(db, other.kid) == other


def test_a_label_wins_over_a_kids_beginning(db: Writing) -> None:
    """A label is exact."""
    first = keys.add(db, key=new_key(), label="first")
    second = keys.add(db, key=new_key(), label=first.kid[:4])
    assert keys.find(db, first.kid[:4]) == second


def test_a_beginning_of_several_kids_names_them(db: Writing) -> None:
    """Ambiguous, with the candidates."""
    pem = new_key().to_pem()
    for kid, label in (("aaaa1", "one"), ("aaaa2", "two")):
        db.insert(
            "keys",
            kid=kid,
            label=label,
            public_pem=pem,
            created_at=db.at,
            active=0,
            compromised=0,
        )
    with pytest.raises(Ambiguous) as caught:
        keys.find(db, "aaaa")
    assert caught.value.hint == "give one of one (aaaa1), two (aaaa2)"


def test_a_slip_names_no_key_by_chance(db: Writing) -> None:
    """A beginning of a kid has at least four characters; a label may be shorter."""
    kid = keys.add(db, key=new_key(1), label="b").kid  # fixed: a random kid may begin with b
    assert keys.find(db, kid[:4]).label == "b"
    for typed in (kid[:3], kid[:1]):
        with pytest.raises(NotFound):
            keys.find(db, typed)
    assert keys.find(db, "b").kid == kid


def test_what_hangs_on_a_key(db: Writing) -> None:
    """How many, how many of them current, and when the last ends, be it replaced."""
    kid, unused = (keys.add(db, key=new_key(n), label=str(n)).kid for n in (1, 2))
    acme = customers.add(db, slug="acme", name="Acme")
    long = add_license(db, 1, acme, kid, expires_at=NOW + 2 * YEAR)
    for number in (2, 3, 4):
        add_license(db, number, acme, kid)
    licenses.replace(db, long.id, license_id(2))
    licenses.retire(db, license_id(3), "left")
    assert keys.uses(db)[kid] == KeyUse(
        licenses=4, current=2, last_end=(NOW + 2 * YEAR).replace(microsecond=0)
    )
    assert unused not in keys.uses(db)


def test_since_when_a_key_is_compromised(db: Writing) -> None:
    """The journal tells; without its row the end of the key's use does. Others: nothing."""
    kid = keys.add(db, key=new_key(), label="main").kid
    keys.retire(db, kid)
    assert keys.compromised_since(db, keys.find(db, kid)) is None
    db.now = NOW + timedelta(days=1)
    marked = keys.retire(db, kid, compromised=True)
    assert marked.retired_at == NOW
    assert keys.compromised_since(db, marked) == NOW
    db.record("key-compromised", kid=kid)
    db.now += timedelta(days=1)
    db.record("key-compromised", kid="another")
    assert keys.compromised_since(db, marked) == NOW + timedelta(days=1)


def test_without_a_key_the_hint_makes_one(db: Writing) -> None:
    """The first thing to do is to generate one."""
    with pytest.raises(NotFound) as caught:
        keys.find(db, "main")
    assert caught.value.hint == "polygent-issue key generate"


def test_a_backup_is_noted(db: Writing) -> None:
    """With the instant of the latest one."""
    kid = keys.add(db, key=new_key(), label="main").kid
    db.now = NOW + timedelta(days=2)
    assert keys.note_backup(db, kid).backed_up_at == db.now
    with pytest.raises(NotFound):
        keys.note_backup(db, "nobody")


def test_the_set_holds_retired_keys_and_no_compromised_one(db: Writing) -> None:
    """Old licenses still verify; a compromised key proves nothing."""
    assert list(keys.key_set(db)) == []
    kids = [keys.add(db, key=new_key(), label=str(n)).kid for n in range(3)]
    db.update("keys", kids[0], active=0, retired_at=db.at)
    db.update("keys", kids[1], retired_at=db.at, compromised=1)
    assert {key.kid for key in keys.key_set(db)} == {kids[0], kids[2]}


@pytest.mark.parametrize("kind", ["another", "nonsense"])
def test_a_swapped_public_key_is_damage(registry: Registry, path: Path, kind: str) -> None:
    """Whoever edits the row cannot make us trust his key."""
    with writing(registry) as db:
        kid = keys.add(db, key=new_key(), label="main").kid
    pem = new_key().to_pem() if kind == "another" else b"nonsense"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE keys SET public_pem = ? WHERE kid = ?", (pem, kid))
        raw.commit()
    with registry.reading() as read:
        with pytest.raises(RegistryDamaged, match=f"keys/{kid}"):
            keys.find(read, kid)
        with pytest.raises(RegistryDamaged, match=f"keys/{kid}"):
            keys.key_set(read)
    with registry.reading(checked=False) as read:
        with pytest.raises(RegistryDamaged) as caught:
            _ = keys.find(read, kid).public_key
        assert caught.value.hint == "polygent-issue journal verify"


def test_keys_are_equal_by_what_they_are(db: Writing) -> None:
    """The pinned half verifies as the one that was given."""
    key = new_key()
    pinned = keys.add(db, key=key, label="main").public_key
    assert isinstance(pinned, Key)
    assert (pinned.x, pinned.y) == (key.x, key.y)
