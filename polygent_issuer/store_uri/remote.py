"""URIs of remote keys: `SCHEME:KEY?OPTION=VALUE`, one row of a table for each scheme."""

import ipaddress
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from polygent_issuer.errors import InvalidStore
from polygent_issuer.store_uri.token import QUERY_VALUE, attributes
from polygent_issuer.text import escape

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_KEY: Final = re.compile(r"(?:[^%?\s]|%[0-9A-Fa-f]{2})*")
_SAFE: Final = "/:@+=,$!*()"
_TRANSIT_KEY: Final = re.compile(r"(\w[\w.-]*/)+\w[\w.-]*", re.ASCII)
_ADDRESS: Final = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?(/[\w.-]+)*")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")

_REGION: Final = "[a-z]+(?:-[a-z]+)+-[0-9]+"
KMS_ARN: Final = re.compile(
    rf"arn:aws[a-z-]*:kms:(?P<region>{_REGION}):[0-9]{{12}}:"
    "(?:key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]+)"
)
"""The ARN of a KMS key, or of its alias."""
_KMS_KEY: Final = re.compile("alias/[A-Za-z0-9/_-]+|[A-Za-z0-9-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteScheme:
    """A kind of service that signs with its own keys: it generates them, and this tool never does.

    Attributes:
        name: of the scheme, without its colon.
        where: its name in a sentence.
        example: a URI, for hints.
        options: the names that may follow `?`, in the order in which they are written.
        generating: how to generate a key there, for hints.
        missing: what to do if a key is not there, for hints.
        problem: returns why a key and its options are invalid, and the hint; else None.
    """

    name: str
    where: str
    example: str
    options: tuple[str, ...]
    generating: str
    missing: str
    problem: Callable[["RemoteUri"], tuple[str, str] | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteUri:
    """A key of a service, which makes each signature: `SCHEME:KEY?OPTION=VALUE`.

    Attributes:
        key: the key's name there; empty for the only one.
        options: names and values, in the order of the scheme.
    """

    scheme: RemoteScheme
    key: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def where(self) -> str:
        """The name of the service in a sentence."""
        return self.scheme.where

    @property
    def uri(self) -> str:
        """The URI in its only spelling: options in order, percent-encoded where needed."""
        options = "&".join(f"{name}={quote(value, safe=_SAFE)}" for name, value in self.options)
        mark = "?" if options else ""
        return f"{self.scheme.name}:{quote(self.key, safe=_SAFE)}{mark}{options}"

    def option(self, name: str) -> str | None:
        """Return the value of an option; None if it is not given."""
        return dict(self.options).get(name)

    def with_options(self, **values: str) -> "RemoteUri":
        """Return the URI with these values of options whose names have no hyphen."""
        given = dict(self.options) | values
        options = tuple((name, given[name]) for name in self.scheme.options if name in given)
        return replace(self, options=options)


def is_loopback(address: str) -> bool:
    """Return whether a URL names this machine."""
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _agent_problem(place: RemoteUri) -> tuple[str, str] | None:
    socket = place.option("socket")
    if socket is not None and not Path(socket).is_absolute():
        return f"the path of the socket is not absolute: {socket}", "write socket=/PATH"
    if place.key.startswith("SHA256:") and not _FINGERPRINT.fullmatch(place.key):
        return "a fingerprint has 43 characters of base64", "to list the fingerprints: ssh-add -l"
    return None


def _vault_problem(place: RemoteUri) -> tuple[str, str] | None:
    if not _TRANSIT_KEY.fullmatch(place.key):
        return (
            "it needs a mount and a key",
            "write it as vault:MOUNT/KEY, such as vault:transit/KEY",
        )
    version = place.option("version")
    if version is not None and not _VERSION.fullmatch(version):
        return "the version is not a number", "write it as version=1"
    for name in ("ca-file", "token-file"):
        if not Path(place.option(name) or "/").is_absolute():
            return f"the path of {name} is not absolute", f"write {name}=/PATH"
    return address_problem(place.option("address")) or _token_problem(place)


def address_problem(address: str | None) -> tuple[str, str] | None:
    """Return why the address of a Vault server is invalid, and the hint; else None."""
    if address is None:
        return None
    if not _ADDRESS.fullmatch(address):  # not repeated: it may contain a password
        return "the address is not a URL in lower case", "write it as address=https://HOST:PORT"
    if address.startswith("http:") and not is_loopback(address):
        return "without TLS others can read the token", "write it as address=https://HOST:PORT"
    return None


def _token_problem(place: RemoteUri) -> tuple[str, str] | None:
    command = place.option("token-command")
    if command is None:
        return None
    if place.option("token-file") is not None:
        return "token-file and token-command are mutually exclusive", "leave one of them out"
    try:
        program = shlex.split(command)[0]
    except (ValueError, IndexError):
        program = ""
    if Path(program).is_absolute():
        return None
    problem = "the token command needs the absolute path of a program"
    return problem, "write token-command=/PROGRAM%20ARGUMENT"


def _awskms_problem(place: RemoteUri) -> tuple[str, str] | None:
    region, endpoint = place.option("region"), place.option("endpoint")
    if KMS_ARN.fullmatch(place.key):
        if region is not None:
            return "the ARN already has the region", "leave region out"
    elif not _KMS_KEY.fullmatch(place.key):
        return "it needs the ARN, the alias or the id of a key", f"write it as '{_KMS_EXAMPLE}'"
    if region is not None and not re.fullmatch(_REGION, region):
        return "the region is not the name of a region", "write region=eu-central-1"
    if endpoint is not None and not _ADDRESS.fullmatch(endpoint):  # not repeated, as above
        return "the endpoint is not a URL in lower case", "write endpoint=https://HOST"
    if endpoint is not None and endpoint.startswith("http:") and not is_loopback(endpoint):
        return "without TLS others can answer in its place", "write endpoint=https://HOST"
    return None


_KMS_EXAMPLE: Final = "awskms:alias/NAME?region=REGION"

REMOTE: Final = {
    scheme.name: scheme
    for scheme in (
        RemoteScheme(
            name="agent",
            where="the SSH agent",
            example="agent:SHA256:FINGERPRINT",
            options=("socket",),
            generating="ssh-keygen -t ecdsa -b 256 -f FILE, then ssh-add FILE",
            missing="add it to the agent: ssh-add FILE; if the agent is locked: ssh-add -X",
            problem=_agent_problem,
        ),
        RemoteScheme(
            name="vault",
            where="Vault",
            example="vault:transit/KEY?address=https://HOST:8200",
            options=("address", "namespace", "version", "ca-file", "token-file", "token-command"),
            generating="vault write -f transit/keys/KEY type=ecdsa-p256",
            missing="check the mount, the name and the namespace: vault read transit/keys/KEY; a "
            "version below min_decryption_version or min_encryption_version of the key cannot sign",
            problem=_vault_problem,
        ),
        RemoteScheme(
            name="awskms",
            where="AWS KMS",
            example=_KMS_EXAMPLE,
            options=("region", "endpoint"),
            generating="aws kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY",
            missing="check the region, the account and the name: aws kms describe-key --key-id KEY "
            "--region REGION",
            problem=_awskms_problem,
        ),
    )
}
"""The services that sign with keys that stay there, by the name of their scheme."""


def parse_remote_uri(text: str) -> RemoteUri:
    """Parse the URI of a remote key.

    Raises:
        InvalidStore: (`invalid_store`) unless it is valid; the hint shows how to write it.
    """
    name, _, rest = text.partition(":")
    scheme = REMOTE[name]

    def refused(problem: str, hint: str | None = None) -> InvalidStore:
        message = f"invalid {name}: URI: {problem}"
        return InvalidStore(message, hint=hint or f"write it as '{scheme.example}'")

    key, mark, query = rest.partition("?")
    if not _KEY.fullmatch(key):
        raise refused("a character must be percent-encoded", "write a space as %20, a % as %25")
    given = attributes(query, "&", scheme.options, QUERY_VALUE, refused=refused) if mark else {}
    try:
        texts = {"": unquote_to_bytes(key).decode()} | {n: v.decode() for n, v in given.items()}
    except UnicodeDecodeError:
        texts = {"": "\0"}
    if any(escape(value) != value for value in texts.values()):
        raise refused("it is not printable UTF-8 text")
    options = tuple((option, texts[option]) for option in scheme.options if option in texts)
    place = RemoteUri(scheme=scheme, key=texts[""], options=options)
    if (problem := scheme.problem(place)) is not None:
        raise refused(*problem)
    return place
