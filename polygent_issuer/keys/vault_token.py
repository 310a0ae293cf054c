"""The token that opens a Vault server: from the environment, a file or a program.

A store URI only names the file or the program. No message contains the token.
"""

import os
import re
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from polygent_issuer import files
from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.files import disk
from polygent_issuer.files.within import require_code
from polygent_issuer.keys import remote
from polygent_issuer.keys.signer import command_output
from polygent_issuer.store_uri.remote import RemoteUri
from polygent_issuer.text import escape

LOG_IN: Final = (
    "log in with vault login or bao login; or set VAULT_TOKEN; or name a file or a program in the "
    "store URI: token-file=/PATH or token-command=/PROGRAM"
)
HELPER_FILE: Final = ".vault-token"
"""The file in the user's home folder that `vault login` and `bao login` write."""

_LIMIT: Final = 64 * 1024
_TOKEN: Final = re.compile(rb"[!-~]+")


def name_of(name: str) -> str:
    """Return `BAO_NAME` if the environment has a server or a token of OpenBao, else `VAULT_NAME`.

    Never a mixture: a token belongs to its server, and another server must not see it.
    """
    bao = os.environ.get("BAO_ADDR") or os.environ.get("BAO_TOKEN")
    return f"{'BAO' if bao else 'VAULT'}_{name}"


def variable(name: str) -> str | None:
    """Return the value of the variable `name_of`; None if it is empty or not set."""
    return os.environ.get(name_of(name)) or None


def read_token(place: RemoteUri, *, timeout: timedelta, warn: Callable[[str], None]) -> str:
    """Return the token: from the file or the program of the URI, the environment, or a login.

    Raises:
        KeyUnavailable: (`remote_credentials`) without a token in one line, or if the program did
            not end within half of `timeout`.
        UnsafeFile: (`unsafe_file`) others can change the program, or its path.
    """
    if (path := place.option("token-file")) is not None:
        return _usable(place, _file(place, Path(path), warn), f"the token file {escape(path)}")
    if (command := place.option("token-command")) is not None:
        return _usable(place, _output(place, command, timeout), "the output of the token command")
    _check_server(place)
    if (token := variable("TOKEN")) is not None:
        return _usable(place, token.encode(errors="replace"), "the token in the environment")
    try:
        helper = Path.home() / HELPER_FILE
    except RuntimeError:  # a user without a home folder
        helper = None
    if helper is None or not os.path.lexists(helper):
        raise remote.no_credentials(
            place, f"{name_of('TOKEN')} is not set, and ~/{HELPER_FILE} does not exist", hint=LOG_IN
        )
    return _usable(place, _file(place, helper, warn), f"the token file ~/{HELPER_FILE}")


def _check_server(place: RemoteUri) -> None:
    """Refuse the token of the environment or of a login if that is for another server."""
    address = variable("ADDR")
    if address is not None and address.rstrip("/") != place.option("address"):
        name = name_of("ADDR")
        raise remote.no_credentials(
            place,
            f"the token in the environment or of the login is for another server, that of {name}",
            hint=f"set {name} to the address in the store URI, or add token-file or token-command "
            "to it",
        )


def _file(place: RemoteUri, path: Path, warn: Callable[[str], None]) -> bytes:
    try:
        with files.open_file(str(path)) as stream:
            data = files.read_stream(stream, _LIMIT)
    except (OSError, ValueError) as error:
        why = f"the token file {escape(str(path))} cannot be read: {disk.reason(error)}"
        raise remote.no_credentials(place, why, hint="check the path of the token file") from None
    if (warning := files.secret_warning(str(path), what="token file")) is not None:
        warn(warning)
    return data


def _output(place: RemoteUri, command: str, timeout: timedelta) -> bytes:
    def failed(why: str) -> KeyUnavailable:
        return remote.no_credentials(
            place,
            f"the token command {why}",
            hint="run the command alone: it must write only the token to stdout, and has half of "
            "keyring_timeout for that",
        )

    arguments = shlex.split(command)
    try:
        require_code(Path(arguments[0]), "token command")
    except OSError as error:
        raise failed(f"cannot be started: {disk.reason(error)}") from None
    # The caller waits for `timeout`: half of it leaves the request some, and this error its turn.
    return command_output(arguments, timeout=timeout / 2, limit=_LIMIT, failed=failed)


def _usable(place: RemoteUri, data: bytes, name: str) -> str:
    token = data.strip()
    if not _TOKEN.fullmatch(token) or len(token) >= _LIMIT:
        why = f"{name} is empty" if not token else f"{name} is not a token in one line"
        raise remote.no_credentials(place, why, hint=LOG_IN)
    return token.decode("ascii")
