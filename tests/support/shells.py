"""TAB in a real shell, where a function replaces the tool and prints its arguments."""

import os
import re
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from support.pty import spawn
from support.tools import require_tool

SHELLS = ("bash", "zsh", "fish")
TAB = "\t"

_BARE: Mapping[str, tuple[str, ...]] = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config", "-i"),
}
# A shell function of that name replaces the tool; the completion script calls the tool itself.
_POSIX = "polygent-issue() { printf '<%s>\\n' \"$@\" ended; }"
_STAND_IN: Mapping[str, str] = {
    "bash": _POSIX,
    "zsh": _POSIX,
    "fish": "function polygent-issue; printf '<%s>\\n' $argv ended; end",
}
# As in the help.
_LOADED: Mapping[str, str] = {
    "bash": "source <(polygent-issue completion bash)",
    "zsh": "autoload -Uz compinit; compinit -D -u\nsource <(polygent-issue completion zsh)",
    "fish": "polygent-issue completion fish | source",
}
_ARGUMENT = re.compile(r"<([^\r\n]*)>\r?\n")


class Prompt:
    """An interactive shell in its own folder, with the completion script loaded."""

    def __init__(
        self, shell: str, folder: Path, environ: Mapping[str, str], *, loaded: str = ""
    ) -> None:
        """Start the shell; `loaded` replaces the command that loads the script."""
        self.shell = shell
        started = folder / "started"
        started.write_text(f"{loaded or _LOADED[shell]}\n{_STAND_IN[shell]}\n")
        person = {
            "TERM": "xterm" if shell == "fish" else "dumb",
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        }
        self._child = spawn(
            require_tool(shell, shell),
            list(_BARE[shell]),
            env={**person, **environ},
            cwd=str(folder),
            dimensions=(50, 200),
        )
        self._child.sendline(f"source {started}; echo rea''dy")
        self._child.expect("ready\r\n")

    def enter(self, keys: str) -> list[str]:
        """Press these keys and Return; return the arguments of the tool."""
        self._child.send(f"{keys}\r")
        self._child.expect_exact("<ended>")
        arguments = _ARGUMENT.findall(str(self._child.before).replace("\x1b[?2004l", ""))
        return [str(argument) for argument in arguments]

    def sees(self, keys: str, text: str) -> None:
        """Press these keys, wait until this text is on the screen, and press Ctrl-C."""
        self._child.send(keys)
        self._child.expect_exact(text)
        self._child.send("\x03")

    def close(self) -> None:
        """End the shell."""
        self._child.close(force=True)
