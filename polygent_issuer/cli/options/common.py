"""Options that many commands share, and what they name: consent, passphrases, files.

Global options work before and after the command. They are added to the signature of every command
and group, and their callbacks store the values in the `Invocation` that Typer passes as `ctx.obj`.
An option is declared as the default of its parameter, or in an `Annotated` type if several commands
have it. An `OptionGroup` is a frozen dataclass whose fields are options. A command that has a
parameter of such a type gets all of these options and receives them as one object. A field may be
a group, too.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.errors import InputRefused, InvalidTerms, UsageProblem
from polygent_issuer.text import did_you_mean, escape

if TYPE_CHECKING:
    from polygent_issuer.findings import Consent
    from polygent_issuer.keys.passphrases import Passphrase
    from polygent_issuer.machine_info.document import ReceivedDocument
    from polygent_issuer.verifier import KeySet

_INFO: Final = "typer"
_PUBLIC_KEY_LIMIT: Final = 64 * 1024


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
    default: object = None,
    **more: Any,  # noqa: ANN401 - as typer.Option
) -> Any:  # noqa: ANN401 - a field of a dataclass, whatever its type
    """Return an option with a value; `complete` yields the values that completion offers.

    It is required if the default is `MISSING`.
    """
    names = (name,) if short is None else (name, short)
    info = typer.Option(*names, metavar=metavar, help=text, autocompletion=complete, **more)
    return field(default=default, metadata={_INFO: info})


def flag(name: str, text: str, *, short: str | None = None) -> Any:  # noqa: ANN401 - as above
    """Return an option without a value."""
    return option(name, None, text, short=short, default=False)


def argument(
    metavar: str,
    text: str,
    complete: Callable[..., Any] | None = None,
    *,
    default: object = MISSING,
) -> Any:  # noqa: ANN401 - as above
    """Return an argument; `complete` yields the values that completion offers."""
    info = typer.Argument(metavar=metavar, help=text, autocompletion=complete)
    return field(default=default, metadata={_INFO: info})


def whole_number(lowest: int | None = None, highest: int | None = None) -> Callable[[Any], int]:
    """Return the parser of an option whose value is a whole number, or an integer as default."""

    def parse(value: str | int) -> int:
        if isinstance(value, int):
            return value
        from polygent_issuer.terms.parsing import parse_count

        try:
            number = parse_count(value)
        except InvalidTerms as refused:
            raise typer.BadParameter(refused.message) from None
        too_high = highest is not None and number > highest
        if too_high or (lowest is not None and number < lowest):
            allowed = f"{lowest} or more" if highest is None else f"{lowest} to {highest}"
            raise typer.BadParameter(f"must be {allowed}, not {number}")
        return number

    return parse


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

Yes = Annotated[bool, flag("--yes", "Skip the confirmation prompt.", short="-y")]
# For commands with findings other than `clock-behind`.
YesButFindings = Annotated[
    bool, flag("--yes", "Skip the confirmation (does not accept findings).", short="-y")
]

MachineInfoFile = Annotated[
    str | None, option("--machine-info", "FILE", "Read a machine-info.json (- for stdin).")
]

PublicKeyFiles = Annotated[
    list[Path] | None,
    option(
        "--public-key",
        "FILE",
        "Trust this PEM or JWKS file instead of the registry's keys (repeatable).",
        readable=False,  # reading the file gives a better message
    ),
]

Recursive = Annotated[bool, flag("--recursive", "Include subfolders.", short="-r")]


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
        parameters += _expanded(name, None if name == "home" else False, annotation)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, OptionGroup)


def _expanded(name: str, default: object, annotation: Any) -> Iterator[inspect.Parameter]:  # noqa: ANN401 - of any option
    if _is_group(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        for each in fields(annotation):
            own = each if _INFO in each.metadata else each.default
            yield from _expanded(each.name, own, hints[each.name])
        return
    declared = default if isinstance(default, Field) else None
    if declared is not None:
        default = inspect.Parameter.empty if declared.default is MISSING else declared.default
    elif isinstance(shared := getattr(annotation, "__metadata__", (None,))[0], Field):
        declared, annotation = shared, annotation.__origin__
    if declared is not None:
        annotation = Annotated[annotation, declared.metadata[_INFO]]
    yield _parameter(name, default=default, annotation=annotation)


def _value(name: str, annotation: Any, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any option
    if not _is_group(annotation):
        return arguments[name]
    values = {each.name: _value(each.name, each.type, arguments) for each in fields(annotation)}
    return annotation(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentOptions(OptionGroup):
    """`--accept` and `--reason`."""

    accept: list[str] | None = option(
        "--accept", "CODE", "Accept a finding (repeatable).", candidates.findings
    )
    reason: str | None = option("--reason", "TEXT", "Record this reason in the journal.")

    def parse(self) -> "Consent":
        """Return the consent given on the command line.

        Raises:
            UsageProblem: (`usage`) a finding code does not exist.
        """
        from polygent_issuer.findings import Consent, FindingCode

        codes = self.accept or ()
        for code in codes:
            if code not in tuple(FindingCode):
                known = f"codes: {', '.join(FindingCode)}"
                hint = did_you_mean(code, FindingCode, known, within="--accept ")
                raise UsageProblem(f"no such finding code: {code!a}", hint=hint)
        reason = parse_reason(self.reason)
        return Consent(accepted=frozenset(map(FindingCode, codes)), reason=reason)


def parse_reason(reason: str | None) -> str | None:
    """Return a reason that the journal may store; None for a blank one.

    Raises:
        InputRefused: (`input_refused`) it contains control characters.
    """
    reason = (reason or "").strip()
    if escape(reason) != reason:
        raise InputRefused(
            f"the reason contains control characters: {escape(reason)}",
            hint="give --reason plain text",
        )
    return reason or None


# access(2) would refuse a file that the shell opened for another user: `… | sudo -u ada …`.
_option = partial(option, rich_help_panel="Passphrase", readable=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PassphraseOptions(OptionGroup):
    """The three sources of a passphrase, which are mutually exclusive."""

    passphrase_fd: int | None = _option(
        "--passphrase-fd", "N", "Read the passphrase from a file descriptor.", parser=whole_number()
    )
    passphrase_file: Path | None = _option(
        "--passphrase-file", "FILE", "Read the passphrase from a file."
    )
    passphrase_command: str | None = _option(
        "--passphrase-command", "COMMAND", "Read the passphrase from a command."
    )

    def source(self, invocation: Invocation) -> "Passphrase":
        """Return the source of the passphrase: an option, the environment's file, or the terminal.

        Raises:
            UsageProblem: (`usage`) several options are given.
        """
        from polygent_issuer.keys import passphrases

        fd, command = self.passphrase_fd, self.passphrase_command
        if sum(option is not None for option in (fd, self.passphrase_file, command)) > 1:
            names = "--passphrase-fd, --passphrase-file and --passphrase-command"
            raise UsageProblem(f"{names} are mutually exclusive", hint="give one of them")
        if fd is not None:
            return passphrases.from_fd(fd, warn=invocation.warn)
        if command is not None:
            return passphrases.from_command(command, warn=invocation.warn)
        path = self.passphrase_file or invocation.environ.get(passphrases.VARIABLE)
        if path:
            return passphrases.from_file(Path(path), warn=invocation.warn)
        return (
            passphrases.TerminalPassphrase()
            if invocation.interactive
            else passphrases.NoPassphrase()
        )


def read_document(source: str | None) -> "ReceivedDocument | None":
    """Read and check a machine-info document (FORMAT §4).

    Raises:
        UnreadableInput: (`unreadable_input`) the file cannot be read.
        InvalidMachineInfo: (`invalid_machine_info`) the document violates §4.
    """
    if source is None:
        return None
    from polygent_issuer.files import reading
    from polygent_issuer.machine_info import document

    content = reading.read_bounded(source, limit=document.LIMIT, what="machine-info document")
    return document.ReceivedDocument(content=content, info=document.parse(content))


def read_public_keys(invocation: Invocation, paths: list[Path]) -> "KeySet":
    """Read the keys of PEM and JWKS files; warn about the example key.

    Raises:
        UnreadableInput: (`unreadable_input`) a file cannot be read.
        InvalidKey: (`invalid_key`) a file has no key that may be trusted.
    """
    from polygent_issuer.files import reading
    from polygent_issuer.verifier import EXAMPLE_KID, Key, KeySet

    keys: dict[str, Key] = {}
    for path in paths:
        data = reading.read_unmarked(str(path), limit=_PUBLIC_KEY_LIMIT, what="public key")
        read = KeySet.from_jwks if data.lstrip().startswith(b"{") else KeySet.from_pem
        keys.update({key.kid: key for key in read(data, allow_example=True)})
    if EXAMPLE_KID in keys:
        invocation.warn(
            "this is the example key: its private key is published, so its signatures prove nothing"
        )
    return KeySet.of(*keys.values(), allow_example=True)
