"""`--debug`: report versions and tracebacks to the maintainers of this tool.

The report may be sent to others, so it contains no secrets: no values of variables and no
environment. Messages of foreign exceptions are left out if they come from code that handles
secrets, or if our code suppressed them (`from None`).
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
# Modules that handle passphrases, PINs and private keys.
_SECRET: Final = ("keys", "cli.commands.key", "cli.flows.key_storage")


def write(raised: BaseException) -> None:
    """Write the report to stderr; do nothing if stderr is closed."""
    with suppress(OSError, AttributeError, ValueError):
        sys.stderr.writelines(f"{line}\n" for line in report(raised))
        sys.stderr.flush()


def report(raised: BaseException) -> Iterator[str]:
    """Yield the lines of the report: versions, then the traceback of each error, oldest first."""
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
    from polygent_issuer.registry.connection import sqlite_version

    yield f"polygent-issue {__version__}"
    yield f"Python {platform.python_version()}"
    yield f"SQLite {'.'.join(map(str, sqlite_version()))}"
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
    """Return True if the traceback passes through code that handles secrets."""
    modules = tuple(f"polygent_issuer.{module}." for module in _SECRET)
    frames = traceback.walk_tb(error.__traceback__)
    return any(f"{frame.f_globals.get('__name__')}.".startswith(modules) for frame, _ in frames)
