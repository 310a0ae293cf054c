"""Read files that the operator names: a path or `-`, never more than its format allows.

Only regular files are opened. A FIFO, a socket or a device with the name of a file would block the
command, or have an effect when it is opened. A descriptor that the shell opened for this process
(`/dev/stdin`, and `/dev/fd/63` for `<(…)`) is read like `-`.

Settings, the registry, key files, mail templates and PKCS#11 modules decide what this tool does.
On POSIX such a file is used only if this user or root owns it and no other user may write to it:

- A group may write, modules aside, if it has no other member (user-private groups under umask
  002) or if `POLYGENT_ISSUER_TRUST_GROUP` names it (volumes of containers).
- A group counts as shared if its members cannot be listed: it is not in the system's list, or
  that list lacks this user, as with directory services.
- Root may always write, so root's own entries never count.

Windows protects files with access lists, so nothing is checked there.
"""

import codecs
import errno
import os
import re
import stat
import sys
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from polygent_issuer.errors import HomeProblem, UnreadableInput
from polygent_issuer.files.disk import BINARY, NO_WAIT, reason
from polygent_issuer.text import Hint, escape, for_shell, run

_READ: Final = os.O_RDONLY | NO_WAIT | BINARY
_DESCRIPTOR: Final = re.compile(r"/dev/stdin|/(?:dev|proc/self)/fd/([0-9]{1,9})")
_PART: Final = 64 * 1024
"""The bytes of one read: those that a pipe of Linux holds."""
_SAVE: Final = "save it as UTF-8"
# UTF-32 first: in little-endian its byte order mark begins with that of UTF-16.
_OTHER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Two characters below U+0100 in UTF-16; neither DER nor text in UTF-8 begins like this.
_UTF16_WITHOUT_MARK: Final = re.compile(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]")
_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH

TRUST_GROUP: Final = "POLYGENT_ISSUER_TRUST_GROUP"
"""The environment variable that names the group that may write, by name or number."""

LOOK_FOR_CHANGES: Final = Hint("look for changes: ", run("journal", "verify"))
"""The next step after a home or registry that others could change is closed to them."""

_ROOT: Final = 0
_ACCESS_LIST: Final = "system.posix_acl_access"


class NotUtf8(UnreadableInput):
    """A text file in another encoding than UTF-8."""


def read_bounded(source: str, *, limit: int, what: str, trusted: bool = False) -> bytes:
    """Read a file that the operator named (`-`: stdin), of at most `limit` bytes.

    Args:
        what: the kind of file, for messages: `license file`.
        trusted: refuse a path that another user may change (`unsafe_file`), as for a file that
            decides what is signed.

    Raises:
        UnreadableInput: (`unreadable_input`) when it cannot be read, is not a regular file, or is
            larger.
    """
    data = read_beginning(source, count=limit + 1, what=what, trusted=trusted)
    if len(data) > limit:
        raise UnreadableInput(
            f"{_named(source, what)} is larger than {limit} bytes",
            hint="check that this is the right file",
        )
    return data


def read_beginning(source: str, *, count: int, what: str, trusted: bool = False) -> bytes:
    """Read the first `count` bytes of a file of any size, as `read_bounded` does."""
    hint = "check the path and its permissions; - reads stdin"
    try:
        if source == "-":
            return read_stream(_stdin(), count)
        descriptor = _open(source)
        try:
            if trusted:
                require_unexposed(Path(source), what, opened=descriptor)
            return _read(descriptor, count)
        finally:
            os.close(descriptor)
    except IsADirectoryError:
        problem, hint = "it is a folder", "give a file in it"
    except NotRegular as error:
        problem, hint = reason(error), "give a regular file; - reads stdin"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, a closed stdin
        problem = reason(error)
    raise UnreadableInput(f"cannot read {_named(source, what)}: {problem}", hint=hint)


def read_text(source: str, *, limit: int, what: str, trusted: bool = False) -> str:
    """Read a text file in UTF-8 as `read_bounded` and `decode` do; line ends are not changed."""
    data = read_bounded(source, limit=limit, what=what, trusted=trusted)
    return decode(data, _named(source, what))


def read_unmarked(source: str, *, limit: int, what: str) -> bytes:
    """Read a file as `read_bounded` does, and drop a byte order mark as `without_mark` does."""
    return without_mark(read_bounded(source, limit=limit, what=what), _named(source, what))


def names_folder(source: str) -> bool:
    """Return whether a source is a folder; `-` is stdin."""
    return source != "-" and os.path.isdir(source)  # noqa: PTH112 - Path.is_dir raises


class NotRegular(OSError):
    """A path is not a regular file, but a FIFO, a socket or a device."""


