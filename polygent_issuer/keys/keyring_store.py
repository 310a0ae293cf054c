"""Keys in the operating system's keyring: PKCS#8 DER in base64, one entry per key.

Nothing but the allow-list of `backends` decides which keyring that is. Every call has a deadline:
a daemon that hangs or a prompt that nobody answers would otherwise hold the command for ever.
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
from polygent_issuer.keys.keyring_allowlist import INTO_FILE
from polygent_issuer.keys.keyring_backends import KeyStatus, SystemKeyring
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.keys.store import Presence
from polygent_issuer.keys.timeout import TimeoutExpired, run_with_timeout
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
        vaults: the keyrings of this system, the preferred one first.
    """

    uri = KEYRING

    def __init__(self, *, timeout: timedelta, vaults: Sequence[SystemKeyring]) -> None:
        """Ask nothing yet."""
        self._timeout = timeout
        self._vaults = tuple(vaults)

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:  # noqa: ARG002
        """Keep a key in the first keyring that answers, and read it back.

        Args:
            private_key: on P-256.
            label: unused: a keyring entry goes by the kid. (A key file is named after it.)

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
        for vault in self._vaults:
            survey = self._ask(partial(vault.survey, kid), _NEW_FILE)
            if survey is None:
                continue
            self._unlock(vault, survey)
            self._ask(partial(vault.write, kid, text), _NEW_FILE)
            kept = self._ask(partial(vault.read, kid), _NEW_FILE)
            if kept is None or not hmac.compare_digest(kept.encode(), text.encode()):
                raise errors.NotKept(
                    "the keyring did not give back the key that it was given",
                    hint=Hint("use another keyring, ", _NEW_FILE),
                )
            return self.uri
        raise _absent(_NEW_FILE)

    def require_room(self) -> None:
        """Refuse what `save` would refuse in any case, without a prompt.

        Raises:
            KeyringAbsent: (`keyring_absent`) when no allowed keyring runs here.
            KeyringTimeout, KeyringFailed: (`keyring_timeout`, `keyring_failed`) as for `save`.
        """
        for vault in self._vaults:
            if self._ask(partial(vault.survey, _ANY), _NEW_FILE) is not None:
                return
        raise _absent(_NEW_FILE)

    def load(self, pinned: Key) -> SoftwareSigner:
        """Unlock the key of a pinned public half.

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
        for vault in self._vaults:
            survey = self._ask(partial(vault.survey, pinned.kid))
            if survey is None:
                continue
            answered = True
            if survey.locked:
                self._unlock(vault, survey)
            elif not survey.found:
                continue
            text = self._ask(partial(vault.read, pinned.kid))
            if text is not None:
                return private_keys.signer(private_keys.from_text(text), pinned)
        if not answered:
            raise _absent(INTO_FILE)
        raise errors.NoSuchKey(
            f"the keyring holds no key {pinned.kid}",
            hint=Hint("restore it from its backup: ", run("key", "import", "BACKUP")),
        )

    def presence(self, kid: str) -> Presence:
        """Say whether the keyring holds a key, without a prompt.

        Never raises: what cannot be asked, or not in time, is `unavailable`.
        """
        seen = Presence.UNAVAILABLE
        for vault in self._vaults:
            try:
                survey = self._ask(partial(vault.survey, kid))
            except KeyUnavailable:
                continue
            if survey is None:
                continue
            if survey.locked:
                return Presence.LOCKED
            if survey.found:
                return Presence.PRESENT
            seen = Presence.ABSENT
        return seen

    def _unlock(self, vault: SystemKeyring, survey: KeyStatus) -> None:
        try:
            unlocked = self._ask(vault.unlock)
        except errors.KeyringTimeout:
            unlocked = False
        if not unlocked:
            where = "the key is there, but the keyring" if survey.found else "the keyring"
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
