"""Fixture of the tests of issuing: an office."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.databases import Databases
from support.office import Office, open_office


@pytest.fixture
def office(tmp_path: Path, engine: Databases | None) -> Iterator[Office]:
    """Open an office with one key."""
    with open_office(tmp_path, engine) as office:
        yield office
