"""Where the registry of a test is."""

from pathlib import Path

import pytest

from polygent_issuer.registry import REGISTRY_FILE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the registry of this test is."""
    return tmp_path / REGISTRY_FILE
