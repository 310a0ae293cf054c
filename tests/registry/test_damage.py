"""Damaged files: any flipped bits raise only errors of this tool."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.registries import NOW, YEAR, add_license, fill, new_registry, writing

from polygent_issuer.errors import HomeProblem, IssuerError
from polygent_issuer.registry import (
    Registry,
    change,
    customers,
    journal,
    journal_check,
    keys,
    licenses,
    machines,
)
from polygent_issuer.registry.errors import RegistryDamaged

BRIEFLY = timedelta(milliseconds=20)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a registry with rows in every table."""
    folder = tmp_path_factory.mktemp("intact")
    with new_registry(folder) as registry:
        new = fill(registry)
        with writing(registry) as db:
            acme = customers.get(db, "acme")
            db.insert("aliases", slug="old", customer_id=acme.id, created_at=db.at)
            change.add_pending(db, new.id, folder="/out", name="n")
    return (folder / "registry.db").read_bytes()


def use(path: Path) -> None:
    """Read everything, then write a row."""
    with Registry.open(path, busy_timeout=BRIEFLY) as registry:
        assert registry.id
        with registry.reading() as db:
            for customer in customers.every(db, archived=True):
                machines.of(db, customer)
                list(journal.rows(db, customer=customer))
            list(licenses.select(db, expires_before=NOW + 9 * YEAR))
            machines.with_fingerprint(db, "b" * 64)
            customers.similar(db, "Acne")
            change.pending(db)
            db.newest_at()
            list(keys.key_set(db))
            list(journal.rows(db))
            journal_check.verify(db)
        with writing(registry) as db:
            new = customers.add(db, slug="late", name="Late")
            add_license(db, 9, new, keys.every(db)[0].kid)


def survive(path: Path) -> IssuerError | None:
    """Use a file; return its error, which must be an error of this tool, or None."""
    try:
        use(path)
    except IssuerError as error:
        return error
    except IndexError:  # from the test itself, when no key is left
        return None
    return None


def test_the_intact_file_can_be_used(intact: bytes, tmp_path: Path) -> None:
    """The undamaged file of these tests can be used."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact)
    assert survive(path) is None
    with Registry.open(path) as registry, registry.reading() as db:
        assert customers.get(db, "late").name == "Late"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bits_raise_only_errors_of_this_tool(
    intact: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    """One or several flipped bits anywhere raise only errors of this tool."""
    used = [place for place, byte in enumerate(intact) if byte]
    flips = data.draw(
        st.lists(st.tuples(st.sampled_from(used), st.integers(0, 7)), min_size=1, max_size=8)
    )
    damaged = bytearray(intact)
    for place, bit in flips:
        damaged[place] ^= 1 << bit
    path = tmp_path / "registry.db"
    path.write_bytes(damaged)
    for beside in ("-journal", "-wal", "-shm"):
        Path(f"{path}{beside}").unlink(missing_ok=True)
    survive(path)


@pytest.mark.parametrize(
    ("word", "other"),
    [
        (b"        slug TEXT PRIMARY KEY", b"        Slug TEXT PRIMARY KEY"),
        (b"        file BLOB", b"        File BLOB"),
        (
            b"        sha256 TEXT NOT NULL,\n        tier",
            b"        Sha256 TEXT NOT NULL,\n        tier",
        ),
        (b"about (name TEXT", b"about (Name TEXT"),
    ],
)
def test_a_renamed_column_is_reported(
    intact: bytes, tmp_path: Path, word: bytes, other: bytes
) -> None:
    """A column with another spelling, which SQLite still finds, is reported by the schema check."""
    path = tmp_path / "registry.db"
    assert intact.count(word) == 1
    path.write_bytes(intact.replace(word, other))
    with Registry.open(path) as registry, registry.reading() as db:
        problems = journal_check.verify(db).problems
    assert any("is not a table" in problem for problem in problems)
    survive(path)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(100))
def test_a_changed_header_raises_only_errors_of_this_tool(
    intact: bytes, tmp_path: Path, place: int
) -> None:
    """A change of any of the first hundred bytes raises only errors of this tool."""
    for value in (0x00, 0xFF, intact[place] ^ 0x01):
        path = tmp_path / f"{value}.db"
        path.write_bytes(intact[:place] + bytes([value]) + intact[place + 1 :])
        survive(path)


@pytest.mark.parametrize("part", [1, 16, 100, 512, 4095, 4096, 4097, 40_000])
def test_a_truncated_file_is_damaged(intact: bytes, tmp_path: Path, part: int) -> None:
    """A truncated file is not accepted as a registry."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact[:part])
    error = survive(path)
    assert isinstance(error, HomeProblem)
    assert error.code in {"registry_damaged", "registry_missing"}


def test_a_page_of_random_bytes_is_damaged(intact: bytes, tmp_path: Path) -> None:
    """The message names the file, the hint a command; no stored text is quoted."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact[:4096] + b"\xa5" * 8192 + intact[4096 + 8192 :])
    error = survive(path)
    assert isinstance(error, RegistryDamaged)
    assert str(path) in error.message
    assert error.hint == "restore your last backup: polygent-issue registry restore BACKUP"


def test_invalid_utf8_is_damage(intact: bytes, tmp_path: Path) -> None:
    """Invalid UTF-8 is damage; Python's decoding error, which quotes the text, is not raised."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact.replace(b"Globex", b"Glob\xff\xfe"))
    error = survive(path)
    assert isinstance(error, RegistryDamaged)
    assert "Glob" not in error.message
