"""A sandbox for each test."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.sandboxes import MACHINE, Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox without a license, with an admin signed in."""
    made = Sandbox(tmp_path)
    made.site.be_machine(MACHINE)
    made.sign_in("admin")
    with closing(made), made.client:
        yield made


@pytest.fixture
def licensed(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a license for 25 users, 2 session hosts, 1 deploy host and `insights`."""
    sandbox.upload(sandbox.issuer.file(1))
    assert sandbox.site.standing().active
    return sandbox
