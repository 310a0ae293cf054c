"""What tests of key commands share."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from polygent_issuer.verifier.keys import Key
from support.cli import PASSPHRASE

QUICKLY = """
from polygent_issuer.__main__ import main
from polygent_issuer.keys import file_store
file_store.ROUNDS = 1
main()
"""
"""The installed command, sealing with one round of bcrypt: 64 take half a second each."""


def opened(path: Path, passphrase: str = PASSPHRASE) -> ec.EllipticCurvePrivateKey:
    """The private key of a sealed file, as any other program reads it."""
    key = load_ssh_private_key(path.read_bytes(), passphrase.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def kid_of(path: Path, passphrase: str = PASSPHRASE) -> str:
    """The thumbprint of the key in a sealed file."""
    return Key.from_public_key(opened(path, passphrase).public_key()).kid


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
