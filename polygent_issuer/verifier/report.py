"""What a full report says: one row per check of FORMAT §5, in its order."""

from dataclasses import dataclass
from enum import StrEnum

from .errors import CheckCode
from .license import License


class Outcome(StrEnum):
    """How one check went; `not_checked` fails nothing, its message says why."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRow:
    """One check: its code, its outcome, why, and what puts a failure right."""

    code: CheckCode
    outcome: Outcome
    message: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All ten checks of one file.

    Attributes:
        rows: one per `CheckCode`, in that order.
        license: the decoded license when it is authentic, accepted or not.
    """

    rows: tuple[CheckRow, ...]
    license: License | None

    @property
    def authentic(self) -> bool:
        """Whether rows 1 to 4 passed."""
        return self.license is not None

    @property
    def accepted(self) -> bool:
        """Whether a server may act on the license: authentic, and no check failed."""
        return self.failure is None

    @property
    def failure(self) -> CheckRow | None:
        """The first row that failed: the code with which `verify` refuses the same file."""
        return next((row for row in self.rows if row.outcome is Outcome.FAILED), None)
