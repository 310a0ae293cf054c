"""A home with a registry, a Secret Service, and a custodian over both."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.passphrases import Given
from support.registries import ACTOR, NOW, new_registry
from support.secret_service import SecretService, secret_service

from polygent_issuer.custody import Custodian
from polygent_issuer.keystore import openssh
from polygent_issuer.settings import Settings


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A real, unlocked Secret Service that this process sees as its own."""
    with secret_service() as running:
        running.enter(monkeypatch)
        yield running


@pytest.fixture
def passphrase() -> Given:
    """What key files and backups are sealed with."""
    return Given(b"correct horse battery staple")


@pytest.fixture
def custodian(
    tmp_path: Path, passphrase: Given, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Custodian]:
    """Whoever makes keys in a fresh home; sealing takes one round here."""
    monkeypatch.setattr(openssh, "ROUNDS", 1)
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
