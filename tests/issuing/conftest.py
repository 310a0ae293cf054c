"""An office for each test of issuing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.office import Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An office with one key."""
    with open_office(tmp_path) as opened:
        yield opened