def open_file(source: str) -> BinaryIO:
    """Open a regular file, or an open descriptor of this process, for reading.

    Raise OSError and ValueError like `open`, and NotRegular for a FIFO, a socket or a device.
    """
    return os.fdopen(_open(source), "rb")


def _open(source: str) -> int:
    match = _DESCRIPTOR.fullmatch(source)
    return open_regular(source) if match is None else os.dup(int(match[1] or 0))


def _read(descriptor: int, count: int) -> bytes:
    data = bytearray()  # a pipe returns many parts, and bytes would be copied for each
    while part := os.read(descriptor, min(count - len(data), _PART)):
        data += part
    return bytes(data)


def open_regular(path: str | os.PathLike[str]) -> int:
    """Open a regular file for reading as `open_file` does; return its descriptor."""
    # Checked before opening, which could rewind a tape. `Path("")` would be the current folder.
    _require_regular(os.stat(path))  # noqa: PTH116
    descriptor = os.open(path, _READ)
    try:
        _require_regular(os.fstat(descriptor))  # it may have been replaced in between
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_stream(stream: BinaryIO, count: int) -> bytes:
    """Read up to `count` bytes of an open file; BlockingIOError if it would have to wait."""
    data = b""
    while part := stream.read(count - len(data)):  # a pipe returns parts
        data += part
    if part is None:  # a non-blocking descriptor without data
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return data


def secret_warning(source: str, *, what: str) -> str | None:
    """Return a warning if others can read a secret; None for a pipe, stdin or a missing file."""
    if os.name == "nt" or source == "-":  # on Windows the mode does not show the access list
        return None
    try:
        mode = Path(source).stat().st_mode
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(mode) or not mode & _OTHERS_READ:
        return None
    return f"other users can read the {what} {escape(source)}: chmod 600 {for_shell(source)}"


def decode(data: bytes, name: str) -> str:
    """Decode UTF-8 with or without a byte order mark; else `unreadable_input` with the line.

    `name` is the file in the message, already escaped.
    """
    data = without_mark(data, name)
    problem, position = "has a NUL character", data.find(b"\0")
    if position < 0:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            problem, position = "is not UTF-8", error.start
    line = data.count(b"\n", 0, position) + 1
    raise NotUtf8(f"cannot read {name}: line {line} {problem}", hint=_SAVE)


def without_mark(data: bytes, name: str) -> bytes:
    """Remove the byte order mark of UTF-8, before text or DER; UTF-16 is `unreadable_input`."""
    encoding = next((name for mark, name in _OTHER_MARKS if data.startswith(mark)), None)
    if encoding is None and _UTF16_WITHOUT_MARK.match(data):
        encoding = "UTF-16"
    if encoding is not None:
        raise NotUtf8(f"cannot read {name}: it is in {encoding}", hint=_SAVE)
    return data.removeprefix(codecs.BOM_UTF8)


def _named(source: str, what: str) -> str:
    return f"the {what} from stdin" if source == "-" else f"the {what} {escape(source)}"


def irregular(mode: int) -> str | None:
    """Return the kind of a special file, for a message; None for a regular file or a folder."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind := irregular(status.st_mode):
        raise NotRegular(f"it is {kind}, not a regular file")


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise ValueError("stdin is missing")
    return sys.stdin.buffer


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
    """The reason why a file cannot be trusted: who else can change it, and the command to end that.

    `instead` is the alternative, for an operator who wants it so; it may be empty.
    """

    message: str
    fix: str
    instead: str = ""

    def hint(self, then: str) -> Hint:
        """Return the hint of an error: the command, the next step, and the alternative."""
        return Hint(self.fix, ", then ", then, *(("; ", self.instead) if self.instead else ()))


def require_unexposed(
    path: Path, what: str, *, opened: int | None = None, then: str = "check what is in it"
) -> None:
    """Refuse a file or folder that another user can change (`unsafe_file`); links are followed.

    Args:
        what: names it in messages: `settings file`.
        opened: the descriptor that reads it, so that the file checked is the file read.
        then: what to do after the fix, for the hint.
    """
    status = path.stat() if opened is None else os.fstat(opened)
    exposure = exposure_of(path, what, status)
    if exposure is not None:
        raise UnsafeFile(exposure.message, hint=exposure.hint(then))


def exposure_of(
    path: Path,
    what: str,
    status: os.stat_result,
    *,
    user: int | None = None,
    rule: Rule = Rule.FILE,
) -> Exposure | None:
    """Explain why a file (`what` it is) cannot be trusted; None if only the right users can write.

    `user` is the uid of the process; its effective one if not given.
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
    """Return the gid of a group by its name or number; None for an unknown group."""
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
    """Return the group if it counts as other users, and how to trust it; None if it may write."""
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
