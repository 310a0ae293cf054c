"""What is said of a verdict, whether of one file or of many."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from polygent_issuer import dates
from polygent_issuer.errors import ExitCode, UnreadableInput
from polygent_issuer.issuing.judging import Verdict
from polygent_issuer.verifier import CheckRow, License

EXAMPLE_KEY = "signed with the EXAMPLE key, whose private half is public: it proves nothing"
"""What is said of a file that only the example key makes authentic."""

_WORST_FIRST = (
    (Verdict.NOT_AUTHENTIC, ExitCode.NOT_AUTHENTIC),
    (Verdict.UNREADABLE, ExitCode.INPUT),
    (Verdict.NOT_ACCEPTED, ExitCode.NOT_ACCEPTED),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadWindow:
    """How long after its issue a server takes a file, and whether nobody has told that yet."""

    span: timedelta
    assumed: bool

    def deadline(self, held: License) -> datetime:
        """Until when a server takes this license."""
        return dates.upload_deadline(held.issued_at, self.span)


def worst_exit(verdicts: Iterable[Verdict]) -> ExitCode:
    """10 if any is not authentic, else 3 if any is unread, else 11 if any is not accepted."""
    found = set(verdicts)
    return next((code for verdict, code in _WORST_FIRST if verdict in found), ExitCode.DONE)


def heading(name: str, verdict: Verdict, failed: CheckRow | None) -> str:
    """A file's verdict with the check that failed."""
    if failed is None:
        return f"{name}: accepted"
    if verdict is Verdict.NOT_AUTHENTIC:
        return f"{name}: not authentic: {failed.code}"
    return f"{name}: authentic, but not accepted: {failed.code}"


def unread(name: str, problem: UnreadableInput) -> str:
    """That a file cannot be read, and why, its name said once."""
    return f"{name}: cannot be read: {problem.message.rpartition(': ')[2]}"
