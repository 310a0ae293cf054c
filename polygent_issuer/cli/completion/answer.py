"""`polygent-issue __complete`: what a shell's script asks when TAB is pressed.

Nobody sees a message there, and nobody waits: whatever goes wrong gives no candidates. Nothing is
asked, written or migrated.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from polygent_issuer.cli import gone_streams
from polygent_issuer.cli.commands import COMMANDS
from polygent_issuer.cli.completion.candidates import reply
from polygent_issuer.cli.completion.cursor import find
from polygent_issuer.cli.completion.shells import lines, typed


def answer(argv: Sequence[str], environ: Mapping[str, str], tool: Any) -> int:  # noqa: ANN401 - Typer's own are private
    """Write the candidates for a line that is being typed; exit 0, whatever happens.

    Args:
        argv: what follows `__complete`.
        environ: the environment, for the home.
        tool: the whole tool as Typer has it.
    """
    found: tuple[str, ...] = ()
    with suppress(Exception, KeyboardInterrupt):
        line = typed(argv, environ)
        cursor = find(COMMANDS, tool, line.words)
        if cursor is not None:
            found = tuple(lines(line, reply(cursor, environ)))
    try:
        for each in found:
            with suppress(UnicodeEncodeError):  # what a terminal cannot show is not offered
                sys.stdout.write(f"{each}\n")
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError) as problem:
        gone_streams.stdout_failed(problem)  # which lets go of what nobody reads
    return 0
