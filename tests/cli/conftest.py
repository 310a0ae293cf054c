"""A desk for each test of the command line."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import NOW, Desk
from support.licenses import Books


@pytest.fixture
def empty_desk(tmp_path: Path) -> Desk:
    """A desk without a home."""
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with a home, settings and one signing key, to be copied; made a year before."""
    folder = tmp_path_factory.mktemp("made")
    made = Desk(folder, now=NOW - timedelta(days=365)).set_up()
    made.hasten()
    return made


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path) -> Desk:
    """A desk with a home, settings and one signing key, of the test's own."""
    return made_desk.copy_to(tmp_path)


@pytest.fixture
def books(empty_desk: Desk) -> Books:
    """A desk with a home and settings whose registry is filled directly: no key store is asked."""
    return Books(empty_desk).open()
