"""An empty registry for each test, and somebody who signs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lic_files import Issuer
from support.registries import new_registry

from polygent_issuer.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry, closed after the test."""
    with new_registry(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Whose license files these are."""
    return Issuer()
