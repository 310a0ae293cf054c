"""The states of many licenses at once, as far as verifying their files needs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from polygent_issuer.registry.columns import Fields, maybe_text, text
from polygent_issuer.registry.records import LicenseStatus
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import escape_short

_SELECT: Final = """SELECT licenses.id AS id, machines.fingerprint AS fingerprint, replaced_by,
    retired_at IS NOT NULL AS retired, replaced_by IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM licenses AS successors WHERE successors.id = licenses.replaced_by) AS orphaned
    FROM licenses LEFT JOIN machines ON machines.id = machine_id WHERE licenses.id IN"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseState:
    """The state of a license today.

    Attributes:
        id: the license's.
        fingerprint: of its machine as it is today; None when it is for none.
        replaced_by: the license that superseded it, if one did.
        status: as that of its record.
    """

    id: str
    fingerprint: str | None
    replaced_by: str | None
    status: LicenseStatus

    @property
    def is_current(self) -> bool:
        """Neither replaced nor retired."""
        return self.status is LicenseStatus.CURRENT


def of_licenses(db: Reading, ids: Sequence[str]) -> Mapping[str, LicenseState]:
    """Return the state of each of these licenses that the registry has, by id.

    Args:
        ids: at most some hundreds, since each is a parameter of one statement.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the successor of one is not in the registry.
    """

    def state(row: Fields) -> tuple[str, LicenseState]:
        if row["orphaned"]:
            raise db.damaged(f"lacks the license that replaced {escape_short(text(row['id']))}")
        return _state(row)

    return dict(db.each(state, f"{_SELECT} ({', '.join('?' * len(ids))})", tuple(ids)))


def _state(row: Fields) -> tuple[str, LicenseState]:
    license_id, replaced_by = text(row["id"]), maybe_text(row["replaced_by"])
    status = LicenseStatus.RETIRED if row["retired"] else LicenseStatus.CURRENT
    state = LicenseState(
        id=license_id,
        fingerprint=maybe_text(row["fingerprint"]),
        replaced_by=replaced_by,
        status=status if replaced_by is None else LicenseStatus.REPLACED,
    )
    return license_id, state
