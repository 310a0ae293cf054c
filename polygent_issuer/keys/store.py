"""What every key store offers, whatever it is made of."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.keys.signer import Signer
from polygent_issuer.verifier.keys import Key


class Presence(StrEnum):
    """What can be said of a key in a store without asking anybody for anything.

    `locked` means that the key is there but its keyring is locked; `unavailable` that the store
    itself cannot be asked. A token shows public halves without its PIN, and they speak for both.
    """

    PRESENT = "present"
    ABSENT = "absent"
    LOCKED = "locked"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A key that a store holds, and whose private half has shown that it belongs to it.

    Attributes:
        key: its public half.
        uri: the exact place to record.
        label: what the store calls it; empty where it has no name there.
    """

    key: Key
    uri: str
    label: str = ""


class KeyStore(Protocol):
    """One place where private halves live."""

    @property
    def uri(self) -> str:
        """The store as the settings name it: `keyring:`, `file:` and a whole path, `pkcs11:`."""
        ...

    def save(self, private_key: ec.EllipticCurvePrivateKey, *, label: str) -> str:
        """Keep a key, read it back, compare, and return the exact URI to record for it."""
        ...

    def require_room(self) -> None:
        """Refuse what `save` would refuse in any case, before anybody is asked anything."""
        ...

    def load(self, pinned: Key) -> Signer:
        """Unlock the key whose public half is pinned; whatever does not match is refused."""
        ...

    def presence(self, kid: str) -> Presence:
        """Say whether the key is there, without any prompt."""
        ...
