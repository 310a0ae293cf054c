"""Keys as objects in a token: finding, generating, storing, signing.

Every function with a session makes calls into the module, so each is run through
`Pkcs11Module.call`.
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
from polygent_issuer.store_uri import id_text
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""The curve as CKA_EC_PARAMS names it: the DER of the OID 1.2.840.10045.3.1.7."""

_CURVE: Final = {Attribute.EC_PARAMS: P256}
# Before the 65 bytes of a point in CKA_EC_POINT; a few tokens leave it out.
_OCTET_STRING: Final = b"\x04\x41"
_WRAPPED: Final = 67
_ID_BYTES: Final = 8
_PRIVATE: Final = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
}
_PUBLIC: Final = {Attribute.TOKEN: True, Attribute.PRIVATE: False, Attribute.VERIFY: True}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pkcs11PublicKey:
    """A public key object.

    Attributes:
        key: None for another curve or kind of key.
        id: its CKA_ID, the same as that of its private key.
        label: its CKA_LABEL.
    """

    key: Key | None
    id: bytes
    label: str


def matching(objects: Sequence[Pkcs11PublicKey], key: Key, *, named: bool) -> Pkcs11PublicKey:
    """Return the object of a known key.

    Args:
        objects: those that match the store URI.
        key: the known key.
        named: whether the URI points at one key, so that another there is a wrong one.

    Raises:
        KeyMismatch: (`key_mismatch`) when another key is there where this one was recorded.
        NoSuchKey: (`no_such_key`) when it is not there.
    """
    for public in objects:
        if public.key == key:
            return public
    others = [public.key for public in objects if public.key is not None]
    if others and named:
        raise private_keys.mismatch(others[0], key)
    raise errors.NoSuchKey(
        f"the token holds no key {key.kid}",
        hint=Hint("restore it from its backup, if it has one: ", run("key", "import", "BACKUP")),
    )


def only(objects: Sequence[Pkcs11PublicKey], *, list_command: str) -> tuple[Pkcs11PublicKey, Key]:
    """Return the one P-256 key among the objects.

    Args:
        objects: those that match the store URI.
        list_command: shows the token's objects, for the hint.

    Raises:
        NoSuchKey: (`no_such_key`) when there is nothing.
        UnsupportedKey: (`unsupported_key`) when there are only keys of other kinds.
        KeyAmbiguous: (`key_ambiguous`) when there are several.
    """
    if not objects:
        raise errors.NoSuchKey(
            "the token holds no such key, or no public half beside it",
            hint=f"see what it holds: {list_command}",
        )
    usable = [(public, public.key) for public in objects if public.key is not None]
    if not usable:
        raise errors.UnsupportedKey(
            "a signing key is on P-256, and this is another kind of key",
            hint=Hint("make one on P-256: ", run("key", "generate", "LABEL", "--store", "URI")),
        )
    if len(usable) > 1:
        ids = ", ".join(sorted(f"id={id_text(public.id)}" for public, _ in usable))
        raise errors.KeyAmbiguous(
            f"{len(usable)} keys of the token are meant: {ids}",
            hint="add one of these to the URI",
        )
    return usable[0]


def public_keys(
    session: Session, *, label: str | None, key_id: bytes | None
) -> list[Pkcs11PublicKey]:
    """Return the public keys with this label and id that the session may see."""
    template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PUBLIC_KEY}
    if label is not None:
        template[Attribute.LABEL] = label
    if key_id is not None:
        template[Attribute.ID] = key_id
    return [_public_key(item) for item in session.get_objects(template)]


def private_key(session: Session, public: Pkcs11PublicKey) -> Object:
    """Return the one private key object that belongs to a public one; this needs a login.

    Raises:
        NoSuchKey: (`no_such_key`) when there is none.
        KeyAmbiguous: (`key_ambiguous`) when there are several.
    """
    template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    template |= {Attribute.ID: public.id} if public.id else {Attribute.LABEL: public.label}
    objects = list(session.get_objects(template))
    if not objects:
        raise errors.NoSuchKey(
            "the token holds only the public half of this key",
            hint=Hint(
                "restore it from its backup: ", run("key", "import", "BACKUP", "--store", "URI")
            ),
        )
    if len(objects) > 1:
        raise errors.KeyAmbiguous(
            f"the token holds {len(objects)} private keys under one id",
            hint="give each key an id of its own, or remove the others: "
            "pkcs11-tool --login --delete-object",
        )
    return objects[0]


