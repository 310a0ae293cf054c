"""Folders and key stores: always whole paths, so that they mean the same from everywhere."""

import re
from pathlib import Path

from polygent_issuer import store_uri
from polygent_issuer.errors import InvalidSettings
from polygent_issuer.home.setting_types import SettingType, invalid, prefix_path, text_at
from polygent_issuer.text import BACKSLASH, escape

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
    if store_uri.is_token_uri(text):
        return _in_token(text)
    if scheme != "file" or not place:
        raise InvalidSettings(
            f"not a key store: {escape(text)}",
            hint=f"write it as keyring:, file:/PATH or {store_uri.EXAMPLE}",
        )
    if place.startswith("///"):  # file:///PATH, as a browser would write it
        place = place[2:]
    path = None if place.startswith("//") else _whole(place)
    if path is None:
        raise InvalidSettings(
            f"not the whole path of a file: {escape(place)}",
            hint=BACKSLASH if _ESCAPES.search(place) else "write it as file:/PATH or file:~/PATH",
        )
    return f"file:{path}{'/' if place.endswith('/') and path.name else ''}"


def is_kid(text: str) -> bool:
    """Whether the text looks like a key's thumbprint: base64url of 32 bytes (RFC 7638)."""
    return _KID.fullmatch(text) is not None


def _whole(text: str) -> Path | None:
    if escape(text) != text:
        return None
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InvalidSettings(
            f"the home folder for ~ is unknown: {escape(text)}",
            hint="write the whole path",
        ) from None
    return path if path.is_absolute() else None


def _in_token(text: str) -> str:
    try:
        return store_uri.parse_token_uri(text).uri
    except store_uri.InvalidTokenUri as refused:
        raise InvalidSettings(refused.message, hint=refused.hint) from None


def _read_store(value: object, path: str) -> str:
    text = text_at(value, path, '"keyring:"')
    try:
        return parse_store(text)
    except InvalidSettings as refused:
        raise prefix_path(path, refused) from None


def _read_folder(value: object, path: str) -> Path:
    text = text_at(value, path, '"~/licenses"')
    try:
        folder = _whole(text)
    except InvalidSettings as refused:
        raise prefix_path(path, refused) from None
    if folder is None:
        raise invalid(
            path,
            f"not the whole path of a folder: {escape(text)}",
            BACKSLASH
            if _ESCAPES.search(text)
            else "begin it with / or ~/, so that it means the same place from everywhere",
        )
    return folder


STORE = SettingType(example='"keyring:"', read=_read_store)
FOLDER = SettingType(example='"~/licenses"', read=_read_folder)
