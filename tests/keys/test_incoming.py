"""Keys from files: what they are is known before anything is made for them."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.passphrases import Given

from polygent_issuer.errors import InputRefused
from polygent_issuer.keys.lifecycle import check_importable, read_private_key
from polygent_issuer.keys.signer import generate_private_key
from polygent_issuer.registry import KeyRecord
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
    incoming = read_private_key(private_key.private_bytes(Encoding.PEM, form, encryption), given)
    assert incoming.kid == Key.from_public_key(private_key.public_key()).kid
    assert incoming.private_key.private_numbers() == private_key.private_numbers()
    assert incoming.plaintext is not sealed
    assert incoming.is_backup is (sealed and form is PrivateFormat.OpenSSH)
    assert given.asked == ([("the key file", False)] if sealed else [])


def test_nothing_of_the_key_is_shown() -> None:
    """`repr` has its kid alone."""
    private_key = generate_private_key()
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    incoming = read_private_key(pem, Given(SECRET))
    assert "private_key" not in repr(incoming)
    assert incoming.kid in repr(incoming)


def test_the_label_that_a_key_will_have() -> None:
    """A pinned key keeps its own; a new one has what was said, else the wish if free, else main."""
    key = Key.from_public_key(generate_private_key().public_key())
    pinned = KeyRecord(
        kid=key.kid,
        label="Hers",
        public_pem=key.to_pem(),
        created_at=datetime(2026, 11, 30, tzinfo=UTC),
        active=True,
        retired_at=None,
        compromised=False,
        backed_up_at=None,
    )
    known = (pinned,)
    assert check_importable(key.kid, None, known, suggested_label="other") == "Hers"
    assert check_importable(key.kid, "Hers", known) == "Hers"
    with pytest.raises(InputRefused, match="pinned already, as Hers"):
        check_importable(key.kid, "other", known)
    assert check_importable("new", "said", known, suggested_label="other") == "said"
    assert check_importable("new", None, known, suggested_label="other") == "other"
    assert check_importable("new", None, known, suggested_label="Hers") == "main"
    with pytest.raises(InputRefused, match="is that of a key that is there already"):
        check_importable("new", "Hers", known)
