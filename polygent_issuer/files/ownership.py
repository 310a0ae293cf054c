"""Refuse files that another user can change.

Settings, the registry, key files, mail templates and PKCS#11 modules decide what this tool does.
On POSIX such a file is used only if this user or root owns it and no other user may write to it:

- A group may write, modules aside, if it has no other member (user-private groups under umask
  002) or if `POLYGENT_ISSUER_TRUST_GROUP` names it (volumes of containers).
- A group counts as shared if its members cannot be listed: it is not in the system's list, or
  that list lacks this user, as with directory services.
- Root may always write, so root's own entries never count.

Windows protects files with access lists, so nothing is checked there.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import Final

from polygent_issuer.errors import HomeProblem
from polygent_issuer.hints import Hint, run
from polygent_issuer.text import escape, for_shell

TRUST_GROUP: Final = "POLYGENT_ISSUER_TRUST_GROUP"
"""The environment variable that names the group that may write, by name or number."""

LOOK_FOR_CHANGES: Final = Hint("look for changes: ", run("journal", "verify"))
"""The next step after a home or registry that others could change is closed to them."""

_ROOT: Final = 0
_ACCESS_LIST: Final = "system.posix_acl_access"
# As many links as Linux follows in one path.
_MOST_LINKS: Final = 40


class UnsafeFile(HomeProblem):
    """Another user owns a file that this tool relies on, or may write to it."""

    code = "unsafe_file"


class Rule(Enum):
    """The users that may write to a file.

    FILE: this user, root, and a group without other members or a trusted one. CODE: this user and
    root alone. CODE_PATH: the same, for a folder or link that leads to code. All users may write to
    a sticky folder such as `/tmp`, where only the owner of an entry can replace it.
    """

    FILE = auto()
    CODE = auto()
    CODE_PATH = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """The reason why a file cannot be trusted.

    Attributes:
        message: who else can change it.
        fix: the command that ends that.
        instead: the alternative, for an operator who wants it so; may be empty.
    """

    message: str
    fix: str
    instead: str = ""

    def hint(self, then: str) -> Hint:
        """Return the hint of an error: the command, the next step, and the alternative."""
        hint = Hint(self.fix, ", then ", then)
        return Hint(hint, "; ", self.instead) if self.instead else hint


def require_unexposed(
    path: Path, what: str, *, opened: int | None = None, then: str = "check what is in it"
) -> None:
    """Refuse a file or folder that another user can change.

    Args:
        path: the file; links are followed.
        what: names it in messages: `settings file`.
        opened: the descriptor that reads it, so that the file checked is the file read.
        then: what to do after the fix, for the hint.

    Raises:
        UnsafeFile: (`unsafe_file`) with the command that fixes it.
        OSError: when the file cannot be examined.
    """
    status = path.stat() if opened is None else os.fstat(opened)
    exposure = exposure_of(path, what, status)
    if exposure is not None:
        raise UnsafeFile(exposure.message, hint=exposure.hint(then))


def require_code(path: Path, what: str) -> None:
    """Refuse code if another user can change it, or make its path lead to other code.

    Every folder from `/` down and every link on the way counts.

    Args:
        path: absolute.
        what: names it in messages: `PKCS#11 module`.

    Raises:
        UnsafeFile: (`unsafe_file`) with the command that fixes it.
        OSError: when something on the path cannot be examined.
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


def exposure_of(
    path: Path,
    what: str,
    status: os.stat_result,
    *,
    user: int | None = None,
    rule: Rule = Rule.FILE,
) -> Exposure | None:
    """Explain why a file cannot be trusted; None if only the right users can change it.

    Args:
        path: the file or folder, for the command that fixes it.
        what: names it in messages: `home`.
        status: of the file.
        user: the uid of the process; its effective one if not given.
        rule: who may write.
    """
    if not hasattr(os, "geteuid"):
        return None
    user = os.geteuid() if user is None else user
    if status.st_uid not in (user, _ROOT):
        return _foreign(path, what, status, user)
    if stat.S_ISLNK(status.st_mode) or (rule is Rule.CODE_PATH and status.st_mode & stat.S_ISVTX):
        return None
    group, trust = None, ""
    if status.st_mode & stat.S_IWGRP:
        group, trust = _writing_group(path, status.st_gid, user, rule)
    everyone = bool(status.st_mode & stat.S_IWOTH)
    if group is None and not everyone:
        return None
    letters = "o" if group is None else "go" if everyone else "g"
    return Exposure(
        message=f"{'every user' if everyone else group} may write to the {what} "
        f"{escape(str(path))}",
        fix=f"{_sudo(status, user)}chmod {letters}-w {for_shell(str(path))}",
        instead="" if everyone else trust,
    )


def is_open_to_others(status: os.stat_result) -> bool:
    """Check whether others may read or write. A group that may write is trusted, so it may read."""
    trusted = stat.S_IRWXG if status.st_mode & stat.S_IWGRP else 0
    return bool(status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~trusted)


def named_group(name: str) -> int | None:
    """Return the gid of a group by its name or number; None if there is no such group."""
    import grp  # noqa: PLC0415 - Windows lacks it

    try:
        is_number = name.isascii() and name.isdecimal()
        return int(name) if is_number else grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):  # ValueError: a NUL, or thousands of digits
        return None


def _foreign(path: Path, what: str, status: os.stat_result, user: int) -> Exposure:
    link = "-h " if stat.S_ISLNK(status.st_mode) else ""
    return Exposure(
        message=f"the {what} {escape(str(path))} belongs to another user "
        f"(uid {status.st_uid}, not {user})",
        fix=f"{_sudo(status, user)}chown {link}{user} {for_shell(str(path))}",
        instead="or run this as that user",
    )


def _sudo(status: os.stat_result, user: int) -> str:
    """Return the prefix of a command that only root may run."""
    return "" if user in (status.st_uid, _ROOT) else "sudo "


def _writing_group(path: Path, gid: int, user: int, rule: Rule) -> tuple[str | None, str]:
    """Name the group if it counts as other users, and say how to trust it; None if it may write."""
    if rule is not Rule.FILE:
        return f"the group {gid}", ""
    if _has_access_list(path):  # its limit is what the group bits show
        return "a user or group in its access list", ""
    trusted = os.environ.get(TRUST_GROUP, "")
    if named_group(trusted) == gid:
        return None, ""
    others = _others_in(gid, user)
    if others == ():
        return None, ""
    members = ", whose members cannot be listed,"
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        members = f" (members: {escape(others[0])}{more})"
    trust = f"if all its members may decide what is signed: export {TRUST_GROUP}={gid}"
    if trusted and named_group(trusted) is None:
        trust = f"the group {escape(trusted)} that {TRUST_GROUP} names does not exist"
    return f"the group {gid}{members}", trust


@lru_cache(maxsize=64)
def _others_in(gid: int, user: int) -> tuple[str, ...] | None:
    """List a group's members other than this user and root; None if they cannot be listed."""
    import grp  # noqa: PLC0415 - Windows lacks it
    import pwd  # noqa: PLC0415 - the same

    accounts = pwd.getpwall()
    entries = [entry for entry in grp.getgrall() if entry.gr_gid == gid]
    if not entries or not any(account.pw_uid == user for account in accounts):
        return None
    names = {account.pw_name for account in accounts if account.pw_gid == gid}
    names |= {name for entry in entries for name in entry.gr_mem}
    names -= {account.pw_name for account in accounts if account.pw_uid in (user, _ROOT)}
    return tuple(sorted(names))


def _has_access_list(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, _ACCESS_LIST))
    except (AttributeError, OSError):  # AttributeError: macOS
        return False


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
