"""Options that many commands share, and the source of a passphrase (DESIGN, "Keys").

Global options work before and after the command. They are added to the signature of every command
and group, and their callbacks store the values in the `Invocation` that Typer passes as `ctx.obj`.
An `OptionGroup` is a frozen dataclass whose fields are options with defaults. A command that has a
parameter of such a type gets all of these options and receives them as one object. A field may be
a group, too.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import UsageProblem

if TYPE_CHECKING:
    from polygent_issuer.keys.passphrases import Passphrase


class OptionGroup:
    """Base of dataclasses that bundle several options of a command."""

    __slots__ = ()


def option(
    name: str,
    metavar: str | None,
    text: str,
    complete: Callable[..., Any] | None = None,
    *,
    short: str | None = None,
    **more: Any,  # noqa: ANN401 - as typer.Option
) -> Any:  # noqa: ANN401 - as typer.Option
    """Return an option with a value; `complete` yields the values that completion offers."""
    names = (name,) if short is None else (name, short)
    return typer.Option(*names, metavar=metavar, help=text, autocompletion=complete, **more)


def flag(name: str, text: str, *, short: str | None = None) -> Any:  # noqa: ANN401 - as typer.Option
    """Return an option without a value."""
    return option(name, None, text, short=short)


def argument(metavar: str, text: str, complete: Callable[..., Any] | None = None) -> Any:  # noqa: ANN401 - as typer.Argument
    """Return an argument; `complete` yields the values that completion offers."""
    return typer.Argument(metavar=metavar, help=text, autocompletion=complete)


CustomerName = Annotated[
    str, argument("CUSTOMER", "Select a customer by slug, alias or name.", candidates.customers)
]
CustomerNames = Annotated[
    list[str] | None,
    argument(
        "CUSTOMER...",
        "Select customers by slug, alias or name (- for stdin).",
        candidates.customers,
    ),
]
KeyName = Annotated[
    str, argument("KEY", "Select a key by label or the beginning of its kid.", candidates.keys)
]
LicenseId = Annotated[
    str,
    argument(
        "LICENSE", "Select a license by ID or its first 4 or more characters.", candidates.licenses
    ),
]

LicenseIds = Annotated[
    list[str] | None,
    argument(
        "LICENSE...",
        "Select licenses by ID or its first 4 or more characters.",
        candidates.licenses,
    ),
]


def _note(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:  # noqa: ANN401 - of any option
    if value not in (None, False) and parameter.name is not None:
        context.obj.options[parameter.name] = value
    return value


_global = partial(
    option, callback=_note, expose_value=False, show_default=False, rich_help_panel="Global options"
)
_parameter = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)

_GLOBAL: dict[str, Any] = {
    # Typer does not check that it is readable: `home.folder` does, with exit 7.
    "home": Annotated[
        Path | None,
        _global("--home", "DIR", "Use the settings and registry in this folder.", readable=False),
    ],
    "json": Annotated[bool, _global("--json", None, "Print only JSON on stdout.")],
    "quiet": Annotated[
        bool,
        _global("--quiet", None, "Suppress notes, warnings, and a result that needs no action."),
    ],
    "no_input": Annotated[
        bool, _global("--no-input", None, "Disable prompts (implied without a terminal).")
    ],
    "debug": Annotated[
        bool, _global("--debug", None, "Print versions and the traceback of an error.")
    ],
}


def typer_command(body: Callable[..., Any]) -> Callable[..., Any]:
    """Return `body(invocation, …)` in Typer's form: groups expanded, global options last."""
    _, *own = inspect.signature(body, eval_str=True).parameters.values()

    @functools.wraps(body)
    def command(*, context: typer.Context, **arguments: Any) -> Any:  # noqa: ANN401 - the body's
        values = {p.name: _value(p.name, p.annotation, arguments) for p in own}
        try:
            return body(context.obj, **values)
        except (OSError, KeyboardInterrupt) as problem:
            context.obj.problem = problem
            raise

    parameters = [_parameter("context", annotation=typer.Context)]
    for p in own:
        parameters += _expanded(p.name, p.default, p.annotation)
    for name, annotation in _GLOBAL.items():
        default = None if name == "home" else False
        parameters.append(_parameter(name, default=default, annotation=annotation))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, OptionGroup)


def _expanded(name: str, default: object, annotation: Any) -> Iterator[inspect.Parameter]:  # noqa: ANN401 - of any option
    if not _is_group(annotation):
        yield _parameter(name, default=default, annotation=annotation)
        return
    hints = get_type_hints(annotation, include_extras=True)
    for field in fields(annotation):
        yield from _expanded(field.name, field.default, hints[field.name])


def _value(name: str, annotation: Any, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any option
    if not _is_group(annotation):
        return arguments[name]
    values = {each.name: _value(each.name, each.type, arguments) for each in fields(annotation)}
    return annotation(**values)


# access(2) would refuse a file that the shell opened for another user: `… | sudo -u ada …`.
_option = partial(option, rich_help_panel="Passphrase", readable=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PassphraseOptions(OptionGroup):
    """The three sources of a passphrase, which are mutually exclusive."""

    passphrase_fd: Annotated[
        int | None, _option("--passphrase-fd", "N", "Read the passphrase from a file descriptor.")
    ] = None
    passphrase_file: Annotated[
        Path | None, _option("--passphrase-file", "FILE", "Read the passphrase from a file.")
    ] = None
    passphrase_command: Annotated[
        str | None,
        _option("--passphrase-command", "COMMAND", "Read the passphrase from a command."),
    ] = None


def passphrase_source(invocation: Invocation, options: PassphraseOptions) -> "Passphrase":
    """Return the source of the passphrase: an option, the environment's file, or the terminal.

    Raises:
        UsageProblem: (`usage`) several options are given.
    """
    from polygent_issuer.keys import passphrases

    fd, command = options.passphrase_fd, options.passphrase_command
    if sum(option is not None for option in (fd, options.passphrase_file, command)) > 1:
        raise UsageProblem(
            "--passphrase-fd, --passphrase-file and --passphrase-command are mutually exclusive",
            hint="give one of them",
        )
    if fd is not None:
        return passphrases.from_fd(fd, warn=invocation.warn)
    if command is not None:
        return passphrases.from_command(command, warn=invocation.warn)
    path = options.passphrase_file or invocation.environ.get(passphrases.VARIABLE)
    if path:
        return passphrases.from_file(Path(path), warn=invocation.warn)
    return (
        passphrases.TerminalPassphrase() if invocation.interactive else passphrases.NoPassphrase()
    )


_DATE_LENGTH = len("2026-11-30")


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the first instant of a period and the one after it; None where it has no bound.

    Raises:
        InvalidTerms: (`invalid_terms`) not a date or an instant.
    """
    start = None if since is None else _instant(since)
    end = None if until is None else _instant(until)
    if end is not None and len(until or "") == _DATE_LENGTH:
        with suppress(OverflowError):  # nothing can be later than the last day of 9999
            end += timedelta(days=1)
    return start, end


def _instant(text: str) -> datetime:
    from polygent_issuer.terms.parsing import parse_date_or_instant  # its import takes 30 ms

    return parse_date_or_instant(text)
