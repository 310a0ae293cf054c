"""Hints for a row: the core speaks of options, and a row has fields."""

import re
from typing import Final

from polygent_issuer.batch.row_fields import FIELDS

# What a row's own `accept` says may not count, so these stay options of `apply`.
_OPTIONS_ALL_THE_SAME: Final = ("accept", "reason")
_FIELDS: Final = {
    **{f"--{name.replace('_', '-')}": name for name in FIELDS if name not in _OPTIONS_ALL_THE_SAME},
    "--label": "machine",
    "--feature": "features",
}
_COMMAND: Final = re.compile(r"(polygent-issue[^;]*)")
_LESS: Final = re.compile(r"--remove-feature (\S+?)(?=[,;]|\s|$)")
_OPTION: Final = re.compile(r"--[a-z-]+")


def in_fields(hint: str | None) -> str | None:
    """The hint with fields in place of options; a whole command is left as it is."""
    if hint is None or "--" not in hint:
        return hint
    words = _COMMAND.split(hint)
    words[::2] = [
        _OPTION.sub(_field, _LESS.sub(r"features without \1", each)) for each in words[::2]
    ]
    return "".join(words)


def _field(option: re.Match[str]) -> str:
    return _FIELDS.get(option[0], option[0])
