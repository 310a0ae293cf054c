"""The command line of a process: parse, run, and the one place where its outcome is decided."""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polygent_issuer.cli import error_view, gone_streams, output
from polygent_issuer.cli.commands import COMMANDS
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.lazy import Markup, build_group
from polygent_issuer.cli.plain_text import is_plain
from polygent_issuer.errors import ExitCode, InputRefused, IssuerError, UsageProblem
from polygent_issuer.text import nearest

if TYPE_CHECKING:
    from polygent_issuer.verifier.errors import VerifierError


# How Typer ends a message with what was probably meant.
_NEAR = re.compile(r"(.+?)\.? \(?(?:Did you mean(?: one of:)?|Possible options:) (.+?)[?)]*")


COMPLETE = "__complete"
"""The first word of the command line that the scripts of `completion` give; no help lists it."""


# How it says that a value is none of a few.
_CHOICE = re.compile(r"'([^']*)' is not one of (.+)")


class Bug(IssuerError):
    """What should never happen; its traceback is shown with `--debug` only."""

    code = "bug"


class Refused(InputRefused):
    """What the verifier refuses outside of a verdict: a public key, a domain."""

    def __init__(self, error: "VerifierError") -> None:
        """Carry over what the verifier said."""
        super().__init__(error.message, hint=error.hint)
        self.code = error.code  # type: ignore[misc] # stable, but its own


class Interrupted(IssuerError):
    """Ctrl-C, or the end of input at a question."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


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
    if argv[:1] == [COMPLETE]:
        from polygent_issuer.cli.completion.answer import answer

        return answer(argv[1:], invocation.environ, build_group(COMMANDS, _root, None))
    outcome = None
    try:
        with invocation.closing:
            outcome = _parse_and_run(invocation, list(argv) or ["--help"])
        if isinstance(outcome, output.Result):
            output.write_result(outcome, as_json=invocation.as_json, quiet=invocation.quiet)
            return int(outcome.exit_code)
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - no traceback reaches a screen unasked
        in_line = invocation.in_lines or (isinstance(outcome, output.Result) and outcome.in_lines)
        return _fail(invocation, _told(raised), argv, raised, in_line=in_line)
    if outcome == ExitCode.INTERRUPTED:  # how Typer tells of Ctrl-C
        problem = invocation.problem
        ended = problem if isinstance(problem, KeyboardInterrupt) else KeyboardInterrupt()
        return _fail(invocation, _told(ended), argv, ended)
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
        raise gone_streams.stdout_failed(problem) from None
    if sys.stdout is None and not isinstance(outcome, output.Result):
        raise gone_streams.stdout_failed(ValueError())  # nobody saw the help that was asked for
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
    # A usage error is raised before the options after it were read.
    as_json = invocation.as_json or "--json" in argv
    error_view.write_error(error, as_json=as_json, in_line=in_line)
    if invocation.options.get("debug") or "--debug" in argv:
        from polygent_issuer.cli import debug

        debug.write(raised)
    return int(error.exit_code)


def _told(raised: BaseException) -> IssuerError:
    """What ended the command, as an error of ours."""
    import traceback

    from polygent_issuer.verifier.errors import VerifierError

    if isinstance(raised, IssuerError):
        return raised
    if isinstance(raised, VerifierError):
        return Refused(raised)
    if isinstance(raised, KeyboardInterrupt | typer.Abort):
        return Interrupted("interrupted; what was acknowledged is kept")
    if isinstance(raised, typer.TyperException):
        return _usage(raised)
    where = traceback.extract_tb(raised.__traceback__)[-1]
    place = f"{PurePath(where.filename).name}:{where.lineno}"
    return Bug(
        f"this is a bug in polygent-issue: {type(raised).__name__} at {place}",
        hint="run it again with --debug and report what it prints",
    )


def _usage(error: typer.TyperException) -> UsageProblem:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "polygent-issue"
    message, hint = " ".join(error.format_message().split()).rstrip("."), f"{command} --help"
    message = message.replace(". Choose from: ", ": ")
    if near := _NEAR.fullmatch(message):
        message, known = near[1], _words(near[2])
        meant = nearest(_words(message)[-1], known) or " or ".join(known)
        hint = f"did you mean {meant}? or {hint}"
    elif choice := _CHOICE.search(message):
        nearby = nearest(choice[1], _words(choice[2]))
        hint = f"did you mean {nearby}? or {hint}" if nearby else hint
    return UsageProblem(message[:1].lower() + message[1:], hint=hint)


def _words(text: str) -> list[str]:
    """The words that Typer lists, or the last of a sentence, without its quotes."""
    return [word.strip("':,") for word in text.split()]
