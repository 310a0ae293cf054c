"""The error that ends a command: whatever was raised, with a code, an exit code and a hint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from polygent_issuer.errors import ExitCode, InputRefused, InternalError, IssuerError, UsageProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.text import escape, nearest

if TYPE_CHECKING:
    from polygent_issuer.verifier.errors import VerifierError


class Refused(InputRefused):
    """What the verifier refuses outside of a verdict: a public key, a domain."""

    def __init__(self, error: "VerifierError") -> None:
        """Carry over what the verifier said."""
        super().__init__(error.message, hint=error.hint, code=error.code)


class Interrupted(IssuerError):
    """Ctrl-C, or the end of input at a question."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


def to_issuer_error(raised: BaseException) -> IssuerError:
    """What ended the command, as an error of ours."""
    from polygent_issuer.verifier.errors import VerifierError

    if isinstance(raised, IssuerError):
        return raised
    if isinstance(raised, VerifierError):
        return Refused(raised)
    if isinstance(raised, KeyboardInterrupt | typer.Abort):
        return Interrupted("interrupted; what was acknowledged is kept")
    if isinstance(raised, typer.TyperException):
        return from_typer(raised)
    return InternalError.at(raised)


def from_typer(error: typer.TyperException) -> UsageProblem:
    """Say it again, with what was probably meant."""
    message, meant = _said(error)
    return _problem(getattr(error, "ctx", None), message, meant)


def no_such_command(context: Any, name: str, known: Sequence[str]) -> UsageProblem:  # noqa: ANN401 - Typer's own are private
    """The error for a command that a group does not have."""
    return _problem(context, f"no such command {name!r}", nearest(name, known))


def _problem(context: Any, message: str, meant: str | None) -> UsageProblem:  # noqa: ANN401 - as above
    group = [] if context is None else context.command_path.split()[1:]
    usage_help = run(*group, "--help")
    return UsageProblem(
        message, hint=Hint(f"did you mean {meant}? or ", usage_help) if meant else usage_help
    )


def _said(error: Any) -> tuple[str, str | None]:  # noqa: ANN401 - Typer's own are private
    """What is wrong, and what was probably meant."""
    if possible := getattr(error, "possibilities", None):
        name = error.option_name
        return f"no such option: {escape(name)}", nearest(name, possible) or " or ".join(possible)
    parameter: Any = getattr(error, "param", None)
    choices = [str(choice) for choice in getattr(getattr(parameter, "type", None), "choices", ())]
    if choices:
        name = parameter.get_error_hint(error.ctx)
        if hasattr(error, "param_type"):
            missing = f"missing {parameter.param_type_name} {name}"
            return f"{missing}: {', '.join(choices)}", None
        value = _value(error, choices)
        few = ", ".join(map(repr, choices))
        told = f"invalid value for {name}: {value!r} is not one of {few}"
        return told, nearest(value, choices)
    message = " ".join(error.format_message().split()).rstrip(".")
    return message[:1].lower() + message[1:], None


def _value(error: Any, choices: Sequence[str]) -> str:  # noqa: ANN401 - as above
    """What was typed that is none of a few."""
    parser = error.ctx.command.make_parser(error.ctx)
    given = parser.parse_args(args=list(error.typed))[0][error.param.name]
    return next(
        word for word in ([given] if isinstance(given, str) else given) if word not in choices
    )
