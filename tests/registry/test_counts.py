"""How much is in a registry."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.registries import fill

from polygent_issuer.registry import Registry, summaries
from polygent_issuer.registry.errors import RegistryDamaged


def test_each_table_is_counted(registry: Registry) -> None:
    """With something in every table that people ask for."""
    fill(registry)
    with registry.reading() as db:
        assert summaries.count_all(db) == {
            "customers": 2,
            "machines": 1,
            "licenses": 2,
            "keys": 1,
            "journal": 3,
        }


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
        summaries.count_all(db)
