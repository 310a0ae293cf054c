"""Signers, and what else all key stores have in common.

Signatures are ES256 (RFC 7518 §3.4): ECDSA on P-256 with SHA-256, 64 bytes R‖S. A private key is
rebuilt from its private number alone, so that a stored public key is never trusted.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from polygent_issuer.errors import IssuerError, KeyUnavailable
from polygent_issuer.files.disk import reason
from polygent_issuer.text import Hint, run
from polygent_issuer.verifier.keys import COORDINATE_BYTES, EXAMPLE_KID, Key

T = TypeVar("T")

PROBE: Final = b"polygent-issue: a probe of a key; no license"
"""The bytes that a key in a token or a service signs as a test; no license begins with them."""
IMPORT: Final = run("key", "import", "BACKUP")
"""The command that restores a key from its backup."""


class Signer(ABC):
    """A private key that signs, in any store.

    Attributes:
        public_key: the public key.
        at_once: the largest number of signatures of one call; it is 1 unless a service signs.
    """

    public_key: Key
    at_once: int = 1

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public key."""
        return self.public_key.kid

    @abstractmethod
    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S."""

    def sign_many(self, items: Sequence[bytes]) -> list[bytes]:
        """Sign each of the items as `sign` does, with as few calls as the signer allows."""
        return [*map(self.sign, items)]

    def close(self) -> None:  # noqa: B027 -- most signers keep nothing open
        """Release the resources; the signer cannot be used afterwards."""

    def __repr__(self) -> str:
        """Name the key by its kid alone."""
        return f"{type(self).__name__}(kid={self.kid!r})"


class SoftwareSigner(Signer):
    """A P-256 private key in this process with deterministic signatures (RFC 6979 §3.2).

    The same bytes and key give the same signature, so the same license gives the same file (FORMAT
    §1).

    Raises:
        KeyUnavailable: (`key_unavailable`) for another curve, and as `deterministic_es256`.
    """

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        """Derive the public key."""
        if not isinstance(private_key.curve, ec.SECP256R1):
            raise KeyUnavailable(
                f"signing keys must be P-256 keys, and this one is on {private_key.curve.name}"
            )
        self._algorithm = deterministic_es256()
        self.private_key = private_key
        self.public_key = Key.from_public_key(private_key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with ES256; 64 bytes R‖S."""
        r, s = decode_dss_signature(self.private_key.sign(data, self._algorithm))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")


def generate_private_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 private key from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP256R1())


def deterministic_es256() -> ec.ECDSA:
    """Return ES256 with deterministic signatures (RFC 6979).

    Raises:
        KeyUnavailable: (`key_unavailable`) when the OpenSSL of `cryptography` lacks them.
    """
    try:
        return ec.ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        raise KeyUnavailable(
            "this build of the cryptography library does not support deterministic signatures",
            hint="install cryptography from PyPI: its wheel includes OpenSSL 3.2 or newer",
        ) from None


