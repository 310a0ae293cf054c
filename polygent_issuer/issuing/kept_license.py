"""What the registry holds of a license file that somebody has."""

from polygent_issuer.errors import NotFound
from polygent_issuer.issuing.leaked_key import LeakedKey
from polygent_issuer.registry import LicenseRecord, Reading, licenses, machines
from polygent_issuer.verifier import License, jws


def find(
    db: Reading, held: License | None, data: bytes, leaked: LeakedKey | None
) -> LicenseRecord | None:
    """The license: by the ID of a file that is authentic, else by its very bytes.

    Args:
        held: what the file says, once authentic.
        data: the file; read only when it names a key that others may hold.
        leaked: that key.
    """
    if held is None:
        if leaked is None:
            return None
        token = jws.parse(data)
        return licenses.of_file(db, leaked.kid, jws.assemble(token.signing_input, token.signature))
    try:
        return licenses.get(db, held.jti)
    except NotFound:
        return None


def heir(db: Reading, kept: LicenseRecord) -> LicenseRecord:
    """The last license in the chain that replaced it; itself when nothing did."""
    seen = {kept.id}
    while (following := licenses.successor(db, kept)) is not None and following.id not in seen:
        kept = following
        seen.add(kept.id)
    return kept


def fingerprint(db: Reading, kept: LicenseRecord) -> str | None:
    """The fingerprint of its machine as it is today, if it is for one."""
    return None if kept.machine_id is None else machines.by_id(db, kept.machine_id).fingerprint
