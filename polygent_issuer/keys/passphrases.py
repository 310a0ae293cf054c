"""Sources of passphrases: a file descriptor, a file, a command, the terminal; never argv.

A source is read only when a passphrase is needed, so that a key in the keyring causes no prompt. A
file, a descriptor or a command supplies one line of UTF-8. A byte order mark and one line end are
dropped. Anything else that cannot be typed at a prompt is refused. Earlier versions dropped only
the line end, so a key that does not open is tried once more with the bytes that they used.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from polygent_issuer.errors import KeyUnavailable, UsageProblem
from polygent_issuer.files import reading
from polygent_issuer.files.disk import reason
from polygent_issuer.keys.signer import command_output
from polygent_issuer.text import Hint, escape, run

VARIABLE: Final = "POLYGENT_ISSUER_PASSPHRASE_FILE"
"""The environment variable that names the file of a passphrase."""
MAX_BYTES: Final = 1023
"""The longest passphrase that every supported key format accepts."""
COMMAND_TIMEOUT: Final = timedelta(seconds=60)
"""Long enough for a person to answer the prompt of a password manager."""

_MAX_LINE: Final = 4096
_READ_BYTES: Final = MAX_BYTES + 6  # a byte order mark, a line end, and one byte too many
_TRIES_LEFT: Final = ("2 tries left", "1 try left")
_LINE_END: Final = re.compile(rb"\r?\n\Z")
_ONE_LINE: Final = "save the passphrase as one line of UTF-8 text"
_OPTIONS: Final = (
    "use --passphrase-fd N, --passphrase-file FILE or --passphrase-command COMMAND, "
    f"set {VARIABLE}, or run the command on a terminal"
)

T = TypeVar("T")


class WrongPassphrase(KeyUnavailable):
    """The passphrase does not open the key, or the encrypted part of its file is damaged."""

    code = "wrong_passphrase"


class PassphraseRefused(KeyUnavailable):
    """A passphrase that is empty, too long, not repeated exactly, or cannot be read."""

    code = "passphrase_refused"


class Passphrase(Protocol):
    """A source of passphrases."""

    __slots__ = ()

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """Return the passphrase, 1 to 1,023 bytes.

        Args:
            purpose: what it opens, for the prompt: `the key file main-1f3a9c2e.key`.
            confirm: for a new passphrase, which a person types twice.

        Raises:
            KeyUnavailable: (`passphrase_needed`) without a source.
            PassphraseRefused: (`passphrase_refused`) when the source fails, or its passphrase is
                empty, too long or not one line of UTF-8.
        """
        ...

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Return the result of `attempt` on an existing key. Use `get` for new keys and PINs.

        Raises:
            WrongPassphrase: (`wrong_passphrase`) from `attempt`.
            KeyUnavailable: as `get`.
        """
        return attempt(self.get(purpose))


