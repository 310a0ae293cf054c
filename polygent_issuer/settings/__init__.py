"""An operator's settings: `settings.toml` in the home, with the origin of each value.

A missing file, and a missing key, mean the default. Names that nobody knows are refused: a
misspelt setting that is silently ignored would be a wrong license. The file never holds a secret.
"""

from polygent_issuer.settings.defaults import default_text
from polygent_issuer.settings.durations import duration_text, parse_duration
from polygent_issuer.settings.editing import plan_of, set_value, unset
from polygent_issuer.settings.loading import load, settings_path
from polygent_issuer.settings.model import (
    OPERATOR_VARIABLE,
    SETTINGS_FILE,
    Entry,
    Loaded,
    Origin,
    Settings,
    Where,
)
from polygent_issuer.settings.places import parse_store

__all__ = [
    "OPERATOR_VARIABLE",
    "SETTINGS_FILE",
    "Entry",
    "Loaded",
    "Origin",
    "Settings",
    "Where",
    "default_text",
    "duration_text",
    "load",
    "parse_duration",
    "parse_store",
    "plan_of",
    "set_value",
    "settings_path",
    "unset",
]
