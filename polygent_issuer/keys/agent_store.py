"""Keys in an SSH agent: OpenSSH's, gpg-agent, or any other program that speaks its protocol.

The protocol is draft-ietf-sshm-ssh-agent, and the signature is that of RFC 5656 §3.1.2: the agent
hashes the data with SHA-256 and signs with ECDSA, which is ES256 in another encoding.

An SSH login cannot be signed by mistake, nor a license by a login: the data of a login begins with
the length of a session ID, 32 or 64 (RFC 4252 §7), and that of a JWS with the letters `eyJ`.
"""

import base64
import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from polygent_issuer.errors import KeyUnavailable
from polygent_issuer.files import disk
from polygent_issuer.keys import openssh, remote
from polygent_issuer.keys.signer import StoreEntry, TimeoutExpired, not_p256
from polygent_issuer.text import escape
from polygent_issuer.verifier.errors import InvalidKey
from polygent_issuer.verifier.keys import Key

VARIABLE: Final = "SSH_AUTH_SOCK"

_FAILURE: Final = 5
_LIST, _LISTED = 11, 12
_SIGN, _SIGNED = 13, 14
_LIMIT: Final = 256 * 1024
"""The longest message in bytes, as in OpenSSH's agent."""
_NO_FLAGS: Final = bytes(4)


class Agent(remote.Service):
    """The SSH agent of a store URI: `agent:FINGERPRINT`, `agent:COMMENT`, or its only P-256 key.

    An agent does not state where its keys come from, so `check_stays` checks nothing.
    """

    def keys(self) -> list[StoreEntry]:
        """Return the P-256 keys with the fingerprint or the comment of the URI, each once.

        Raises:
            KeyUnavailable: (`remote_absent`, `remote_failed`), and (`unsupported_key`) if only
                other types of keys match.
        """
        others = 0
        entries: dict[Key, StoreEntry] = {}
        for blob, comment in self._identities():
            if self._place.key not in ("", fingerprint(blob), comment):
                continue
            key = _p256(blob)
            if key is None:
                others += 1
                continue
            uri = replace(self._place, key=fingerprint(blob)).uri
            entries.setdefault(key, StoreEntry(key=key, uri=uri, label=comment))
        if others and not entries:
            raise not_p256(
                "the SSH agent has another type of key",
                hint="generate a P-256 key: ssh-keygen -t ecdsa -b 256 -f FILE (not ecdsa-sk)",
            )
        return [*entries.values()]

    def sign(self, entry: StoreEntry, items: Sequence[bytes]) -> list[bytes]:
        """Return the signature of the item; the agent may ask a person first.

        Raises:
            KeyUnavailable: (`remote_absent`, `remote_failed`, `remote_refused`, `no_such_key`).
        """
        blob = openssh.blob_of(entry.key)
        return [self._signature(blob, data) for data in items]

    def _signature(self, blob: bytes, data: bytes) -> bytes:
        answer = self._ask(_SIGN, openssh.string(blob) + openssh.string(data) + _NO_FLAGS, _SIGNED)
        if answer is None:
            raise self._refusal(blob)
        try:
            signature, rest = openssh.take_string(answer)
            kind, numbers = openssh.take_string(signature)
            text, more = openssh.take_string(numbers)
            r, s = openssh.take_mpint(text)
            s, end = openssh.take_mpint(s)
        except ValueError:
            kind = b""
        if kind != openssh.KIND or rest or more or end:
            raise remote.failed(self._place, "a malformed signature")
        return r + s

    def _refusal(self, blob: bytes) -> KeyUnavailable:
        """Return why the agent does not sign: it never gives a reason itself."""
        if not any(blob == other for other, _ in self._identities()):
            return remote.missing(self._place, f"the key {fingerprint(blob)}")
        return remote.refused(
            self._place,
            hint="confirm the signature if the agent asks (ssh-add -c); plug in the key's token; "
            "and add the key without restriction to hosts (ssh-add without -h)",
        )

    def _identities(self) -> Iterator[tuple[bytes, str]]:
        """Yield the public key blob and the comment of each key."""
        answer = self._ask(_LIST, b"", _LISTED)
        if answer is None:
            raise remote.refused(self._place, hint="unlock the agent: ssh-add -X")
        try:
            count, rest = openssh.take_number(answer)
            for _ in range(count):
                blob, rest = openssh.take_string(rest)
                comment, rest = openssh.take_string(rest)
                yield blob, comment.decode(errors="replace")
        except ValueError:
            raise remote.failed(self._place, "a malformed list of keys") from None

    def _ask(self, request: int, body: bytes, expected: int) -> bytes | None:
        """Send a request; return the body of the answer, or None if the agent refuses."""
        path = self._socket()
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self._timeout.total_seconds())
                connection.connect(path)
                connection.sendall(openssh.string(bytes([request]) + body))
                length = int.from_bytes(_receive(connection, 4), "big")
                if not 1 <= length <= _LIMIT:
                    raise remote.failed(self._place, "a message of an invalid length")
                answer = _receive(connection, length)
        except EOFError:
            raise remote.failed(self._place, "no complete answer") from None
        except TimeoutError:
            raise TimeoutExpired from None
        except OSError as error:
            raise self._absent(f"{escape(path)}: {disk.reason(error)}") from None
        if answer[0] == _FAILURE:
            return None
        if answer[0] != expected:
            raise remote.failed(self._place, "an unexpected answer")
        return answer[1:]

    def _socket(self) -> str:
        if not hasattr(socket, "AF_UNIX"):
            raise self._absent("this system has no Unix sockets")
        path = self._place.option("socket") or os.environ.get(VARIABLE)
        if not path:
            raise self._absent(f"{VARIABLE} is not set")
        return path

    def _absent(self, why: str) -> KeyUnavailable:
        return remote.absent(
            self._place,
            why,
            hint="start an agent and add the key to it: eval $(ssh-agent); ssh-add FILE; or name "
            "the agent's socket in the store URI: agent:KEY?socket=/PATH",
        )


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key blob as `ssh-add -l` prints it."""
    text = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{text.rstrip('=')}"


def _p256(blob: bytes) -> Key | None:
    try:
        return openssh.key_of(blob)
    except (ValueError, InvalidKey):
        return None


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
