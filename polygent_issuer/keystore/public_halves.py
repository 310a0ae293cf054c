"""Public key objects of a token, and which of them is meant."""

from collections.abc import Sequence
from dataclasses import dataclass

from polygent_issuer.hints import Hint, run
from polygent_issuer.keystore import private_keys
from polygent_issuer.keystore.errors import KeyAmbiguous, NoSuchKey, UnsupportedKey
from polygent_issuer.settings.token_uri import id_text
from polygent_issuer.verifier.keys import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicHalf:
    """A public key object: what it says of itself, and the key if it is one of ours.

    Attributes:
        key: None for another curve or kind of key.
        id: its CKA_ID, which it shares with its private half.
        label: its CKA_LABEL.
    """

    key: Key | None
    id: bytes
    label: str


def matching(halves: Sequence[PublicHalf], wanted: Key, *, named: bool) -> PublicHalf:
    """The object of a key that is known.

    Args:
        halves: those that are as the store URI says.
        wanted: the key.
        named: whether the URI points at one key, so that another there is a wrong one.

    Raises:
        KeyMismatch: (`key_mismatch`) when another key is there where this one was recorded.
        NoSuchKey: (`no_such_key`) when it is not there.
    """
    for half in halves:
        if half.key == wanted:
            return half
    others = [half.key for half in halves if half.key is not None]
    if others and named:
        raise private_keys.mismatch(others[0], wanted)
    raise NoSuchKey(
        f"the token holds no key {wanted.kid}",
        hint=Hint("restore it from its backup, if it has one: ", run("key", "import", "BACKUP")),
    )


def only(halves: Sequence[PublicHalf], *, list_command: str) -> tuple[PublicHalf, Key]:
    """The one key of ours among the objects that a URI means.

    Args:
        halves: those that are as the URI says.
        list_command: what shows the token's objects, for the hint.

    Raises:
        NoSuchKey: (`no_such_key`) when there is nothing.
        UnsupportedKey: (`unsupported_key`) when there are only keys of other kinds.
        KeyAmbiguous: (`key_ambiguous`) when there are several.
    """
    if not halves:
        raise NoSuchKey(
            "the token holds no such key, or no public half beside it",
            hint=f"see what it holds: {list_command}",
        )
    ours = [(half, half.key) for half in halves if half.key is not None]
    if not ours:
        raise UnsupportedKey(
            "a signing key is on P-256, and this is another kind of key",
            hint=Hint("make one on P-256: ", run("key", "generate", "LABEL", "--store", "URI")),
        )
    if len(ours) > 1:
        ids = ", ".join(sorted(f"id={id_text(half.id)}" for half, _ in ours))
        raise KeyAmbiguous(
            f"{len(ours)} keys of the token are meant: {ids}", hint="add one of these to the URI"
        )
    return ours[0]
