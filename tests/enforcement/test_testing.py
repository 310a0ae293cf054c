"""The fixtures for an integrator's tests: key, files, clock, and a license in memory."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.lic_files import license_id

from polygent_issuer.enforcement import (
    Installation,
    InstallRefused,
    LogEntry,
    Refusal,
    ServerLicense,
    SqliteStore,
    State,
    Store,
)
from polygent_issuer.enforcement.store import REFUSALS_KEPT
from polygent_issuer.enforcement.testing import (
    FINGERPRINT,
    LicenseClock,
    LicenseFile,
    LicenseKey,
    MemoryStore,
)
from polygent_issuer.verifier import ClockGuard, KeySet, LicenseError, Tier, Verifier

ANOTHER_MACHINE = "sha256:" + "cd" * 32
AT = datetime(2026, 1, 5, tzinfo=UTC)


def test_the_installed_license_allows_everything(
    installed_license: ServerLicense, license_clock: LicenseClock
) -> None:
    """A test that is not about licensing needs nothing but the fixture."""
    assert installed_license.standing(license_clock()).state is State.ACTIVE
    for name in ("planner", "multiple-active-sessions", "sso-saml"):
        assert installed_license.feature(name, license_clock()) is None
    assert installed_license.active(datetime.now(UTC)) == installed_license.active(license_clock())


def test_the_clock_moves_a_license_to_its_expiry_and_back(
    installed_license: ServerLicense, license_clock: LicenseClock
) -> None:
    """The clock moves only when the test moves it; a clock that is set back is noticed."""
    assert license_clock() == license_clock()
    license_clock.now += timedelta(days=366)
    assert installed_license.standing(license_clock()).state is State.EXPIRED
    license_clock.now -= timedelta(days=2)
    assert installed_license.standing(license_clock()).state is State.CLOCK_TAMPERED


def test_the_terms_of_a_file(
    server_license: ServerLicense, license_file: LicenseFile, license_clock: LicenseClock
) -> None:
    """Each named term is in the license; a fingerprint makes it standard."""
    license_clock.now = AT
    standard = server_license.install(
        license_file(
            customer="Initech",
            fingerprint=FINGERPRINT,
            features=["planner"],
            users=3,
            session_hosts=1,
            deploy_hosts=0,
            term=timedelta(days=30),
            license_id=license_id(1),
        ),
        now=AT,
        by="ada",
    )
    assert (standard.customer, standard.jti, standard.tier) == (
        "Initech",
        license_id(1),
        Tier.STANDARD,
    )
    assert (standard.issued_at, standard.expires_at) == (AT, AT + timedelta(days=30))
    limits = standard.limits
    assert (limits.users, limits.session_hosts, limits.deploy_hosts) == (3, 1, 0)
    assert standard.features == ("planner",)
    renewed = server_license.install(
        license_file(
            allowed_domain="*.acme.internal",
            replaces=[license_id(1)],
            issued_at=AT - timedelta(days=1),
        ),
        now=AT,
        by="ada",
    )
    assert (renewed.tier, renewed.replaces) == (Tier.ENTERPRISE, (license_id(1),))
    assert (str(renewed.allowed_domain), renewed.issued_at) == (
        "*.acme.internal",
        AT - timedelta(days=1),
    )


def test_terms_that_no_license_may_have(license_file: LicenseFile) -> None:
    """A mistake in a test is an error there, not a file that each server refuses."""
    with pytest.raises(LicenseError, match="sso-saml"):
        license_file(fingerprint=FINGERPRINT, features=["sso-saml"])
    with pytest.raises(LicenseError, match="users"):
        license_file(users=0)


def test_a_license_of_another_machine_is_refused(
    server_license: ServerLicense, license_file: LicenseFile, license_clock: LicenseClock
) -> None:
    """The checks of an installation are the real ones."""
    with pytest.raises(InstallRefused) as refused:
        server_license.install(
            license_file(fingerprint=ANOTHER_MACHINE), now=license_clock(), by="ada"
        )
    assert refused.value.code == "machine_mismatch"
    assert isinstance(server_license.active(license_clock()), Refusal)


def test_the_key_as_a_file(license_key: LicenseKey, license_file: LicenseFile) -> None:
    """An app that reads `public.pem` trusts the key."""
    keys = KeySet.from_pem(license_key.public_pem())
    assert Verifier(keys).authenticate(license_file()).customer == "Acme GmbH"


def test_the_store_in_memory_keeps_what_a_file_keeps(tmp_path: Path) -> None:
    """After the same calls, both stores return the same state and log."""
    memory, file = MemoryStore(), SqliteStore(tmp_path / "license.db")
    fill(memory)
    fill(file)
    assert memory.load() == file.load()
    assert memory.install_log() == file.install_log()
    assert len(memory.install_log()) == REFUSALS_KEPT + 3
    file.close()


def fill(store: Store) -> None:
    """Call every method that writes; install a license again with another file."""
    store.keep_guard(ClockGuard(AT))
    for number, file, replaces in ((1, b"a", (5,)), (2, b"b", ()), (1, b"c", (6, 5))):
        installation = Installation(
            license_id=license_id(number),
            file=file,
            sub="acme",
            scope="any",
            iat=number,
            replaces=tuple(map(license_id, replaces)),
            at=AT + timedelta(hours=len(file)),
            by="ada",
        )
        store.install(installation, ClockGuard(AT, tampered=True), entry(number, "installed"))
    for number in range(REFUSALS_KEPT + 2):
        store.log_refusal(entry(number, "expired"))
    store.keep_run(AT, (license_id(1), 30))
    store.keep_run(AT + timedelta(days=1), None)


def entry(number: int, outcome: str) -> LogEntry:
    """Return an entry of the log."""
    return LogEntry(
        at=AT, by="ada", license_id=license_id(number), customer="Acme", outcome=outcome
    )


def test_without_pytest_the_error_names_it() -> None:
    """A server does not depend on pytest, and the error names the fix."""
    script = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import polygent_issuer.enforcement\n"
        "import polygent_issuer.enforcement.testing\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "has fixtures of pytest, which is not installed" in ran.stderr
    assert "pip install pytest" in ran.stderr
