"""Fixture of the tests of issuing: an office."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.office import Office, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Open an office with one key."""
    with open_office(tmp_path) as office:
        yield office
