"""A Secret Service for each test that asks for one."""

from collections.abc import Iterator

import pytest
from support.secret_service import SecretService, secret_service


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A real, unlocked Secret Service that this process sees as its own."""
    with secret_service() as running:
        running.enter(monkeypatch)
        yield running
