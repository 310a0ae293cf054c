"""Books whose licenses are written about."""

from pathlib import Path

import pytest
from support.cli import Desk
from support.licenses import Books


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """A registry that is filled directly."""
    return Books(Desk(tmp_path)).open()
