"""Fixtures: an issuer of license files, and an office for batches."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.batches import Batches
from support.databases import Databases
from support.lic_files import Issuer
from support.office import open_office


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """A signer of license files."""
    return Issuer()


@pytest.fixture
def batches(tmp_path: Path, engine: Databases | None) -> Iterator[Batches]:
    """An office with one key, for batches."""
    folder = tmp_path / "office"
    folder.mkdir()
    with open_office(folder, engine) as office:
        yield Batches(office)
