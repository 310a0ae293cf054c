"""What a stored license file says: its own bytes, and only under the key that is pinned for it."""

from dataclasses import replace

import pytest
from support.office import Office
from support.registries import new_key, tampering, writing

from polygent_issuer.issuing.proposal import load_license
from polygent_issuer.registry import keys, licenses
from polygent_issuer.registry.errors import RegistryDamaged


def test_the_file_is_read_and_not_the_row(office: Office) -> None:
    """Where a command goes on despite an edited row, the row changes nothing of the license."""
    [issued] = office.publish(office.first)
    held = issued.proposal.license
    with tampering(office.registry.path) as raw:
        raw.execute("UPDATE licenses SET tier = 'enterprise', expires_at = expires_at + 86400")
    with office.registry.reading(checked=False) as db:
        assert load_license(db, licenses.get(db, held.jti)) == held


def test_what_was_not_issued_is_damage(office: Office) -> None:
    """Another license's file, one bit that flipped, and a key that signed something else."""
    [first] = office.publish(office.first)
    [second] = office.publish(office.next)
    flipped = bytes([*first.file[:-2], first.file[-2] ^ 1, *first.file[-1:]])
    with writing(office.registry, now=office.now) as db:
        other = keys.add(db, key=new_key(), label="other")
    with office.registry.reading() as db:
        record = licenses.get(db, first.proposal.license.jti)
        wrong = (
            replace(record, file=second.file),
            replace(record, file=flipped),
            replace(record, kid=other.kid),
        )
        for each in wrong:
            with pytest.raises(RegistryDamaged, match=record.id) as damaged:
                load_license(db, each)
            assert damaged.value.hint == "polygent-issue journal verify"
