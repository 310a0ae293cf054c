"""The places of backups in the settings."""

from pathlib import Path

from polygent_issuer.home import settings
from polygent_issuer.home.settings_editing import default_text
from polygent_issuer.keys import backups

KID = "k" * 43


def places(home: Path) -> tuple[Path, ...]:
    """Return the recorded places of the key."""
    return settings.load(home, {}).settings.backups.get(KID, ())


def test_places_are_kept_and_forgotten(tmp_path: Path) -> None:
    """The newest is the last; without a place the file is as before, to the last byte."""
    path = settings.settings_path(tmp_path)
    path.write_text(default_text(issuer="Polygent Ltd"))
    path.chmod(0o600)
    before = path.read_bytes()
    awkward = Path('/a b, c/"q"\\ ü')
    for place in (awkward, Path("/b"), awkward):
        backups.remember(tmp_path, KID, place)
    assert places(tmp_path) == (Path("/b"), awkward)
    backups.remember(tmp_path, KID, Path("/two\nlines"))
    assert places(tmp_path) == (Path("/b"), awkward)
    backups.replace(tmp_path, KID, ())
    assert path.read_bytes() == before
