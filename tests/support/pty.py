"""Programs with a pseudo-terminal of their own, without the waits that pexpect adds."""

from typing import Any

import pexpect

SECONDS = 60
"""How long output may take on a slow machine."""


def spawn(program: str, arguments: list[str], **options: Any) -> "pexpect.spawn[str]":
    """Start a program at a terminal.

    Typing and closing do not sleep first: tests wait for a prompt and for the end.
    """
    child = pexpect.spawn(
        program, arguments, **{"encoding": "utf-8", "timeout": SECONDS, **options}
    )
    child.delaybeforesend = None
    child.ptyproc.delayafterclose = 0
    return child


def end(child: "pexpect.spawn[str]") -> int:
    """Wait for the end of a program whose output is read; return its exit code."""
    child.wait()
    child.close()
    assert child.exitstatus is not None, f"ended by signal {child.signalstatus}"
    return int(child.exitstatus)
