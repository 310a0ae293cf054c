"""A token that is in use: found, looked at, and unlocked with one attempt at its PIN."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Self, TypeVar

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11.constants import TokenFlag
from pkcs11.types import Object, Session

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import errors, pkcs11_objects
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.pkcs11_errors import mechanism_missing, pin_locked, pin_not_set
from polygent_issuer.keys.pkcs11_module import Pkcs11Module, serial_of
from polygent_issuer.keys.pkcs11_objects import Pkcs11PublicKey
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape, for_shell
from polygent_issuer.verifier.keys import Key

T = TypeVar("T")


class TokenSession:
    """The token of a store URI; a context manager that closes whatever it opened.

    Args:
        place: names the module, the token, and perhaps a key.
        timeout: how long any one call into the module may take.

    Raises:
        ModuleUnusable, TokenAbsent, TokenAmbiguous, TokenTimeout: (`module_unusable`,
            `token_absent`, `token_ambiguous`, `token_timeout`).
    """

    def __init__(self, place: TokenUri, *, timeout: timedelta) -> None:
        """Find the token; nothing is asked of anybody."""
        self._place = place
        self._cryptoki = Pkcs11Module(place, timeout=timeout)
        self._session: Session | None = None
        self.pin: str | None = None
        try:
            self._token = self._cryptoki.token()
        except BaseException:
            self._cryptoki.close()
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

    def ask(self, call: Callable[[Session], T]) -> T:
        """Run a call with the open session, within the deadline; errors as `Cryptoki.ask`."""
        session = self._session
        if session is None:
            session = self._session = self._cryptoki.ask(self._token.open)
        return self._cryptoki.ask(partial(call, session))

    def public_halves(self) -> list[Pkcs11PublicKey]:
        """The public keys in sight that are as the URI says."""
        place = self._place
        return self.ask(partial(pkcs11_objects.public_keys, label=place.label, key_id=place.id))

    def generate(self, label: str, made: list[Object]) -> Key:
        """Make a key pair here; see `token_objects.generate`."""
        return self.ask(partial(pkcs11_objects.generate, label=label, made=made))

    def store(
        self, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
    ) -> None:
        """Put a key pair here; see `token_objects.store`."""
        self.ask(partial(pkcs11_objects.store, private_key=private_key, label=label, made=made))

    def destroy(self, made: list[Object]) -> None:
        """Remove what was made."""
        self.ask(lambda _: pkcs11_objects.destroy(made))

    def require_ready(self) -> None:
        """Refuse a token that could not do it, before anybody is asked for the PIN.

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
        offered = self._cryptoki.ask(self._token.slot.get_mechanisms)
        if pkcs11.Mechanism.ECDSA not in offered:
            raise mechanism_missing(name, "signing with CKM_ECDSA")

    def require_writable(self) -> None:
        """Refuse a token that takes no new key.

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
        """Unlock the token: the PIN is asked for, and given to the token once.

        Args:
            passphrase: gives the PIN.
            warn: is told when somebody has given a wrong one before.
            writing: whether objects are to be made.

        Raises:
            PassphraseNeeded, PassphraseRefused: (`passphrase_needed`, `passphrase_refused`).
            PinIncorrect: (`pin_incorrect`).
            KeyUnavailable: each code of `Cryptoki.ask`.
        """
        if self._token.flags & TokenFlag.USER_PIN_COUNT_LOW:
            warn(f"{self.name} was given a wrong PIN since it was last unlocked")
        self.pin = _text(passphrase.get(f"{self.name} (its user PIN)"))
        self._close_session()
        self._session = self._cryptoki.ask(partial(self._opened, writing, self.pin))

    def exact_uri(self, half: Pkcs11PublicKey) -> str:
        """The URI to record for a key: this token by label and serial, the key by its id."""
        return TokenUri(
            module=self._place.module,
            token=self._token.label or None,
            serial=serial_of(self._token),
            slot=self._place.slot,
            id=half.id or None,
            label=None if half.id else half.label,
        ).uri

    def close(self) -> None:
        """Close the session and let go of the module; what fails then is of no use to anybody."""
        self._close_session()
        self._cryptoki.close()

    def _opened(self, writing: bool, pin: str) -> Session:  # noqa: FBT001 -- bound by partial
        try:
            return self._token.open(rw=writing, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another key's session: all of a process share it
            return self._token.open(rw=writing)

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(KeyUnavailable):
                self._cryptoki.ask(session.close)

    @property
    def list_command(self) -> str:
        """What shows, without this tool, what the token holds; it asks for the PIN."""
        module = for_shell(str(self._place.module))
        label = for_shell(self._token.label)
        return f"pkcs11-tool --module {module} --token-label {label} --login --list-objects"


def _text(secret: bytes) -> str:
    """The PIN as PKCS#11 takes it."""
    try:
        return secret.decode()
    except UnicodeDecodeError:
        pass
    raise errors.PassphraseRefused(
        "a PIN is text in UTF-8, and this is not", hint="check what it was read from"
    )
