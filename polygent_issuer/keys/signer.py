"""What every key store offers: a signer, a key's presence, an answer in time.

Signatures are ES256 (RFC 7518 §3.4): ECDSA on P-256 with SHA-256, 64 bytes R‖S. A private key is
rebuilt from its private number alone, so that no stored public key is ever believed.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import Hint, run
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

T = TypeVar("T")


class Signer(Protocol):
    """A private key that signs, in whatever store it is."""

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public key."""
        ...

    @property
    def public_key(self) -> Key:
        """The public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S."""
        ...

    def close(self) -> None:
        """Release what signing needs; nothing is signed afterwards."""
        ...


class SoftwareSigner:
    """A P-256 private key in this process; deterministic signatures (RFC 6979 §3.2).

    The same bytes and key give the same signature, so the same license gives the same file
    (FORMAT §1).

    Raises:
        KeyUnavailable: (`key_unavailable`) for another curve, and as `deterministic_es256`.
    """

    __slots__ = ("_algorithm", "private_key", "public_key")

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        """Derive the public key."""
        if not isinstance(private_key.curve, ec.SECP256R1):
            raise KeyUnavailable(f"a signing key is on P-256, not on {private_key.curve.name}")
        self._algorithm = deterministic_es256()
        self.private_key = private_key
        self.public_key = Key.from_public_key(private_key.public_key())

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public key."""
        return self.public_key.kid

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S."""
        r, s = decode_dss_signature(self.private_key.sign(data, self._algorithm))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")

    def close(self) -> None:
        """Do nothing: no resource is open."""

    def __repr__(self) -> str:
        """Name the key by its kid alone."""
        return f"SoftwareSigner(kid={self.kid!r})"


def generate_private_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 private key from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP256R1())


def deterministic_es256() -> ec.ECDSA:
    """Return ES256 with signatures that the payload and the key determine (RFC 6979).

    Raises:
        KeyUnavailable: (`key_unavailable`) when the OpenSSL below `cryptography` cannot.
    """
    try:
        return ec.ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        raise KeyUnavailable(
            "this build of cryptography cannot make deterministic signatures",
            hint="install the wheel of cryptography from PyPI: it brings OpenSSL 3.2 or newer",
        ) from None


def rebuilt(private_key: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key of the same private number."""
    return ec.derive_private_key(private_key.private_numbers().private_value, ec.SECP256R1())


def public_key_of(private_key: ec.EllipticCurvePrivateKey) -> Key:
    """Return the public key, computed from the private number."""
    return Key.from_public_key(rebuilt(private_key).public_key())


def require_p256(loaded: object) -> ec.EllipticCurvePrivateKey:
    """Return a loaded key, rebuilt.

    Raises:
        KeyUnavailable: (`unsupported_key`) when it is another kind of key.
    """
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.curve.name != "secp256r1":
        raise KeyUnavailable(
            "a signing key is on P-256, and this is another kind of key",
            hint=Hint("make one with: ", run("key", "generate")),
            code="unsupported_key",
        )
    return rebuilt(loaded)


def pinned_signer(private_key: ec.EllipticCurvePrivateKey, pinned: Key) -> SoftwareSigner:
    """Return a signer, if this is the private key of the pinned one.

    Raises:
        KeyUnavailable: (`key_mismatch`) when it is not.
    """
    signer = SoftwareSigner(rebuilt(private_key))
    if signer.public_key != pinned:
        raise mismatch(signer.public_key, pinned)
    return signer


def mismatch(stored: Key, pinned: Key) -> KeyUnavailable:
    """Return the error for a store that has another key than the pinned one."""
    return KeyUnavailable(
        f"the store gives the key {stored.kid} where {pinned.kid} is pinned",
        hint=Hint("check the key's place in the settings: ", run("config", "show")),
        code="key_mismatch",
    )


class Presence(StrEnum):
    """Whether a store has a key, as far as it shows that without a prompt.

    `locked`: the key is there but its keyring is locked; `unavailable`: the store does not answer.
    A token shows only the public key without its PIN, which counts as present.
    """

    PRESENT = "present"
    ABSENT = "absent"
    LOCKED = "locked"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreEntry:
    """A key in a store, whose two halves were compared; its exact URI, and its name there."""

    key: Key
    uri: str
    label: str = ""


class TimeoutExpired(Exception):
    """The call had not returned in time; it is left behind in its thread."""


def run_with_timeout(timeout: timedelta, call: Callable[[], T]) -> T:
    """Return or raise what `call` does, if it does so in time.

    It runs in a daemon thread, which is left behind when the deadline passes: the libraries below
    offer no way to interrupt them, and a daemon thread does not keep the process alive. So `call`
    must own whatever it opens.

    Raises:
        TimeoutExpired: when it has not returned in time.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the caller's thread
            raised.append(error)

    thread = threading.Thread(target=work, name="key store", daemon=True)
    thread.start()
    thread.join(timeout.total_seconds())
    if returned:
        return returned[0]
    if raised:
        raise raised[0]
    raise TimeoutExpired
