"""Fixtures of the tests of enforcement."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import Server, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server without a license, an hour after the issuer's first file."""
    with running(tmp_path / "license.db") as made:
        yield made
