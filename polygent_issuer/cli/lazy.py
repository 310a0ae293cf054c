"""Commands that are imported when they are called, not when help lists them.

`--help` shows names and one line each from a static table; only the command that is resolved
imports its module. Start-up is what an operator feels most often.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from polygent_issuer.cli.errors_boundary import no_such_command
from polygent_issuer.cli.options.common import typer_command

Markup = Literal["rich"] | None
_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of the command table: a command (`target`) or a group (`entries`).

    Attributes:
        name: as it is typed.
        help: one line, shown where the commands are listed.
        target: `module:function` below `polygent_issuer.cli.commands`.
        entries: the commands of a group.
        panel: the heading under which a terminal lists it.
    """

    name: str
    help: str
    target: str = ""
    entries: tuple["Entry", ...] = ()
    panel: str | None = None


class _KnowsItself:
    """A command whose wrong usage says of which command it is, and what was typed.

    Typer does not know it where an option lacks its value, and the hint would name another help;
    nor does it say which value is none of a few.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own are private
        """As Typer does."""
        typed = tuple(args)
        try:
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except typer.TyperException as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            error.typed = typed  # type: ignore[attr-defined]
            raise
        return parsed


class _Command(_KnowsItself, TyperCommand):
    """A command, which does the work."""


class LazyGroup(_KnowsItself, TyperGroup):
    """A group that lists stubs and imports the one command that is resolved."""

    entries: tuple[Entry, ...] = ()

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own are private
        """Show the help where no command was named; JSON has no help, and stays an error."""
        if not ctx._protected_args and not ctx.obj.as_json:  # noqa: SLF001 - Typer has no other word for it
            typer.echo(ctx.get_help(), color=ctx.color)
            raise typer.Exit
        return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - Typer's own are private
        """Swap the stub that was found for the real command."""
        known = [entry.name for entry in self.entries]
        if args[0] not in known and not args[0].startswith("-"):
            raise no_such_command(ctx, args[0], known)
        name, _stub, rest = super().resolve_command(ctx, args)
        entry = next(entry for entry in self.entries if entry.name == name)
        return name, load(entry, self.rich_markup_mode and "rich"), rest


def load(entry: Entry, markup: Markup) -> TyperCommand | TyperGroup:
    """The real command or group of an entry."""
    if entry.entries:
        return build_group(entry, _takes_global_options_only, markup)
    module, function = entry.target.split(":")
    body = getattr(import_module(f"polygent_issuer.cli.commands.{module}"), function)
    app = typer.Typer(add_completion=False, rich_markup_mode=markup)
    text = body.__doc__ or _help_from_source(body) or entry.help
    command = app.command(entry.name, cls=_Command, help=text, context_settings=_HELP_OPTIONS)
    command(typer_command(body))
    return get_command(app)  # type: ignore[return-value]


def _help_from_source(body: Callable[..., object]) -> str | None:
    """Read the docstring of a command, which `python -OO` drops; None without the source."""
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
    """A group that shows a stub for each entry of `entry`."""
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
