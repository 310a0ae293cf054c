"""Who acts: the operator's own name for herself, and what the operating system says beside it."""

import getpass
import os
import socket

from polygent_issuer.registry import Actor


def actor(operator: str | None) -> Actor:
    """The actor of this process, for the journal.

    Args:
        operator: the setting `operator`; without it the user's name in the operating system.
    """
    uid = os.getuid() if hasattr(os, "getuid") else None
    user = _user(uid)
    return Actor(operator=operator or user, os_user=user, uid=uid, host=socket.gethostname())


def _user(uid: int | None) -> str:
    if uid is None:
        try:
            return getpass.getuser()
        except (OSError, ImportError):  # no variable names the user; ImportError before 3.13
            return "unknown"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name  # the account of the uid; LOGNAME can be set to anything
    except KeyError:
        return f"uid {uid}"
