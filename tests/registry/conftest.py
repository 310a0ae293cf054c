"""Fixtures of the registry's tests."""

from pathlib import Path

import pytest

from polygent_issuer.registry import REGISTRY_FILE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the test's registry."""
    return tmp_path / REGISTRY_FILE
