"""`--debug`: where an error was raised, and in which versions, for whoever maintains this tool.

It may be sent to others, so it holds no secret: no values of variables, no environment, and of what
is not ours no message from where secrets are handled, or which our code left out (`from None`).
"""

import errno
import platform
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from typing import Final

import typer

from polygent_issuer import __version__
from polygent_issuer.errors import IssuerError
from polygent_issuer.text import escape

_LIBRARIES: Final = "typer rich pydantic cryptography keyring platformdirs tomlkit"
# Passphrases, PINs and private keys pass through these.
_SECRET: Final = ("keys", "cli.options.passphrase", "cli.commands.key", "cli.flows.key_storage")


def write(raised: BaseException) -> None:
    """Write the report to stderr; lost without complaint when stderr is."""
    with suppress(OSError, AttributeError, ValueError):
        sys.stderr.writelines(f"{line}\n" for line in report(raised))
        sys.stderr.flush()


def report(raised: BaseException) -> Iterator[str]:
    """Yield the report: versions, then the traceback of each error, the first one first."""
    yield "debug: for a report; no secret is in it, but names and paths may be: look it over"
    yield f"debug: {', '.join(_versions())}"
    for error, shown in reversed(tuple(_chain(raised))):
        yield "Traceback (most recent call last):"
        for entry in traceback.format_tb(error.__traceback__):
            yield from map(escape, entry.rstrip("\n").split("\n"))
        yield _named(error, shown=shown)


def _versions() -> Iterator[str]:
    from polygent_issuer.registry.connection import sqlite_version

    yield f"polygent-issue {__version__}"
    yield f"Python {platform.python_version()}"
    yield f"SQLite {'.'.join(map(str, sqlite_version()))}"
    for name in _LIBRARIES.split():
        with suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"
    yield escape(platform.platform())


def _chain(raised: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """Yield the error and those that led to it, and whether the message may be shown."""
    error: BaseException | None = raised
    seen: set[int] = set()
    shown = True
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error, shown
        shown = shown and (error.__cause__ is not None or not error.__suppress_context__)
        error = error.__cause__ or error.__context__


def _named(error: BaseException, *, shown: bool) -> str:
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(error, typer.TyperException):
        return f"{name}: {escape(error.format_message())}"
    ours = isinstance(error, IssuerError) or kind.__module__.startswith("polygent_issuer.")
    if not ours and (not shown or _handles_secrets(error)):
        system = errno.errorcode.get(getattr(error, "errno", None) or 0)
        return f"{name}: {f'{system} ' if system else ''}(its message is left out)"
    message = str(error)
    return f"{name}: {escape(message)}" if message else name


def _handles_secrets(error: BaseException) -> bool:
    """Whether the error passed through a room where secrets are at hand."""
    rooms = tuple(f"polygent_issuer.{room}." for room in _SECRET)
    frames = traceback.walk_tb(error.__traceback__)
    return any(f"{frame.f_globals.get('__name__')}.".startswith(rooms) for frame, _ in frames)
