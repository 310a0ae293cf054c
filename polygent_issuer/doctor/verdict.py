"""What a check says: how it is, why, and what mends it."""

from dataclasses import dataclass
from enum import StrEnum

from polygent_issuer.errors import ExitCode, IssuerError


class State(StrEnum):
    """How one thing is; what could not be looked at fails nothing, its message says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one check found.

    Attributes:
        state: how it is.
        message: what was seen, in one line; lower case, no full stop, no secret.
        mend: the command that puts it right, or words where no command can.
        exit_code: how a command that needs this would end.
    """

    state: State
    message: str
    mend: str | None = None
    exit_code: ExitCode = ExitCode.DONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A verdict under the stable name of its check; a check of several things has several rows."""

    name: str
    state: State
    message: str
    mend: str | None
    exit_code: ExitCode


class NotChecked(Exception):
    """Something else that is wrong keeps a check from looking; the text says what."""


def ok(message: str) -> Verdict:
    """All is well."""
    return Verdict(state=State.OK, message=message)


def warn(message: str, mend: str) -> Verdict:
    """Work goes on, for now."""
    return Verdict(state=State.WARN, message=message, mend=mend)


def fail(message: str, mend: str | None, exit_code: ExitCode) -> Verdict:
    """Some command ends with this exit code until it is mended."""
    return Verdict(state=State.FAIL, message=message, mend=mend, exit_code=exit_code)


def refused(error: IssuerError) -> Verdict:
    """The failure that an error of ours tells of."""
    return fail(error.message, error.hint, error.exit_code)


def not_checked(why: str) -> Verdict:
    """It could not be looked at."""
    return Verdict(state=State.NOT_CHECKED, message=f"not checked: {why}")
