"""A fresh registry for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.registries import new_registry

from polygent_issuer.registry import REGISTRY_FILE, Registry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the registry of this test is."""
    return tmp_path / REGISTRY_FILE


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry, closed after the test."""
    with new_registry(tmp_path) as made:
        yield made
