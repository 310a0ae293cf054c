"""Keys in the transit engine of HashiCorp Vault or OpenBao, which makes each signature.

A version of a transit key is a key of its own, with its own kid: the URI names the version, and a
rotation there changes nothing here. The server gets the SHA-256 digest of the data and returns the
signature in the form of RFC 7515 (`marshaling_algorithm=jws`).

The token that opens the server comes from the environment, a file or a program. A store URI only
names the file or the program. No message contains the token.
"""

import base64
import binascii
import hashlib
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.errors import InvalidStore, KeyUnavailable
from polygent_issuer.files import disk, reading
from polygent_issuer.files.within import require_code
from polygent_issuer.keys import remote
from polygent_issuer.keys.signer import StoreEntry, TimeoutExpired, command_output, not_p256
from polygent_issuer.store_uri.remote import (
    RemoteUri,
    address_problem,
    is_loopback,
    parse_remote_uri,
)
from polygent_issuer.text import escape
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import Key

if TYPE_CHECKING:
    from hvac.adapters import RawAdapter
    from requests import Session

TYPE: Final = "ecdsa-p256"

_LEAKS: Final = {
    "exportable": "transit/export returns the private key",
    "allow_plaintext_backup": "transit/backup returns the private key",
}
_UNUSABLE_VERSION: Final = "no such key version", "requested version for signing"
"""How the errors of a signature with a version begin that cannot sign."""

LOG_IN: Final = (
    "log in with vault login or bao login; or set VAULT_TOKEN; or name a file or a program in the "
    "store URI: token-file=/PATH or token-command=/PROGRAM"
)
HELPER_FILE: Final = ".vault-token"
"""The file in the user's home folder that `vault login` and `bao login` write."""

_TOKEN_LIMIT: Final = 64 * 1024
_TOKEN_LINE: Final = re.compile(rb"[!-~]+")


