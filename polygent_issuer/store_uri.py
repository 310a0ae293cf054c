"""Store URIs: `keyring:`, `file:PATH` and `pkcs11:…` (RFC 7512)."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from polygent_issuer.errors import InvalidStore
from polygent_issuer.files import disk
from polygent_issuer.text import escape, escape_short

SCHEME: Final = "pkcs11:"
EXAMPLE: Final = "pkcs11:token=LABEL?module-path=/PATH/TO/MODULE.so"

# RFC 7512 §2.3: characters of a path or a query without percent-encoding.
_PATH_VALUE: Final = re.compile(r"(?:[\w.~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_QUERY_VALUE: Final = re.compile(r"(?:[\w.~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_TEXTS: Final = ("token", "serial", "manufacturer", "model", "object")
_PIN_HINT: Final = (
    "leave it out: the PIN comes from --passphrase-fd, --passphrase-file, --passphrase-command, "
    "POLYGENT_ISSUER_PASSPHRASE_FILE, or the terminal"
)
_SECRETS: Final = {
    "pin-value": "a URI must not contain a PIN, because other people can read it",
    "pin-source": "the source of the PIN is not part of the store",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenUri:
    """A token, its PKCS#11 module and, if named, one of its keys.

    Attributes:
        module: absolute path of the PKCS#11 module; only the URI names one.
        token: the token's label; either this or `serial` is always present.
        label: the key's CKA_LABEL.
        id: the key's CKA_ID.
    """

    module: Path
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot: int | None = None
    label: str | None = None
    id: bytes | None = None

    @property
    def uri(self) -> str:
        """The URI in its only spelling: attributes in order, percent-encoded where allowed."""
        path = {
            "token": self.token,
            "serial": self.serial,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "slot-id": None if self.slot is None else str(self.slot),
            "object": self.label,
        }
        parts = [f"{name}={quote(value, safe='')}" for name, value in path.items() if value]
        if self.id is not None:
            parts.append(f"id={id_text(self.id)}")
        return f"{SCHEME}{';'.join(parts)}?module-path={quote(str(self.module), safe='/')}"

    @property
    def of_token(self) -> "TokenUri":
        """The URI of the token, without its key."""
        return replace(self, label=None, id=None)

    @property
    def names_a_key(self) -> bool:
        """True if the URI names a key in the token."""
        return self.label is not None or self.id is not None


def id_text(key_id: bytes) -> str:
    """Return a CKA_ID as a URI contains it: fully percent-encoded (RFC 7512 §2.3)."""
    return "".join(f"%{byte:02X}" for byte in key_id)


def is_token_uri(text: str) -> bool:
    """Return whether a text is a `pkcs11:` URI, valid or not."""
    return text.startswith(SCHEME)


def parse_token_uri(text: str) -> TokenUri:
    """Parse a `pkcs11:` URI.

    Raises:
        InvalidStore: (`invalid_store`) unless it is valid; the hint shows how to write it.
    """
    for name, problem in _SECRETS.items():  # first, so that no other error repeats a PIN
        if name in text.lower():
            raise _refused(problem, _PIN_HINT)
    path, mark, query = text.removeprefix(SCHEME).partition("?")
    if not mark:
        raise _refused("the PKCS#11 module is missing", "add ?module-path=/PATH/TO/MODULE.so")
    attributes = _attributes(path, ";", (*_TEXTS, "slot-id", "id", "type"), _PATH_VALUE)
    module_path = _attributes(query, "&", ("module-path",), _QUERY_VALUE)["module-path"]
    if attributes.get("type", b"private") != b"private":
        raise _refused("type must be private", "leave type out")
    texts = {name: _text(name, attributes[name]) for name in _TEXTS if name in attributes}
    if not texts.keys() & {"token", "serial"}:
        raise _refused("the token is missing", "add token=LABEL or serial=NUMBER")
    module = _text("module-path", module_path)
    if not Path(module).is_absolute():
        problem = f"the path of the module is not absolute: {module}"
        raise _refused(problem, "write module-path=/PATH/TO/MODULE.so")
    slot = attributes.get("slot-id")
    if slot is not None and not re.fullmatch(rb"[0-9]{1,20}", slot):
        raise _refused("slot-id is not a number", "leave slot-id out: token and serial suffice")
    return TokenUri(
        module=Path(module),
        slot=None if slot is None else int(slot),
        label=texts.pop("object", None),
        id=attributes.get("id"),
        **texts,
    )


def _attributes(
    text: str, separator: str, known: tuple[str, ...], value_form: re.Pattern[str]
) -> dict[str, bytes]:
    attributes: dict[str, bytes] = {}
    for part in text.split(separator):
        name, sign, value = part.partition("=")
        if name == "module-name":
            raise _refused("the module needs its absolute path", "write module-path=/PATH")
        if name not in known:
            problem = f"unknown attribute {escape_short(name)}" if name else "an attribute is empty"
            raise _refused(f"{problem}; allowed: {', '.join(known)}")
        if name in attributes:
            raise _refused(f"{name} is given twice", "give each attribute once")
        if not sign or not value_form.fullmatch(value):
            raise _refused(
                f"the value of {name} is empty, or has a character that must be percent-encoded",
                "write a space as %20, a semicolon as %3B, a slash (except in module-path) as %2F",
            )
        attributes[name] = unquote_to_bytes(value)
    return attributes


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or escape(text) != text:
        raise _refused(f"the value of {name} is not printable UTF-8 text")
    return text


def _refused(problem: str, hint: str | None = None) -> InvalidStore:
    return InvalidStore(f"invalid pkcs11: URI: {problem}", hint=hint or f"write it as '{EXAMPLE}'")


KEYRING = "keyring:"
FILE = "file:"
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


Location = KeyringLocation | FileLocation | TokenUri
"""The places where private keys can be; `uri` is the only spelling of each."""


def split(uri: str) -> KeyringLocation | TokenUri | str:
    """Parse a store URI without access to the file system; `keyring` may lack its colon.

    Returns:
        For `file:`, the path as written, not yet checked; an empty text for any other scheme.

    Raises:
        InvalidStore: (`invalid_store`) for an invalid `pkcs11:` URI.
    """
    if uri in (KEYRING, KEYRING[:-1]):
        return KeyringLocation()
    if is_token_uri(uri):
        return parse_token_uri(uri)
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
        raise _invalid(uri, "not a key store")
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


def _invalid(uri: str, problem: str) -> InvalidStore:
    return InvalidStore(
        f"{problem}: {escape(uri)}",
        hint=f"use --store keyring:, --store file:/path/to/the.key or --store '{EXAMPLE}'",
    )
