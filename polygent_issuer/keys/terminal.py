"""Read a passphrase from the terminal without echo.

`getpass` falls back to stdin and to echo. This module does neither: it reads only from /dev/tty, or
from the console of Windows.
"""

import os
import sys
from pathlib import Path

MAX_LINE = 4096


def ask(prompt: str) -> bytes:
    """Show a prompt and read one line without echo.

    Returns:
        The line without its newline, in the terminal's encoding (UTF-8 on Windows).

    Raises:
        EOFError: at the end of input.
        OSError: when this process has no terminal.
    """
    if sys.platform == "win32":
        return _ask_console(prompt)
    return _ask_tty(prompt)


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
            part = os.read(descriptor, MAX_LINE)
            if not part:
                if not line:
                    raise EOFError
                break
            line += part
        return line.removesuffix(b"\n")
