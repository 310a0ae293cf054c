"""The end of a failed command: its exception as an `IssuerError`, and the report of `--debug`."""

import errno
import platform
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import typer

from polygent_issuer import __version__
from polygent_issuer.cli.output.result import (
    STREAM_ERRORS,
    BrokenPipe,
    StdoutError,
    discard,
    error_json,
    finding_json,
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
from polygent_issuer.text import Hint, escape, nearest, run

if TYPE_CHECKING:
    from polygent_issuer.findings import ConsentNeeded

_LIBRARIES: Final = "typer rich cryptography keyring platformdirs tomlkit"
# Modules that handle passphrases, PINs and private keys.
_SECRET: Final = ("keys", "cli.commands.key", "cli.flows.key_storage")


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
        name, options = error.option_name, {option.lstrip("-"): option for option in possible}
        near = nearest(name.lstrip("-"), options)
        return f"no such option: {escape(name)}", near and options[near]
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
    from polygent_issuer.findings import ConsentNeeded

    # One line cannot show several findings clearly.
    if isinstance(error, ConsentNeeded) and not error.reason_missing and len(error.findings) > 1:
        _write_findings(error)
    elif isinstance(error, SeveralProblems):
        _write_problems(error)
    else:
        note("error", error.message, style="bad")
        if error.hint:
            note("hint", error.hint)


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


def write_debug_report(raised: BaseException) -> None:
    """Write the report to stderr; do nothing if stderr is closed."""
    with suppress(OSError, AttributeError, ValueError):
        sys.stderr.writelines(f"{line}\n" for line in debug_report(raised))
        sys.stderr.flush()


def debug_report(raised: BaseException) -> Iterator[str]:
    """Yield the lines of the report: versions, then the traceback of each error, oldest first.

    The report may be sent to others, so it contains no secrets: no values of variables and no
    environment. Messages of foreign exceptions are left out if they come from code that handles
    secrets, or if our code suppressed them (`from None`).
    """
    yield (
        "debug: for a bug report; it contains no secrets, but review it for names and paths "
        "before you send it"
    )
    yield f"debug: {', '.join(_versions())}"
    for error, shown in reversed(tuple(_chain(raised))):
        yield "Traceback (most recent call last):"
        for entry in traceback.format_tb(error.__traceback__):
            yield from map(escape, entry.rstrip("\n").split("\n"))
        yield _summary(error, shown=shown)


def _versions() -> Iterator[str]:
    from importlib import metadata

    from polygent_issuer.registry.schema import SQLITE_VERSION

    yield f"polygent-issue {__version__}"
    yield f"Python {platform.python_version()}"
    yield f"SQLite {'.'.join(map(str, SQLITE_VERSION))}"
    for name in _LIBRARIES.split():
        with suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"
    yield escape(platform.platform())


def _chain(raised: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """Yield the error and its causes, each with whether its message may be shown."""
    error: BaseException | None = raised
    seen: set[int] = set()
    shown = True
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error, shown
        shown = shown and (error.__cause__ is not None or not error.__suppress_context__)
        error = error.__cause__ or error.__context__


def _summary(error: BaseException, *, shown: bool) -> str:
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(error, typer.TyperException):
        return f"{name}: {escape(error.format_message())}"
    ours = isinstance(error, IssuerError) or kind.__module__.startswith("polygent_issuer.")
    if not ours and (not shown or _handles_secrets(error)):
        system = errno.errorcode.get(getattr(error, "errno", None) or 0)
        return f"{name}: {f'{system} ' if system else ''}(message left out)"
    message = str(error)
    return f"{name}: {escape(message)}" if message else name


def _handles_secrets(error: BaseException) -> bool:
    modules = tuple(f"polygent_issuer.{module}." for module in _SECRET)
    frames = traceback.walk_tb(error.__traceback__)
    return any(f"{frame.f_globals.get('__name__')}.".startswith(modules) for frame, _ in frames)
