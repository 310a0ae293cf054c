"""The command line of a process: parse, run, and the one place where its outcome is decided."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from polygent_issuer.cli.commands import COMMANDS
from polygent_issuer.cli.completion import EARLIER, VARIABLE
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.errors_boundary import to_issuer_error
from polygent_issuer.cli.lazy import Markup, build_group
from polygent_issuer.cli.output import result, streams
from polygent_issuer.cli.output.json_text import GLOBAL_OPTIONS
from polygent_issuer.cli.output.streams import is_plain
from polygent_issuer.errors import ExitCode, IssuerError


def run(
    argv: Sequence[str], *, now: datetime | None = None, environ: Mapping[str, str] | None = None
) -> int:
    """Run one command line and give its exit code; nothing is raised.

    Args:
        argv: the arguments, without the program's name.
        now: the instant of the operation; the clock's when not given.
        environ: the environment; the process's when not given.
    """
    invocation = Invocation(now=now, environ=environ)
    GLOBAL_OPTIONS.set(invocation.options)
    if argv[:1] == [EARLIER]:
        return 0
    if invocation.environ.get(VARIABLE):
        from polygent_issuer.cli.completion.answer import answer

        return answer(build_group(COMMANDS, _root, None), invocation)
    outcome = None
    try:
        with invocation.closing:
            outcome = _parse_and_run(invocation, list(argv) or ["--help"])
        if isinstance(outcome, result.Result):
            result.write_result(outcome, as_json=invocation.as_json, quiet=invocation.quiet)
            return int(outcome.exit_code)
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - no traceback reaches a screen unasked
        in_line = invocation.in_lines or (isinstance(outcome, result.Result) and outcome.in_lines)
        return _fail(invocation, to_issuer_error(raised), argv, raised, in_line=in_line)
    if outcome == ExitCode.INTERRUPTED:  # how Typer tells of Ctrl-C
        problem = invocation.problem
        ended = problem if isinstance(problem, KeyboardInterrupt) else KeyboardInterrupt()
        return _fail(invocation, to_issuer_error(ended), argv, ended)
    return int(outcome or 0)


def _parse_and_run(invocation: Invocation, argv: list[str]) -> Any:  # noqa: ANN401 - a Result or an exit code
    markup: Markup = None if sys.stdout is None or is_plain(sys.stdout) else "rich"
    try:
        outcome = build_group(COMMANDS, _root, markup).main(
            argv, prog_name="polygent-issue", standalone_mode=False, obj=invocation
        )
    except (OSError, SystemExit) as ended:
        # Typer writes help itself, and makes an exit of a closed pipe.
        problem = ended.__context__ if isinstance(ended, SystemExit) else ended
        if problem is invocation.problem or not isinstance(problem, OSError):
            raise invocation.problem or ended from None
        raise streams.stdout_failed(problem) from None
    if sys.stdout is None and not isinstance(outcome, result.Result):
        raise streams.stdout_failed(ValueError())  # nobody saw the help that was asked for
    return outcome


def _show_version(context: typer.Context, value: bool) -> None:
    if value and not context.resilient_parsing:
        from polygent_issuer import __version__

        typer.echo(f"polygent-issue {__version__}")
        raise typer.Exit


def _root(
    _invocation: object,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Takes the global options and `--version`; commands do the rest."""


def _fail(
    invocation: Invocation,
    error: IssuerError,
    argv: Sequence[str],
    raised: BaseException,
    *,
    in_line: bool = False,
) -> int:
    from polygent_issuer.cli import errors_boundary

    # A usage error is raised before the options after it were read.
    as_json = invocation.as_json or "--json" in argv
    errors_boundary.write_error(error, as_json=as_json, in_line=in_line)
    if invocation.options.get("debug") or "--debug" in argv:
        from polygent_issuer.cli import debug

        debug.write(raised)
    return int(error.exit_code)
