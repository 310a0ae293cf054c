"""A private key in a token, as a signer."""

from functools import partial
from typing import Final

from polygent_issuer.keystore import token_objects
from polygent_issuer.keystore.errors import KeyMismatch
from polygent_issuer.keystore.public_halves import PublicHalf
from polygent_issuer.keystore.token_session import TokenSession
from polygent_issuer.verifier.keys import Key

PROBE: Final = b"polygent-issue: a probe of a key in a token; no license"
"""What a key signs to show that it can; no license begins so."""


class TokenSigner:
    """A private key in a token; each signature is made there, perhaps after a touch.

    Hardware may randomise ECDSA: two signatures of the same bytes need not be equal.

    Args:
        session: logged in; closed with the signer.
        half: the public key object.
        public_key: the key that it is.

    Raises:
        NoSuchKey, KeyAmbiguous: (`no_such_key`, `key_ambiguous`) unless just one private key
            belongs to it.
    """

    __slots__ = ("_pin", "_private", "_session", "public_key")

    def __init__(self, session: TokenSession, half: PublicHalf, public_key: Key) -> None:
        """Find the private half."""
        self._session = session
        self._private = session.ask(partial(token_objects.private_half, half=half))
        each_time = session.ask(lambda _: token_objects.asks_each_time(self._private))
        self._pin = session.pin if each_time else None
        self.public_key = public_key

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public half."""
        return self.public_key.kid

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S.

        Raises:
            TokenRemoved, TokenTimeout, TokenFailed, MechanismMissing: (`token_removed`,
                `token_timeout`, `token_failed`, `mechanism_missing`).
        """
        return self._session.ask(lambda _: token_objects.sign(self._private, data, pin=self._pin))

    def stays_inside(self) -> bool:
        """Whether the token keeps the private half to itself."""
        return self._session.ask(lambda _: token_objects.stays_inside(self._private))

    def prove(self) -> None:
        """Let the key sign a probe, and verify it with the public half.

        Raises:
            KeyMismatch: (`key_mismatch`) when the halves do not belong together.
        """
        if not self.public_key.verifies(self.sign(PROBE), PROBE):
            raise KeyMismatch(
                "the private key in the token does not belong to the public key beside it",
                hint="give each pair an id of its own, with the token's own software",
            )

    def close(self) -> None:
        """Log out, and let go of the token."""
        self._session.close()

    def __repr__(self) -> str:
        """Name the key by its public half alone."""
        return f"TokenSigner(kid={self.kid!r})"
