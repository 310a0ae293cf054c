"""What goes wrong with a token, said to the operator.

The library's errors are known by the names of their classes: what they say may quote what they
were given.
"""

from collections.abc import Callable, Mapping
from typing import Final

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import errors


def translate(error: Exception) -> KeyUnavailable:
    """What an error of the library means to the operator; its text is dropped."""
    name = type(error).__name__
    for names, told in _MEANINGS.items():
        if name in names:
            return told()
    return errors.TokenFailed(
        f"the token or its module failed ({name})",
        hint="see what the token's own software says about it",
    )


def _pin_incorrect() -> KeyUnavailable:
    return errors.PinIncorrect(
        "the token refused the PIN; it was given once and is not given again",
        hint="make sure of the PIN before you run the command again: a token locks itself after a "
        "few wrong ones",
    )


def _removed() -> KeyUnavailable:
    return errors.TokenRemoved(
        "the token, or the key in it, went away while it was in use",
        hint="plug it in again and run the command once more",
    )


def _read_only() -> KeyUnavailable:
    return errors.TokenReadOnly(
        "the token takes no new key: it is full or write-protected",
        hint="name another token, or make room in it",
    )


def pin_locked(where: str = "the token") -> errors.PinLocked:
    """A token whose PIN is locked."""
    return errors.PinLocked(
        f"the PIN of {where} is locked after too many wrong ones",
        hint="unlock it with the token's own software and its SO PIN (PUK)",
    )


def pin_not_set(where: str = "the token") -> errors.PinNotSet:
    """A token whose user PIN is not set, or has to be changed."""
    return errors.PinNotSet(
        f"{where} has no user PIN yet, or one that must be changed first",
        hint="set one with the token's own software and its SO PIN",
    )


def mechanism_missing(
    where: str = "the token", what: str = "what is asked of it"
) -> errors.MechanismMissing:
    """A token that lacks what we need."""
    return errors.MechanismMissing(
        f"{where} does not offer {what}",
        hint="it has to offer CKM_ECDSA with P-256, and CKM_EC_KEY_PAIR_GEN to make a key; "
        "name another token",
    )


_MEANINGS: Final[Mapping[tuple[str, ...], Callable[[], KeyUnavailable]]] = {
    ("PinIncorrect", "PinInvalid", "PinLenRange"): _pin_incorrect,
    ("PinLocked",): pin_locked,
    ("PinExpired", "UserPinNotInitialized"): pin_not_set,
    (
        "DeviceRemoved",
        "KeyHandleInvalid",
        "ObjectHandleInvalid",
        "SessionClosed",
        "SessionHandleInvalid",
        "TokenNotPresent",
        "TokenNotRecognised",
    ): _removed,
    (
        "DeviceMemory",
        "SessionReadOnly",
        "SessionReadOnlyExists",
        "TokenWriteProtected",
    ): _read_only,
    ("FunctionNotSupported", "MechanismInvalid"): mechanism_missing,
}
"""The library's errors by the names of their classes, and what they mean to the operator."""
