"""A desk for whoever follows README."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import NOW, Desk


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with a home, settings and one signing key, to be copied; made a year before."""
    made = Desk(tmp_path_factory.mktemp("made"), now=NOW - timedelta(days=365)).set_up()
    made.hasten()
    return made


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path) -> Desk:
    """A desk with a home, settings and one signing key, of the test's own."""
    return made_desk.copy_to(tmp_path)
