"""A module in this process: what is not answered in time, and who lets go of it."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pkcs11
import pytest
from support import softhsm
from support.softhsm import MODULE, SoftHsm

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys import errors
from polygent_issuer.keys.pkcs11_module import Pkcs11Module


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """A fresh token; the module is let go of even when it counts as stuck."""
    made = softhsm.softhsm(tmp_path / "hsm")
    made.enter(monkeypatch)
    yield made
    if softhsm.still_initialised():
        pkcs11.lib(str(MODULE)).finalize()


def test_one_that_does_not_answer_is_left_alone(hsm: SoftHsm) -> None:
    """The deadline passes once; nothing is called any more, not even to close."""
    module = Pkcs11Module(hsm.place, timeout=timedelta(milliseconds=50))
    never, called = threading.Event(), threading.Event()
    try:
        for call in (never.wait, called.set):
            with pytest.raises(errors.TokenTimeout) as raised:
                module.call(call)
            assert raised.value.exit_code == 6
            assert "0.05 s" in raised.value.message
            assert "config set keyring_timeout 60s" in str(raised.value.hint)
        module.close()
        assert softhsm.still_initialised() == [str(MODULE)]
        assert not called.is_set()
    finally:
        never.set()


def test_ctrl_c_leaves_it_alone_too(hsm: SoftHsm) -> None:
    """The call goes on in its thread: nobody may call beside it."""
    module = Pkcs11Module(hsm.place, timeout=timedelta(seconds=20))

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.call(interrupted)
    with pytest.raises(errors.TokenTimeout):
        module.call(list)
    module.close()


def test_the_last_one_out_finalises(hsm: SoftHsm) -> None:
    """A process has a module once, whoever uses it."""
    one, two = (Pkcs11Module(hsm.place, timeout=timedelta(seconds=20)) for _ in range(2))
    one.close()
    assert softhsm.still_initialised() == [str(MODULE)]
    assert two.token().label == "vault"
    two.close()
    assert softhsm.still_initialised() == []


def test_one_that_cannot_be_closed(hsm: SoftHsm) -> None:
    """Somebody else has finalised it: nothing is left to do, and nobody is bothered."""
    module = Pkcs11Module(hsm.place, timeout=timedelta(seconds=20))
    module.call(pkcs11.lib(str(MODULE)).finalize)
    with pytest.raises(KeyUnavailable):
        module.token()
    module.close()