class Vault(remote.Service):
    """One transit key: `vault:MOUNT/KEY`, with `version` one of its versions.

    The address and the namespace come from the URI, else from the environment (`variable`).

    Raises:
        KeyUnavailable: (`remote_library_missing`) without the extra `[vault]`.
    """

    at_once = 200

    def __init__(
        self, place: RemoteUri, *, timeout: timedelta, warn: Callable[[str], None]
    ) -> None:
        """Import the client library; nothing is called."""
        try:
            import hvac  # noqa: PLC0415, F401 -- an extra, which takes long to import
        except ImportError:
            raise remote.library_missing(place, "hvac") from None
        super().__init__(place, timeout=timeout)
        self._mount, _, self._name = place.key.rpartition("/")
        self._warn = warn
        self._token: str | None = None

    def keys(self) -> list[StoreEntry]:
        """Return the versions of the key that can sign, the newest first.

        Raises:
            KeyUnavailable: (`remote_absent`, `remote_credentials`, `remote_refused`,
                `remote_failed`), and (`unsupported_key`) for another type of key.
        """
        place = self._located()
        details = self._details(place)
        if details is None:
            return []
        if details.get("type") != TYPE:
            kind = escape(str(details.get("type")))
            raise not_p256(
                f"{escape(self._name)} in Vault has the type {kind}",
                hint=f"generate a P-256 key: {place.scheme.generating}",
            )
        try:
            lowest = max(details["min_decryption_version"], details["min_encryption_version"])
            versions = {
                number: details["keys"][str(number)]["public_key"]
                for number in sorted(map(int, details["keys"]), reverse=True)
                if number >= lowest and place.option("version") in (None, str(number))
            }
            return [
                StoreEntry(
                    key=Key.from_pem(pem.strip().encode(), allow_example=True),
                    uri=place.with_options(version=str(number)).uri,
                    label=self._name if number == 1 else f"{self._name}-v{number}",
                )
                for number, pem in versions.items()
            ]
        except (AttributeError, InvalidKey, KeyError, TypeError, ValueError):
            raise remote.failed(place, "a malformed key") from None

    def check_stays(self, entry: StoreEntry) -> None:
        """Check that neither export nor backup returns the private key.

        Raises:
            KeyUnavailable: (`remote_exportable`), and as `keys`.
        """
        place = parse_remote_uri(entry.uri)
        details = self._details(place) or {}
        for setting, why in _LEAKS.items():
            if details.get(setting) is not False:
                raise remote.exportable(
                    place,
                    f"{setting} is set, so that {why}",
                    hint=f"this cannot be undone; generate another key: {place.scheme.generating}",
                )

    def sign(self, entry: StoreEntry, items: Sequence[bytes]) -> list[bytes]:
        """Return the signatures of the items with the version of the entry, by one request.

        Raises:
            KeyUnavailable: as `keys`, and (`no_such_key`).
        """
        place = parse_remote_uri(entry.uri)
        version = place.option("version") or ""
        digests = (base64.b64encode(hashlib.sha256(item).digest()).decode() for item in items)
        request = {
            "batch_input": [{"input": digest} for digest in digests],
            "key_version": int(version),
            "prehashed": True,
            "marshaling_algorithm": "jws",
        }
        answer = self._ask(place, f"{self._mount}/sign/{self._name}/sha2-256", request)
        if answer is None:
            raise remote.missing(place, f"the key {entry.uri}")
        results = answer.get("batch_results")
        if not isinstance(results, list):
            raise remote.failed(place, "no signatures")
        return [_signature(place, version, result) for result in results]

    def _details(self, place: RemoteUri) -> Mapping[str, Any] | None:
        return self._ask(place, f"{self._mount}/keys/{self._name}")

    def _located(self) -> RemoteUri:
        """Return the URI with the address and the namespace; the two belong together."""
        if self._place.option("address") is not None:
            return self._place
        address = variable("ADDR")
        if address is None:
            raise remote.absent(
                self._place,
                "its address is not known",
                hint="add it to the store URI: address=https://HOST:8200; or set "
                f"{name_of('ADDR')}",
            )
        address = address.rstrip("/")
        if (problem := address_problem(address)) is not None:
            name = name_of("ADDR")
            why, _ = problem  # the address is not repeated: it may contain a password
            raise InvalidStore(
                f"the value of {name} is invalid: {why}", hint=f"set {name}=https://HOST:PORT"
            )
        namespace = self._place.option("namespace") or variable("NAMESPACE")
        named = {"address": address}
        named |= {} if namespace is None else {"namespace": namespace.strip("/")}
        return parse_remote_uri(self._place.with_options(**named).uri)

    def _ask(
        self, place: RemoteUri, path: str, request: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any] | None:
        """Send a request; return the data of the answer, or None if the path does not exist."""
        import hvac  # noqa: PLC0415 -- as in __init__
        import requests  # noqa: PLC0415 -- a part of hvac

        try:
            with requests.Session() as session:
                return self._exchange(place, session, path, request)
        except hvac.exceptions.InvalidPath:
            return None
        except hvac.exceptions.VaultError as error:
            results = (error.json or {}).get("data")
            if isinstance(results, dict) and results.get("batch_results"):
                return results  # Vault has another status for these than OpenBao
            text = escape(", ".join(map(str, error.errors or ["without a reason"])))
            raise _failure(place, error, text) from None
        except requests.Timeout:
            raise TimeoutExpired from None
        except requests.exceptions.SSLError:
            raise _absent(
                place,
                "its TLS certificate is not valid for this address",
                hint="name the file with your CA's certificate in the store URI: ca-file=/PATH; or "
                f"set {name_of('CACERT')}",
            ) from None
        except OSError:  # of requests or of the certificate's file
            raise _absent(
                place,
                "no connection",
                hint="start the server, and check the address, the network and the file of "
                "certificates",
            ) from None

    def _exchange(
        self, place: RemoteUri, session: "Session", path: str, request: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        import hvac  # noqa: PLC0415 -- as in __init__

        address = place.option("address") or ""
        session.verify = place.option("ca-file") or variable("CACERT") or True
        session.trust_env = not is_loopback(address)  # a proxy would see the token
        if self._token is None:
            self._token = read_token(place, timeout=self._timeout, warn=self._warn)
        adapter = hvac.Client(
            url=address,
            token=self._token,
            namespace=place.option("namespace"),
            session=session,
            timeout=self._timeout.total_seconds(),
            allow_redirects=False,  # a redirect would take the token along
        ).adapter
        try:
            if request is None:
                answer = adapter.get(f"/v1/{path}")
            else:
                answer = adapter.post(f"/v1/{path}", json=request)
        except hvac.exceptions.Forbidden:
            raise _forbidden(place, adapter, path, writes=request is not None) from None
        if getattr(answer, "is_redirect", False):
            raise _absent(
                place,
                "it redirects to another server",
                hint="write the address of the active server itself",
            )
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise remote.failed(place, "an answer without data")
        return data


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
        data = _from_file(place, Path(path), warn)
        return _one_line(place, data, f"the token file {escape(path)}")
    if (command := place.option("token-command")) is not None:
        data = _from_command(place, command, timeout)
        return _one_line(place, data, "the output of the token command")
    _check_server(place)
    if (token := variable("TOKEN")) is not None:
        return _one_line(place, token.encode(errors="replace"), "the token in the environment")
    try:
        helper = Path.home() / HELPER_FILE
    except RuntimeError:  # a user without a home folder
        helper = None
    if helper is None or not os.path.lexists(helper):
        raise remote.no_credentials(
            place, f"{name_of('TOKEN')} is not set, and ~/{HELPER_FILE} does not exist", hint=LOG_IN
        )
    return _one_line(place, _from_file(place, helper, warn), f"the token file ~/{HELPER_FILE}")


def _signature(place: RemoteUri, version: str, result: object) -> bytes:
    text = result.get("signature") if isinstance(result, dict) else None
    prefix = f"vault:v{version}:"
    if isinstance(text, str) and text.startswith(prefix):
        try:
            return base64.b64decode(text.removeprefix(prefix) + "==", altchars=b"-_", validate=True)
        except binascii.Error:
            raise remote.failed(place, "a malformed signature") from None
    error = str(result.get("error")) if isinstance(result, dict) else ""
    if error.startswith(_UNUSABLE_VERSION):
        raise remote.missing(place, f"the version {version} of the key {place.key}")
    raise remote.failed(place, f"an error instead of a signature: {escape(error)}")


def _absent(place: RemoteUri, why: str, *, hint: str) -> KeyUnavailable:
    return remote.absent(place, f"{place.option('address')}: {why}", hint=hint)


def _failure(place: RemoteUri, error: Exception, text: str) -> KeyUnavailable:
    import hvac.exceptions as of_vault  # noqa: PLC0415 -- as in Vault.__init__

    if isinstance(error, of_vault.VaultNotInitialized):
        return _absent(place, "it is not initialized", hint="initialize it: vault operator init")
    if isinstance(error, of_vault.VaultDown | of_vault.BadGateway):
        hint = "if it is sealed, unseal it: vault operator unseal; otherwise check its log"
        return _absent(place, text, hint=hint)
    if isinstance(error, of_vault.RateLimitExceeded):
        return _absent(place, "too many requests", hint="run the command again later")
    return remote.failed(place, f"an error: {text}")


def _forbidden(
    place: RemoteUri, adapter: "RawAdapter", path: str, *, writes: bool
) -> KeyUnavailable:
    """Return why a token is not enough: a token that may not even look at itself is not valid."""
    import hvac.exceptions as of_vault  # noqa: PLC0415 -- as in Vault.__init__

    capability = "update" if writes else "read"
    policy = f'path "{path}" {{ capabilities = ["{capability}"] }}'
    try:
        adapter.get("/v1/auth/token/lookup-self")
    except of_vault.Forbidden:
        return remote.no_credentials(
            place,
            "the token is wrong, expired or revoked",
            hint=f"{LOG_IN}; a token without the policy default needs {policy}",
        )
    return remote.refused(place, hint=f"add to the policy of the token: {policy}")


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


def _from_file(place: RemoteUri, path: Path, warn: Callable[[str], None]) -> bytes:
    try:
        with reading.open_file(str(path)) as stream:
            data = reading.read_stream(stream, _TOKEN_LIMIT)
    except (OSError, ValueError) as error:
        why = f"the token file {escape(str(path))} cannot be read: {disk.reason(error)}"
        raise remote.no_credentials(place, why, hint="check the path of the token file") from None
    if (warning := reading.secret_warning(str(path), what="token file")) is not None:
        warn(warning)
    return data


def _from_command(place: RemoteUri, command: str, timeout: timedelta) -> bytes:
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
    return command_output(arguments, timeout=timeout / 2, limit=_TOKEN_LIMIT, failed=failed)


def _one_line(place: RemoteUri, data: bytes, name: str) -> str:
    token = data.strip()
    if not _TOKEN_LINE.fullmatch(token) or len(token) >= _TOKEN_LIMIT:
        why = f"{name} is empty" if not token else f"{name} is not a token in one line"
        raise remote.no_credentials(place, why, hint=LOG_IN)
    return token.decode("ascii")
