"""Store URIs: `keyring:`, `file:PATH`, `pkcs11:…` (RFC 7512), and those of remote keys."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from polygent_issuer.errors import InvalidStore
from polygent_issuer.files import disk
from polygent_issuer.text import escape

if TYPE_CHECKING:
    from polygent_issuer.store_uri.remote import RemoteUri
    from polygent_issuer.store_uri.token import TokenUri

KEYRING = "keyring:"
FILE = "file:"
PKCS11: Final = "pkcs11:"
SERVICES: Final = frozenset({"agent", "vault", "awskms"})
"""The schemes of the services that have their own keys, without the colon."""
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
EXAMPLE: Final = f"{PKCS11}token=LABEL?module-path=/PATH/TO/MODULE.so"
EXAMPLE_FILE_URI = "file:~/polygent-keys/"
"""An example for hints: every user can create this folder, and every shell takes it unquoted."""


@dataclass(frozen=True, slots=True)
class KeyringLocation:
    """The operating system's keyring of the current user."""

    @property
    def uri(self) -> str:
        """`keyring:`."""
        return KEYRING


@dataclass(frozen=True, kw_only=True, slots=True)
class FileLocation:
    """An absolute path of one key file, or of a folder with one file per key."""

    path: Path
    folder: bool

    @property
    def uri(self) -> str:
        """`file:` and the absolute path; the path of a folder ends with a slash."""
        return f"{FILE}{self.path}/" if self.folder else f"{FILE}{self.path}"


Location: TypeAlias = "KeyringLocation | FileLocation | TokenUri | RemoteUri"
"""The places where private keys can be; `uri` is the only spelling of each."""


def is_service(uri: str) -> bool:
    """Return whether a store URI, which may be invalid, names a service that has its own keys."""
    scheme, colon, _ = uri.partition(":")
    return bool(colon) and scheme in SERVICES


def stays(uri: str) -> bool:
    """Return whether a key never leaves the place of a store URI, so that it has no backup.

    The URI may be invalid.
    """
    return uri.startswith(PKCS11) or is_service(uri)


def where(uri: str) -> str:
    """Return the name, in a sentence, of the place that a key never leaves (`stays`)."""
    # Most commands use neither a token nor a service, so that their URIs are imported at use.
    if is_service(uri):
        from polygent_issuer.store_uri.remote import REMOTE  # noqa: PLC0415 -- as above

        return REMOTE[uri.partition(":")[0]].where
    from polygent_issuer.store_uri.token import TokenUri  # noqa: PLC0415 -- as above

    return TokenUri.where


def split(uri: str) -> "KeyringLocation | TokenUri | RemoteUri | str":
    """Parse a store URI without access to the file system; `keyring` may lack its colon.

    Returns:
        For `file:`, the path as written, not yet checked; an empty text for any other scheme.

    Raises:
        InvalidStore: (`invalid_store`) for an invalid URI of a key that stays in its place.
    """
    if uri in (KEYRING, KEYRING[:-1]):
        return KeyringLocation()
    if uri.startswith(PKCS11):
        from polygent_issuer.store_uri.token import parse_token_uri  # noqa: PLC0415 -- as in `where`

        return parse_token_uri(uri)
    if is_service(uri):
        from polygent_issuer.store_uri.remote import parse_remote_uri  # noqa: PLC0415 -- as in `where`

        return parse_remote_uri(uri)
    path = uri.removeprefix(FILE) if uri.startswith(FILE) else ""
    return path[2:] if path.startswith("///") else path  # file:///PATH, as browsers write it


def parse(uri: str) -> Location:
    """Parse a store URI.

    A relative path counts from the current folder, and `~` is the user's home folder. The result is
    absolute, without `..`. A path is a folder if it exists as one, or ends with a slash.

    Raises:
        InvalidStore: (`invalid_store`) for any other scheme, a host, or no path at all.
    """
    place = split(uri)
    if not isinstance(place, str):
        return place
    if not uri.startswith(FILE):
        raise _unknown(uri)
    if place.startswith("//"):
        raise _invalid(uri, "a file store is on this machine and has no host")
    if not place or not place.isprintable():
        raise _invalid(uri, "a file store needs the printable path of a file or a folder")
    path = Path(place)
    if place.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise _invalid(f"{FILE}{place}", "unknown user in path") from None
    if place.endswith(("/", os.sep)):
        return FileLocation(path=_whole(path), folder=True)
    return file_location(path)


def is_like_uri(text: str) -> bool:
    """Return whether a text begins with the scheme of a URI, known or not; `C:` is a drive."""
    return _SCHEME.match(text) is not None


def without_options(uri: str) -> str:
    """Return an invalid URI for a message, up to its `?`: an option may be a secret."""
    return uri.partition("?")[0]


def file_location(path: Path) -> FileLocation:
    """Return the location of a path: a folder if one exists there, else a key file."""
    return FileLocation(path=_whole(path), folder=disk.is_folder(path))


def _whole(path: Path) -> Path:
    """Return the absolute path; links before `..` are followed, as the system does."""
    path = path.absolute()
    if ".." not in path.parts:
        return path
    try:
        return path.resolve() if path.name == ".." else path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # RuntimeError: a loop of links; a later write reports it
        return path


def _unknown(uri: str) -> InvalidStore:
    error = _invalid(without_options(uri), "not a key store")
    if is_service(uri.lower()):
        error.hint = "write its scheme in lower case"
    return error


def _invalid(uri: str, problem: str) -> InvalidStore:
    return InvalidStore(
        f"{problem}: {escape(uri)}",
        hint=f"use --store keyring:, --store file:/path/to/the.key or --store '{EXAMPLE}'",
    )
