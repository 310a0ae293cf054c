"""The settings in a registry: read in one query, and compared with the journal."""

from itertools import pairwise
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, REGISTRY_ID, tampering, writing

from polygent_issuer.registry import Registry, Writing, journal, journal_check
from polygent_issuer.registry.errors import RegistryDamaged, RegistryMisuse

ROWS = {"issuer": '"Polygent Ltd"', "upload_window": '"7d"'}


def change(registry: Registry, before: dict[str, str], after: dict[str, str]) -> None:
    """Write other settings."""
    with writing(registry) as db:  # with a journal row
        db.write_team_settings(before, after)


def read(registry: Registry) -> dict[str, str]:
    """Return the settings."""
    with registry.reading() as db:
        return db.team_settings()


def test_settings_are_added_changed_and_removed(registry: Registry) -> None:
    """A removed one can be added again, and the journal matches at every step."""
    assert read(registry) == {}
    steps: tuple[dict[str, str], ...] = ({}, ROWS, {"issuer": '"Polygent SE"'}, {}, ROWS)
    for before, after in pairwise(steps):
        change(registry, before, after)
        assert read(registry) == after
        with registry.reading() as db:
            assert journal_check.verify(db).problems == ()


def test_a_change_needs_a_journal_row(registry: Registry) -> None:
    """Without one nothing is committed."""
    with pytest.raises(RegistryMisuse), registry.writing(now=NOW, actor=ACTOR) as db:
        db.write_team_settings({}, ROWS)
    assert read(registry) == {}


def test_a_new_registry_gets_its_settings_in_its_first_row(tmp_path: Path) -> None:
    """One COMMIT creates the registry with them."""

    def fill(db: Writing) -> dict[str, object]:
        db.write_team_settings({}, ROWS)
        return {"changes": {}}

    path = tmp_path / "registry.db"
    with (
        Registry.create(path, now=NOW, actor=ACTOR, registry_id=REGISTRY_ID, fill=fill) as registry,
        registry.reading() as db,
    ):
        assert db.team_settings() == ROWS
        [row] = journal.rows(db)
        assert row.details == {"registry": REGISTRY_ID, "changes": {}}
        assert journal_check.verify(db).problems == ()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "edit",
    [
        """UPDATE team_settings SET value = '"Mallory"' WHERE name = 'issuer'""",
        "DELETE FROM team_settings WHERE name = 'upload_window'",
        "INSERT INTO team_settings VALUES ('features', '[]')",
        "UPDATE row_journal SET seq = 1 WHERE name = 'team_settings/issuer'",
        "DELETE FROM row_journal WHERE name = 'team_settings/issuer'",
    ],
)
def test_an_edited_row_is_found(registry: Registry, edit: str) -> None:
    """A row that differs from the journal is never used."""
    change(registry, {}, ROWS)
    with tampering(Path(registry.place)) as raw:
        raw.execute(edit)
    with pytest.raises(RegistryDamaged, match="team_settings/"):
        read(registry)
