"""What SQLite itself says of the file."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.registries import fill, tampering

from polygent_issuer.registry import Registry, health
from polygent_issuer.registry.errors import RegistryDamaged


def test_a_sound_registry_has_nothing_to_tell(registry: Registry) -> None:
    """With something in every table that people ask for."""
    fill(registry)
    with registry.reading() as db:
        assert health.integrity(db) == ()
        assert health.counts(db) == {
            "customers": 2,
            "machines": 1,
            "licenses": 2,
            "keys": 1,
            "journal": 3,
        }


def test_what_is_found_is_cut_short(registry: Registry, path: Path) -> None:
    """Ten lines say enough of what is wrong."""
    registry.close()
    with tampering(path) as raw:
        for number in range(30):
            raw.execute("INSERT INTO aliases VALUES (?, 99, 'now')", (f"a{number}",))
    with Registry.open(path) as again, again.reading() as db:
        found = health.integrity(db)
    assert len(found) == 10
    assert set(found) == {"a row of aliases refers to a row of customers that is not there"}


def test_a_table_that_is_gone_is_damage(registry: Registry, path: Path) -> None:
    """Nothing can be counted in it."""
    registry.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE outbox")
        raw.execute("DROP TABLE licenses")
    with (
        Registry.open(path) as again,
        again.reading() as db,
        pytest.raises(RegistryDamaged),
    ):
        health.counts(db)
