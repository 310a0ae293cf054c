"""The issuer's errors: a stable code, the evidence, and what puts it right.

One root, `IssuerError`. Each error carries a stable `code` for programs and the `exit_code` of
the command that it ends (DESIGN, "Command line"). Messages are lower case without a full stop and
say what and why; `hint` names the command that mends it. The verifier has errors of its own
(`polygent_issuer.verifier.errors`), since servers import it without this module.
"""

from enum import IntEnum
from pathlib import PurePath
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """What the process says when it ends; stable, for scripts."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    CONSENT = 4
    NOT_FOUND = 5
    KEY = 6
    REGISTRY = 7
    OUTPUT = 8
    NOT_AUTHENTIC = 10
    NOT_ACCEPTED = 11
    BATCH = 20
    INTERRUPTED = 130


class IssuerError(Exception):
    """Whatever this tool refuses or cannot do, said once, for the operator.

    Args:
        message: what and why, in one line; lower case, no full stop, no secret.
        hint: the command that puts it right, or what to do next.
        code: a stable code of its own; the class's when not given.
    """

    code: str = "error"
    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        """Say what and why, and what puts it right."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by attributes: `__init__` may take other arguments than `args`."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class InternalError(IssuerError):
    """A bug in this tool: something that should never happen."""

    code = "bug"

    @classmethod
    def at(cls, raised: BaseException) -> "InternalError":
        """Name an unforeseen exception by its kind and place; its message may hold a secret."""
        import traceback  # noqa: PLC0415 - for bugs alone

        where = traceback.extract_tb(raised.__traceback__)[-1]
        place = f"{PurePath(where.filename).name}:{where.lineno}"
        return cls(
            f"this is a bug in polygent-issue: {type(raised).__name__} at {place}",
            hint="run it again with --debug and report what it prints",
        )


class UsageProblem(IssuerError):
    """The command line contradicts itself or lacks something."""

    code = "usage"
    exit_code = ExitCode.USAGE


class InputRefused(IssuerError):
    """What was given cannot be used: a file, a term, a name."""

    code = "input_refused"
    exit_code = ExitCode.INPUT


class MissingInput(InputRefused):
    """Something that only a person can know was not given, and there is nobody to ask."""

    code = "missing_input"


class UnreadableInput(InputRefused):
    """A file that was named cannot be read, or is larger than its format allows."""

    code = "unreadable_input"


class InvalidMachineInfo(InputRefused):
    """A `machine-info.json` that breaks FORMAT §4."""

    code = "invalid_machine_info"


class InvalidTerms(InputRefused):
    """Terms that no license may have, or that contradict each other."""

    code = "invalid_terms"


class InvalidSettings(InputRefused):
    """The settings file, an environment variable or a value for them is wrong."""

    code = "invalid_settings"


class InvalidStore(InputRefused):
    """A store URI that is none of `keyring:`, `file:PATH` and `pkcs11:…`, or not a sound one."""

    code = "invalid_store"


class NotFound(IssuerError):
    """No such customer, machine, license, key or plan."""

    code = "not_found"
    exit_code = ExitCode.NOT_FOUND


class Ambiguous(IssuerError):
    """Several match; the hint names them."""

    code = "ambiguous"
    exit_code = ExitCode.NOT_FOUND


class KeyUnavailable(IssuerError):
    """A signing key cannot be used, kept or read; subclasses say why."""

    code = "key_unavailable"
    exit_code = ExitCode.KEY


class HomeProblem(IssuerError):
    """The home or its registry is missing, unsafe, locked, damaged or too new."""

    code = "home_problem"
    exit_code = ExitCode.REGISTRY


class HomeMissing(HomeProblem):
    """There is no home here: a mistyped `--home` must not start an empty registry."""

    code = "home_missing"


class RegistryChanged(HomeProblem):
    """Someone else wrote what this command's decision rested on, after it was shown."""

    code = "registry_changed"

    @classmethod
    def since_shown(cls, undone: str, *, hint: str | None = None) -> "RegistryChanged":
        """The error of every command that decides, shows, asks and decides again.

        Args:
            undone: what has not happened, such as `nothing was issued`.
            hint: where to look first; the same command when not given.
        """
        return cls(
            f"the registry changed after this was shown; {undone}",
            hint=hint or "run the command again and look at what it shows now",
        )


class OutputProblem(IssuerError):
    """A result cannot be written where it was asked for."""

    code = "output_failed"
    exit_code = ExitCode.OUTPUT


class OutputExists(OutputProblem):
    """The file to be written exists already; nothing is ever overwritten."""

    code = "output_exists"