class TerminalPassphrase(Passphrase):
    """A passphrase typed at the terminal, with one prompt for each purpose.

    A person has three tries at an existing passphrase, and at a new one. A PIN has one, because a
    token counts wrong PINs.
    """

    __slots__ = ()

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:
        """Ask without echo; twice when `confirm`."""
        if not confirm:
            return _typed(purpose)
        return _three_tries(partial(_typed_twice, purpose))

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Ask and try, three times at most."""
        return _three_tries(lambda problem: attempt(_typed(purpose, problem)))


class NoPassphrase(Passphrase):
    """No source, for `--no-input` and sessions without a terminal."""

    __slots__ = ()

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:  # noqa: ARG002
        """Raise the error `passphrase_needed`."""
        raise _needed(f"a passphrase is required for {purpose}")


class _CachedPassphrase(Passphrase):
    """A source that is read once, up to `_READ_BYTES`, and serves every purpose.

    `name` is safe to show: `the passphrase file X`.
    """

    __slots__ = ("_data", "_read", "_warn", "name")

    def __init__(self, name: str, read: Callable[[], bytes], warn: Callable[[str], None]) -> None:
        self.name = name
        self._read = read
        self._warn = warn
        self._data: bytes | None = None

    def get(self, purpose: str, *, confirm: bool = False) -> bytes:  # noqa: ARG002
        """Return the passphrase; `confirm` has no effect, since no person types it."""
        return _one_line(self._bytes(), self.name)

    def unlock(self, purpose: str, attempt: Callable[[bytes], T]) -> T:
        """Try the passphrase, then once the one that earlier versions read from the same bytes."""
        earlier, secret = _LINE_END.sub(b"", self._bytes()), None
        try:
            secret = self.get(purpose)
            return attempt(secret)
        except (WrongPassphrase, PassphraseRefused) as error:
            refused = error
        if earlier == secret or not 1 <= len(earlier) <= MAX_BYTES:
            raise refused
        try:
            opened = attempt(earlier)
        except WrongPassphrase:
            raise refused from None
        problem, where = f"{self.name} begins with a byte order mark", ""
        if secret is None:  # a new key file cannot have it, so `key import` asks for another one
            problem = refused.message.removeprefix("cannot read ")  # the bytes opened the key
            where = " (on a terminal, from the same source)"
        self._warn(
            Hint(
                f"{problem}, and {purpose} opens only with all of its bytes; change the key's "
                f"passphrase{where}: ",
                run("key", "import", "FILE", "--store", "URI"),
            )
        )
        return opened

    def _bytes(self) -> bytes:
        if self._data is None:
            self._data = self._read()
        return self._data


def from_fd(descriptor: int, *, warn: Callable[[str], None]) -> Passphrase:
    """Return the passphrase from an open file descriptor, which is read to the end and closed."""

    def read() -> bytes:
        try:
            with os.fdopen(descriptor, "rb", closefd=descriptor > 2) as stream:  # noqa: PLR2004
                return reading.read_stream(stream, _READ_BYTES)
        except (OSError, ValueError, OverflowError, TypeError):  # depends on the number
            raise PassphraseRefused(
                f"no passphrase can be read from file descriptor {descriptor}",
                hint="open it for the command, for example with 3<FILE",
            ) from None

    return _CachedPassphrase(f"the passphrase from file descriptor {descriptor}", read, warn)


def from_file(path: Path, *, warn: Callable[[str], None]) -> Passphrase:
    """Return the passphrase in a file. Warn if other users can read it."""

    def read() -> bytes:
        try:
            with reading.open_file(str(path)) as stream:
                data = reading.read_stream(stream, _READ_BYTES)
        except (OSError, ValueError) as error:
            raise PassphraseRefused(
                f"the passphrase file {escape(str(path))} cannot be read: {reason(error)}",
                hint="check the path of the passphrase file",
            ) from None
        warning = reading.secret_warning(str(path), what="passphrase file")
        if warning is not None:
            warn(warning)
        return data

    return _CachedPassphrase(f"the passphrase file {escape(str(path))}", read, warn)


def from_command(
    command_line: str, *, warn: Callable[[str], None], timeout: timedelta = COMMAND_TIMEOUT
) -> Passphrase:
    """Return the passphrase that a command writes to stdout; it runs without a shell.

    Raises:
        UsageProblem: (`usage`) when the command line is empty or cannot be split into words.
    """
    try:
        arguments = shlex.split(command_line)
    except ValueError:
        arguments = []
    if not arguments:
        raise UsageProblem(
            "--passphrase-command needs a program and its arguments, with balanced quotes"
        )

    read = partial(
        command_output, arguments, timeout=timeout, limit=_READ_BYTES, failed=_command_failed
    )
    return _CachedPassphrase("the output of the passphrase command", read, warn)


def or_terminal(source: Passphrase) -> Passphrase:
    """Return this source for a new key file, or the terminal if the source is refused for that."""
    if isinstance(source, _CachedPassphrase):
        try:
            source.get("the new key file")
        except PassphraseRefused:
            return TerminalPassphrase()
    return source


def name_of(source: Passphrase) -> str | None:
    """Return the name of a source other than the terminal, such as `the passphrase file X`."""
    return source.name if isinstance(source, _CachedPassphrase) else None


def is_shared(source: Passphrase) -> bool:
    """Return whether a source has the same secret for every purpose."""
    return isinstance(source, _CachedPassphrase)


def ask_at_terminal(prompt: str) -> bytes:
    """Show a prompt and read one line without echo.

    `getpass` falls back to stdin and to echo. This function does neither: it reads only from
    /dev/tty, or from the console of Windows.

    Returns:
        The line without its newline, in the terminal's encoding (UTF-8 on Windows).

    Raises:
        EOFError: at the end of input.
        OSError: when this process has no terminal.
    """
    if sys.platform == "win32":
        return _ask_console(prompt)
    return _ask_tty(prompt)


def _three_tries(ask: Callable[[str], T]) -> T:
    """Call `ask` with the problem of the try before, and raise the error of the third try."""
    problem = ""
    for left in _TRIES_LEFT:
        try:
            return ask(problem)
        except (WrongPassphrase, PassphraseRefused) as refused:
            problem = f"{refused.message}; {left}"
    return ask(problem)


def _typed(purpose: str, problem: str = "") -> bytes:
    secret = _ask(f"passphrase for {purpose}: ", problem)
    if not secret:
        raise PassphraseRefused("no passphrase was typed", hint="run the command again")
    return _usable(secret)


def _typed_twice(purpose: str, problem: str) -> bytes:
    secret = _typed(purpose, problem)
    if _ask("repeat the passphrase: ") != secret:
        raise PassphraseRefused(
            "the two passphrases differ",
            hint="run the command again, and type the same passphrase twice",
        )
    return secret


def _ask(prompt: str, problem: str = "") -> bytes:
    try:
        return ask_at_terminal("\n".join(escape(line) for line in (problem, prompt) if line))
    except OSError:
        raise _needed("a passphrase is required, but this process has no terminal") from None
    except EOFError:  # not asked for again
        message, hint = "no passphrase was typed", "run the command again"
        raise KeyUnavailable(message, hint=hint, code="passphrase_refused") from None


def _needed(message: str) -> KeyUnavailable:
    return KeyUnavailable(message, hint=_OPTIONS, code="passphrase_needed")


def _one_line(data: bytes, name: str) -> bytes:
    r"""Drop a byte order mark and one line end, `\n` or `\r\n`.

    Raises:
        PassphraseRefused: (`passphrase_refused`) for anything but one line of UTF-8.
    """
    if len(data) < _READ_BYTES:  # longer data may be cut off within a character
        try:
            data = reading.decode(data, name).encode()
        except reading.NotUtf8 as refused:
            raise PassphraseRefused(refused.message, hint=_ONE_LINE) from None
    line = _usable(_LINE_END.sub(b"", data))
    if not line:
        raise PassphraseRefused(f"{name} is empty", hint=_ONE_LINE)
    if b"\n" in line or b"\r" in line:
        raise PassphraseRefused(f"{name} is not one line", hint=_ONE_LINE)
    return line


def _usable(secret: bytes) -> bytes:
    if len(secret) > MAX_BYTES:
        raise PassphraseRefused(
            f"the passphrase is longer than {MAX_BYTES} bytes",
            hint="check that the source contains only the passphrase, in one line",
        )
    return secret


def _command_failed(why: str) -> PassphraseRefused:
    return PassphraseRefused(
        f"the passphrase command {why}",
        hint="run the command alone: it must write only the passphrase to stdout",
    )


if sys.platform == "win32":

    def _ask_console(prompt: str) -> bytes:
        import msvcrt  # noqa: PLC0415 -- only on Windows

        # Opening it fails without a console; msvcrt reports no error.
        with Path("CONOUT$").open("w", encoding="utf-8") as screen:
            screen.write(prompt)
        typed: list[str] = []
        while (character := msvcrt.getwch()) not in "\r\n":
            if character == "\x03":
                raise KeyboardInterrupt
            if character == "\b":
                del typed[-1:]
            else:
                typed.append(character)
        msvcrt.putwch("\r")
        msvcrt.putwch("\n")
        return "".join(typed).encode("utf-8", "surrogatepass")

else:

    def _ask_tty(prompt: str) -> bytes:
        import termios  # noqa: PLC0415 -- not on Windows

        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            before = termios.tcgetattr(descriptor)
            silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
            try:
                # FLUSH drops what was typed before the prompt; what follows it is never echoed.
                termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
                os.write(descriptor, prompt.encode("utf-8", "backslashreplace"))
                return _line(descriptor)
            finally:
                termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
                os.write(descriptor, b"\n")
        except termios.error:
            raise OSError("the terminal was closed") from None
        finally:
            os.close(descriptor)

    def _line(descriptor: int) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(descriptor, _MAX_LINE)
            if not part:
                if not line:
                    raise EOFError
                break
            line += part
        return line.removesuffix(b"\n")
