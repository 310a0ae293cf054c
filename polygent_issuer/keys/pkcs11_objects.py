"""Keys as objects in a token. Call each function through `TokenSession.call`."""

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.types import Object, Session

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.text import Hint, run
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import COORDINATE_BYTES, Key

P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""The curve in CKA_EC_PARAMS: the DER encoding of the OID 1.2.840.10045.3.1.7."""

_CURVE: Final = {Attribute.EC_PARAMS: P256}
# Precedes the 65 bytes of a point in CKA_EC_POINT; a few tokens omit it.
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
    """A public key object: CKA_ID and CKA_LABEL; another type of key has the `key` None."""

    key: Key | None
    id: bytes
    label: str


def private_key_object(session: Session, public: Pkcs11PublicKey) -> Object:
    """Return the only private key object of a public key object; needs a login.

    Raises:
        KeyUnavailable: (`no_such_key`, `key_ambiguous`).
    """
    template: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    template |= {Attribute.ID: public.id} if public.id else {Attribute.LABEL: public.label}
    objects = list(session.get_objects(template))
    if not objects:
        restore = run("key", "import", "BACKUP", "--store", "URI")
        raise KeyUnavailable(
            "the token holds only the public key of this key pair",
            hint=Hint("restore the private key from its backup: ", restore),
            code="no_such_key",
        )
    if len(objects) > 1:
        raise KeyUnavailable(
            f"the token holds {len(objects)} private keys with the same id",
            hint="give each key its own id, or delete the others: "
            "pkcs11-tool --login --delete-object",
            code="key_ambiguous",
        )
    return objects[0]


def generate(session: Session, label: str, made: list[Object]) -> Key:
    """Generate a key pair whose id is derived from the public key.

    Each object is appended to `made` as soon as it exists.
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
            "the token generated a key that is not a P-256 key",
            hint="choose another token",
            code="not_kept",
        )
    for item in pair:
        item[Attribute.ID] = id_of(key)
    return key


def store(
    session: Session, private_key: ec.EllipticCurvePrivateKey, label: str, made: list[Object]
) -> None:
    """Store a private key in the token permanently; `made` as for `generate`."""
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
    """Return the key, id and label of a public key object."""
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
    """Return the value of an attribute, or the default if the token does not disclose it."""
    try:
        return item[attribute]
    except (pkcs11.PKCS11Error, ValueError):
        return default
