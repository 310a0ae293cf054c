"""The private half of a signing key, as the issuer sees it: something that signs.

A `Signer` says who it is (`kid`, `public_key`) and signs bytes; where its private half lives is
the key store's business. `SoftwareSigner` holds it in this process. Signatures are ES256
(RFC 7518 §3.4): ECDSA on P-256 with SHA-256, 64 bytes R‖S.
"""

from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.verifier.keys import Key

COORDINATE_BYTES = 32


class Signer(Protocol):
    """What issuing needs of a private key, wherever that key lives."""

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public half."""
        ...

    @property
    def public_key(self) -> Key:
        """The public half."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S."""
        ...

    def close(self) -> None:
        """Let go of what signing held open; nothing is signed afterwards."""
        ...


class SoftwareSigner:
    """A P-256 private key in this process; deterministic signatures (RFC 6979 §3.2).

    The same bytes and key give the same signature, so the same license gives the same file
    (FORMAT §1).

    Args:
        private_key: the private half, on P-256.

    Raises:
        KeyUnavailable: (`key_unavailable`) when the key is on another curve, or the OpenSSL below
            `cryptography` cannot sign deterministically.
    """

    __slots__ = ("_algorithm", "_private_key", "public_key")

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        """Derive the public half."""
        if not isinstance(private_key.curve, ec.SECP256R1):
            raise KeyUnavailable(f"a signing key is on P-256, not on {private_key.curve.name}")
        self._algorithm = deterministic_es256()
        self._private_key = private_key
        self.public_key = Key.from_public_key(private_key.public_key())

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public half."""
        return self.public_key.kid

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """The private half itself: for custody's encrypted backup and nothing else."""
        return self._private_key

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S."""
        r, s = decode_dss_signature(self._private_key.sign(data, self._algorithm))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")

    def close(self) -> None:
        """Nothing is held open."""

    def __repr__(self) -> str:
        """Name the key by its public half alone."""
        return f"SoftwareSigner(kid={self.kid!r})"


def generate_private_key() -> ec.EllipticCurvePrivateKey:
    """A new P-256 private key from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP256R1())


def deterministic_es256() -> ec.ECDSA:
    """ES256 with signatures that the payload and the key determine (RFC 6979).

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
