"""Keys in the operating system's keyring: PKCS#8 DER in base64, one entry per key.

Only the allow-list of `keyring_backends` decides which keyring is used. Every call has a deadline:
a daemon that hangs, or an unanswered prompt, would otherwise block the command forever.
"""

import base64
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys.keyring_backends import INTO_FILE, KeyStatus, SystemKeyring
from polygent_issuer.keys.signer import (
    IMPORT,
    Presence,
    SoftwareSigner,
    call_store,
    pinned_signer,
    public_key_of,
    require_p256,
)
from polygent_issuer.store_uri import EXAMPLE_FILE_URI, KEYRING
from polygent_issuer.text import Hint
from polygent_issuer.verifier.keys import Key

T = TypeVar("T")

_NEW_FILE: Final = f"or store the key in an encrypted file: --store {EXAMPLE_FILE_URI}"
_TIMEOUT: Final = "keyring_timeout"
_ANY: Final = "any"  # a kid that no key has
_LOCKED: Final = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})
_ABSENT: Final = frozenset({"InitError", "NoKeyringError", "SecretServiceNotAvailableException"})


class KeyringStore:
    """The operator's keyring; the preferred one comes first if there are several."""

    uri = KEYRING

    def __init__(self, *, timeout: timedelta, keyrings: Sequence[SystemKeyring]) -> None:
        """Store the arguments; no keyring is called yet."""
        self._timeout = timeout
        self._keyrings = tuple(keyrings)

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:  # noqa: ARG002
        """Save a key in the first running keyring and read it back; return `keyring:`.

        Raises:
            KeyUnavailable: (`keyring_absent`, `keyring_locked`, `keyring_timeout`,
                `keyring_failed`), or (`not_kept`) when the entry reads back differently.
        """
        kid = public_key_of(private_key).kid
        text = to_text(private_key)
        keyring, status = next(self._running(kid, _NEW_FILE))
        self._unlock(keyring, status)
        self._ask(partial(keyring.write, kid, text), _NEW_FILE)
        stored = self._ask(partial(keyring.read, kid), _NEW_FILE)
        if stored is None or not hmac.compare_digest(stored.encode(), text.encode()):
            raise KeyUnavailable(
                "the key read back from the keyring does not match",
                hint=Hint("use another keyring, ", _NEW_FILE),
                code="not_kept",
            )
        return self.uri

    def require_room(self) -> None:
        """Check without a prompt whether `save` can succeed.

        Raises:
            KeyUnavailable: (`keyring_absent`, `keyring_timeout`, `keyring_failed`).
        """
        next(self._running(_ANY, _NEW_FILE))

    def load(self, pinned: Key) -> SoftwareSigner:
        """Unlock the private key of a pinned public key.

        Raises:
            KeyUnavailable: as `save`; (`no_such_key`) when the keyring has no entry for it;
                (`key_damaged`, `unsupported_key`, `key_mismatch`) when its entry is not this key.
        """
        for keyring, status in self._running(pinned.kid, INTO_FILE):
            if status.locked:
                self._unlock(keyring, status)
            elif not status.present:
                continue
            text = self._ask(partial(keyring.read, pinned.kid))
            if text is not None:
                return pinned_signer(from_text(text), pinned)
        raise KeyUnavailable(
            f"the key {pinned.kid} is not in the keyring",
            hint=Hint("restore it from its backup: ", IMPORT),
            code="no_such_key",
        )

    def presence(self, kid: str) -> Presence:
        """Return whether the keyring has a key, without a prompt; never raises."""
        result = Presence.UNAVAILABLE
        for keyring in self._keyrings:
            try:
                status = self._ask(partial(keyring.probe, kid))
            except KeyUnavailable:
                continue
            if status is None:
                continue
            if status.locked:
                return Presence.LOCKED
            if status.present:
                return Presence.PRESENT
            result = Presence.ABSENT
        return result

    def _running(self, kid: str, instead: str) -> Iterator[tuple[SystemKeyring, KeyStatus]]:
        """Yield each running keyring with the status of a key.

        Raises:
            KeyUnavailable: (`keyring_absent`) when no keyring is running.
        """
        absent = True
        for keyring in self._keyrings:
            status = self._ask(partial(keyring.probe, kid), instead)
            if status is not None:
                absent = False
                yield keyring, status
        if absent:
            raise _absent(instead)

    def _unlock(self, keyring: SystemKeyring, status: KeyStatus) -> None:
        try:
            unlocked = self._ask(keyring.unlock)
        except KeyUnavailable as problem:
            if problem.code != _TIMEOUT:
                raise
            unlocked = False
        if not unlocked:
            raise _locked("the keyring that holds the key" if status.present else "the keyring")

    def _ask(self, call: Callable[[], T], instead: str = INTO_FILE) -> T:
        """Run a call within the deadline; `instead` is the end of the hint when it fails."""
        return call_store(
            call,
            timeout=self._timeout,
            name="the keyring",
            code=_TIMEOUT,
            hint=Hint("restart the keyring service; ", instead),
            translate=partial(_translated, instead=instead),
        )


def _translated(error: Exception, instead: str) -> KeyUnavailable:
    name = type(error).__name__
    if name in _LOCKED:
        return _locked("the keyring")
    if name in _ABSENT:
        return _absent(instead)
    return KeyUnavailable(
        f"the keyring failed ({name})",
        hint=Hint("check the log of the keyring service; ", instead),
        code="keyring_failed",
    )


def _locked(what: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"{what} is locked and was not unlocked",
        hint="log in to the desktop or answer the keyring's prompt, then run the command again",
        code="keyring_locked",
    )


def _absent(instead: str) -> KeyUnavailable:
    return KeyUnavailable(
        "no supported keyring is running in this session",
        hint=Hint("log in to a desktop session; ", instead),
        code="keyring_absent",
    )


def to_text(private_key: ec.EllipticCurvePrivateKey) -> str:
    """Return the entry of a key: PKCS#8 DER in base64."""
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode("ascii")


def from_text(text: str) -> ec.EllipticCurvePrivateKey:
    """Return the key of an entry.

    Raises:
        KeyUnavailable: (`key_damaged`), or (`unsupported_key`) when it is another kind of key.
    """
    loaded: object = None
    with suppress(Exception):  # damaged entries raise anything
        loaded = load_der_private_key(base64.b64decode(text.encode("ascii"), validate=True), None)
    if loaded is None:
        raise KeyUnavailable(
            "the keyring entry is not a private key",
            hint=Hint("restore the key from its backup: ", IMPORT),
            code="key_damaged",
        )
    return require_p256(loaded)
