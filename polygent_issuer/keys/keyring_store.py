"""Keys in the operating system's keyring: PKCS#8 DER in base64, one entry per key.

Only the allow-list of `keyring_backends` decides which keyring that is. Every call has a deadline:
a daemon that hangs, or a prompt without an answer, would otherwise block the command for ever.
"""

import hmac
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys import errors, private_keys
from polygent_issuer.keys.keyring_backends import INTO_FILE, KeyStatus, SystemKeyring
from polygent_issuer.keys.signer import Presence, SoftwareSigner, TimeoutExpired, run_with_timeout
from polygent_issuer.store_uri import EXAMPLE_FILE_URI, KEYRING
from polygent_issuer.verifier.keys import Key

T = TypeVar("T")

_NEW_FILE: Final = f"or keep the key in an encrypted file: --store {EXAMPLE_FILE_URI}"
_ANY: Final = "any"  # a kid that no key has
_LOCKED: Final = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})
_ABSENT: Final = frozenset({"InitError", "NoKeyringError", "SecretServiceNotAvailableException"})


class KeyringStore:
    """The keyring of the person who runs this.

    Args:
        timeout: how long any one call may take.
        keyrings: the keyrings of this system, the preferred one first.
    """

    uri = KEYRING

    def __init__(self, *, timeout: timedelta, keyrings: Sequence[SystemKeyring]) -> None:
        """Ask nothing yet."""
        self._timeout = timeout
        self._keyrings = tuple(keyrings)

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:  # noqa: ARG002
        """Save a key in the first keyring that answers, and read it back.

        Args:
            private_key: on P-256.
            label: unused: the kid names a keyring entry.

        Returns:
            The URI to record: `keyring:`.

        Raises:
            KeyringAbsent: (`keyring_absent`) when no allowed keyring runs here.
            KeyringLocked: (`keyring_locked`) when it is locked and stays so.
            KeyringTimeout: (`keyring_timeout`) when it does not answer in time.
            KeyringFailed: (`keyring_failed`) when it answers with an error.
            NotKept: (`not_kept`) when what comes back is not what was saved.
        """
        kid = private_keys.public_key(private_key).kid
        text = private_keys.to_text(private_key)
        for keyring in self._keyrings:
            status = self._ask(partial(keyring.probe, kid), _NEW_FILE)
            if status is None:
                continue
            self._unlock(keyring, status)
            self._ask(partial(keyring.write, kid, text), _NEW_FILE)
            stored = self._ask(partial(keyring.read, kid), _NEW_FILE)
            if stored is None or not hmac.compare_digest(stored.encode(), text.encode()):
                raise errors.NotKept(
                    "the keyring did not give back the key that it was given",
                    hint=Hint("use another keyring, ", _NEW_FILE),
                )
            return self.uri
        raise _absent(_NEW_FILE)

    def require_room(self) -> None:
        """Check without a prompt what `save` would refuse in any case.

        Raises:
            KeyringAbsent: (`keyring_absent`) when no allowed keyring runs here.
            KeyringTimeout, KeyringFailed: (`keyring_timeout`, `keyring_failed`) as for `save`.
        """
        for keyring in self._keyrings:
            if self._ask(partial(keyring.probe, _ANY), _NEW_FILE) is not None:
                return
        raise _absent(_NEW_FILE)

    def load(self, pinned: Key) -> SoftwareSigner:
        """Unlock the private key of a pinned public key.

        Raises:
            NoSuchKey: (`no_such_key`) when the keyring answers and does not hold it.
            KeyringAbsent: (`keyring_absent`) when no allowed keyring runs here.
            KeyringLocked: (`keyring_locked`) when it is locked and stays so.
            KeyringTimeout: (`keyring_timeout`) when it does not answer in time.
            KeyringFailed: (`keyring_failed`) when it answers with an error.
            KeyDamaged: (`key_damaged`) when the entry is no private key.
            KeyMismatch: (`key_mismatch`) when it is another key.
        """
        answered = False
        for keyring in self._keyrings:
            status = self._ask(partial(keyring.probe, pinned.kid))
            if status is None:
                continue
            answered = True
            if status.locked:
                self._unlock(keyring, status)
            elif not status.present:
                continue
            text = self._ask(partial(keyring.read, pinned.kid))
            if text is not None:
                return private_keys.signer(private_keys.from_text(text), pinned)
        if not answered:
            raise _absent(INTO_FILE)
        raise errors.NoSuchKey(
            f"the keyring holds no key {pinned.kid}",
            hint=Hint("restore it from its backup: ", run("key", "import", "BACKUP")),
        )

    def presence(self, kid: str) -> Presence:
        """Return whether the keyring holds a key, without a prompt; never raises."""
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

    def _unlock(self, keyring: SystemKeyring, status: KeyStatus) -> None:
        try:
            unlocked = self._ask(keyring.unlock)
        except errors.KeyringTimeout:
            unlocked = False
        if not unlocked:
            where = "the key is there, but the keyring" if status.present else "the keyring"
            raise _locked(where)

    def _ask(self, call: Callable[[], T], instead: str = INTO_FILE) -> T:
        """Run a call within the deadline; `instead` ends the hint when it fails.

        What the libraries raise may quote what they were given, so it is dropped, not chained.
        """
        try:
            return run_with_timeout(self._timeout, call)
        except TimeoutExpired:
            problem: KeyUnavailable = errors.KeyringTimeout(
                f"the keyring did not answer within {self._timeout.total_seconds():g} s",
                hint=Hint("restart the keyring's service; ", instead),
            )
        except Exception as error:  # noqa: BLE001 -- three libraries, each with errors of its own
            problem = _translated(error, instead)
        raise problem


def _translated(error: Exception, instead: str) -> KeyUnavailable:
    name = type(error).__name__
    if name in _LOCKED:
        return _locked("the keyring")
    if name in _ABSENT:
        return _absent(instead)
    return errors.KeyringFailed(
        f"the keyring failed ({name})", hint=Hint("look into the keyring's own log; ", instead)
    )


def _locked(what: str) -> errors.KeyringLocked:
    return errors.KeyringLocked(
        f"{what} is locked and was not unlocked",
        hint="unlock it by logging in to the desktop or answering its prompt, then try again",
    )


def _absent(instead: str) -> errors.KeyringAbsent:
    return errors.KeyringAbsent(
        "no keyring runs in this session that may hold a key",
        hint=Hint("log in to a session with that keyring; ", instead),
    )
