"""The outbox: committed licenses that may not be delivered."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.lic_files import license_id
from support.registries import ACTOR, NOW, add_license, fill, writing

from polygent_issuer.registry import (
    LicenseStatus,
    Reading,
    Registry,
    change,
    customers,
    keys,
    licenses,
)
from polygent_issuer.registry.change import OutboxRow
from polygent_issuer.registry.errors import RegistryMisuse, Taken


def test_a_license_is_pending_until_it_is_cleared(registry: Registry) -> None:
    """Oldest first; no journal row is needed."""
    fill(registry)
    with writing(registry) as db:
        add_license(db, 3, customers.get(db, "acme"), keys.find(db, "main").kid)
    one, two, three = (license_id(number) for number in (1, 2, 3))
    for day, noted in enumerate((two, three)):
        with registry.writing(now=NOW + timedelta(days=day), actor=ACTOR) as db:
            change.add_pending(db, noted, folder=None, name=None)
    with registry.writing(now=NOW + timedelta(days=2), actor=ACTOR) as db:
        change.add_pending(db, one, folder="/out", name="a.lic")
    with registry.reading() as read:
        pending = change.pending(read)
    assert [row.license_id for row in pending] == [two, three, one]
    assert pending[0] == OutboxRow(license_id=two, folder=None, name=None, at=NOW, home=None)
    assert (pending[2].folder, pending[2].name) == ("/out", "a.lic")
    with registry.writing(now=NOW, actor=ACTOR) as db:
        change.clear_pending(db, three)
        assert change.pending(db) == (pending[0], pending[2])


def test_a_row_ends_the_emptiness_that_was_read_before(registry: Registry) -> None:
    """A transaction that found the outbox empty sees the row that it adds."""
    fill(registry)
    with writing(registry) as db:
        assert db.outbox_is_empty()
        assert change.pending(db) == ()
        change.add_pending(db, license_id(1), folder=None, name=None)
        assert not db.outbox_is_empty()
        assert [row.license_id for row in change.pending(db)] == [license_id(1)]


def test_a_license_has_one_destination(registry: Registry) -> None:
    """A second row for a license is refused."""
    fill(registry)
    with writing(registry) as db:
        change.add_pending(db, license_id(1), folder=None, name=None)
        with pytest.raises(Taken), db.part():
            change.add_pending(db, license_id(1), folder="/out", name="a")


def test_a_row_needs_a_license(registry: Registry) -> None:
    """A row for a missing license is refused at the COMMIT."""
    with pytest.raises(RegistryMisuse), writing(registry) as db:
        change.add_pending(db, license_id(1), folder=None, name=None)
    fill(registry)
    with writing(registry) as db:
        acme, key = customers.get(db, "acme"), keys.find(db, "main")
        added = add_license(db, 7, acme, key.kid)
        change.add_pending(db, added.id, folder=None, name=None)


def test_a_home_has_its_own_rows_and_those_of_none(registry: Registry) -> None:
    """Those of another home stay, also if it has written to the same archive."""
    fill(registry)
    ids = [license_id(number) for number in (1, 2, 3)]
    with writing(registry) as db:
        add_license(db, 3, customers.get(db, "acme"), keys.find(db, "main").kid)
    for each, home in zip(ids, ("mine", "other", None), strict=True):
        with registry.writing(now=NOW, actor=replace(ACTOR, home=home)) as db:
            change.add_pending(db, each, folder="/out/all.zip", name=f"{each}.lic")
    with registry.writing(now=NOW, actor=replace(ACTOR, home="mine")) as db:
        assert [row.license_id for row in change.pending_of(db, "mine")] == [ids[0], ids[2]]
        assert [row.license_id for row in change.pending_of(db, None)] == [ids[2]]
        archived = {each.id for each in change.pending_for_archive(db, "/out/all.zip")}
        assert archived == {ids[0], ids[2]} & current(db)
        db.update("licenses", ids[1], retired_at=db.at, retired_reason="left us")
        db.record("license-retired", license=ids[1])
        change.clear_superseded(db, "/out/all.zip")
        assert ids[1] in {row.license_id for row in change.pending(db)}
        change.forget_places(db)
        assert {row.home for row in change.pending(db)} == {None}


def current(db: Reading) -> set[str]:
    """Return the IDs of the current licenses."""
    return {each.id for each in licenses.select(db, status=LicenseStatus.CURRENT)}
