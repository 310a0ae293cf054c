"""The output of a command, bounded in size and time, without a shell."""

import subprocess
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from polygent_issuer.files.disk import reason
from polygent_issuer.keys.errors import PassphraseRefused
from polygent_issuer.keys.timeout import TimeoutExpired, run_with_timeout

_HINT = "try the command by itself: it has to write the passphrase, and nothing else, to stdout"


def read_command_output(arguments: Sequence[str], *, limit: int, timeout: timedelta) -> bytes:
    """What a command writes to stdout, at most `limit` bytes.

    It gets no stdin, so that it takes nothing from a file that is piped into this tool; its
    stderr and the terminal are as they are, since a password manager may have to ask.

    Raises:
        PassphraseRefused: (`passphrase_refused`) when it cannot be started, ends with another
            status than 0, or takes too long. Neither command nor output is part of the message.
    """
    try:
        process = subprocess.Popen(
            list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0
        )
    except (OSError, ValueError) as error:
        raise PassphraseRefused(
            f"the passphrase command cannot be started: {reason(error)}", hint=_HINT
        ) from None
    try:
        written, status = run_with_timeout(timeout, partial(_finish, process, limit))
    except TimeoutExpired:
        raise PassphraseRefused(
            f"the passphrase command took longer than {timeout.total_seconds():g} s", hint=_HINT
        ) from None
    finally:
        process.kill()
        process.wait()
    if status != 0:
        raise PassphraseRefused(f"the passphrase command ended with status {status}", hint=_HINT)
    return written


def _finish(process: "subprocess.Popen[bytes]", limit: int) -> tuple[bytes, int]:
    """Read to the end of the output or to the limit; the pipe is closed either way."""
    written = b""
    assert process.stdout is not None  # noqa: S101 -- PIPE above
    with process.stdout as stream:
        while len(written) < limit and (part := stream.read(limit - len(written))):
            written += part
    return written, process.wait()
