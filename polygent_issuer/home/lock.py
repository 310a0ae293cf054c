"""One command at a time changes the settings of a home."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polygent_issuer.errors import InvalidSettings

_ATTEMPTS = 200
_PAUSE = 0.05  # seconds; ten in all


@contextmanager
def settings_lock(home: Path) -> Iterator[None]:
    """Keep a second command from changing the settings at the same time.

    Two keys made at once must both be found in `stores`. Windows has no such lock on a folder.

    Raises:
        InvalidSettings: (`invalid_settings`) when another command does not finish.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - POSIX has it, Windows does not

    try:
        folder = os.open(home, os.O_RDONLY)
    except OSError:
        yield  # reading or writing there says what is wrong
        return
    try:
        for attempt in range(_ATTEMPTS):
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _ATTEMPTS - 1:
                    raise InvalidSettings(
                        "another command is changing the settings", hint="try again"
                    ) from None
                time.sleep(_PAUSE)
            except OSError:
                break  # some network disks have no locks
        yield
    finally:
        os.close(folder)
