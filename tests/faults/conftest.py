"""Desks to be copied, and the process that forks commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Desk
from support.forks import Forks, open_forks
from support.keys import seal_quickly


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with a home, settings and one signing key, to be copied."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        seal_quickly(monkeypatch)
        return Desk(tmp_path_factory.mktemp("made")).set_up()


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path) -> Desk:
    """A desk with a home, settings and one signing key, of the test's own."""
    return made_desk.copy_to(tmp_path / "desk")


@pytest.fixture(scope="session")
def forks(made_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A process that forks commands and has imported what issuing needs."""
    folder = tmp_path_factory.mktemp("forks")
    warm = made_desk.copy_to(folder / "warm")
    with open_forks(folder) as running:
        running.warm_up(warm, "sign", "--machine-info", warm.machine_info())
        running.warm_up(warm, "renew", "acme-gmbh", "--accept", "not-due", "--reason", "x")
        yield running
