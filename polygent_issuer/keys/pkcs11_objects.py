"""Keys as objects in a token: finding, making, storing, signing.

Every function here makes calls into the module, so each is run through `Cryptoki.ask`.
"""

import base64
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error
from pkcs11.types import Object, Session

from polygent_issuer.hints import Hint, run
from polygent_issuer.keys import errors, private_keys
from polygent_issuer.keys.errors import KeyAmbiguous, NoSuchKey, UnsupportedKey
from polygent_issuer.keys.signer import COORDINATE_BYTES
from polygent_issuer.store_uri import id_text
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class Pkcs11PublicKey:
    """A public key object: what it says of itself, and the key if it is one of ours.

    Attributes:
        key: None for another curve or kind of key.
        id: its CKA_ID, which it shares with its private half.
        label: its CKA_LABEL.
    """

    key: Key | None
    id: bytes
    label: str


def matching(halves: Sequence[Pkcs11PublicKey], wanted: Key, *, named: bool) -> Pkcs11PublicKey:
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


def only(halves: Sequence[Pkcs11PublicKey], *, list_command: str) -> tuple[Pkcs11PublicKey, Key]:
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


P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""The curve as CKA_EC_PARAMS names it: the DER of the OID 1.2.840.10045.3.1.7."""

_CURVE: Final = {Attribute.EC_PARAMS: P256}
_OCTET_STRING: Final = b"\x04\x41"
"""What stands before the 65 bytes of a point in CKA_EC_POINT; a few tokens leave it out."""
_WRAPPED: Final = 67
_ID_BYTES: Final = 8
_KEPT_IN: Final = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
}
_PUBLIC: Final = {Attribute.TOKEN: True, Attribute.PRIVATE: False, Attribute.VERIFY: True}


def public_keys(
    session: Session, *, label: str | None, key_id: bytes | None
) -> list[Pkcs11PublicKey]:
    """The public keys that this session may see, of this label and id."""
    template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PUBLIC_KEY}
    if label is not None:
        template[Attribute.LABEL] = label
    if key_id is not None:
        template[Attribute.ID] = key_id
    return [_public_half(found) for found in session.get_objects(template)]


def private_key(session: Session, half: Pkcs11PublicKey) -> Object:
    """The one private key object that belongs to a public one; this needs a login.

    Raises:
        NoSuchKey: (`no_such_key`) when there is none.
        KeyAmbiguous: (`key_ambiguous`) when there are several.
    """
    template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    template |= {Attribute.ID: half.id} if half.id else {Attribute.LABEL: half.label}
    found = list(session.get_objects(template))
    if not found:
        raise errors.NoSuchKey(
            "the token holds only the public half of this key",
            hint=Hint(
                "restore it from its backup: ", run("key", "import", "BACKUP", "--store", "URI")
            ),
        )
    if len(found) > 1:
        raise errors.KeyAmbiguous(
            f"the token holds {len(found)} private keys under one id",
            hint="give each key an id of its own, or remove the others: "
            "pkcs11-tool --login --delete-object",
        )
    return found[0]


def id_of(key: Key) -> bytes:
    """The CKA_ID that a key of ours gets in a token: the first 8 bytes of its thumbprint."""
    return base64.urlsafe_b64decode(f"{key.kid}=")[:_ID_BYTES]


def asks_each_time(private: Object) -> bool:
    """Whether the token wants the PIN again for every signature (CKA_ALWAYS_AUTHENTICATE)."""
    return bool(_attribute(private, Attribute.ALWAYS_AUTHENTICATE, default=False))


def stays_inside(private: Object) -> bool:
    """Whether the token keeps a private key to itself: sensitive, and not extractable."""
    extractable = _attribute(private, Attribute.EXTRACTABLE, default=True)
    return not extractable and bool(_attribute(private, Attribute.SENSITIVE, default=False))


def sign(private: Any, data: bytes, *, pin: str | None) -> bytes:  # noqa: ANN401 -- a mixin
    """Sign bytes with ES256: the digest is made here, the token does CKM_ECDSA on it.

    Args:
        private: the private key object.
        data: any number of bytes.
        pin: for a key that asks each time; else None.

    Raises:
        TokenFailed: (`token_failed`) when what comes back is not 64 bytes.
    """
    digest = hashlib.sha256(data).digest()
    signature = bytes(private.sign(digest, mechanism=Mechanism.ECDSA, pin=pin))
    if len(signature) != 2 * COORDINATE_BYTES:
        raise errors.TokenFailed(
            "the token gave no signature of 64 bytes", hint="is the key on P-256? try another token"
        )
    return signature


def generate(session: Session, label: str, made: list[Object]) -> Key:
    """Make a key pair in the token; its id becomes the thumbprint of the public half.

    Args:
        session: read-write, logged in.
        label: the CKA_LABEL of both halves.
        made: gets each object as soon as it is there.
    """
    curve = session.create_domain_parameters(KeyType.EC, _CURVE, local=True)
    pair = curve.generate_keypair(
        label=label,
        store=True,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        mechanism=Mechanism.EC_KEY_PAIR_GEN,
        public_template=_PUBLIC,
        private_template=_KEPT_IN,
    )
    made.extend(pair)
    public_key = _public_half(pair[0]).key
    if public_key is None:
        raise errors.NotKept("the token made another key than one on P-256", hint="use another one")
    for half in pair:
        half[Attribute.ID] = id_of(public_key)
    return public_key


def store(
    session: Session, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
) -> Key:
    """Put a key of this process into the token, from where it does not come out again.

    Args: as for `generate`.
    """
    public_key = Key.from_public_key(private_key.public_key())
    value = private_key.private_numbers().private_value.to_bytes(COORDINATE_BYTES, "big")
    common = {
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.EC_PARAMS: P256,
        Attribute.LABEL: label,
        Attribute.ID: id_of(public_key),
    }
    point = _OCTET_STRING + public_key.point
    public = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.EC_POINT: point}
    private = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.VALUE: value}
    made.append(session.create_object(common | _PUBLIC | public))
    made.append(session.create_object(common | _KEPT_IN | private))
    return public_key


def destroy(made: list[Object]) -> None:
    """Remove what was made, the private half first."""
    while made:
        made[-1].destroy()
        made.pop()


def _public_half(found: Object) -> Pkcs11PublicKey:
    return Pkcs11PublicKey(
        key=_key(found),
        id=_attribute(found, Attribute.ID, default=b""),
        label=_attribute(found, Attribute.LABEL, default=""),
    )


def _key(found: Object) -> Key | None:
    if _attribute(found, Attribute.EC_PARAMS, default=b"") != P256:
        return None
    point = _attribute(found, Attribute.EC_POINT, default=b"")
    with suppress(InvalidKey):
        return Key(point.removeprefix(_OCTET_STRING) if len(point) == _WRAPPED else point)
    return None


def _attribute(found: Object, attribute: Attribute, *, default: Any) -> Any:  # noqa: ANN401 -- any type
    """An attribute's value, or the default when the token does not tell it or it cannot be read."""
    try:
        return found[attribute]
    except (PKCS11Error, ValueError):
        return default
