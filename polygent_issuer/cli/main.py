"""Parse and run one command line, and return its exit code.

`--help` reads names and summaries from a static table. Only the module of the called command is
imported, which keeps start-up fast.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from polygent_issuer.cli.candidates import EARLIER, VARIABLE
from polygent_issuer.cli.commands import COMMANDS, ROLES, Entry
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.errors_boundary import (
    no_such_command,
    to_issuer_error,
    write_debug_report,
    write_error,
)
from polygent_issuer.cli.options.common import typer_command
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.blocks import GLOBAL_OPTIONS
from polygent_issuer.cli.output.result import Result, write_result
from polygent_issuer.errors import ExitCode

Markup = Literal["rich"] | None
_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


def run(
    argv: Sequence[str], *, now: datetime | None = None, environ: Mapping[str, str] | None = None
) -> int:
    """Run one command line and return its exit code; never raise.

    `argv` excludes the program's name. `now` and `environ` default to those of the process.
    """
    invocation = Invocation(argv=argv, now=now, environ=environ)
    GLOBAL_OPTIONS.set(invocation.options)
    if argv[:1] == [EARLIER]:
        return 0
    if invocation.environ.get(VARIABLE):
        from polygent_issuer.cli.commands.completion import answer

        return answer(build_group(COMMANDS, _root, None), invocation)
    outcome = None
    try:
        with invocation.closing:
            outcome = _parse_and_run(invocation, list(argv) or ["--help"])
            if isinstance(outcome, Result):  # what closes afterwards does not delay it
                code = write_result(outcome, as_json=invocation.as_json, quiet=invocation.quiet)
        if isinstance(outcome, Result):
            return int(code)
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - no traceback reaches a screen unasked
        in_line = invocation.in_lines or (isinstance(outcome, Result) and outcome.in_lines)
        return _fail(invocation, raised, argv, in_line=in_line)
    if outcome == ExitCode.INTERRUPTED:  # Typer returns this on Ctrl-C
        problem = invocation.problem
        ended = problem if isinstance(problem, KeyboardInterrupt) else KeyboardInterrupt()
        return _fail(invocation, ended, argv)
    return int(outcome or 0)


def _parse_and_run(invocation: Invocation, argv: list[str]) -> Any:  # noqa: ANN401 - a Result or an exit code
    markup: Markup = None if sys.stdout is None or result.is_plain(sys.stdout) else "rich"
    try:
        outcome = build_group(COMMANDS, _root, markup).main(
            argv, prog_name="polygent-issue", standalone_mode=False, obj=invocation
        )
    except (OSError, SystemExit) as ended:
        # Typer writes help itself, and turns a closed pipe into SystemExit.
        problem = ended.__context__ if isinstance(ended, SystemExit) else ended
        if problem is invocation.problem or not isinstance(problem, OSError):
            raise invocation.problem or ended from None
        raise result.stdout_failed(problem) from None
    if sys.stdout is None and not isinstance(outcome, Result):
        raise result.stdout_failed(ValueError())  # the help could not be printed
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
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Accept the global options and `--version`."""


def _fail(
    invocation: Invocation, raised: BaseException, argv: Sequence[str], *, in_line: bool = False
) -> int:
    error = to_issuer_error(raised)
    # A usage error is raised before Typer has parsed the options after it.
    as_json = invocation.as_json or "--json" in argv
    write_error(error, as_json=as_json, in_line=in_line)
    if invocation.options.get("debug") or "--debug" in argv:
        write_debug_report(raised)
    return int(error.exit_code)


class _WithContext:
    """Mixin that adds the command and the typed words to a usage error.

    Typer omits the command where an option lacks its value, so the hint would name the wrong
    help. It also omits which value is not one of the choices.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own are private
        typed = tuple(args)
        try:
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except typer.TyperException as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            error.typed = typed  # type: ignore[attr-defined]
            raise
        return parsed


class _Command(_WithContext, TyperCommand):
    pass


class LazyGroup(_WithContext, TyperGroup):
    """A group of stubs that imports only the command that is called."""

    entries: tuple[Entry, ...] = ()

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own are private
        """Show the help if the command is missing; with `--json` that is an error."""
        if not ctx._protected_args and not ctx.obj.as_json:  # noqa: SLF001 - Typer has no public name
            typer.echo(ctx.get_help(), color=ctx.color)
            raise typer.Exit
        return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own are private
        """Replace the stub by the real command."""
        known = [entry.name for entry in self.entries]
        if args[0] not in known and not args[0].startswith("-"):
            raise no_such_command(ctx, args[0], known)
        name, _stub, rest = super().resolve_command(ctx, args)
        entry = next(entry for entry in self.entries if entry.name == name)
        ctx.obj.role = role_of(entry)
        return name, load(entry, self.rich_markup_mode and "rich"), rest


def role_of(entry: Entry) -> str:
    """Return the role that a command needs in a team's registry; empty if it needs none."""
    module = entry.target.partition(":")[0]
    return next((role for role, them in ROLES.items() if {module, entry.target} & {*them}), "")


def load(entry: Entry, markup: Markup) -> TyperCommand | TyperGroup:
    """Return the real command or group of an entry."""
    if entry.entries:
        return build_group(entry, _takes_global_options_only, markup)
    module, function = entry.target.split(":")
    body = getattr(import_module(f"polygent_issuer.cli.commands.{module}"), function)
    app = typer.Typer(add_completion=False, rich_markup_mode=markup)
    text = _unwrapped(body.__doc__ or _help_from_source(body) or entry.help)
    role = role_of(entry)
    epilog = f"Role in a team's registry: {role}." if role else None
    command = app.command(
        entry.name, cls=_Command, help=text, epilog=epilog, context_settings=_HELP_OPTIONS
    )
    command(typer_command(body))
    return get_command(app)  # type: ignore[return-value]


def _unwrapped(text: str) -> str:
    r"""Join the lines of each paragraph, since rich keeps line breaks; `\b` keeps them."""
    paragraphs = cleandoc(text).split("\n\n")
    return "\n\n".join(
        each if each.startswith("\b") else " ".join(each.split("\n")) for each in paragraphs
    )


def _help_from_source(body: Callable[..., object]) -> str | None:
    """Read a command's docstring, which `python -OO` drops, from its source; None without it."""
    import ast
    import inspect
    from textwrap import dedent

    try:
        tree = ast.parse(dedent(inspect.getsource(body)))
    except OSError:
        return None
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return next(map(ast.get_docstring, functions), None)


def build_group(entry: Entry, callback: Callable[..., None], markup: Markup) -> TyperGroup:
    """Return a Typer group with a stub for each entry of `entry`."""
    app = typer.Typer(add_completion=False, rich_markup_mode=markup)
    app.callback(cls=LazyGroup, help=entry.help, context_settings=_HELP_OPTIONS)(
        typer_command(callback)
    )
    group: Any = get_command(app)
    group.name = entry.name
    group.entries = entry.entries
    for child in entry.entries:
        stub = TyperCommand(
            child.name, help=child.help, rich_markup_mode=markup, rich_help_panel=child.panel
        )
        group.add_command(stub)
    return group  # type: ignore[no-any-return]


def _takes_global_options_only(_invocation: object) -> None:
    return
