"""Where a passphrase comes from: a descriptor, a file, a command, the terminal; never argv.

A source is asked when a passphrase is needed and not before, so that nothing prompts for a key
that turns out to be in the keyring. Exactly one final newline is stripped.
"""

import os
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from polygent_issuer.errors import UsageProblem
from polygent_issuer.files.disk import why
from polygent_issuer.keystore import terminal
from polygent_issuer.keystore.errors import PassphraseNeeded, PassphraseRefused
from polygent_issuer.text import shown

VARIABLE: Final = "POLYGENT_ISSUER_PASSPHRASE_FILE"
"""The environment variable that names the file of a passphrase."""
MAX_BYTES: Final = 1023
"""The longest passphrase that every format of ours takes."""
COMMAND_TIMEOUT: Final = timedelta(seconds=60)
"""Long enough for a person to answer the prompt of a password manager."""

_READ_BYTES: Final = MAX_BYTES + 3  # the newline in both spellings, and one byte too many
_OPTIONS: Final = (
    "give --passphrase-fd N, --passphrase-file FILE or --passphrase-command COMMAND, "
    f"set {VARIABLE}, or run this on a terminal"
)


class Passphrase(Protocol):
    """A source of passphrases."""

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """The passphrase, 1 to 1,023 bytes.

        Args:
            purpose: what it opens, for the prompt: `the key file main-1f3a9c2e.key`.
            confirm: whether a person has to type it twice, since it is a new one.

        Raises:
            PassphraseNeeded: (`passphrase_needed`) when there is no source.
            PassphraseRefused: (`passphrase_refused`) when the source fails, or gives an empty or
                too long one.
        """
        ...


class _Once:
    """A source that is read once and gives the same passphrase for every purpose."""

    __slots__ = ("_kept", "_read")

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._kept: bytes | None = None

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:  # noqa: ARG002
        """What the source holds; it is not a person, so `confirm` asks for nothing."""
        if self._kept is None:
            self._kept = _usable(_without_newline(self._read()))
        return self._kept


class _Known:
    """A passphrase in hand."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:  # noqa: ARG002
        """It, for every purpose."""
        return self._secret


class _Terminal:
    """The person at the terminal, asked anew for each purpose."""

    __slots__ = ()

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """What was typed without echo, twice the same when `confirm`."""
        first = _typed(f"passphrase for {purpose}: ")
        if not first:
            raise PassphraseRefused(
                "no passphrase was typed",
                hint="run the command again" + (", and make one up of several words" * confirm),
            )
        first = _usable(first)
        if confirm and _typed("the same passphrase again: ") != first:
            raise PassphraseRefused("the two passphrases differ", hint="run the command again")
        return first


class _Absent:
    """Nobody to ask."""

    __slots__ = ()

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:  # noqa: ARG002
        """Never gives one."""
        raise PassphraseNeeded(f"a passphrase is needed for {purpose}", hint=_OPTIONS)


def known(secret: bytes) -> Passphrase:
    """A passphrase that has been had already."""
    return _Known(secret)


def from_fd(descriptor: int) -> Passphrase:
    """The passphrase that an open file descriptor gives, up to its end; it is closed then."""

    def read() -> bytes:
        try:
            with os.fdopen(descriptor, "rb", closefd=descriptor > 2) as stream:  # noqa: PLR2004
                return stream.read(_READ_BYTES)
        except (OSError, ValueError, OverflowError, TypeError):  # each for some number
            raise PassphraseRefused(
                f"no passphrase can be read from file descriptor {descriptor}",
                hint="open it for the command, for example with 3<FILE",
            ) from None

    return _Once(read)


def from_file(path: Path) -> Passphrase:
    """The passphrase in a file."""

    def read() -> bytes:
        try:
            with path.open("rb") as stream:
                return stream.read(_READ_BYTES)
        except (OSError, ValueError) as error:
            raise PassphraseRefused(
                f"the passphrase file {shown(str(path))} cannot be read: {why(error)}",
                hint="check the path of the passphrase file",
            ) from None

    return _Once(read)


def from_command(command_line: str, *, timeout: timedelta = COMMAND_TIMEOUT) -> Passphrase:
    """The passphrase that a command writes to its stdout; no shell runs it.

    Args:
        command_line: split as a POSIX shell would, and nothing else of what a shell does.
        timeout: how long it may take.

    Raises:
        UsageProblem: (`usage`) when the line cannot be split or is empty.
    """
    try:
        arguments = shlex.split(command_line)
    except ValueError:
        arguments = []
    if not arguments:
        raise UsageProblem(
            "--passphrase-command needs a program and its arguments, with quotes in pairs"
        )

    def read() -> bytes:
        from polygent_issuer.keystore import command  # noqa: PLC0415 -- few have one

        return command.output(arguments, limit=_READ_BYTES, timeout=timeout)

    return _Once(read)


def from_terminal() -> Passphrase:
    """What a person types at the terminal, whatever stdin and stdout are."""
    return _Terminal()


def is_one_for_all(source: Passphrase) -> bool:
    """Whether a source holds one secret, which it gives for every purpose."""
    return isinstance(source, _Once)


def absent() -> Passphrase:
    """No source: for `--no-input` and machines without a terminal."""
    return _Absent()


def _typed(prompt: str) -> bytes:
    try:
        return terminal.ask(shown(prompt))
    except OSError:
        raise PassphraseNeeded(
            "there is no terminal to ask for the passphrase", hint=_OPTIONS
        ) from None


def _without_newline(data: bytes) -> bytes:
    r"""Strip exactly one final newline, `\n` or (Windows) `\r\n`."""
    stripped = data.removesuffix(b"\n")
    return stripped.removesuffix(b"\r") if stripped != data else data


def _usable(secret: bytes) -> bytes:
    if not secret:
        raise PassphraseRefused("the passphrase is empty", hint="check what it was read from")
    if len(secret) > MAX_BYTES:
        raise PassphraseRefused(
            f"the passphrase is longer than {MAX_BYTES} bytes",
            hint="is it the right file? a passphrase is one line",
        )
    return secret
