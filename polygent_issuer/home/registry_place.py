"""Where the registry of a home is: the file in it, or a team's database."""

from pathlib import Path

from polygent_issuer.errors import InvalidSettings
from polygent_issuer.home.folder import SETTINGS_FILE, settings_text
from polygent_issuer.registry import REGISTRY_FILE


def registry_place(home: Path) -> Path | str:
    """Return the file of the registry, or the URI of its database if the settings name one.

    Many commands need no other setting. So the settings are loaded, which takes long, only if a
    line could name a database, and invalid ones do not hide the file.

    Raises:
        InvalidSettings, UnsafeFile: (`invalid_settings`, `unsafe_file`) as `settings.load`.
    """
    file = home / REGISTRY_FILE
    try:
        text = settings_text(home / SETTINGS_FILE)
    except InvalidSettings:
        if file.exists():
            return file
        raise
    if not _may_name_one(text):
        return file
    from polygent_issuer.home import settings  # noqa: PLC0415  # loads the verifier (30 ms)

    return settings.load(home, {}).settings.registry or file


def _may_name_one(text: str) -> bool:
    lines = (line.lstrip() for line in text.splitlines())
    return any("registry" in line or "\\" in line for line in lines if not line.startswith("#"))
