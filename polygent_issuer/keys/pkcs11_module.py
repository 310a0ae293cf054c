"""A PKCS#11 module in this process: loading it, calling it in time, translating its errors.

The store URI names the module by its whole path; no environment variable and no configuration of
the system chooses one. It is foreign code: each call has a deadline, and an error is known by the
name of its class alone, since its text may quote what the library was given.
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
from polygent_issuer.files.trusted_code import require_code
from polygent_issuer.hints import Hint, run
from polygent_issuer.keys.signer import TimeoutExpired, run_with_timeout
from polygent_issuer.store_uri import TokenUri
from polygent_issuer.text import escape, for_shell

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 -- a class

_PROBLEMS: Final[Mapping[str, tuple[str, str, str]]] = {
    "pin_incorrect": (
        "PinIncorrect PinInvalid PinLenRange",
        "{where} refused the PIN; it was given once and is not given again",
        (
            "make sure of the PIN before you run the command again: a token locks itself after a "
            "few wrong ones"
        ),
    ),
    "pin_locked": (
        "PinLocked",
        "the PIN of {where} is locked after too many wrong ones",
        "unlock it with the token's own software and its SO PIN (PUK)",
    ),
    "pin_not_set": (
        "PinExpired UserPinNotInitialized",
        "{where} has no user PIN yet, or one that must be changed first",
        "set one with the token's own software and its SO PIN",
    ),
    "token_removed": (
        (
            "DeviceRemoved KeyHandleInvalid ObjectHandleInvalid SessionClosed SessionHandleInvalid "
            "TokenNotPresent TokenNotRecognised"
        ),
        "{where}, or the key in it, went away while it was in use",
        "plug it in again and run the command once more",
    ),
    "token_read_only": (
        "DeviceMemory SessionReadOnly SessionReadOnlyExists TokenWriteProtected",
        "{where} takes no new key: it is full or write-protected",
        "name another token, or make room in it",
    ),
    "mechanism_missing": (
        "FunctionNotSupported MechanismInvalid",
        "{where} does not offer {what}",
        (
            "it has to offer CKM_ECDSA with P-256, and CKM_EC_KEY_PAIR_GEN to make a key; "
            "name another token"
        ),
    ),
}
"""By code: the classes of the library's errors that mean it, our message, and its hint."""


def problem(
    code: str, where: str = "the token", what: str = "what is asked of it"
) -> KeyUnavailable:
    """Return the error of a code about a token."""
    _, message, hint = _PROBLEMS[code]
    return KeyUnavailable(message.format(where=where, what=what), hint=hint, code=code)


def translate(error: Exception) -> KeyUnavailable:
    """Return our error for one of the library; its text is dropped."""
    name = type(error).__name__
    for code, (names, *_) in _PROBLEMS.items():
        if name in names.split():
            return problem(code)
    return KeyUnavailable(
        f"the token or its module failed ({name})",
        hint="see what the token's own software says about it",
        code="token_failed",
    )


T = TypeVar("T")

# A module is initialised once per process; the last user finalises it.
_IN_USE: Final = Counter[str]()


class Pkcs11Module:
    """The module of a store URI, initialised; `close` releases it.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user can replace it.
        KeyUnavailable: (`module_unusable`, `token_timeout`).
    """

    def __init__(self, place: TokenUri, *, timeout: timedelta) -> None:
        """Load and initialise it."""
        _require_sound(place.module)
        self._place = place
        self._timeout = timeout
        self._stuck = False
        self._path = str(place.module)
        self._library = self.call(partial(_load, self._path))
        _IN_USE[self._path] += 1

    def call(self, call: Callable[[], T]) -> T:
        """Run a call into the module within the deadline.

        A module that did not answer is not called again: it may still be busy.

        Raises:
            KeyUnavailable: from `call` itself, or translated from its failure.
        """
        try:
            if self._stuck:
                raise TimeoutExpired  # noqa: TRY301 -- as if it had just expired
            return run_with_timeout(self._timeout, call)
        except TimeoutExpired:
            self._stuck = True
            refused: IssuerError = KeyUnavailable(
                f"the token did not answer within {self._timeout.total_seconds():g} s",
                hint=Hint(
                    "touch it if it waits for that, or plug it in again; ",
                    run("config", "set", "keyring_timeout", "60s"),
                    " gives it more time",
                ),
                code="token_timeout",
            )
        except IssuerError as ours:
            refused = ours
        except Exception as error:  # noqa: BLE001 -- the library's, and what foreign bytes raise
            refused = translate(error)
        except BaseException:  # Ctrl-C: the call goes on in its thread
            self._stuck = True
            raise
        raise refused

    def token(self) -> pkcs11.Token:
        """Return the one token that matches the URI.

        Raises:
            KeyUnavailable: (`token_absent`, `token_ambiguous`).
        """
        tokens = self.call(self._matching)
        if not tokens:
            raise KeyUnavailable(
                f"the PKCS#11 module shows no token {_named(self._place)}",
                hint="plug it in, or look at what is there: "
                f"pkcs11-tool --module {for_shell(self._path)} --list-token-slots",
                code="token_absent",
            )
        if len(tokens) > 1:
            serials = ", ".join(escape(serial_of(token) or "none") for token in tokens)
            raise KeyUnavailable(
                f"{len(tokens)} tokens are {_named(self._place)}; their serials are {serials}",
                hint="add ;serial=NUMBER to the store",
                code="token_ambiguous",
            )
        return tokens[0]

    def close(self) -> None:
        """Finalise the module when nobody else uses it, which closes whatever is open in it."""
        _IN_USE[self._path] -= 1
        if not _IN_USE[self._path]:
            with suppress(KeyUnavailable):  # not even asked when it is stuck
                self.call(self._library.finalize)

    def _matching(self) -> list[pkcs11.Token]:
        tokens = []
        for slot in self._library.get_slots(token_present=True):
            with suppress(pkcs11.PKCS11Error):  # another reader's trouble is not ours
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
        hint="see what it says for itself, and whether you may read its files: "
        f"pkcs11-tool --module {for_shell(path)} --list-slots",
    )


def _require_sound(path: Path) -> None:
    """Refuse a module that is not a file, or that another user may replace: it gets the PIN."""
    try:
        mode = path.stat().st_mode
        require_code(path, "PKCS#11 module")
    except (OSError, ValueError) as error:
        why = os.strerror(getattr(error, "errno", None) or 22).lower()
        raise _unusable(
            path,
            f"cannot be found: {why}",
            hint="check module-path; the token's software may not be installed on this machine",
        ) from None
    if not stat.S_ISREG(mode):
        raise _unusable(path, "is no file", hint="check module-path")


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
