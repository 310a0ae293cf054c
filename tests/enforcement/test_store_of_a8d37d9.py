"""A store that version a8d37d9 made keeps its license, its log, its alerts and its clock guard."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.lic_files import ISSUED, Issuer, license_id
from support.servers import DAY, MACHINE

from polygent_issuer.enforcement import (
    InstallRefused,
    ServerLicense,
    SqliteStore,
    State,
)
from polygent_issuer.verifier import KeySet, Verifier

SCRIPT = Path(__file__).parents[1] / "support" / "license_store_a8d37d9.sql"
KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/NILTyf5VHaiXWr25Mb8nvrTcuoq
BTSIr5HuIvxtn3WmxxWo+ERCMvQp1+PRtw7n96ozYKVkMrtetDKhYqxkNQ==
-----END PUBLIC KEY-----
"""
LAST_SEEN = ISSUED + 11 * DAY + timedelta(hours=1)
ISSUER = Issuer()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """The store, opened by this version."""
    path = tmp_path / "license.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(SCRIPT.read_text())
    path.chmod(0o600)
    with closing(SqliteStore(path)) as made:
        yield made


@pytest.fixture
def license_(store: SqliteStore) -> ServerLicense:
    """The server's license, which trusts the key of the earlier version and a new one."""
    keys = KeySet.of(*KeySet.from_pem(KEY), ISSUER.signer.public_key)
    return ServerLicense(
        Verifier(keys), store, fingerprint=MACHINE, freshness_window=timedelta(days=14)
    )


def test_the_license_stays(license_: ServerLicense) -> None:
    """The license that it installed last is active until its own expiry."""
    standing = license_.standing(LAST_SEEN + DAY)
    assert standing.active
    assert standing.license is not None
    assert standing.license.jti == license_id(1)
    assert license_.standing(ISSUED + 41 * DAY).state is State.EXPIRED


def test_the_log_stays(license_: ServerLicense, store: SqliteStore) -> None:
    """Its entries are kept, and new ones follow them."""
    license_.install(ISSUER.file(2), now=LAST_SEEN, by="eve")
    newest, *earlier = store.install_log()
    assert (newest.by, newest.outcome) == ("eve", "installed")
    assert [(each.at, each.by, each.license_id, each.outcome) for each in earlier] == [
        (ISSUED + DAY, "ada", license_id(1), "installed"),
        (ISSUED + timedelta(hours=2), "bob", None, "malformed"),
        (ISSUED + timedelta(hours=1), "ada", license_id(0), "installed"),
    ]


def test_the_clock_guard_stays(license_: ServerLicense) -> None:
    """A clock set back by more than a day before the time that it saw last is noticed."""
    back = LAST_SEEN - DAY - timedelta(minutes=1)
    assert license_.standing(back).state is State.CLOCK_TAMPERED
    assert license_.standing(LAST_SEEN + timedelta(seconds=1)).active


def test_superseded_licenses_stay(license_: ServerLicense, store: SqliteStore) -> None:
    """A license that a later one replaced there cannot be installed again."""
    replaced = store.load().installations[0]
    with pytest.raises(InstallRefused) as refused:
        license_.install(replaced.file, now=LAST_SEEN, by="eve")
    assert refused.value.code == "superseded"


def test_sent_milestones_stay(store: SqliteStore, license_: ServerLicense) -> None:
    """The alert that it sent, and the time of its daily run, are known."""
    stored = store.load()
    assert stored.sent == frozenset({(license_id(1), 30)})
    assert stored.last_run == LAST_SEEN
    assert not license_.alerts_due(LAST_SEEN)
