"""URIs of PKCS#11 tokens and of the keys in them (RFC 7512)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote, unquote_to_bytes

from polygent_issuer.errors import InvalidStore
from polygent_issuer.text import escape, escape_short

SCHEME: Final = "pkcs11:"

_EXAMPLE: Final = f"{SCHEME}token=LABEL?module-path=/PATH/TO/MODULE.so"

# RFC 7512 §2.3: characters of a path or a query without percent-encoding.
_PATH_VALUE: Final = re.compile(r"(?:[\w.~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})+", re.ASCII)
QUERY_VALUE: Final = re.compile(r"(?:[\w.~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})+", re.ASCII)
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

    where: ClassVar[str] = "a token"

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
    if query.startswith("module-name"):
        raise _refused("the module needs its absolute path", "write module-path=/PATH")
    known = (*_TEXTS, "slot-id", "id", "type")
    values = attributes(path, ";", known, _PATH_VALUE, refused=_refused)
    queried = attributes(query, "&", ("module-path",), QUERY_VALUE, refused=_refused)
    if values.get("type", b"private") != b"private":
        raise _refused("type must be private", "leave type out")
    texts = {name: _text(name, values[name]) for name in _TEXTS if name in values}
    if not texts.keys() & {"token", "serial"}:
        raise _refused("the token is missing", "add token=LABEL or serial=NUMBER")
    module = _text("module-path", queried["module-path"])
    if not Path(module).is_absolute():
        problem = f"the path of the module is not absolute: {module}"
        raise _refused(problem, "write module-path=/PATH/TO/MODULE.so")
    slot = values.get("slot-id")
    if slot is not None and not re.fullmatch(rb"[0-9]{1,20}", slot):
        raise _refused("slot-id is not a number", "leave slot-id out: token and serial suffice")
    return TokenUri(
        module=Path(module),
        slot=None if slot is None else int(slot),
        label=texts.pop("object", None),
        id=values.get("id"),
        **texts,
    )


def attributes(
    text: str,
    separator: str,
    known: tuple[str, ...],
    value_form: re.Pattern[str],
    *,
    refused: Callable[[str, str | None], InvalidStore],
) -> dict[str, bytes]:
    """Return the values of `NAME=VALUE` parts, with their percent-encoding decoded.

    Args:
        text: the parts.
        separator: between two parts.
        known: the names that are allowed, each at most once.
        value_form: the characters of a value.
        refused: makes the error of a problem and a hint, perhaps without one.
    """
    values: dict[str, bytes] = {}
    for part in text.split(separator):
        name, sign, value = part.partition("=")
        if name not in known:
            problem = f"unknown attribute {escape_short(name)}" if name else "an attribute is empty"
            raise refused(f"{problem}; allowed: {', '.join(known)}", None)
        if name in values:
            raise refused(f"{name} is given twice", "give each attribute once")
        if not sign or not value_form.fullmatch(value):
            raise refused(
                f"the value of {name} is empty, or has a character that must be percent-encoded",
                "write a space as %20, a semicolon as %3B, a % as %25"
                + (", a slash as %2F" if separator == ";" else ""),
            )
        values[name] = unquote_to_bytes(value)
    return values


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or escape(text) != text:
        raise _refused(f"the value of {name} is not printable UTF-8 text")
    return text


def _refused(problem: str, hint: str | None = None) -> InvalidStore:
    return InvalidStore(f"invalid pkcs11: URI: {problem}", hint=hint or f"write it as '{_EXAMPLE}'")
