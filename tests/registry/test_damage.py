"""A damaged file: whatever bits are flipped, only our own errors leave the registry."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.registries import NOW, YEAR, add_license, fill, new_registry, writing

from polygent_issuer.errors import HomeProblem, IssuerError
from polygent_issuer.registry import (
    Registry,
    customers,
    journal,
    journal_check,
    keys,
    licenses,
    machines,
    outbox,
)
from polygent_issuer.registry.errors import RegistryDamaged

BRIEFLY = timedelta(milliseconds=20)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a registry with something in every table."""
    folder = tmp_path_factory.mktemp("intact")
    with new_registry(folder) as registry:
        new = fill(registry)
        with writing(registry) as db:
            acme = customers.get(db, "acme")
            db.insert("aliases", slug="old", customer_id=acme.id, created_at=db.at)
            outbox.add(db, new.id, folder="/out", name="n")
    return (folder / "registry.db").read_bytes()


def use(path: Path) -> None:
    """Read everything there is, then write a little."""
    with Registry.open(path, busy_timeout=BRIEFLY) as registry:
        assert registry.id
        with registry.reading() as db:
            for customer in customers.every(db, archived=True):
                machines.of(db, customer)
                list(journal.rows(db, customer=customer))
            list(licenses.select(db, expires_before=NOW + 9 * YEAR))
            machines.with_fingerprint(db, "b" * 64)
            customers.similar(db, "Acne")
            outbox.pending(db)
            journal.newest_at(db)
            list(keys.key_set(db))
            list(journal.rows(db))
            journal_check.verify(db)
        with writing(registry) as db:
            new = customers.add(db, slug="late", name="Late")
            add_license(db, 9, new, keys.every(db)[0].kid)


def survive(path: Path) -> IssuerError | None:
    """Use a file; what it says, which must be an error of ours or none."""
    try:
        use(path)
    except IssuerError as error:
        return error
    except IndexError:  # from the test itself, when no key is left
        return None
    return None


def test_the_intact_file_can_be_used(intact: bytes, tmp_path: Path) -> None:
    """What the others damage works."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact)
    assert survive(path) is None
    with Registry.open(path) as registry, registry.reading() as db:
        assert customers.get(db, "late").name == "Late"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bits_give_our_errors_only(
    intact: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    """Anywhere in what is not zero, one bit or several."""
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
def test_a_column_of_another_spelling_is_reported(
    intact: bytes, tmp_path: Path, word: bytes, other: bytes
) -> None:
    """SQLite still finds it; the check says that the tables are not as they were made."""
    path = tmp_path / "registry.db"
    assert intact.count(word) == 1
    path.write_bytes(intact.replace(word, other))
    with Registry.open(path) as registry, registry.reading() as db:
        problems = journal_check.verify(db).problems
    assert any("is not a table" in problem for problem in problems)
    survive(path)


@pytest.mark.parametrize("place", range(100))
def test_each_byte_of_the_header_gives_our_errors_only(
    intact: bytes, tmp_path: Path, place: int
) -> None:
    """The first hundred bytes decide how the rest is read."""
    for value in (0x00, 0xFF, intact[place] ^ 0x01):
        path = tmp_path / f"{value}.db"
        path.write_bytes(intact[:place] + bytes([value]) + intact[place + 1 :])
        survive(path)


@pytest.mark.parametrize("part", [1, 16, 100, 512, 4095, 4096, 4097, 40_000])
def test_a_file_that_was_cut_short_is_damaged(intact: bytes, tmp_path: Path, part: int) -> None:
    """A copy that broke off is not taken for a registry."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact[:part])
    error = survive(path)
    assert isinstance(error, HomeProblem)
    assert error.code in {"registry_damaged", "registry_missing"}


def test_a_page_of_rubbish_is_damaged(intact: bytes, tmp_path: Path) -> None:
    """The message names the file, the hint what to do; no stored text is quoted."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact[:4096] + b"\xa5" * 8192 + intact[4096 + 8192 :])
    error = survive(path)
    assert isinstance(error, RegistryDamaged)
    assert str(path) in error.message
    assert error.hint == "restore your last backup: polygent-issue registry restore BACKUP"


def test_text_that_is_no_utf8_is_damage(intact: bytes, tmp_path: Path) -> None:
    """Python's own decoding error, which quotes the text, stays inside."""
    path = tmp_path / "registry.db"
    path.write_bytes(intact.replace(b"Globex", b"Glob\xff\xfe"))
    error = survive(path)
    assert isinstance(error, RegistryDamaged)
    assert "Glob" not in error.message
