"""Store URIs: `keyring:`, `file:PATH` and `pkcs11:…`."""

import os
from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.errors import InvalidStore
from polygent_issuer.settings import token_uri
from polygent_issuer.settings.token_uri import TokenUri
from polygent_issuer.text import shown

KEYRING = "keyring:"
FILE = "file:"
EXAMPLE = "file:~/polygent-keys/"
"""A store that anybody has, for hints: typed as it stands, it works in every shell."""


@dataclass(frozen=True, slots=True)
class KeyringLocation:
    """The operating system's keyring of the person who runs this; there is one."""

    @property
    def uri(self) -> str:
        """`keyring:`."""
        return KEYRING


@dataclass(frozen=True, kw_only=True, slots=True)
class FileLocation:
    """A place for key files: one key's file, or a folder that holds one file per key.

    Attributes:
        path: absolute.
        folder: whether each key gets a file of its own below `path`.
    """

    path: Path
    folder: bool

    @property
    def uri(self) -> str:
        """`file:` and the absolute path; a folder ends with a slash."""
        return f"{FILE}{self.path}/" if self.folder else f"{FILE}{self.path}"


Location = KeyringLocation | FileLocation | TokenUri
"""Where private halves can be; each has its one spelling as `uri`."""


def parse(uri: str) -> Location:
    """Read a store URI; the keyring's may lack its colon.

    A relative path counts from the current folder and `~` is the home of the person; what is
    recorded is absolute, without `..`. A folder is a path that exists as one, or that ends with a
    slash.

    Raises:
        InvalidStore: (`invalid_store`) for any other scheme, a host, or no path at all.
    """
    if uri in (KEYRING, KEYRING[:-1]):
        return KeyringLocation()
    if token_uri.is_token_uri(uri):
        return parse_token(uri)
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme != FILE[:-1]:
        raise _invalid(uri, "a key store is keyring:, file:PATH or pkcs11:URI")
    if rest.startswith("//"):
        rest = rest.removeprefix("//")
        if not rest.startswith("/"):
            raise _invalid(uri, "a file store is on this machine, so it names no host")
    if not rest or not rest.isprintable():
        raise _invalid(uri, "a file store needs the path of a file or a folder")
    return _file(rest)


def parse_token(uri: str) -> TokenUri:
    """Read a URI that is known to mean a token.

    Raises:
        InvalidStore: (`invalid_store`) unless it is exactly right.
    """
    try:
        return token_uri.parse(uri)
    except token_uri.InvalidTokenUri as refused:
        raise InvalidStore(refused.message, hint=refused.hint) from None


def at(path: Path) -> FileLocation:
    """The place that a path is: the folder that exists there, else one key's file."""
    return FileLocation(path=_whole(path), folder=is_folder(path))


def _file(text: str) -> FileLocation:
    path = Path(text)
    if text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            raise _invalid(f"{FILE}{text}", "whose home that is cannot be found out") from None
    if text.endswith(("/", os.sep)):
        return FileLocation(path=_whole(path), folder=True)
    return at(path)


def _whole(path: Path) -> Path:
    """The absolute path; where it goes up, links are followed first, since `..` means that."""
    path = path.absolute()
    if ".." not in path.parts:
        return path
    try:
        return path.resolve() if path.name == ".." else path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # RuntimeError: a loop of links; the write says so
        return path


def is_folder(path: Path) -> bool:
    """Whether a folder is there, as far as this person may look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _invalid(uri: str, why: str) -> InvalidStore:
    return InvalidStore(
        f"{why}: {shown(uri)}",
        hint="give --store keyring:, --store file:/path/to/the.key or "
        f"--store '{token_uri.EXAMPLE}'",
    )
