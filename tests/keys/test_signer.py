"""Signers in this process, and calls with a deadline."""

import threading
from datetime import timedelta

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.keys.signer import (
    Signer,
    SoftwareSigner,
    TimeoutExpired,
    generate_private_key,
    run_with_timeout,
)
from polygent_issuer.verifier.keys import Key

# RFC 6979 A.2.5: P-256, SHA-256.
PRIVATE = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
VECTORS = {
    b"sample": "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    b"test": "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
}


@pytest.mark.parametrize("data", VECTORS)
def test_the_vectors_of_rfc_6979_are_signed(data: bytes) -> None:
    """The signature is that of RFC 6979 A.2.5, R then S."""
    signer = SoftwareSigner(ec.derive_private_key(PRIVATE, ec.SECP256R1()))
    assert signer.sign(data).hex().upper() == VECTORS[data]


def test_signatures_are_deterministic_and_64_bytes_long() -> None:
    """The same bytes give the same signature for all values of r and s."""
    signer = SoftwareSigner(generate_private_key())
    for number in range(600):  # one in 128 has a leading zero in r or s
        data = b"%d" % number
        signature = signer.sign(data)
        assert len(signature) == 64
        assert signature == signer.sign(data)
        assert signer.public_key.verifies(signature, data)
        assert not signer.public_key.verifies(signature, data + b"x")


def test_a_signer_has_the_kid_of_its_public_key() -> None:
    """`kid` and `public_key` belong to the private key."""
    private_key = generate_private_key()
    signer: Signer = SoftwareSigner(private_key)
    assert signer.public_key == Key.from_public_key(private_key.public_key())
    assert signer.kid == signer.public_key.kid


def test_each_generated_key_is_a_new_p256_key() -> None:
    """Two generated keys differ."""
    first, second = generate_private_key(), generate_private_key()
    assert {first.curve.name, second.curve.name} == {"secp256r1"}
    assert first.private_numbers() != second.private_numbers()


def test_a_signer_does_not_show_its_private_key() -> None:
    """`repr` and `str` show only the kid."""
    signer = SoftwareSigner(ec.derive_private_key(PRIVATE, ec.SECP256R1()))
    assert repr(signer) == str(signer) == f"SoftwareSigner(kid={signer.kid!r})"


def test_another_curve_is_refused() -> None:
    """The signer of a key that is not on P-256 is refused."""
    with pytest.raises(KeyUnavailable, match="this one is on secp384r1"):
        SoftwareSigner(ec.generate_private_key(ec.SECP384R1()))


def test_missing_deterministic_signatures_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenSSL 3.2, simulated here, the error names the package to install."""

    def refuse(*_: object, **__: object) -> None:
        raise UnsupportedAlgorithm("not here")

    monkeypatch.setattr(ec, "ECDSA", refuse)
    with pytest.raises(KeyUnavailable, match="deterministic") as raised:
        SoftwareSigner(generate_private_key())
    assert "OpenSSL 3.2" in str(raised.value.hint)


SOON = timedelta(milliseconds=50)
AMPLE = timedelta(seconds=30)


def test_the_result_of_a_call_is_returned() -> None:
    """A call that ends in time returns its result, also None."""
    assert run_with_timeout(AMPLE, lambda: "result") == "result"
    assert run_with_timeout(AMPLE, lambda: None) is None


def test_the_error_of_a_call_is_raised() -> None:
    """A call that fails in time raises its own error in the caller's thread."""

    def fail() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        run_with_timeout(AMPLE, fail)


def test_a_hanging_call_is_abandoned() -> None:
    """At the deadline the call is abandoned, and does not keep the process alive."""
    release = threading.Event()
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        release.wait()

    with pytest.raises(TimeoutExpired):
        run_with_timeout(SOON, hang)
    assert threads[0].is_alive()
    assert threads[0].daemon
    release.set()
    threads[0].join()
