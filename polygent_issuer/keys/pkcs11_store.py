"""Keys in a hardware token, by PKCS#11: the private key is made there and stays there.

The library that speaks PKCS#11 is an extra (`polygent-issuer[pkcs11]`); it is imported when a
token is really used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import IssuerError, KeyUnavailable, OutputExists
from polygent_issuer.hints import run
from polygent_issuer.keys import errors, pkcs11_objects, private_keys
from polygent_issuer.keys.errors import KeyMismatch
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.pkcs11_objects import Pkcs11PublicKey
from polygent_issuer.keys.pkcs11_session import TokenSession
from polygent_issuer.keys.store import Held, Presence
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape
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

    def __init__(self, session: TokenSession, half: Pkcs11PublicKey, public_key: Key) -> None:
        """Find the private half."""
        self._session = session
        self._private = session.ask(partial(pkcs11_objects.private_key, half=half))
        each_time = session.ask(lambda _: pkcs11_objects.asks_each_time(self._private))
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
        return self._session.ask(lambda _: pkcs11_objects.sign(self._private, data, pin=self._pin))

    def stays_inside(self) -> bool:
        """Whether the token keeps the private half to itself."""
        return self._session.ask(lambda _: pkcs11_objects.stays_inside(self._private))

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


class Pkcs11Store:
    """One token, or one key in it.

    Args:
        place: the module and the token; an id or a label narrows it to one key, save where a new
            one is made or put there.
        passphrase: gives the user PIN.
        timeout: how long each call into the module may take.
        warn: is told what is risky but not refused.
    """

    def __init__(
        self,
        place: TokenUri,
        *,
        passphrase: Passphrase,
        timeout: timedelta,
        warn: Callable[[str], None],
    ) -> None:
        """Load nothing yet."""
        self._place = place
        self._passphrase = passphrase
        self._timeout = timeout
        self._warn = warn

    @property
    def uri(self) -> str:
        """The URI in its one spelling."""
        return self._place.uri

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:
        """Put a key into the token for good; the exact URI to record. Errors as `taking`."""
        with self.taking(private_key, label=label) as held:
            return held.uri

    def require_room(self) -> None:
        """Refuse what making or taking a key would refuse in any case, without the PIN.

        Raises:
            TokenLibraryMissing, ModuleUnusable, TokenAbsent, TokenAmbiguous, TokenTimeout: each
                code of a token that cannot be had.
            PinLocked, PinFinalTry, PinNotSet, TokenReadOnly, MechanismMissing: each code of one
                that would not do it.
        """
        with self._writable():
            pass

    def require_ready(self) -> None:
        """Refuse what `load` and `adopt` would refuse before they ask for the PIN."""
        with self._found() as session:
            session.require_ready()

    def load(self, pinned: Key) -> "TokenSigner":
        """Unlock the key of a pinned public half; the caller closes what it gets.

        Raises:
            TokenLibraryMissing, ModuleUnusable, TokenAbsent, TokenAmbiguous, TokenTimeout: each
                code of a token that cannot be had.
            NoSuchKey, KeyAmbiguous, KeyMismatch: (`no_such_key`, `key_ambiguous`,
                `key_mismatch`) when the token does not hold just this key.
            PinLocked, PinFinalTry, PinNotSet, MechanismMissing: before anybody is asked.
            PassphraseNeeded, PassphraseRefused, PinIncorrect: (`passphrase_needed`,
                `passphrase_refused`, `pin_incorrect`).
        """
        session = self._found()
        try:
            if in_sight := session.public_halves():  # what can be refused without the PIN is
                self._matching(in_sight, pinned)
            self._log_in(session)
            half = self._matching(session.public_halves(), pinned)
            return _signer(session, half, pinned)
        except BaseException:
            session.close()
            raise

    def presence(self, kid: str) -> Presence:
        """Say whether the token shows the public half of a key; no PIN is given. Never raises."""
        try:
            with self._found() as session:
                held = [half.key for half in session.public_halves()]
        except IssuerError:
            return Presence.UNAVAILABLE
        there = any(key is not None and key.kid == kid for key in held)
        return Presence.PRESENT if there else Presence.ABSENT

    @contextmanager
    def generating(self, *, label: str) -> Iterator[Held]:
        """Make a key pair in the token; it stays if the block ends well, and is destroyed if not.

        Args:
            label: its CKA_LABEL.

        Raises:
            NotKept: (`not_kept`) when the token would give the private half away.
            KeyMismatch: (`key_mismatch`) when its probe does not verify.
            KeyUnavailable: as `load` and `require_room`.
        """
        with self._writable() as session:
            self._log_in(session, writing=True)
            with self._undone_unless_kept(session, label) as made:
                yield self._proven(session, session.generate(label, made))

    @contextmanager
    def taking(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> Iterator[Held]:
        """Put a key of this process into the token; likewise.

        Raises:
            OutputExists: (`output_exists`) when the token holds this key already.
            KeyUnavailable: as `generating`.
        """
        key = private_keys.public_key(private_key)
        with self._writable() as session:
            self._log_in(session, writing=True)
            self._require_new(session, key)
            with self._undone_unless_kept(session, label) as made:
                session.store(private_key, label, made)
                yield self._proven(session, key)

    def adopt(self) -> Held:
        """The one P-256 key that the URI means and the token holds already; it stays as it is.

        Raises:
            NoSuchKey, KeyAmbiguous, UnsupportedKey, KeyMismatch: (`no_such_key`,
                `key_ambiguous`, `unsupported_key`, `key_mismatch`).
            KeyUnavailable: as `load`.
        """
        with self._found() as session:
            self._log_in(session)
            half, key = pkcs11_objects.only(
                session.public_halves(), list_command=session.list_command
            )
            signer = _signer(session, half, key)
            signer.prove()
            if not signer.stays_inside():
                self._warn(
                    "the token would give this private key away (it is extractable, or not "
                    "sensitive), so it is no safer there than in a file"
                )
            return Held(key=key, uri=session.exact_uri(half), label=half.label)

    def _proven(self, session: "TokenSession", key: Key) -> Held:
        half = pkcs11_objects.matching(session.public_halves(), key, named=False)
        signer = _signer(session, half, key)
        if not signer.stays_inside():
            raise errors.NotKept(
                "the token would give the private half away", hint="name another token for the key"
            )
        signer.prove()
        return Held(key=key, uri=session.exact_uri(half), label=half.label)

    @contextmanager
    def _undone_unless_kept(self, session: "TokenSession", label: str) -> Iterator[list[Any]]:
        """Collects what is made; when the block fails it is destroyed, or else named."""
        made: list[Any] = []
        try:
            yield made
        except BaseException:
            try:
                session.destroy(made)
            except KeyUnavailable:
                self._warn(
                    f"{session.name} may hold a key {escape(label)} that nothing here names; "
                    f"look, and delete it: {session.list_command}"
                )
            raise

    def _log_in(self, session: "TokenSession", *, writing: bool = False) -> None:
        session.require_ready()
        session.log_in(self._passphrase, warn=self._warn, writing=writing)

    def _matching(
        self, halves: list[pkcs11_objects.Pkcs11PublicKey], key: Key
    ) -> pkcs11_objects.Pkcs11PublicKey:
        return pkcs11_objects.matching(halves, key, named=self._place.names_a_key)

    def _require_new(self, session: "TokenSession", key: Key) -> None:
        for half in session.public_halves():
            if half.key == key:
                raise OutputExists(
                    f"{session.name} holds this key already",
                    hint=run("key", "import", session.exact_uri(half)),
                )

    @contextmanager
    def _writable(self) -> "Iterator[TokenSession]":
        with self._found(self._place.of_token) as session:
            session.require_ready()
            session.require_writable()
            yield session

    def _found(self, place: TokenUri | None = None) -> "TokenSession":
        try:
            from polygent_issuer.keys.pkcs11_session import TokenSession  # noqa: PLC0415
        except ImportError:
            pass
        else:
            return TokenSession(place or self._place, timeout=self._timeout)
        raise errors.TokenLibraryMissing(
            "keys in a token need the library python-pkcs11, which is not installed",
            hint="pip install 'polygent-issuer[pkcs11]'",
        )


def _signer(
    session: "TokenSession", half: pkcs11_objects.Pkcs11PublicKey, key: Key
) -> "TokenSigner":

    return TokenSigner(session, half, key)
