"""Folders and key stores: always whole paths, so that they mean the same from everywhere."""

import re
from pathlib import Path

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.settings import token_uri
from polygent_issuer.settings.kind import Kind, at, text_at, wrong
from polygent_issuer.text import BACKSLASH, shown

# Control characters that TOML reads from escapes in a Windows path: "C:\new\temp".
_ESCAPES = re.compile(r"[\x08\t\n\f\r\x1b]")
_KID = re.compile(r"[A-Za-z0-9_-]{43}")


def parse_store(text: str) -> str:
    """Read where private keys lie: `keyring:`, `file:` and a whole path, or a `pkcs11:` URI.

    `~` is expanded. A path that ends in a slash keeps it: it means a folder.

    Raises:
        InvalidSettings: (`invalid_settings`) for any other place.
    """
    scheme, _, place = text.partition(":")
    if scheme == "keyring" and not place:
        return "keyring:"
    if token_uri.is_token_uri(text):
        return _in_token(text)
    if scheme != "file" or not place:
        raise InvalidSettings(
            f"not a key store: {shown(text)}",
            hint=f"write it as keyring:, file:/PATH or {token_uri.EXAMPLE}",
        )
    if place.startswith("///"):  # file:///PATH, as a browser would write it
        place = place[2:]
    path = None if place.startswith("//") else _whole(place)
    if path is None:
        raise InvalidSettings(
            f"not the whole path of a file: {shown(place)}",
            hint=BACKSLASH if _ESCAPES.search(place) else "write it as file:/PATH or file:~/PATH",
        )
    return f"file:{path}{'/' if place.endswith('/') and path.name else ''}"


def is_kid(text: str) -> bool:
    """Whether the text looks like a key's thumbprint: base64url of 32 bytes (RFC 7638)."""
    return _KID.fullmatch(text) is not None


def _whole(text: str) -> Path | None:
    if shown(text) != text:
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InvalidSettings(
            f"the home folder for ~ is unknown: {shown(text)}",
            hint="write the whole path",
        ) from None
    return path if path.is_absolute() else None


def _in_token(text: str) -> str:
    try:
        return token_uri.parse(text).uri
    except token_uri.InvalidTokenUri as refused:
        raise InvalidSettings(refused.message, hint=refused.hint) from None


def _read_store(value: object, path: str) -> str:
    text = text_at(value, path, '"keyring:"')
    try:
        return parse_store(text)
    except InvalidSettings as refused:
        raise at(path, refused) from None


def _read_folder(value: object, path: str) -> Path:
    text = text_at(value, path, '"~/licenses"')
    try:
        folder = _whole(text)
    except InvalidSettings as refused:
        raise at(path, refused) from None
    if folder is None:
        raise wrong(
            path,
            f"not the whole path of a folder: {shown(text)}",
            BACKSLASH
            if _ESCAPES.search(text)
            else "begin it with / or ~/, so that it means the same place from everywhere",
        )
    return folder


STORE = Kind(example='"keyring:"', read=_read_store)
FOLDER = Kind(example='"~/licenses"', read=_read_folder)
