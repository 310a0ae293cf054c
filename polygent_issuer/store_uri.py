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
    "pin-value": "a PIN does not belong into a URI, which others can read",
    "pin-source": "where the PIN comes from is not part of the store",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenUri:
    """A token, perhaps one key in it, and the module that speaks to it.

    Attributes:
        module: absolute path of the PKCS#11 module; nothing else ever names one.
        token: the token's label; this or `serial` is always there.
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
        """The URI in its one spelling: attributes in order, all that may be encoded is."""
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
        """The token alone, whatever key this points at."""
        return replace(self, label=None, id=None)

    @property
    def names_a_key(self) -> bool:
        """Whether it points at one key, not at a token alone."""
        return self.label is not None or self.id is not None


def id_text(key_id: bytes) -> str:
    """Return a CKA_ID as in a URI: all of it percent-encoded (RFC 7512 §2.3)."""
    return "".join(f"%{byte:02X}" for byte in key_id)


def is_token_uri(text: str) -> bool:
    """Return whether a text names a place in a token, well-formed or not."""
    return text.startswith(SCHEME)


def parse_token_uri(text: str) -> TokenUri:
    """Read a `pkcs11:` URI.

    Raises:
        InvalidStore: (`invalid_store`) unless it is exactly right; the hint shows how.
    """
    for name, problem in _SECRETS.items():  # first of all: nothing of such a text is ever repeated
        if name in text.lower():
            raise _refused(problem, _PIN_HINT)
    path, mark, query = text.removeprefix(SCHEME).partition("?")
    if not mark:
        raise _refused("it names no module", "add ?module-path=/PATH/TO/MODULE.so to it")
    attributes = _attributes(path, ";", (*_TEXTS, "slot-id", "id", "type"), _PATH_VALUE)
    module_path = _attributes(query, "&", ("module-path",), _QUERY_VALUE)["module-path"]
    if attributes.get("type", b"private") != b"private":
        raise _refused("type may only be private", "leave type out")
    texts = {name: _text(name, attributes[name]) for name in _TEXTS if name in attributes}
    if not texts.keys() & {"token", "serial"}:
        raise _refused("it does not say which token", "add token=LABEL or serial=NUMBER")
    module = _text("module-path", module_path)
    if not Path(module).is_absolute():
        problem = f"the module's path is not absolute: {module}"
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
            raise _refused("a module is named by its whole path", "write module-path=/PATH")
        if name not in known:
            problem = f"{escape_short(name)} is not among them" if name else "one of them is empty"
            raise _refused(f"it may have the attributes {', '.join(known)}; {problem}")
        if name in attributes:
            raise _refused(f"it has {name} twice", "name each attribute once")
        if not sign or not value_form.fullmatch(value):
            raise _refused(
                f"the value of {name} is empty, or has a character that must be percent-encoded",
                "write a space as %20, a semicolon as %3B, a slash (but in module-path) as %2F",
            )
        attributes[name] = unquote_to_bytes(value)
    return attributes


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or escape(text) != text:
        raise _refused(f"the value of {name} is no text in UTF-8 that can be shown")
    return text


def _refused(problem: str, hint: str | None = None) -> InvalidStore:
    return InvalidStore(
        f"this is no key store in a token: {problem}", hint=hint or f"write it as '{EXAMPLE}'"
    )


KEYRING = "keyring:"
FILE = "file:"
EXAMPLE_FILE_URI = "file:~/polygent-keys/"
"""A store that everybody has, for hints; it works in every shell as it is."""


@dataclass(frozen=True, slots=True)
class KeyringLocation:
    """The operating system's keyring of the person who runs this; there is one."""

    @property
    def uri(self) -> str:
        """`keyring:`."""
        return KEYRING


@dataclass(frozen=True, kw_only=True, slots=True)
class FileLocation:
    """An absolute path for key files: of one key's file, or of a folder with one file per key."""

    path: Path
    folder: bool

    @property
    def uri(self) -> str:
        """`file:` and the absolute path; a folder ends with a slash."""
        return f"{FILE}{self.path}/" if self.folder else f"{FILE}{self.path}"


Location = KeyringLocation | FileLocation | TokenUri
"""Where private keys can be; each has its one spelling as `uri`."""


def split(uri: str) -> KeyringLocation | TokenUri | str:
    """Read a store URI as far as its text says; the keyring's may lack its colon.

    Returns:
        The path of a file as it is written, still to be checked; empty for any other scheme.

    Raises:
        InvalidStore: (`invalid_store`) for a `pkcs11:` URI that is not exactly right.
    """
    if uri in (KEYRING, KEYRING[:-1]):
        return KeyringLocation()
    if is_token_uri(uri):
        return parse_token_uri(uri)
    path = uri.removeprefix(FILE) if uri.startswith(FILE) else ""
    return path[2:] if path.startswith("///") else path  # file:///PATH, as a browser would write it


def parse(uri: str) -> Location:
    """Read a store URI.

    A relative path counts from the current folder and `~` is the home of the person; what is
    recorded is absolute, without `..`. A folder is a path that exists as one, or that ends with a
    slash.

    Raises:
        InvalidStore: (`invalid_store`) for any other scheme, a host, or no path at all.
    """
    place = split(uri)
    if not isinstance(place, str):
        return place
    if not uri.startswith(FILE):
        raise _invalid(uri, "a key store is keyring:, file:PATH or pkcs11:URI")
    if place.startswith("//"):
        raise _invalid(uri, "a file store is on this machine, so it names no host")
    if not place or not place.isprintable():
        raise _invalid(uri, "a file store needs the path of a file or a folder")
    path = Path(place)
    if place.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:
            problem = "whose home that is cannot be found out"
            raise _invalid(f"{FILE}{place}", problem) from None
    if place.endswith(("/", os.sep)):
        return FileLocation(path=_whole(path), folder=True)
    return file_location(path)


def file_location(path: Path) -> FileLocation:
    """Return the place of a path: the folder that exists there, else one key's file."""
    return FileLocation(path=_whole(path), folder=disk.is_folder(path))


def _whole(path: Path) -> Path:
    """Return the absolute path; with `..` in it, links are followed first, as `..` means."""
    path = path.absolute()
    if ".." not in path.parts:
        return path
    try:
        return path.resolve() if path.name == ".." else path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # RuntimeError: a loop of links; the write says so
        return path


def _invalid(uri: str, problem: str) -> InvalidStore:
    return InvalidStore(
        f"{problem}: {escape(uri)}",
        hint=f"give --store keyring:, --store file:/path/to/the.key or --store '{EXAMPLE}'",
    )
