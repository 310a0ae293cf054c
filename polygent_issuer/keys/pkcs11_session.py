"""A token in use: found, checked, unlocked with one attempt at its PIN, and signing."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final, Self, TypeVar

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11.constants import TokenFlag
from pkcs11.types import Object, Session

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import errors, pkcs11_objects
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.pkcs11_module import (
    Pkcs11Module,
    mechanism_missing,
    pin_locked,
    pin_not_set,
    serial_of,
)
from polygent_issuer.keys.pkcs11_objects import Pkcs11PublicKey
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape, for_shell
from polygent_issuer.verifier.keys import Key

T = TypeVar("T")

PROBE: Final = b"polygent-issue: a probe of a key in a token; no license"
"""Signed by a key to show that it can; no license begins with this."""


class TokenSession:
    """The token of a store URI; a context manager that closes whatever it opened.

    Args:
        place: names the module, the token, and perhaps a key.
        timeout: of each call into the module.

    Raises:
        ModuleUnusable, TokenAbsent, TokenAmbiguous, TokenTimeout: (`module_unusable`,
            `token_absent`, `token_ambiguous`, `token_timeout`).
    """

    def __init__(self, place: TokenUri, *, timeout: timedelta) -> None:
        """Find the token, without a prompt."""
        self._place = place
        self._module = Pkcs11Module(place, timeout=timeout)
        self._session: Session | None = None
        self.pin: str | None = None
        try:
            self._token = self._module.token()
        except BaseException:
            self._module.close()
            raise

    def __enter__(self) -> Self:
        """It is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def name(self) -> str:
        """The token by its label, for messages."""
        return f"the token {escape(self._token.label) or 'without a label'}"

    @property
    def list_command(self) -> str:
        """The command that shows, without this tool, what is in the token; it asks for the PIN."""
        module = for_shell(str(self._place.module))
        label = for_shell(self._token.label)
        return f"pkcs11-tool --module {module} --token-label {label} --login --list-objects"

    def call(self, call: Callable[[Session], T]) -> T:
        """Run a call with the open session; errors as `Pkcs11Module.call`."""
        session = self._session
        if session is None:
            session = self._session = self._module.call(self._token.open)
        return self._module.call(partial(call, session))

    def public_keys(self) -> list[Pkcs11PublicKey]:
        """Return the visible public keys that match the URI."""
        place = self._place
        return self.call(partial(pkcs11_objects.public_keys, label=place.label, key_id=place.id))

    def match(self, objects: list[Pkcs11PublicKey], key: Key) -> Pkcs11PublicKey:
        """Return the object of a known key; see `pkcs11_objects.matching`."""
        return pkcs11_objects.matching(objects, key, named=self._place.names_a_key)

    def only(self) -> tuple[Pkcs11PublicKey, Key]:
        """Return the one P-256 key that matches the URI; see `pkcs11_objects.only`."""
        return pkcs11_objects.only(self.public_keys(), list_command=self.list_command)

    def signer(self, public: Pkcs11PublicKey, key: Key) -> "TokenSigner":
        """Return the signer of a key here; this needs a login."""
        return TokenSigner(self, public, key)

    def generate(self, label: str, made: list[Object]) -> Key:
        """Generate a key pair here; see `pkcs11_objects.generate`."""
        return self.call(partial(pkcs11_objects.generate, label=label, made=made))

    def store(
        self, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
    ) -> None:
        """Put a key pair here; see `pkcs11_objects.store`."""
        self.call(partial(pkcs11_objects.store, private_key=private_key, label=label, made=made))

    def destroy(self, made: list[Object]) -> None:
        """Remove new objects."""
        self.call(lambda _: pkcs11_objects.destroy(made))

    def require_ready(self) -> None:
        """Check, before anybody is asked for the PIN, that the token can sign.

        Raises:
            PinLocked, PinFinalTry, PinNotSet: (`pin_locked`, `pin_final_try`, `pin_not_set`).
            MechanismMissing: (`mechanism_missing`).
        """
        flags, name = self._token.flags, self.name
        if flags & TokenFlag.USER_PIN_LOCKED:
            raise pin_locked(name)
        if not flags & TokenFlag.USER_PIN_INITIALIZED:
            raise pin_not_set(name)
        if flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise errors.PinFinalTry(
                f"one more wrong PIN locks {name}, so it is not tried here",
                hint="give the right one to the token's own software, which starts the count "
                f"anew: {self.list_command}",
            )
        offered = self._module.call(self._token.slot.get_mechanisms)
        if pkcs11.Mechanism.ECDSA not in offered:
            raise mechanism_missing(name, "signing with CKM_ECDSA")

    def require_writable(self) -> None:
        """Check that the token can take a new key.

        Raises:
            TokenReadOnly: (`token_read_only`).
        """
        if self._token.flags & TokenFlag.WRITE_PROTECTED:
            raise errors.TokenReadOnly(
                f"{self.name} is write-protected", hint="name another token for the key"
            )

    def log_in(
        self, passphrase: Passphrase, *, warn: Callable[[str], None], writing: bool = False
    ) -> None:
        """Ask for the PIN, and give it to the token once.

        Args:
            passphrase: the source of the PIN.
            warn: prints a warning when somebody has given a wrong one before.
            writing: whether objects are to be made.

        Raises:
            PassphraseNeeded, PassphraseRefused: (`passphrase_needed`, `passphrase_refused`).
            PinIncorrect: (`pin_incorrect`).
            KeyUnavailable: each code of `Pkcs11Module.call`.
        """
        if self._token.flags & TokenFlag.USER_PIN_COUNT_LOW:
            warn(f"{self.name} was given a wrong PIN since it was last unlocked")
        self.pin = _text(passphrase.get(f"{self.name} (its user PIN)"))
        self._close_session()
        self._session = self._module.call(partial(self._open, writing, self.pin))

    def exact_uri(self, public: Pkcs11PublicKey) -> str:
        """Return the URI to record: this token by label and serial, the key by its id."""
        return TokenUri(
            module=self._place.module,
            token=self._token.label or None,
            serial=serial_of(self._token),
            slot=self._place.slot,
            id=public.id or None,
            label=None if public.id else public.label,
        ).uri

    def close(self) -> None:
        """Close the session and release the module; errors are dropped."""
        self._close_session()
        self._module.close()

    def _open(self, writing: bool, pin: str) -> Session:  # noqa: FBT001 -- bound by partial
        try:
            return self._token.open(rw=writing, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another key's session: all of a process share it
            return self._token.open(rw=writing)

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(KeyUnavailable):
                self._module.call(session.close)


class TokenSigner:
    """A private key in a token; each signature is made there, perhaps after a touch.

    Hardware may randomise ECDSA: two signatures of the same bytes need not be equal.

    Args:
        session: logged in; closed with the signer.
        public: the public key object.
        public_key: the key that it is.

    Raises:
        NoSuchKey, KeyAmbiguous: (`no_such_key`, `key_ambiguous`) unless just one private key
            belongs to it.
    """

    __slots__ = ("_pin", "_private", "_session", "public_key")

    def __init__(self, session: TokenSession, public: Pkcs11PublicKey, public_key: Key) -> None:
        """Find the private key."""
        self._session = session
        self._private = session.call(partial(pkcs11_objects.private_key, public=public))
        each_time = session.call(lambda _: pkcs11_objects.asks_each_time(self._private))
        self._pin = session.pin if each_time else None
        self.public_key = public_key

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public key."""
        return self.public_key.kid

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S.

        Raises:
            TokenRemoved, TokenTimeout, TokenFailed, MechanismMissing: (`token_removed`,
                `token_timeout`, `token_failed`, `mechanism_missing`).
        """
        return self._session.call(lambda _: pkcs11_objects.sign(self._private, data, pin=self._pin))

    def stays_inside(self) -> bool:
        """Return whether the private key cannot leave the token."""
        return self._session.call(lambda _: pkcs11_objects.stays_inside(self._private))

    def prove(self) -> None:
        """Sign a probe, and verify it with the public key.

        Raises:
            KeyMismatch: (`key_mismatch`) when the two keys do not belong together.
        """
        if not self.public_key.verifies(self.sign(PROBE), PROBE):
            raise errors.KeyMismatch(
                "the private key in the token does not belong to the public key beside it",
                hint="give each pair an id of its own, with the token's own software",
            )

    def close(self) -> None:
        """Log out, and release the token."""
        self._session.close()

    def __repr__(self) -> str:
        """Name the key by its kid alone."""
        return f"TokenSigner(kid={self.kid!r})"


def _text(secret: bytes) -> str:
    """Decode the PIN, which PKCS#11 takes as text."""
    try:
        return secret.decode()
    except UnicodeDecodeError:
        pass
    raise errors.PassphraseRefused(
        "a PIN is text in UTF-8, and this is not", hint="check what it was read from"
    )