def id_of(key: Key) -> bytes:
    """Return the CKA_ID of a new key: the first 8 bytes of its thumbprint."""
    return base64.urlsafe_b64decode(f"{key.kid}=")[:_ID_BYTES]


def asks_each_time(private: Object) -> bool:
    """Return whether each signature needs the PIN again (CKA_ALWAYS_AUTHENTICATE)."""
    return bool(_attribute(private, Attribute.ALWAYS_AUTHENTICATE, default=False))


def stays_inside(private: Object) -> bool:
    """Return whether a private key cannot leave the token: sensitive, and not extractable."""
    extractable = _attribute(private, Attribute.EXTRACTABLE, default=True)
    return not extractable and bool(_attribute(private, Attribute.SENSITIVE, default=False))


def sign(private: Any, data: bytes, *, pin: str | None) -> bytes:  # noqa: ANN401 -- a mixin
    """Sign bytes with ES256: the digest is made here, the token does CKM_ECDSA on it.

    Args:
        private: the private key object.
        data: any number of bytes.
        pin: for a key that asks each time; else None.

    Raises:
        TokenFailed: (`token_failed`) when the signature is not 64 bytes.
    """
    digest = hashlib.sha256(data).digest()
    signature = bytes(private.sign(digest, mechanism=Mechanism.ECDSA, pin=pin))
    if len(signature) != 2 * COORDINATE_BYTES:
        raise errors.TokenFailed(
            "the token gave no signature of 64 bytes", hint="is the key on P-256? try another token"
        )
    return signature


def generate(session: Session, label: str, made: list[Object]) -> Key:
    """Generate a key pair in the token; its id is derived from the public key.

    Args:
        session: read-write, logged in.
        label: the CKA_LABEL of both objects.
        made: gets each object as soon as it is there.
    """
    curve = session.create_domain_parameters(KeyType.EC, _CURVE, local=True)
    pair = curve.generate_keypair(
        label=label,
        store=True,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        mechanism=Mechanism.EC_KEY_PAIR_GEN,
        public_template=_PUBLIC,
        private_template=_PRIVATE,
    )
    made.extend(pair)
    key = _public_key(pair[0]).key
    if key is None:
        raise errors.NotKept("the token made another key than one on P-256", hint="use another one")
    for item in pair:
        item[Attribute.ID] = id_of(key)
    return key


def store(
    session: Session, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
) -> None:
    """Put a key of this process into the token, for good. Args: as for `generate`."""
    key = Key.from_public_key(private_key.public_key())
    value = private_key.private_numbers().private_value.to_bytes(COORDINATE_BYTES, "big")
    common = {
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.EC_PARAMS: P256,
        Attribute.LABEL: label,
        Attribute.ID: id_of(key),
    }
    public = {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.EC_POINT: _OCTET_STRING + key.point,
    }
    private = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.VALUE: value}
    made.append(session.create_object(common | _PUBLIC | public))
    made.append(session.create_object(common | _PRIVATE | private))


def destroy(made: list[Object]) -> None:
    """Remove new objects, the private key first."""
    while made:
        made[-1].destroy()
        made.pop()


def _public_key(item: Object) -> Pkcs11PublicKey:
    key = None
    if _attribute(item, Attribute.EC_PARAMS, default=b"") == P256:
        point = _attribute(item, Attribute.EC_POINT, default=b"")
        with suppress(InvalidKey):
            key = Key(point.removeprefix(_OCTET_STRING) if len(point) == _WRAPPED else point)
    return Pkcs11PublicKey(
        key=key,
        id=_attribute(item, Attribute.ID, default=b""),
        label=_attribute(item, Attribute.LABEL, default=""),
    )


def _attribute(item: Object, attribute: Attribute, *, default: Any) -> Any:  # noqa: ANN401 -- any type
    """Return an attribute's value, or the default when the token does not show it."""
    try:
        return item[attribute]
    except (PKCS11Error, ValueError):
        return default
