"""Convert every exception that ends a command to an `IssuerError`, and print it."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from polygent_issuer.cli.output.json_text import error_json, finding_json
from polygent_issuer.cli.output.result import (
    STREAM_ERRORS,
    BrokenPipe,
    StdoutError,
    discard,
    note,
    write_json,
)
from polygent_issuer.errors import (
    ExitCode,
    InputRefused,
    InternalError,
    IssuerError,
    SeveralProblems,
    UsageProblem,
)
from polygent_issuer.hints import Hint, run
from polygent_issuer.text import escape, nearest

if TYPE_CHECKING:
    from polygent_issuer.findings import ConsentNeeded


class Stopped(IssuerError):
    """The operator declined, pressed Ctrl-C, or ended the input (Ctrl-D) at a prompt."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


def to_issuer_error(raised: BaseException) -> IssuerError:
    """Return the exception that ended a command as an `IssuerError`."""
    from polygent_issuer.verifier.errors import VerifierError

    if isinstance(raised, IssuerError):
        return raised
    if isinstance(raised, VerifierError):  # of a public key or a domain, not of a verdict
        return InputRefused(raised.message, hint=raised.hint, code=raised.code)
    if isinstance(raised, KeyboardInterrupt | typer.Abort):
        return Stopped("interrupted; results that were already reported are kept")
    if isinstance(raised, typer.TyperException):
        return _problem(getattr(raised, "ctx", None), *_describe(raised))
    return InternalError.at(raised)


def no_such_command(context: Any, name: str, known: Sequence[str]) -> UsageProblem:  # noqa: ANN401 - Typer's own are private
    """Return the error for a command that a group does not have."""
    return _problem(context, f"no such command {name!r}", nearest(name, known))


def _problem(context: Any, message: str, suggestion: str | None) -> UsageProblem:  # noqa: ANN401 - as above
    group = [] if context is None else context.command_path.split()[1:]
    usage_help = run(*group, "--help")
    hint = Hint(f"did you mean {suggestion}? or ", usage_help) if suggestion else usage_help
    return UsageProblem(message, hint=hint)


def _describe(error: Any) -> tuple[str, str | None]:  # noqa: ANN401 - Typer's own are private
    """Return the message of a usage error and the nearest valid input, if there is one."""
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
        return f"invalid value for {name}: {value!r} is not one of {few}", nearest(value, choices)
    message = " ".join(error.format_message().split()).rstrip(".")
    return message[:1].lower() + message[1:], None


def _value(error: Any, choices: Sequence[str]) -> str:  # noqa: ANN401 - as above
    """Return the typed value that is not one of `choices`."""
    parser = error.ctx.command.make_parser(error.ctx)
    value = parser.parse_args(args=list(error.typed))[0][error.param.name]
    values = [value] if isinstance(value, str) else value
    return next(word for word in values if word not in choices)


def write_error(error: IssuerError, *, as_json: bool, in_line: bool = False) -> None:
    """Write an error: JSON on stdout (one line of it with `in_line`), or text on stderr."""
    if isinstance(error, BrokenPipe):
        return
    if as_json and not isinstance(error, StdoutError):
        try:
            write_json({"error": _members(error)}, in_line=in_line)
        except STREAM_ERRORS:
            discard(sys.stdout)
        else:
            return
    if (several := _several_findings(error)) is not None:
        _write_findings(several)
        return
    if isinstance(error, SeveralProblems):
        _write_problems(error)
        return
    note("error", error.message, style="bad")
    if error.hint:
        note("hint", error.hint)


def _several_findings(error: IssuerError) -> "ConsentNeeded | None":
    """Return the error if it has several findings, which one line cannot show clearly."""
    from polygent_issuer.findings import ConsentNeeded

    if not isinstance(error, ConsentNeeded) or error.reason_missing or len(error.findings) == 1:
        return None
    return error


def _write_findings(error: "ConsentNeeded") -> None:
    """Write each finding and its hint on lines of their own, then the options to accept them."""
    note("error", f"consent needed for {len(error.findings)} findings", style="bad")
    for finding in error.findings:
        note(f"  {finding.code}", finding.message)
        if finding.hint:
            note("    hint", finding.hint, style="dim")
    note("hint", error.to_continue)


def _write_problems(error: SeveralProblems) -> None:
    """Write each problem and its hint on lines of their own."""
    note("error", f"{len(error.problems)} problems, and nothing was done", style="bad")
    printed = set()
    for problem in error.problems:
        note(f"  {problem.code}", problem.message)
        if problem.hint and problem.hint not in printed:
            note("    hint", problem.hint, style="dim")
        printed.add(problem.hint)


def _members(error: IssuerError) -> dict[str, Any]:
    from polygent_issuer.findings import ConsentNeeded

    members = {**error_json(error), "exit_code": int(error.exit_code)}
    if isinstance(error, ConsentNeeded):
        members["findings"] = [finding_json(finding) for finding in error.findings]
    if isinstance(error, SeveralProblems):
        members["problems"] = [error_json(problem) for problem in error.problems]
    return members
