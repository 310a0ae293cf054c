"""A home whose registry is filled directly."""

import sys
from pathlib import Path

import pytest
from support.cli import Desk
from support.databases import Databases
from support.licenses import Books


@pytest.fixture
def books(made_books: Books, tmp_path: Path, engine: Databases | None) -> Books:
    """A desk with a home and settings, whose only key is in no key store."""
    copy = made_books.copy_to(Desk(tmp_path / "desk"))
    if engine:
        copy.desk.move_registry(engine)
    return copy


@pytest.fixture
def desk(books: Books) -> Desk:
    """The desk of `books`, for running commands."""
    return books.desk


@pytest.fixture
def no_tzdata(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the package tzdata, as if it were not installed."""
    for name in ["tzdata", *sys.modules]:
        if name.partition(".")[0] == "tzdata":
            monkeypatch.setitem(sys.modules, name, None)
