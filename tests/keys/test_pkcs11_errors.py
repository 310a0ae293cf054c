"""The library's errors, and what they mean to the operator."""

import pkcs11
import pytest

from polygent_issuer.keys import pkcs11_module


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (pkcs11.PinIncorrect, "pin_incorrect"),
        (pkcs11.PinLenRange, "pin_incorrect"),
        (pkcs11.PinInvalid, "pin_incorrect"),
        (pkcs11.PinLocked, "pin_locked"),
        (pkcs11.PinExpired, "pin_not_set"),
        (pkcs11.UserPinNotInitialized, "pin_not_set"),
        (pkcs11.DeviceRemoved, "token_removed"),
        (pkcs11.TokenNotPresent, "token_removed"),
        (pkcs11.TokenNotRecognised, "token_removed"),
        (pkcs11.SessionHandleInvalid, "token_removed"),
        (pkcs11.SessionClosed, "token_removed"),
        (pkcs11.ObjectHandleInvalid, "token_removed"),
        (pkcs11.KeyHandleInvalid, "token_removed"),
        (pkcs11.TokenWriteProtected, "token_read_only"),
        (pkcs11.SessionReadOnly, "token_read_only"),
        (pkcs11.SessionReadOnlyExists, "token_read_only"),
        (pkcs11.DeviceMemory, "token_read_only"),
        (pkcs11.MechanismInvalid, "mechanism_missing"),
        (pkcs11.FunctionNotSupported, "mechanism_missing"),
        (pkcs11.DeviceError, "token_failed"),
        (pkcs11.UserNotLoggedIn, "token_failed"),
        (UnicodeDecodeError, "token_failed"),
    ],
)
def test_what_the_librarys_errors_mean(raised: type[Exception], code: str) -> None:
    """Each has one meaning; its text, which may quote what was given, is dropped."""
    arguments = ("utf-8", b"4711", 0, 1, "4711") if raised is UnicodeDecodeError else ("4711",)
    problem = pkcs11_module.translate(raised(*arguments))
    assert (problem.code, problem.exit_code) == (code, 6)
    assert problem.hint
    assert "4711" not in f"{problem.message} {problem.hint}"
