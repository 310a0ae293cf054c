"""A home with a registry, and the key lifecycle on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.passphrases import Given, new
from support.registries import ACTOR, NOW, new_registry

from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.lifecycle import KeyLifecycle


@pytest.fixture
def passphrase() -> Given:
    """The passphrase of key files and backups."""
    return Given(b"correct horse battery staple")


@pytest.fixture
def key_lifecycle(tmp_path: Path, passphrase: Given) -> Iterator[KeyLifecycle]:
    """The key lifecycle of a new home."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with new_registry(home) as registry:
        yield KeyLifecycle(
            registry=registry,
            home=home,
            settings=Settings(),
            passphrase=new(passphrase),
            warn=pytest.fail,
            now=NOW,
            actor=ACTOR,
        )
