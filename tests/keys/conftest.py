"""A home with a registry, and a custodian over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.passphrases import Given
from support.registries import ACTOR, NOW, new_registry

from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.lifecycle import KeyLifecycle


@pytest.fixture
def passphrase() -> Given:
    """What key files and backups are sealed with."""
    return Given(b"correct horse battery staple")


@pytest.fixture
def custodian(tmp_path: Path, passphrase: Given) -> Iterator[KeyLifecycle]:
    """Whoever makes keys in a fresh home."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with new_registry(home) as registry:
        yield KeyLifecycle(
            registry=registry,
            home=home,
            settings=Settings(),
            passphrase=passphrase,
            warn=pytest.fail,
            now=NOW,
            actor=ACTOR,
        )
