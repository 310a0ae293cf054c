"""The outbox: what is committed and perhaps not delivered."""

from datetime import timedelta

import pytest
from support.registries import ACTOR, NOW, add_license, fill, license_id, writing

from polygent_issuer.registry import OutboxRow, Registry, customers, keys, outbox
from polygent_issuer.registry.errors import RegistryMisuse, Taken


def test_what_is_noted_is_pending_until_it_is_cleared(registry: Registry) -> None:
    """Clearing needs no journal row: it decides nothing."""
    fill(registry)
    first, second = license_id(1), license_id(2)
    with registry.writing(now=NOW + timedelta(days=1), actor=ACTOR) as db:
        outbox.add(db, first, folder="/out", name="a.lic", temp=".a.tmp")
    with registry.writing(now=NOW, actor=ACTOR) as db:
        outbox.add(db, second, folder=None, name=None, temp=None)
    with registry.reading() as read:
        oldest, newest = outbox.pending(read)
    assert oldest == OutboxRow(license_id=second, folder=None, name=None, temp=None, at=NOW)
    assert (newest.folder, newest.name, newest.temp) == ("/out", "a.lic", ".a.tmp")
    with registry.writing(now=NOW, actor=ACTOR) as db:
        outbox.clear(db, second)
        assert outbox.pending(db) == (newest,)


def test_a_license_is_noted_once(registry: Registry) -> None:
    """One place to deliver to."""
    fill(registry)
    with writing(registry) as db:
        outbox.add(db, license_id(1), folder=None, name=None, temp=None)
        with pytest.raises(Taken):
            outbox.add(db, license_id(1), folder="/out", name="a", temp="b")


def test_only_a_license_is_noted(registry: Registry) -> None:
    """And it may be noted only together with one."""
    with pytest.raises(RegistryMisuse), writing(registry) as db:
        outbox.add(db, license_id(1), folder=None, name=None, temp=None)
    fill(registry)
    with writing(registry) as db:
        acme, key = customers.get(db, "acme"), keys.find(db, "main")
        added = add_license(db, 7, acme, key.kid)
        outbox.add(db, added.id, folder=None, name=None, temp=None)
