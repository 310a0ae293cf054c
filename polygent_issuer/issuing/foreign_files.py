"""A file that somebody took for a license: what can be said of it before anything is believed."""

from codecs import BOM_UTF8
from typing import Final

from polygent_issuer.verifier import LicenseError, jws

_PEM: Final = b"-----BEGIN "


def named_kid(data: bytes) -> str | None:
    """The key that a file of the right form names; nothing of it is checked."""
    try:
        return jws.parse(data).kid
    except LicenseError:
        return None


def other_kind(data: bytes) -> str | None:
    """What a file obviously is that is no license, by how it begins."""
    beginning = data.removeprefix(BOM_UTF8).lstrip()[:1024]
    if beginning.startswith((b"{", b"[")):
        kind = "a machine-info" if b"polygent-machine-info" in data else "a JSON"
        return f"this is {kind} document, not a license"
    if beginning.startswith(_PEM):
        label = beginning.partition(b"\n")[0]
        for mark, kind in ((b"PRIVATE KEY", "private key"), (b"PUBLIC KEY", "public key")):
            if mark in label:
                return f"this is a {kind}, not a license"
        return "this is a PEM file, not a license"
    if beginning.lower().startswith((b"<!doctype html", b"<html")):
        return "this is an HTML page, not a license"
    return None
