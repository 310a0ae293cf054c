"""A session with a token: find it, check it, log in with one attempt, list its keys, sign."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypeVar

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, Mechanism, ObjectClass
from pkcs11.constants import TokenFlag
from pkcs11.types import Object, Session

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import pkcs11_objects
from polygent_issuer.keys.passphrases import Passphrase, PassphraseRefused
from polygent_issuer.keys.pkcs11_module import Pkcs11Module, problem, serial_of
from polygent_issuer.keys.pkcs11_objects import (
    Pkcs11PublicKey,
    attribute_of,
    private_key_object,
    public_key_object,
)
from polygent_issuer.keys.signer import IMPORT, PROBE, Signer, mismatch, not_p256
from polygent_issuer.store_uri.token import TokenUri, id_text
from polygent_issuer.text import Hint, escape, for_shell, run
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

T = TypeVar("T")


class TokenSession:
    """The token of a store URI; a context manager that closes its session and module.

    Raises:
        KeyUnavailable: (`module_unusable`, `token_absent`, `token_ambiguous`, `token_timeout`).
    """

    def __init__(self, place: TokenUri, *, timeout: timedelta) -> None:
        """Find the token without a prompt."""
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
        """Return this session."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close this session."""
        self.close()

    @property
    def name(self) -> str:
        """The token's name in messages, by its label."""
        return f"the token {escape(self._token.label) or 'without a label'}"

    @property
    def list_command(self) -> str:
        """The pkcs11-tool command that lists the objects in the token; it asks for the PIN."""
        module = for_shell(str(self._place.module))
        label = for_shell(self._token.label)
        return f"pkcs11-tool --module {module} --token-label {label} --login --list-objects"

    def call(self, call: Callable[[Session], T]) -> T:
        """Run a call with an open session; errors as `Pkcs11Module.call`."""
        session = self._session
        if session is None:
            session = self._session = self._module.call(self._token.open)
        return self._module.call(partial(call, session))

    def public_keys(self) -> list[Pkcs11PublicKey]:
        """Return the visible public keys that match the URI."""
        template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PUBLIC_KEY}
        if self._place.label is not None:
            template[Attribute.LABEL] = self._place.label
        if self._place.id is not None:
            template[Attribute.ID] = self._place.id
        return self.call(lambda session: [*map(public_key_object, session.get_objects(template))])

    def match(self, objects: Sequence[Pkcs11PublicKey], key: Key) -> Pkcs11PublicKey:
        """Return the object of a pinned key among those that match the URI.

        Raises:
            KeyUnavailable: (`no_such_key`), or (`key_mismatch`) when the URI names another key.
        """
        for public in objects:
            if public.key == key:
                return public
        others = [public.key for public in objects if public.key is not None]
        if others and self._place.names_a_key:
            raise mismatch(others[0], key)
        raise KeyUnavailable(
            f"the key {key.kid} is not in the token",
            hint=Hint("if the key has a backup, restore it: ", IMPORT),
            code="no_such_key",
        )

    def only(self) -> tuple[Pkcs11PublicKey, Key]:
        """Return the one P-256 key that matches the URI.

        Raises:
            KeyUnavailable: (`no_such_key`, `unsupported_key`, `key_ambiguous`).
        """
        objects = self.public_keys()
        if not objects:
            raise KeyUnavailable(
                "the token holds no key that matches the store URI, or its public key is missing",
                hint=f"list the objects in the token: {self.list_command}",
                code="no_such_key",
            )
        usable = [(public, public.key) for public in objects if public.key is not None]
        if not usable:
            generate = run("key", "generate", "LABEL", "--store", "URI")
            hint = Hint("generate a P-256 key: ", generate)
            raise not_p256("this is another type of key", hint=hint)
        if len(usable) > 1:
            ids = ", ".join(sorted(f"id={id_text(public.id)}" for public, _ in usable))
            raise KeyUnavailable(
                f"{len(usable)} keys in the token match the store URI: {ids}",
                hint="add one of these ids to the store URI",
                code="key_ambiguous",
            )
        return usable[0]

    def signer(self, public: Pkcs11PublicKey, key: Key) -> "TokenSigner":
        """Return the signer of a key in this token; needs a login."""
        return TokenSigner(self, public, key)

    def generate(self, label: str, made: list[Object]) -> Key:
        """Generate a key pair in this token; see `pkcs11_objects.generate`."""
        return self.call(partial(pkcs11_objects.generate, label=label, made=made))

    def store(
        self, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
    ) -> None:
        """Store a key pair in this token; see `pkcs11_objects.store`."""
        self.call(partial(pkcs11_objects.store, private_key=private_key, label=label, made=made))

    def destroy(self, made: list[Object]) -> None:
        """Delete new objects from the token, the private key first."""

        def remove(_: Session) -> None:
            while made:
                made[-1].destroy()
                made.pop()

        self.call(remove)

    def require_ready(self, *, writing: bool = False) -> None:
        """Check before the PIN prompt that the token can sign, or store a key if `writing`.

        Raises:
            KeyUnavailable: (`pin_locked`, `pin_final_try`, `pin_not_set`, `mechanism_missing`,
                `token_read_only`).
        """
        flags, name = self._token.flags, self.name
        if flags & TokenFlag.USER_PIN_LOCKED:
            raise problem("pin_locked", name)
        if not flags & TokenFlag.USER_PIN_INITIALIZED:
            raise problem("pin_not_set", name)
        if flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise KeyUnavailable(
                f"{name} would lock after one more wrong PIN, so it was not tried",
                hint="enter the right PIN in the token's own software, which resets the count: "
                f"{self.list_command}",
                code="pin_final_try",
            )
        if Mechanism.ECDSA not in self._module.call(self._token.slot.get_mechanisms):
            raise problem("mechanism_missing", name, "signing with CKM_ECDSA")
        if writing and flags & TokenFlag.WRITE_PROTECTED:
            raise KeyUnavailable(
                f"{name} is write-protected",
                hint="choose another token for the key",
                code="token_read_only",
            )

    def log_in(
        self, passphrase: Passphrase, *, warn: Callable[[str], None], writing: bool = False
    ) -> None:
        """Ask for the PIN and log in with one attempt; warn if a wrong PIN was entered before.

        Raises:
            KeyUnavailable: (`passphrase_needed`, `passphrase_refused`, `pin_incorrect`), or each
                code of `Pkcs11Module.call`.
        """
        if self._token.flags & TokenFlag.USER_PIN_COUNT_LOW:
            warn(f"a wrong PIN was entered since {self.name} was last unlocked")
        pin = self.pin = _text(passphrase.get(f"{self.name} (its user PIN)"))

        def open_session() -> Session:
            try:
                return self._token.open(rw=writing, user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # sessions of a process share their login
                return self._token.open(rw=writing)

        self._close_session()
        self._session = self._module.call(open_session)

    def exact_uri(self, public: Pkcs11PublicKey) -> str:
        """Return the URI to record, with the token's label and serial and the key's id."""
        return TokenUri(
            module=self._place.module,
            token=self._token.label or None,
            serial=serial_of(self._token),
            slot=self._place.slot,
            id=public.id or None,
            label=None if public.id else public.label,
        ).uri

    def close(self) -> None:
        """Close the session and release the module; errors are ignored."""
        self._close_session()
        self._module.close()

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(KeyUnavailable):
                self._module.call(session.close)


class TokenSigner(Signer):
    """A private key in a token, which makes each signature, perhaps after a touch.

    Hardware may randomise ECDSA, so two signatures of the same bytes can differ. The session must
    be logged in; the signer closes it.

    Raises:
        KeyUnavailable: (`no_such_key`, `key_ambiguous`) unless exactly one private key matches.
    """

    def __init__(self, session: TokenSession, public: Pkcs11PublicKey, public_key: Key) -> None:
        """Find the private key object."""
        self._session = session
        self._private: Any = session.call(partial(private_key_object, public=public))
        each_time = self._attribute(Attribute.ALWAYS_AUTHENTICATE, default=False)
        self._pin = session.pin if each_time else None
        self.public_key = public_key

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256: hash them here and sign the digest with CKM_ECDSA in the token.

        Raises:
            KeyUnavailable: (`token_removed`, `token_timeout`, `token_failed`, `mechanism_missing`).
        """
        digest = hashlib.sha256(data).digest()
        sign = partial(self._private.sign, digest, mechanism=Mechanism.ECDSA, pin=self._pin)
        signature = self._session.call(lambda _: bytes(sign()))
        if len(signature) != 2 * COORDINATE_BYTES:
            raise KeyUnavailable(
                "the token returned a signature that is not 64 bytes long",
                hint="check that the key is a P-256 key, or choose another token",
                code="token_failed",
            )
        return signature

    def stays_inside(self) -> bool:
        """Return whether the private key is sensitive and not extractable."""
        extractable = self._attribute(Attribute.EXTRACTABLE, default=True)
        return not extractable and self._attribute(Attribute.SENSITIVE, default=False)

    def prove(self) -> None:
        """Sign test bytes and verify the signature with the public key.

        Raises:
            KeyUnavailable: (`key_mismatch`) when it is invalid.
        """
        if not self.public_key.verifies(self.sign(PROBE), PROBE):
            raise KeyUnavailable(
                "the private key and the public key in the token do not match",
                hint="give each key pair its own id with the token's own software",
                code="key_mismatch",
            )

    def close(self) -> None:
        """Log out and release the token."""
        self._session.close()

    def _attribute(self, attribute: Attribute, *, default: bool) -> bool:
        return self._session.call(
            lambda _: bool(attribute_of(self._private, attribute, default=default))
        )


def _text(secret: bytes) -> str:
    """Decode the PIN, which PKCS#11 accepts only as text."""
    with suppress(UnicodeDecodeError):
        return secret.decode()
    raise PassphraseRefused(
        "the PIN is not UTF-8 text", hint="check the file or command that supplies the PIN"
    )
