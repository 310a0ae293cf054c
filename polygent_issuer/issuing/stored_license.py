"""A license as it was issued: read from its stored file, never from rows that can be edited."""

from functools import lru_cache

from polygent_issuer.hints import run
from polygent_issuer.registry import KeyRecord, LicenseRecord, Reading, keys
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.verifier import KeySet, License, LicenseError, Verifier


def load_license(db: Reading, record: LicenseRecord) -> License:
    """What the stored `.lic` says, verified with the key that is pinned for it.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it is not what was issued.
    """
    pinned = verifier_of(keys.pinned(db, record.kid))
    try:
        found = pinned.authenticate(record.file)
    except LicenseError:
        found = None
    if found is None or found.jti != record.id:
        raise RegistryDamaged(
            f"the stored file of license {record.id} does not verify with its pinned key",
            hint=run("journal", "verify"),
        )
    return found


@lru_cache(maxsize=8)
def verifier_of(key: KeyRecord) -> Verifier:
    """What verifies with one pinned key; reading a key takes as long as a verification.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the pinned key is not the one of its `kid`.
    """
    return Verifier(KeySet.of(key.public_key, allow_example=True))
