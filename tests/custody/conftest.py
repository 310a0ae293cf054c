"""A home with a registry, and a custodian over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.passphrases import Given
from support.registries import ACTOR, NOW, new_registry

from polygent_issuer.custody import Custodian
from polygent_issuer.settings import Settings


@pytest.fixture
def passphrase() -> Given:
    """What key files and backups are sealed with."""
    return Given(b"correct horse battery staple")


@pytest.fixture
def custodian(tmp_path: Path, passphrase: Given) -> Iterator[Custodian]:
    """Whoever makes keys in a fresh home."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with new_registry(home) as registry:
        yield Custodian(
            registry=registry,
            home=home,
            settings=Settings(),
            passphrase=passphrase,
            warn=pytest.fail,
            now=NOW,
            actor=ACTOR,
        )
