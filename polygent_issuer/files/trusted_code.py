"""Refuse code that another user can change or replace: PKCS#11 modules."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from polygent_issuer.files.reading import Rule, UnsafeFile, exposure_of

# Linux follows as many links in one path.
_MOST_LINKS: Final = 40


def require_code(path: Path, what: str) -> None:
    """Refuse code that others can change, or whose path they can change (`unsafe_file`).

    Every folder from `/` down and every link on the way is checked. The path is absolute. `what` is
    its name in messages: `PKCS#11 module`.
    """
    if not hasattr(os, "geteuid"):
        return
    steps = list(_steps(path))
    for step, status in steps:
        last = step == steps[-1][0]
        noun = "link" if stat.S_ISLNK(status.st_mode) else "folder"
        name = what if last else f"{what}'s {noun}"
        exposure = exposure_of(step, name, status, rule=Rule.CODE if last else Rule.CODE_PATH)
        if exposure is not None:
            raise UnsafeFile(exposure.message, hint=exposure.hint("install that software again"))


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each folder and link on a path, and the file at its end."""
    here = Path(path.anchor)
    rest = list(reversed(path.parts[1:]))
    links = 0
    yield here, os.lstat(here)
    while rest:
        part = rest.pop()
        if part == "..":
            here = here.parent
            continue
        step = here / part
        status = os.lstat(step)
        yield step, status
        if not stat.S_ISLNK(status.st_mode):
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = step.readlink()
        if target.is_absolute():
            here = Path(target.anchor)
        rest.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
