"""A private key that comes from a file: read, and judged, before anything is made for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from polygent_issuer.errors import InputRefused
from polygent_issuer.keys.labels import free_label, require_free
from polygent_issuer.keys.passphrases import Passphrase
from polygent_issuer.keys.signing import require_not_example, require_usable
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedKey:
    """A private key as its file gave it.

    Attributes:
        private_key: unlocked.
        kid: of its public half.
        plaintext: whether the file has no passphrase, so that anybody can read it.
        is_backup: whether the file is as a backup is: OpenSSH format, encrypted.
    """

    private_key: "ec.EllipticCurvePrivateKey" = field(repr=False)
    kid: str
    plaintext: bool
    is_backup: bool

    def pinned(self, known: Iterable[KeyRecord]) -> KeyRecord | None:
        """The registry's record of this key among all that it knows."""
        return pinned_as(self.kid, known)


def pinned_as(kid: str, known: Iterable[KeyRecord]) -> KeyRecord | None:
    """The registry's record of a key among all that it knows."""
    return next((key for key in known if key.kid == kid), None)


def read_incoming(data: bytes, passphrase: Passphrase) -> ImportedKey:
    """Unlock the private key of a file: PKCS#8, SEC1 or OpenSSH, encrypted or not.

    Raises:
        ExampleKey: (`example_key`) for the published one.
        KeyUnavailable: each code of reading a key.
    """
    from polygent_issuer.keys import openssh, private_keys  # noqa: PLC0415 -- only imports read

    private_key = private_keys.read(data, passphrase)
    kid = private_keys.public_key(private_key).kid
    require_not_example(kid)
    plaintext = private_keys.is_plaintext(data)
    is_backup = openssh.looks_like(data) and not plaintext
    return ImportedKey(private_key=private_key, kid=kid, plaintext=plaintext, is_backup=is_backup)


def check_importable(
    kid: str, label: str | None, known: tuple[KeyRecord, ...], *, wish: str = ""
) -> str:
    """Let pass a key that may be taken in under this label; the label that it will have.

    Args:
        kid: of the key.
        label: what was said of it; None is the one of a pinned key, and else a free one.
        known: the keys of the registry.
        wish: what a key of which nothing was said is called, where that is free.

    Raises:
        RetiredKey, CompromisedKey: (`key_retired`, `key_compromised`) for keys that shall not
            sign.
        InputRefused: (`input_refused`) for a label that cannot be used, or is not the one of a key
            that is pinned already.
    """
    pinned = pinned_as(kid, known)
    if pinned is None:
        return require_free(free_label(known, wish) if label is None else label, known)
    require_usable(pinned)
    if label not in (None, pinned.label):
        raise InputRefused(
            f"this key is pinned already, as {escape(pinned.label)}",
            hint="leave out --label: a key keeps the label that it has",
        )
    return pinned.label
