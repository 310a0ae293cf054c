"""Desks for the commands of keys."""

import pytest
from support.cli import PASSPHRASE, Desk


@pytest.fixture
def bare(empty_desk: Desk) -> Desk:
    """Create a desk with a passphrase in a file and no home."""
    empty_desk.passphrase_file.write_text(PASSPHRASE)
    empty_desk.passphrase_file.chmod(0o600)
    return empty_desk


@pytest.fixture
def at_hand(empty_desk: Desk) -> Desk:
    """Create a desk without a home and without a passphrase."""
    empty_desk.output.mkdir()
    return empty_desk


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Create a desk with a second key."""
    key = f"file:{desk.folder / 'second.key'}"
    desk.ok("key", "generate", "second", "--store", key, "--no-backup")
    return desk
