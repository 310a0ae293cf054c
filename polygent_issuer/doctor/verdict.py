"""The verdict of a check: a state, the reason, and the fix."""

from dataclasses import dataclass
from enum import StrEnum

from polygent_issuer.errors import ExitCode, IssuerError


class State(StrEnum):
    """The state of one thing; what could not be checked fails nothing, its message says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A row of the report; a check of several things has several.

    Attributes:
        state: of the thing.
        message: the reason, in one line; lower case, no full stop, no secret.
        fix: the command that puts it right, or words where no command can.
        exit_code: of a command that needs this.
        name: of the check.
    """

    state: State
    message: str
    fix: str | None = None
    exit_code: ExitCode = ExitCode.DONE
    name: str = ""


class NotChecked(Exception):
    """Another problem prevents a check; the text says which."""


def ok(message: str) -> Verdict:
    """Report that all is well."""
    return Verdict(state=State.OK, message=message)


def warn(message: str, fix: str) -> Verdict:
    """Report a problem that stops no command yet."""
    return Verdict(state=State.WARN, message=message, fix=fix)


def fail(message: str, fix: str | None, exit_code: ExitCode) -> Verdict:
    """Report a problem that ends some command with this exit code."""
    return Verdict(state=State.FAIL, message=message, fix=fix, exit_code=exit_code)


def refused(error: IssuerError) -> Verdict:
    """Report an error of ours as a failure."""
    return fail(error.message, error.hint, error.exit_code)


def not_checked(reason: str) -> Verdict:
    """Report that a check was not possible."""
    return Verdict(state=State.NOT_CHECKED, message=f"not checked: {reason}")
