"""A sandbox for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.sandboxes import Sandbox, admin_at


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox without a license, with an admin signed in."""
    with admin_at(tmp_path) as sandbox:
        yield sandbox


@pytest.fixture
def licensed(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a license for 25 users, 2 session hosts, 1 deploy host and `insights`."""
    sandbox.upload(sandbox.issuer.file(1))
    assert sandbox.site.standing().active
    return sandbox
