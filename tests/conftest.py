"""Fixtures of several test folders: hypothesis profiles, desks, books, registries, key stores."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import ssh
from hypothesis import HealthCheck, settings
from support import softhsm
from support.cli import NOW, Desk
from support.databases import Databases
from support.disks import disk_in_memory
from support.licenses import Books
from support.postgres import Cluster, cluster
from support.pty import stop_forking
from support.registries import new_registry
from support.secret_service import SecretService, secret_service

from polygent_issuer.cli import main
from polygent_issuer.cli.commands import Entry
from polygent_issuer.enforcement import sqlite_store
from polygent_issuer.files import publication
from polygent_issuer.keys import file_store
from polygent_issuer.registry import Registry, sqlite
from polygent_issuer.text import Command, Hint

SQLITE = "sqlite"
# Formats and dates, whose rules rest on Python's own.
WHOLE_ON_OTHER_PYTHONS = {"machine_info", "terms", "vectors", "verifier"}
BOTH_ENGINES = {"batch", "cli", "delivery", "doctor", "issuing", "registry", "runbooks"}

pytest_plugins = ["polygent_issuer.enforcement.testing"]

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("dev", deadline=None, max_examples=40)
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# A background job of a shell ignores SIGINT, and the commands that it starts inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for other versions of Python and of the libraries."""
    about = "run most tests with their first and last parameters only"
    parser.addoption("--ends", action="store_true", help=about)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the parameters of a test between its first and its last, with `--ends`."""
    if not config.getoption("ends"):
        return
    whole: set[pytest.Item] = set()
    first: dict[str, pytest.Item] = {}
    last: dict[str, pytest.Item] = {}
    for item in items:
        test = item.nodeid.partition("[")[0]
        first.setdefault(test, item)
        last[test] = item
        if item.path.relative_to(Path(__file__).parent).parts[0] in WHOLE_ON_OTHER_PYTHONS:
            whole.add(item)
    chosen = {*whole, *first.values(), *last.values()}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def pytest_configure() -> None:
    """Keep the files of the tests in memory, if there is enough."""
    if memory := disk_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Use more processes than cores, since many tests wait for servers, locks and processes."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0))
    return cores + 1 if "not slow" in config.option.markexpr else 2 * cores


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Switch the garbage collector off while thousands of tests are collected."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # the collected tests live until the end, so no collection has to visit them
        gc.set_threshold(100_000, 50, 50)  # Python's own take a tenth of the time of all tests
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def hurry() -> Iterator[pytest.MonkeyPatch]:
    """Seal keys with one round of bcrypt in this process, and do not wait for the disk.

    Each sealing key is derived only once, and each Typer command is built only once.
    """
    with pytest.MonkeyPatch.context() as patch:
        _make_hurry(patch)
        yield patch


@pytest.fixture
def unhurried(hurry: pytest.MonkeyPatch) -> Iterator[None]:
    """Use 64 rounds of bcrypt, which take half a second, and sync commits and files to disk."""
    hurry.undo()
    yield
    _make_hurry(hurry)


def _make_hurry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(file_store, "ROUNDS", 1)
    derive = cache(getattr(ssh, "_bcrypt_kdf"))  # noqa: B009 - mypy does not know the private name
    patch.setattr(ssh, "_bcrypt_kdf", derive)  # most tests copy one of a few key files
    patch.setattr(ssh, "os", SimpleNamespace(urandom=bytes))  # one salt: a round takes 6 ms
    patch.setattr(main, "build_group", cache(main.build_group))
    patch.setattr(main, "load", _once_for_each_body(main.load))
    durable, unsynced = sqlite.pragmas, "PRAGMA synchronous = OFF"
    patch.setattr(sqlite, "pragmas", lambda platform: (*durable(platform), unsynced))
    pragmas = (*sqlite_store.CONTENT.pragmas, "synchronous = OFF")
    patch.setattr(sqlite_store, "CONTENT", replace(sqlite_store.CONTENT, pragmas=pragmas))
    patch.setattr(os, "fsync", os.fstat)  # refuses a closed descriptor, too
    patch.setattr(publication, "_sync_all", os.fstat)


@pytest.fixture(scope="session", autouse=True)
def whole_hints() -> Iterator[None]:
    """Refuse to format a hint with a command into a text of ours, which would lose `--home`."""

    def checked(hint: Hint, _: str) -> str:
        name = sys._getframe(1).f_globals["__name__"]
        if name.startswith("polygent_issuer."):
            assert not any(isinstance(part, Command) for part in hint.parts), (name, hint)
        return str(hint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hint, "__format__", checked)
        yield


@pytest.fixture(scope="session", autouse=True)
def terminals() -> Iterator[None]:
    """End the process that forks the tool at terminals."""
    yield
    stop_forking()


@pytest.fixture
def empty_desk(tmp_path: Path) -> Desk:
    """A desk without a home."""
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with a home, settings and one signing key, made a year ago, for copies."""
    return Desk(tmp_path_factory.mktemp("made"), now=NOW - timedelta(days=365)).set_up()


