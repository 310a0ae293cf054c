"""Signing keys: pinned public keys, labels, the active key, and compromised ones."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.lic_files import license_id
from support.licenses import Books
from support.registries import NOW, YEAR, add_license, new_key, writing

from polygent_issuer.errors import Ambiguous, InputRefused, NotFound
from polygent_issuer.registry import KeyUse, Registry, Writing, customers, keys, licenses
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse, Taken
from polygent_issuer.registry.keys import CompromisedKey, find_compromised_key
from polygent_issuer.verifier.keys import Key


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction."""
    with writing(registry) as opened:
        yield opened


def labels(db: Writing) -> list[tuple[str, bool]]:
    """Return the labels, and whether each key is active."""
    return [(key.label, key.active) for key in keys.every(db)]


def test_a_key_comes_back_as_it_was_pinned(db: Writing) -> None:
    """A pinned key has its public key, thumbprint and label."""
    key = new_key()
    added = keys.add(db, key=key, label="main")
    assert (added.kid, added.label, added.created_at) == (key.kid, "main", NOW)
    assert added.public_key == key
    assert added.public_pem == key.to_pem()
    assert (added.retired_at, added.compromised, added.backed_up_at) == (None, False, None)
    assert keys.every(db) == (added,)


def test_only_the_first_key_becomes_active_automatically(db: Writing) -> None:
    """Later keys stay inactive, because servers need the new public key first."""
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


def test_a_key_can_be_activated_after_the_active_one_was_retired(db: Writing) -> None:
    """A key can become active after the active one was retired."""
    first = keys.add(db, key=new_key(), label="first")
    second = keys.add(db, key=new_key(), label="second")
    db.update("keys", first.kid, active=0, retired_at=db.at)
    assert keys.active(db) is None
    assert keys.activate(db, second.kid) == keys.active(db)


def test_a_retired_key_is_not_activated(db: Writing) -> None:
    """A constraint of the database refuses to activate a retired key."""
    keys.add(db, key=new_key(), label="first")
    second = keys.add(db, key=new_key(), label="second")
    db.update("keys", second.kid, retired_at=db.at)
    with pytest.raises(RegistryMisuse), db.part():
        keys.activate(db, second.kid)


def test_a_key_and_a_label_are_unique(db: Writing) -> None:
    """A label must not be the kid of another key either."""
    key = new_key()
    keys.add(db, key=key, label="main")
    with pytest.raises(Taken, match="already contains the key"):
        keys.add(db, key=key, label="other")
    with pytest.raises(Taken, match="the label main"):
        keys.add(db, key=new_key(), label="main")
    with pytest.raises(Taken, match="label"):
        keys.add(db, key=new_key(), label=key.kid)
    with pytest.raises(InputRefused):
        keys.add(db, key=new_key(), label="\x1b[2J")


def test_a_key_is_found_by_label_kid_or_its_beginning(db: Writing) -> None:
    """A key is found by its label, its kid, or the beginning of its kid."""
    added = keys.add(db, key=new_key(), label="main")
    other = keys.add(db, key=new_key(), label="spare")
    for typed in ("main", added.kid, added.kid[:20]):
        assert keys.find(db, typed) == added
    with pytest.raises(NotFound) as caught:
        keys.find(db, "spair")
    assert caught.value.hint == "did you mean spare? or polygent-issue key list"
    with pytest.raises(NotFound):
        keys.find(db, "")
    assert keys.find(db, other.kid) == other


def test_a_label_wins_over_a_kids_beginning(db: Writing) -> None:
    """A label is found even if a kid begins with it."""
    first = keys.add(db, key=new_key(), label="first")
    second = keys.add(db, key=new_key(), label=first.kid[:4])
    assert keys.find(db, first.kid[:4]) == second


def test_a_beginning_of_several_kids_is_ambiguous(db: Writing) -> None:
    """The hint names the keys."""
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


def test_a_short_beginning_finds_no_key(db: Writing) -> None:
    """The beginning of a kid needs four characters; a label may be shorter."""
    kid = keys.add(db, key=new_key(1), label="b").kid  # fixed: a random kid may begin with b
    assert keys.find(db, kid[:4]).label == "b"
    for typed in (kid[:3], kid[:1]):
        with pytest.raises(NotFound):
            keys.find(db, typed)
    assert keys.find(db, "b").kid == kid


def test_the_use_of_a_key(db: Writing) -> None:
    """The use has the number of licenses, of current ones, and the last expiry of all."""
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


def test_the_instant_of_a_compromise(db: Writing) -> None:
    """It comes from the journal, or else from the retirement; other keys have none."""
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


def test_without_a_key_the_hint_names_key_generate(db: Writing) -> None:
    """Without any key the hint names `key generate`."""
    with pytest.raises(NotFound) as caught:
        keys.find(db, "main")
    assert caught.value.hint == "polygent-issue key generate"


def test_a_backup_is_recorded(db: Writing) -> None:
    """A key has the instant of its latest backup."""
    kid = keys.add(db, key=new_key(), label="main").kid
    db.now = NOW + timedelta(days=2)
    assert keys.note_backup(db, kid).backed_up_at == db.now
    with pytest.raises(NotFound):
        keys.note_backup(db, "nobody")


def test_the_key_set_has_retired_but_no_compromised_keys(db: Writing) -> None:
    """Licenses of a retired key verify, those of a compromised key do not."""
    assert list(keys.key_set(db)) == []
    kids = [keys.add(db, key=new_key(), label=str(n)).kid for n in range(3)]
    db.update("keys", kids[0], active=0, retired_at=db.at)
    db.update("keys", kids[1], retired_at=db.at, compromised=1)
    assert {key.kid for key in keys.key_set(db)} == {kids[0], kids[2]}


@pytest.mark.parametrize("kind", ["another", "nonsense"])
def test_a_replaced_public_key_is_damage(registry: Registry, path: Path, kind: str) -> None:
    """A public key that an edit replaced is not trusted."""
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


def test_a_pinned_key_equals_the_original(db: Writing) -> None:
    """A pinned public key equals the key that was added."""
    key = new_key()
    pinned = keys.add(db, key=key, label="main").public_key
    assert isinstance(pinned, Key)
    assert (pinned.x, pinned.y) == (key.x, key.y)


def test_only_a_compromised_key_of_exactly_this_kid(books: Books) -> None:
    """A label or the beginning of a kid, which a forger may write, names no key."""
    kid = books.signer.kid
    with books.reading() as db:
        assert find_compromised_key(db, kid) is None
    with books.writing() as db:
        keys.retire(db, kid, compromised=True)
        db.record("key-compromised", kid=kid)
    with books.reading() as db:
        key = find_compromised_key(db, kid)
        assert key == CompromisedKey(kid=kid, label="main", since=books.desk.now)
        assert key.message.startswith(
            "the file names the key main, which is marked as compromised since 2026-11-30T09:30:00Z"
        )
        for other in ("main", kid[:8], kid.lower()):
            assert find_compromised_key(db, other) is None


def test_a_compromised_key_without_a_time(books: Books) -> None:
    """A key without a retirement, which no command leaves, has no time."""
    kid = books.signer.kid
    with books.writing() as db:
        db.update("keys", kid, compromised=1)
        db.record("test", kid=kid)
    with books.reading() as db:
        key = find_compromised_key(db, kid)
    assert key is not None
    assert "marked as compromised: anyone" in key.message
    assert key.to_json() == {"kid": kid, "label": "main", "since": None}
