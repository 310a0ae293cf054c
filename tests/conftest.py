"""What test folders share: hypothesis profiles, a Ctrl-C that arrives, desks, books, registries."""

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import ssh
from hypothesis import HealthCheck, settings
from support import softhsm
from support.cli import NOW, Desk
from support.licenses import Books
from support.registries import new_registry
from support.secret_service import SecretService, secret_service

from polygent_issuer.cli import main
from polygent_issuer.cli.commands import Entry
from polygent_issuer.enforcement import sqlite_store
from polygent_issuer.keys import file_store
from polygent_issuer.registry import Registry, connection

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("dev", deadline=None, max_examples=40)
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# A shell's background job ignores SIGINT, and so would every command that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the garbage collector not look again and again at thousands of tests while they come."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def hurry() -> Iterator[pytest.MonkeyPatch]:
    """Let this process seal with one round of bcrypt, and not wait for the disk at each commit.

    Sealing keys are derived, and Typer's commands built, once each.
    """
    with pytest.MonkeyPatch.context() as patch:
        _make_hurry(patch)
        yield patch


@pytest.fixture
def unhurried(hurry: pytest.MonkeyPatch) -> Iterator[None]:
    """As it is outside the tests: 64 rounds, which take half a second, and durable commits."""
    hurry.undo()
    yield
    _make_hurry(hurry)


def _make_hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(file_store, "ROUNDS", 1)
    derive = cache(getattr(ssh, "_bcrypt_kdf"))  # noqa: B009 - mypy sees no public name
    patch.setattr(ssh, "_bcrypt_kdf", derive)  # tests have copies of a few key files
    patch.setattr(main, "build_group", cache(main.build_group))
    patch.setattr(main, "load", _once_for_each_body(main.load))
    durable, unsynced = connection.pragmas, "PRAGMA synchronous = OFF"
    patch.setattr(connection, "pragmas", lambda platform: (*durable(platform), unsynced))
    patch.setattr(sqlite_store, "PRAGMAS", (*sqlite_store.PRAGMAS, "synchronous = OFF"))


@pytest.fixture
def empty_desk(tmp_path: Path) -> Desk:
    """A desk without a home."""
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with a home, settings and one signing key, to be copied; made a year before."""
    return Desk(tmp_path_factory.mktemp("made"), now=NOW - timedelta(days=365)).set_up()


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path) -> Desk:
    """A desk with a home, settings and one signing key, of the test's own."""
    return made_desk.copy_to(tmp_path)


@pytest.fixture(scope="session")
def made_books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """A desk with a home, settings and a registry with a key of no store, to be copied."""
    return Books(Desk(tmp_path_factory.mktemp("books"))).open()


@pytest.fixture
def books(made_books: Books, empty_desk: Desk) -> Books:
    """A desk with a home and settings whose registry is filled directly: no key store is asked."""
    return made_books.copy_to(empty_desk)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry, closed after the test."""
    with new_registry(tmp_path) as made:
        yield made


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A real, unlocked Secret Service that this process sees as its own."""
    with secret_service() as running:
        running.enter(monkeypatch)
        yield running


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[softhsm.SoftHsm]:
    """A fresh token that this process sees; however a test ends, its module is let go of."""
    made = softhsm.softhsm(tmp_path / "hsm")
    made.enter(monkeypatch)
    yield made
    assert softhsm.still_initialised() == []


def _once_for_each_body(load: Callable[[Entry, main.Markup], Any]) -> Callable[..., Any]:
    """`load` with a memory: building a command takes half the time that most commands take."""
    remembered = cache(lambda entry, markup, _body: load(entry, markup))

    def loaded(entry: Entry, markup: main.Markup) -> Any:
        body = None  # a test may put another in its place
        if entry.target:
            module, function = entry.target.split(":")
            body = getattr(import_module(f"polygent_issuer.cli.commands.{module}"), function)
        return remembered(entry, markup, body)

    return loaded