def rebuilt(private_key: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key with the same private number."""
    return ec.derive_private_key(private_key.private_numbers().private_value, ec.SECP256R1())


def public_key_of(private_key: ec.EllipticCurvePrivateKey) -> Key:
    """Return the public key, computed from the private number."""
    return Key.from_public_key(rebuilt(private_key).public_key())


def require_p256(loaded: object) -> ec.EllipticCurvePrivateKey:
    """Return a loaded key, rebuilt.

    Raises:
        KeyUnavailable: (`unsupported_key`) when it is another type of key.
    """
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.curve.name != "secp256r1":
        raise not_p256("this is another type of key")
    return rebuilt(loaded)


def not_p256(
    what: str, *, hint: str = Hint("generate a P-256 key: ", run("key", "generate"))
) -> KeyUnavailable:
    """Return the error for another type of key (`unsupported_key`); `what` ends the sentence."""
    message = f"signing keys must be P-256 keys, and {what}"
    return KeyUnavailable(message, hint=hint, code="unsupported_key")


def pinned_signer(private_key: ec.EllipticCurvePrivateKey, pinned: Key) -> SoftwareSigner:
    """Return a signer if the private key belongs to the pinned public key.

    Raises:
        KeyUnavailable: (`key_mismatch`) when it does not.
    """
    signer = SoftwareSigner(rebuilt(private_key))
    if signer.public_key != pinned:
        raise mismatch(signer.public_key, pinned)
    return signer


def mismatch(stored: Key, pinned: Key) -> KeyUnavailable:
    """Return the error for a store that returns another key than the pinned one."""
    return KeyUnavailable(
        f"the key store returned the key {stored.kid}, but the registry expects {pinned.kid}",
        hint=Hint("check the key's store in the settings: ", run("config", "show")),
        code="key_mismatch",
    )


class Presence(StrEnum):
    """The presence of a key in a store, as far as it is visible without a prompt.

    `locked`: the keyring that should have the key is locked. `unavailable`: the store does not
    answer. A token without its PIN shows only the public key, which counts as present.
    """

    PRESENT = "present"
    ABSENT = "absent"
    LOCKED = "locked"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreEntry:
    """A key in a store: its public key, which matches the private one, its URI, and its label."""

    key: Key
    uri: str
    label: str = ""


class TimeoutExpired(Exception):
    """The call did not return in time; it continues in its thread."""


def run_with_timeout(timeout: timedelta, call: Callable[[], T]) -> T:
    """Return the result of `call`, or raise its exception, if it ends in time.

    The call runs in a daemon thread, which is abandoned at the deadline: the libraries cannot be
    interrupted, and a daemon thread does not keep the process alive. Therefore `call` must own
    every resource that it opens.

    Raises:
        TimeoutExpired: when it did not end in time.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the caller's thread
            raised.append(error)

    thread = threading.Thread(target=work, name="key store", daemon=True)
    thread.start()
    thread.join(timeout.total_seconds())
    if returned:
        return returned[0]
    if raised:
        raise raised[0]
    raise TimeoutExpired


def call_store(
    call: Callable[[], T],
    *,
    timeout: timedelta,
    name: str,
    code: str,
    hint: str,
    translate: Callable[[Exception], KeyUnavailable],
) -> T:
    """Return the result of a call into foreign code, within the deadline.

    Args:
        name: of the store, for the message.
        code, hint: of the error at the deadline, also if the call raises `TimeoutExpired`.
        translate: returns our error for one of the foreign code, which is dropped and not chained,
            because its text may quote a secret.

    Raises:
        IssuerError: from `call`, at the deadline, and from `translate`.
    """
    try:
        return run_with_timeout(timeout, call)
    except TimeoutExpired:
        problem: IssuerError = KeyUnavailable(
            f"{name} did not answer within {timeout.total_seconds():g} s", hint=hint, code=code
        )
    except IssuerError as ours:
        problem = ours
    except Exception as error:  # noqa: BLE001 -- foreign code raises any exception
        problem = translate(error)
    raise problem


def command_output(
    arguments: Sequence[str],
    *,
    timeout: timedelta,
    limit: int,
    failed: Callable[[str], KeyUnavailable],
) -> bytes:
    """Return what a command writes to stdout, at most `limit` bytes; it runs without a shell.

    The command has no stdin, so that it cannot consume a file that is piped into this tool. It
    shares stderr and the terminal, since a password manager may prompt. No message contains the
    command or its output.

    Args:
        failed: returns the error, from what the command did: `ended with status 1`.

    Raises:
        KeyUnavailable: of `failed`.
    """
    import subprocess  # noqa: PLC0415 -- rarely used

    def finish() -> tuple[bytes, int]:
        output = b""
        assert process.stdout is not None  # noqa: S101 -- PIPE below
        with process.stdout as stream:
            while len(output) < limit and (part := stream.read(limit - len(output))):
                output += part
        return output, process.wait()

    try:
        process = subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0
        )
    except (OSError, ValueError) as error:
        raise failed(f"cannot be started: {reason(error)}") from None
    try:
        output, status = run_with_timeout(timeout, finish)
    except TimeoutExpired:
        raise failed(f"took longer than {timeout.total_seconds():g} s") from None
    finally:
        process.kill()
        process.wait()
    if status != 0:
        raise failed(f"ended with status {status}")
    return output


def require_not_example(kid: str) -> None:
    """Check that a key is not the published example key.

    Raises:
        KeyUnavailable: (`example_key`) when it is.
    """
    if kid == EXAMPLE_KID:
        raise KeyUnavailable(
            "this is the example key, whose private key is published: anyone can sign with it",
            hint=Hint("generate your own key: ", run("key", "generate")),
            code="example_key",
        )
