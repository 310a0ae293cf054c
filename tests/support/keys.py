"""Private keys in files, keys in services, and their errors, as tests look at them."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from polygent_issuer.errors import IssuerError
from polygent_issuer.home.settings import Settings
from polygent_issuer.keys.remote import RemoteStore
from polygent_issuer.keys.stores import open_store
from polygent_issuer.verifier.keys import Key
from support.cli import PASSPHRASE

QUICKLY = """
from polygent_issuer.__main__ import main
from polygent_issuer.keys import file_store
file_store.ROUNDS = 1
main()
"""
"""The installed command with one round of bcrypt, since 64 take half a second."""


def opened(path: Path, passphrase: str = PASSPHRASE) -> ec.EllipticCurvePrivateKey:
    """Return the private key in an encrypted file, as another program would read it."""
    key = load_ssh_private_key(path.read_bytes(), passphrase.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def kid_of(path: Path, passphrase: str = PASSPHRASE) -> str:
    """Return the thumbprint of the key in an encrypted file."""
    return Key.from_public_key(opened(path, passphrase).public_key()).kid


def store(uri: str, seconds: float = 20) -> RemoteStore:
    """Return the store of a URI; each call to its service may take some seconds."""
    opened = open_store(Settings(keyring_timeout=timedelta(seconds=seconds)), uri)
    assert isinstance(opened, RemoteStore)
    return opened


def refusal(call: Callable[[], object]) -> tuple[str, str, str]:
    """Return the code, the message and the hint of an error, which has no cause."""
    with pytest.raises(IssuerError) as raised:
        call()
    assert raised.value.hint
    assert raised.value.__cause__ is None
    return raised.value.code, raised.value.message, str(raised.value.hint)
