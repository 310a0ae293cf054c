"""Keys as objects in a token. Each function makes calls into the module: `TokenSession.call`."""

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.types import Object, Session

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.hints import Hint, run
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""The curve as CKA_EC_PARAMS names it: the DER of the OID 1.2.840.10045.3.1.7."""

_CURVE: Final = {Attribute.EC_PARAMS: P256}
# Before the 65 bytes of a point in CKA_EC_POINT; a few tokens leave it out.
_OCTET_STRING: Final = b"\x04\x41"
_WRAPPED: Final = 67
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
    """A public key object: CKA_ID and CKA_LABEL; `key` is None for another kind of key."""

    key: Key | None
    id: bytes
    label: str


def private_key_object(session: Session, public: Pkcs11PublicKey) -> Object:
    """Return the one private key object that belongs to a public one; this needs a login.

    Raises:
        KeyUnavailable: (`no_such_key`, `key_ambiguous`).
    """
    template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    template |= {Attribute.ID: public.id} if public.id else {Attribute.LABEL: public.label}
    objects = list(session.get_objects(template))
    if not objects:
        restore = run("key", "import", "BACKUP", "--store", "URI")
        raise KeyUnavailable(
            "the token holds only the public half of this key",
            hint=Hint("restore it from its backup: ", restore),
            code="no_such_key",
        )
    if len(objects) > 1:
        raise KeyUnavailable(
            f"the token holds {len(objects)} private keys under one id",
            hint="give each key an id of its own, or remove the others: "
            "pkcs11-tool --login --delete-object",
            code="key_ambiguous",
        )
    return objects[0]


def generate(session: Session, label: str, made: list[Object]) -> Key:
    """Generate a key pair, with an id that is derived from the public key.

    `made` gets each object as soon as it is there.
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
    key = public_key_object(pair[0]).key
    if key is None:
        raise KeyUnavailable(
            "the token made another key than one on P-256", hint="use another one", code="not_kept"
        )
    for item in pair:
        item[Attribute.ID] = id_of(key)
    return key


def store(
    session: Session, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
) -> None:
    """Put a key of this process into the token, for good; `made` as for `generate`."""
    key = Key.from_public_key(private_key.public_key())
    value = private_key.private_numbers().private_value.to_bytes(COORDINATE_BYTES, "big")
    common = {
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.EC_PARAMS: P256,
        Attribute.LABEL: label,
        Attribute.ID: id_of(key),
    }
    point = _OCTET_STRING + key.point
    public = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.EC_POINT: point}
    private = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.VALUE: value}
    made.append(session.create_object(common | _PUBLIC | public))
    made.append(session.create_object(common | _PRIVATE | private))


def id_of(key: Key) -> bytes:
    """Return the CKA_ID of a new key: the first 8 bytes of its thumbprint."""
    return base64.urlsafe_b64decode(f"{key.kid}=")[:8]


def public_key_object(item: Object) -> Pkcs11PublicKey:
    """Return what a public key object shows."""
    key = None
    if attribute_of(item, Attribute.EC_PARAMS, default=b"") == P256:
        point = attribute_of(item, Attribute.EC_POINT, default=b"")
        with suppress(InvalidKey):
            key = Key(point.removeprefix(_OCTET_STRING) if len(point) == _WRAPPED else point)
    return Pkcs11PublicKey(
        key=key,
        id=attribute_of(item, Attribute.ID, default=b""),
        label=attribute_of(item, Attribute.LABEL, default=""),
    )


def attribute_of(item: Object, attribute: Attribute, *, default: Any) -> Any:  # noqa: ANN401 -- any type
    """Return an attribute's value, or the default when the token does not show it."""
    try:
        return item[attribute]
    except (pkcs11.PKCS11Error, ValueError):
        return default
