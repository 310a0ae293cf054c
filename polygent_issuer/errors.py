"""The issuer's errors: each has a stable code, its evidence and a hint.

The root is `IssuerError`. Each error carries a stable `code` for programs and the `exit_code` of
the command that it ends (DESIGN, "Command line"). A message is lower case without a full stop and
states what happened and why. `hint` names the command that fixes it. The verifier has its own
errors (`polygent_issuer.verifier.errors`), because servers import it without this module.
"""

from collections.abc import Sequence
from enum import IntEnum
from pathlib import PurePath
from typing import Any, Final, NoReturn

_MOST_NAMED: Final = 20
"""The number of problems that the message of one error names; it has all of them as data."""


class ExitCode(IntEnum):
    """Exit codes of the process; stable, because scripts read them."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    CONSENT = 4
    NOT_FOUND = 5
    KEY = 6
    REGISTRY = 7
    OUTPUT = 8
    DUE = 9
    NOT_AUTHENTIC = 10
    NOT_ACCEPTED = 11
    BATCH = 20
    INTERRUPTED = 130


class IssuerError(Exception):
    """Something that this tool refuses or cannot do.

    Args:
        message: what happened and why, in one line; lower case, no full stop, no secret.
        hint: the command that fixes it, or what to do next.
        code: a stable code for this error; default: the code of the class.
    """

    code: str = "error"
    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        """Store the message, the hint and the code."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes: a subclass may take other arguments than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class InternalError(IssuerError):
    """A bug in this tool: something that should never happen."""

    code = "bug"

    @classmethod
    def at(cls, raised: BaseException) -> "InternalError":
        """Report an unexpected exception by its type and line; its message may hold a secret."""
        import traceback  # noqa: PLC0415 - only bugs need it

        where = traceback.extract_tb(raised.__traceback__)[-1]
        place = f"{PurePath(where.filename).name}:{where.lineno}"
        return cls(
            f"this is a bug in polygent-issue: {type(raised).__name__} at {place}",
            hint="run it again with --debug and report what it prints",
        )


class SeveralProblems(IssuerError):
    """Errors that were found together; code, exit code and hint are those of the first.

    Attributes:
        problems: the errors, in order.
    """

    code = "several_problems"
    exit_code = ExitCode.INPUT

    def __init__(self, problems: Sequence[IssuerError]) -> None:
        """Combine at least one error."""
        first = problems[0]
        message = "; ".join(problem.message for problem in problems[:_MOST_NAMED])
        if len(problems) > _MOST_NAMED:
            message = f"{message}; and {len(problems) - _MOST_NAMED:,} more problems"
        super().__init__(message, hint=first.hint, code=first.code)
        self.exit_code = first.exit_code
        self.problems = tuple(problems)

    @classmethod
    def raise_for(cls, problems: Sequence[IssuerError]) -> NoReturn:
        """Raise the only error, or this one for several."""
        raise problems[0] if len(problems) == 1 else cls(problems)


class UsageProblem(IssuerError):
    """The command line contradicts itself or is incomplete."""

    code = "usage"
    exit_code = ExitCode.USAGE


class InputRefused(IssuerError):
    """An input cannot be used: a file, a term, a name."""

    code = "input_refused"
    exit_code = ExitCode.INPUT


class MissingInput(InputRefused):
    """A required value is missing, and without a terminal it cannot be asked for."""

    code = "missing_input"


class UnreadableInput(InputRefused):
    """An input file cannot be read, or is larger than its format allows."""

    code = "unreadable_input"


class InvalidMachineInfo(InputRefused):
    """A `machine-info.json` violates FORMAT §4."""

    code = "invalid_machine_info"


class InvalidTerms(InputRefused):
    """Terms are not allowed in a license, or contradict each other."""

    code = "invalid_terms"


class InvalidSettings(InputRefused):
    """The settings file, an environment variable or a value of a setting is invalid."""

    code = "invalid_settings"


class InvalidStore(InputRefused):
    """A store URI is invalid: `keyring:`, `file:PATH`, `pkcs11:…`, or that of a service."""

    code = "invalid_store"


class NotFound(IssuerError):
    """A customer, machine, license, key or plan does not exist."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class Ambiguous(IssuerError):
    """A name matches several things; the hint lists them."""

    code = "ambiguous"
    exit_code = ExitCode.NOT_FOUND


class KeyUnavailable(IssuerError):
    """A signing key cannot be used, stored or read; subclasses state why."""

    code = "key_unavailable"
    exit_code = ExitCode.KEY


class HomeProblem(IssuerError):
    """The home or its registry is missing, unsafe, locked, damaged or too new for this tool."""

    code = "home_problem"
    exit_code = ExitCode.REGISTRY


class HomeMissing(HomeProblem):
    """The home does not exist. A mistyped `--home` must not create an empty registry."""

    code = "home_missing"


class RegistryChanged(HomeProblem):
    """Another command changed the rows behind this command's decision after the preview."""

    code = "registry_changed"

    @classmethod
    def since_shown(cls, undone: str, *, hint: str | None = None) -> "RegistryChanged":
        """Return the error of a command whose second decision differs from the one it showed.

        Args:
            undone: what did not happen, such as `nothing was issued`.
            hint: where to look first; default: run the same command again.
        """
        return cls(
            f"the registry changed after the preview; {undone}",
            hint=hint or "run the command again and check the new preview",
        )


class OutputProblem(IssuerError):
    """A result cannot be written to its destination."""

    code = "output_failed"
    exit_code = ExitCode.OUTPUT


class OutputExists(OutputProblem):
    """The output file already exists; existing files are never overwritten."""

    code = "output_exists"
