"""Fixtures of pytest for the tests of an app that enforces a license.

    # conftest.py
    pytest_plugins = ["polygent_issuer.enforcement.testing"]

    # test_planner.py
    def test_without_the_planner(server_license, license_file, license_clock):
        file = license_file(features=["bots"])
        server_license.install(file, now=license_clock(), by="ada")
        app = create_app(license=lambda: server_license, now=license_clock)
        assert TestClient(app).get("/api/planner").status_code == 403

The license is in memory and signed with a key that exists for one run. Nothing else imports this
module, so that no server can trust that key by mistake.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ..verifier import AllowedDomain, ClockGuard, Key, KeySet, License, Limits, Tier, Verifier, jws
from ..verifier.keys import COORDINATE_BYTES
from ..verifier.tables import ENTERPRISE_FEATURES, FEATURES
from .server_license import ServerLicense
from .store import INSTALLED, REFUSALS_KEPT, Installation, Kept, LogEntry, ProcessBound

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{__name__} has fixtures of pytest, which is not installed; "
        "install it where the tests run: pip install pytest",
        name="pytest",
    ) from error

__all__ = [
    "FINGERPRINT",
    "LicenseClock",
    "LicenseFile",
    "LicenseKey",
    "MemoryStore",
    "installed_license",
    "license_clock",
    "license_file",
    "license_key",
    "server_license",
]

FINGERPRINT: Final = "sha256:" + "ab" * 32
"""The fingerprint of the machine of `server_license`."""


class MemoryStore(ProcessBound):
    """A `Store` in memory, for tests: the state is lost with the object."""

    def __init__(self) -> None:
        """Begin without a license."""
        self._lock = Lock()
        self._kept = Kept()
        self._log: list[LogEntry] = []

    def close(self) -> None:
        """See `Store.close`; the state stays."""

    def load(self) -> Kept:
        """See `Store.load`."""
        return self._kept

    def keep_guard(self, guard: ClockGuard) -> None:
        """See `Store.keep_guard`."""
        with self._lock:
            self._kept = replace(self._kept, guard=guard)

    def install(self, installation: Installation, guard: ClockGuard, entry: LogEntry) -> None:
        """See `Store.install`."""
        made = installation
        with self._lock:
            installations = {each.license_id: each for each in self._kept.installations}
            if before := installations.get(made.license_id):
                replaces = tuple(dict.fromkeys((*before.replaces, *made.replaces)))
                made = replace(before, file=made.file, replaces=replaces)
            installations[made.license_id] = made
            self._kept = replace(
                self._kept,
                installations=tuple(installations.values()),
                in_force=made.license_id,
                guard=guard,
            )
            self._log.append(entry)

    def log_refusal(self, entry: LogEntry) -> None:
        """See `Store.log_refusal`."""
        with self._lock:
            self._log.append(entry)
            refused = [each for each in self._log if each.outcome != INSTALLED]
            if len(refused) > REFUSALS_KEPT:
                self._log.remove(refused[0])

    def install_log(self) -> tuple[LogEntry, ...]:
        """See `Store.install_log`."""
        with self._lock:
            return tuple(reversed(self._log))

    def keep_run(self, at: datetime, sent: tuple[str, int] | None) -> None:
        """See `Store.keep_run`."""
        with self._lock:
            milestones = self._kept.sent if sent is None else self._kept.sent | {sent}
            self._kept = replace(self._kept, last_run=at, sent=milestones)


@dataclass
class LicenseClock:
    """A clock that only a test moves: `license_clock.now += timedelta(days=400)`.

    Attributes:
        now: aware; at first the time at which the test began, in UTC.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        """Return its time; pass the clock where an app takes `now`."""
        return self.now


class LicenseKey:
    """A private key that exists in this process only; its `keys` verify what it signs."""

    def __init__(self) -> None:
        """Generate the key."""
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._public = Key.from_public_key(self._private.public_key())
        self.keys = KeySet(self._public)

    def public_pem(self) -> bytes:
        """Return the public key for an app that reads it from a file."""
        return self._public.to_pem()

    def sign(self, license_: License) -> bytes:
        """Return the license file.

        Raises:
            LicenseError: (`invalid_claims`) no license may have these claims (FORMAT §1).
        """
        payload = license_.to_payload()
        License.from_payload(payload)
        signing_input = jws.signing_input(self._public.kid, payload)
        r, s = decode_dss_signature(self._private.sign(signing_input, ec.ECDSA(SHA256())))
        signature = b"".join(part.to_bytes(COORDINATE_BYTES, "big") for part in (r, s))
        return jws.assemble(signing_input, signature)


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseFile:
    """Signs license files with the terms that a test names."""

    key: LicenseKey
    clock: LicenseClock

    def __call__(
        self,
        *,
        customer: str = "Acme GmbH",
        fingerprint: str | None = None,
        allowed_domain: str | None = None,
        features: Iterable[str] | None = None,
        users: int = 25,
        session_hosts: int = 5,
        deploy_hosts: int = 5,
        issued_at: datetime | None = None,
        term: timedelta = timedelta(days=365),
        license_id: str | None = None,
        replaces: Iterable[str] = (),
    ) -> bytes:
        """Return the bytes of a license file; without terms, one that any machine accepts now.

        Args:
            fingerprint: makes a standard license for this machine, such as `FINGERPRINT`; the
                default is an enterprise license.
            features: the default is all of the tier.
            issued_at: aware; the default is the time of the clock.
            term: from `issued_at` to the expiry.
            license_id: the default is a new one.

        Raises:
            LicenseError: (`invalid_claims`) no license may have these terms (FORMAT §1).
            InvalidDomain: (`invalid_domain`) nor this allowed domain (FORMAT §3).
        """
        tier = Tier.STANDARD if fingerprint else Tier.ENTERPRISE
        if features is None:
            features = FEATURES if fingerprint else (*FEATURES, *ENTERPRISE_FEATURES)
        issued = int((issued_at or self.clock()).timestamp())
        terms = License(
            iss="Polygent",
            sub="acme",
            jti=license_id or str(uuid4()),
            iat=issued,
            exp=issued + int(term.total_seconds()),
            customer=customer,
            tier=tier,
            features=tuple(features),
            limits=Limits(users=users, session_hosts=session_hosts, deploy_hosts=deploy_hosts),
            machine_fingerprint=fingerprint,
            allowed_domain=AllowedDomain.parse(allowed_domain) if allowed_domain else None,
            replaces=tuple(replaces),
        )
        return self.key.sign(terms)


@pytest.fixture(scope="session")
def license_key() -> LicenseKey:
    """A private key for one run of the tests, and the keys that verify its signatures."""
    return LicenseKey()


@pytest.fixture
def license_clock() -> LicenseClock:
    """The clock of the test's server."""
    return LicenseClock()


@pytest.fixture
def license_file(license_key: LicenseKey, license_clock: LicenseClock) -> LicenseFile:
    """A function that signs license files."""
    return LicenseFile(key=license_key, clock=license_clock)


@pytest.fixture
def server_license(license_key: LicenseKey) -> ServerLicense:
    """A server's license in memory; none is installed."""
    return ServerLicense(Verifier(license_key.keys), MemoryStore(), fingerprint=FINGERPRINT)


@pytest.fixture
def installed_license(
    server_license: ServerLicense, license_file: LicenseFile, license_clock: LicenseClock
) -> ServerLicense:
    """The same `server_license` after a license with every feature was installed."""
    server_license.install(license_file(), now=license_clock(), by="fixture")
    return server_license
