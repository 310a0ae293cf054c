"""A PKCS#11 module in this process: load it, call it within a deadline, translate its errors.

The store URI contains the absolute path of the module. Neither an environment variable nor the
system's configuration chooses one. The module is foreign code: each call has a deadline. Its errors
are identified by their class name alone, since their text may quote a secret.
"""

import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pkcs11
from pkcs11.constants import TokenFlag

from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.files.within import require_code
from polygent_issuer.keys.signer import TimeoutExpired, call_store
from polygent_issuer.store_uri.token import TokenUri
from polygent_issuer.text import Hint, escape, for_shell, run

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 -- a class

T = TypeVar("T")
_TIMEOUT: Final = "token_timeout"
_PROBLEMS: Final[Mapping[str, tuple[str, str, str]]] = {
    "pin_incorrect": (
        "PinIncorrect PinInvalid PinLenRange",
        "{where} rejected the PIN, which was tried once",
        (
            "check the PIN before you run the command again: a token locks itself after a few "
            "wrong ones"
        ),
    ),
    "pin_locked": (
        "PinLocked",
        "the PIN of {where} is locked after too many wrong attempts",
        "unlock it with the token's own software and its SO PIN (PUK)",
    ),
    "pin_not_set": (
        "PinExpired UserPinNotInitialized",
        "the user PIN of {where} is not set or has expired",
        "set it with the token's own software and its SO PIN",
    ),
    "token_removed": (
        (
            "DeviceRemoved KeyHandleInvalid ObjectHandleInvalid SessionClosed SessionHandleInvalid "
            "TokenNotPresent TokenNotRecognised"
        ),
        "{where} or its key was removed during the operation",
        "plug the token in again, then run the command again",
    ),
    "token_read_only": (
        "DeviceMemory SessionReadOnly SessionReadOnlyExists TokenWriteProtected",
        "{where} cannot store a new key: it is full or write-protected",
        "delete a key that you no longer need from it, or choose another token",
    ),
    "mechanism_missing": (
        "FunctionNotSupported MechanismInvalid",
        "{where} does not support {what}",
        (
            "choose a token that supports CKM_ECDSA with P-256, and CKM_EC_KEY_PAIR_GEN to "
            "generate keys"
        ),
    ),
}
"""By code: the class names of the library's errors, our message, and its hint."""
# A module is initialised once per process; the last user finalises it.
_IN_USE: Final = Counter[str]()


def problem(
    code: str, where: str = "the token", what: str = "the requested operation"
) -> KeyUnavailable:
    """Return the error of a code; `where` names the token, `what` the operation."""
    _, message, hint = _PROBLEMS[code]
    return KeyUnavailable(message.format(where=where, what=what), hint=hint, code=code)


def translate(error: Exception) -> KeyUnavailable:
    """Return our error for an error of the library; its text is dropped."""
    name = type(error).__name__
    for code, (names, *_) in _PROBLEMS.items():
        if name in names.split():
            return problem(code)
    return KeyUnavailable(
        f"the token or its module failed ({name})",
        hint="test the token with its own software",
        code="token_failed",
    )


