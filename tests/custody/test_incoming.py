"""Keys from files: what they are is known before anything is made for them."""

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.passphrases import Given

from polygent_issuer.custody import read_incoming
from polygent_issuer.signer import generate_private_key
from polygent_issuer.verifier.keys import Key

SECRET = b"correct horse battery staple"


@pytest.mark.parametrize(
    "form", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
)
@pytest.mark.parametrize("sealed", [True, False])
def test_what_the_file_is(form: PrivateFormat, *, sealed: bool) -> None:
    """In plain text or not; a backup is what is both encrypted and in the format of backups."""
    private_key = generate_private_key()
    encryption = BestAvailableEncryption(SECRET) if sealed else NoEncryption()
    given = Given(SECRET)
    incoming = read_incoming(private_key.private_bytes(Encoding.PEM, form, encryption), given)
    assert incoming.kid == Key.from_public_key(private_key.public_key()).kid
    assert incoming.private_key.private_numbers() == private_key.private_numbers()
    assert incoming.plaintext is not sealed
    assert incoming.is_backup is (sealed and form is PrivateFormat.OpenSSH)
    assert given.asked == ([("the key file", False)] if sealed else [])


def test_nothing_of_the_key_is_shown() -> None:
    """`repr` has its kid alone."""
    private_key = generate_private_key()
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    incoming = read_incoming(pem, Given(SECRET))
    assert "private_key" not in repr(incoming)
    assert incoming.kid in repr(incoming)