@pytest.fixture
def desk(made_desk: Desk, tmp_path: Path, engine: Databases | None) -> Desk:
    """The test's own desk with a home, settings and one signing key."""
    copy = made_desk.copy_to(tmp_path)
    return copy.move_registry(engine) if engine else copy


@pytest.fixture(scope="session")
def made_books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """A desk with a home, settings and a registry with a key without a store, for copies."""
    return Books(Desk(tmp_path_factory.mktemp("books"))).open()


@pytest.fixture
def books(made_books: Books, empty_desk: Desk, engine: Databases | None) -> Books:
    """A desk with a home and settings whose registry is filled directly, without a key store."""
    copy = made_books.copy_to(empty_desk)
    if engine:
        copy.desk.move_registry(engine)
    return copy


@pytest.fixture
def registry(tmp_path: Path, engine: Databases | None) -> Iterator[Registry]:
    """An empty registry, closed after the test."""
    with new_registry(tmp_path, databases=engine) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server for the tests of this process."""
    with cluster() as server:
        yield server


@pytest.fixture(scope="session")
def databases(postgres: Cluster) -> Databases:
    """Databases with a registry, of the server for the tests of this process."""
    return Databases(postgres)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Databases | None]:
    """The databases for registries of the test, or None for files."""
    if getattr(request, "param", SQLITE) == SQLITE:
        yield None
        return
    databases = request.getfixturevalue("databases")
    yield databases
    databases.take_back_all()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a registry on both engines; PostgreSQL mainly in the slow lane."""
    if "engine" not in metafunc.fixturenames:
        return
    folder = metafunc.definition.path.relative_to(Path(__file__).parent).parts[0]
    of_file = metafunc.definition.get_closest_marker("sqlite") or "path" in metafunc.fixturenames
    if folder in BOTH_ENGINES and not of_file:
        engines = [SQLITE, pytest.param("postgres", marks=pytest.mark.slow)]
        if metafunc.definition.get_closest_marker("both"):
            engines = [SQLITE, "postgres"]
        elif metafunc.config.option.markexpr == "not slow":
            engines = [SQLITE]  # no process collects thousands of tests only to deselect them
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A real, unlocked Secret Service that this process uses."""
    with secret_service() as running:
        running.enter(monkeypatch)
        yield running


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[softhsm.SoftHsm]:
    """A new token that this process uses; its module is released at the end of the test."""
    made = softhsm.softhsm(tmp_path / "hsm")
    made.enter(monkeypatch)
    yield made
    assert softhsm.still_initialised() == []


def _once_for_each_body(load: Callable[[Entry, main.Markup], Any]) -> Callable[..., Any]:
    """Cache `load`: building a command takes half of the time of most commands."""
    remembered = cache(lambda entry, markup, _body: load(entry, markup))

    def loaded(entry: Entry, markup: main.Markup) -> Any:
        body = None  # part of the cache's key, because a test may replace it
        if entry.target:
            module, function = entry.target.split(":")
            body = getattr(import_module(f"polygent_issuer.cli.commands.{module}"), function)
        return remembered(entry, markup, body)

    return loaded