class Pkcs11Module:
    """The module of a store URI, initialised; `close` releases it.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user can replace it.
        KeyUnavailable: (`module_unusable`, `token_timeout`).
    """

    def __init__(self, place: TokenUri, *, timeout: timedelta) -> None:
        """Load and initialise the module."""
        _require_sound(place.module)
        self._place = place
        self._timeout = timeout
        self._stuck = False
        self._path = str(place.module)
        self._library = self.call(partial(_load, self._path))
        _IN_USE[self._path] += 1

    def call(self, call: Callable[[], T]) -> T:
        """Run a call into the module within the deadline.

        A module that did not answer is not called again, since it may still be busy.

        Raises:
            KeyUnavailable: from `call`, or translated from the library's error.
        """

        def unless_stuck() -> T:
            if self._stuck:
                raise TimeoutExpired
            return call()

        try:
            return call_store(
                unless_stuck,
                timeout=self._timeout,
                name="the token",
                code=_TIMEOUT,
                hint=Hint(
                    "touch the token if it waits for a touch, or plug it in again; to allow more "
                    "time: ",
                    run("config", "set", "keyring_timeout", "60s"),
                ),
                translate=translate,
            )
        except BaseException as error:  # Ctrl-C, too: the call continues in its thread
            self._stuck |= not isinstance(error, IssuerError) or error.code == _TIMEOUT
            raise

    def token(self) -> pkcs11.Token:
        """Return the one token that matches the URI.

        Raises:
            KeyUnavailable: (`token_absent`, `token_ambiguous`).
        """
        tokens = self.call(self._matching)
        if not tokens:
            raise KeyUnavailable(
                f"the token {_named(self._place)} is not present",
                hint="plug it in, or list the tokens of the module: "
                f"pkcs11-tool --module {for_shell(self._path)} --list-token-slots",
                code="token_absent",
            )
        if len(tokens) > 1:
            serials = ", ".join(escape(serial_of(token) or "none") for token in tokens)
            raise KeyUnavailable(
                f"{len(tokens)} tokens match {_named(self._place)}; their serial numbers: "
                f"{serials}",
                hint="add ;serial=NUMBER to the store URI",
                code="token_ambiguous",
            )
        return tokens[0]

    def close(self) -> None:
        """Finalise the module after its last user, which closes everything that is open in it."""
        _IN_USE[self._path] -= 1
        if not _IN_USE[self._path]:
            with suppress(KeyUnavailable):  # not called when it is stuck
                self.call(self._library.finalize)

    def _matching(self) -> list[pkcs11.Token]:
        tokens = []
        for slot in self._library.get_slots(token_present=True):
            with suppress(pkcs11.PKCS11Error):  # a broken reader does not hide the other tokens
                token = slot.get_token()
                if token.flags & TokenFlag.TOKEN_INITIALIZED and _matches(token, self._place):
                    tokens.append(token)
        return tokens


def serial_of(token: pkcs11.Token) -> str | None:
    """Return a token's serial number, if it is printable ASCII."""
    text = token.serial.decode("ascii", "replace")
    return text if text and text.isprintable() and text.isascii() else None


def _load(path: str) -> "Library":
    try:
        return pkcs11.lib(path)
    except (pkcs11.PKCS11Error, OSError, ImportError) as error:
        name = type(error).__name__
    raise _unusable(
        path,
        f"cannot be loaded or started ({name})",
        hint="check that you may read the module's files, and try: "
        f"pkcs11-tool --module {for_shell(path)} --list-slots",
    )


def _require_sound(path: Path) -> None:
    """Check that a module, which gets the PIN, is a file that no other user can replace."""
    try:
        mode = path.stat().st_mode
        require_code(path, "PKCS#11 module")
    except (OSError, ValueError) as error:
        why = os.strerror(getattr(error, "errno", None) or 22).lower()
        raise _unusable(
            path,
            f"cannot be found: {why}",
            hint="check module-path in the store URI, and that the token's software is installed",
        ) from None
    if not stat.S_ISREG(mode):
        raise _unusable(path, "is not a file", hint="check module-path in the store URI")


def _unusable(path: Path | str, why: str, *, hint: str) -> KeyUnavailable:
    message = f"the PKCS#11 module {escape(str(path))} {why}"
    return KeyUnavailable(message, hint=hint, code="module_unusable")


def _matches(token: pkcs11.Token, place: TokenUri) -> bool:
    pairs: tuple[tuple[object, object], ...] = (
        (place.token, token.label),
        (place.serial, serial_of(token)),
        (place.manufacturer, token.manufacturer_id),
        (place.model, token.model),
        (place.slot, token.slot.slot_id),
    )
    return all(expected is None or expected == actual for expected, actual in pairs)


def _named(place: TokenUri) -> str:
    words = {
        "": place.token,
        "serial ": place.serial,
        "of ": place.manufacturer,
        "model ": place.model,
        "in slot ": None if place.slot is None else str(place.slot),
    }
    return ", ".join(f"{word}{value}" for word, value in words.items() if value is not None)
