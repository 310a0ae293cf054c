"""A PKCS#11 module: calls with a deadline, and its errors."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pkcs11
import pytest
from support import softhsm
from support.softhsm import MODULE, SoftHsm

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import pkcs11_module
from polygent_issuer.keys.pkcs11_module import Pkcs11Module


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
def test_errors_of_the_library_are_translated(raised: type[Exception], code: str) -> None:
    """Each error has one code; its text, which may quote a secret, is dropped."""
    arguments = ("utf-8", b"4711", 0, 1, "4711") if raised is UnicodeDecodeError else ("4711",)
    problem = pkcs11_module.translate(raised(*arguments))
    assert (problem.code, problem.exit_code) == (code, 6)
    assert problem.hint
    assert "4711" not in f"{problem.message} {problem.hint}"


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """A new token; its module is released even if it counts as stuck."""
    made = softhsm.softhsm(tmp_path / "hsm")
    made.enter(monkeypatch)
    yield made
    if softhsm.still_initialised():
        pkcs11.lib(str(MODULE)).finalize()


def test_a_module_that_does_not_answer_is_not_called_again(hsm: SoftHsm) -> None:
    """After one timeout nothing is called, not even to close it."""
    module = Pkcs11Module(hsm.place, timeout=timedelta(milliseconds=50))
    never, called = threading.Event(), threading.Event()
    try:
        for call in (never.wait, called.set):
            with pytest.raises(KeyUnavailable) as raised:
                module.call(call)
            assert (raised.value.code, raised.value.exit_code) == ("token_timeout", 6)
            assert "0.05 s" in raised.value.message
            assert "config set keyring_timeout 60s" in str(raised.value.hint)
        module.close()
        assert softhsm.still_initialised() == [str(MODULE)]
        assert not called.is_set()
    finally:
        never.set()


def test_an_interrupted_module_is_not_called_again(hsm: SoftHsm) -> None:
    """After Ctrl-C the call continues in its thread, so no other call is made."""
    module = Pkcs11Module(hsm.place, timeout=timedelta(seconds=20))

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.call(interrupted)
    with pytest.raises(KeyUnavailable, check=lambda error: error.code == "token_timeout"):
        module.call(list)
    module.close()


def test_the_last_user_finalises_the_module(hsm: SoftHsm) -> None:
    """A process initialises a module once for all its users."""
    one, two = (Pkcs11Module(hsm.place, timeout=timedelta(seconds=20)) for _ in range(2))
    one.close()
    assert softhsm.still_initialised() == [str(MODULE)]
    assert two.token().label == "vault"
    two.close()
    assert softhsm.still_initialised() == []


def test_a_module_that_is_already_finalised(hsm: SoftHsm) -> None:
    """Closing a module that was finalised elsewhere raises no error."""
    module = Pkcs11Module(hsm.place, timeout=timedelta(seconds=20))
    module.call(pkcs11.lib(str(MODULE)).finalize)
    with pytest.raises(KeyUnavailable):
        module.token()
    module.close()
