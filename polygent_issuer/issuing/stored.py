"""A license as it was issued: read from its stored file, never from rows that can be edited."""

from polygent_issuer.registry import LicenseRecord, Reading, keys
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.verifier import KeySet, License, Verifier


def read_license(db: Reading, record: LicenseRecord) -> License:
    """What the stored `.lic` says, verified with the key that is pinned for it.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it is not what was issued.
    """
    pinned = KeySet.of(keys.find(db, record.kid).public_key, allow_example=True)
    found = Verifier(pinned).report(record.file, now=record.issued_at).license
    if found is None or found.jti != record.id:
        raise RegistryDamaged(
            f"the stored file of license {record.id} does not verify with its pinned key",
            hint="polygent-issue journal verify",
        )
    return found
