"""Plans as tables in a file that is laid out as `init` writes it.

A TOML library takes the comment below a table for a part of it: the one on stores would go with
the last plan. Whoever calls compares what the changed text means with what it is to mean.
"""

import re
from collections.abc import Mapping

from polygent_issuer.settings.defaults import STORES_HEAD, plan_text
from polygent_issuer.settings.kind import TomlValue


def with_plan(text: str, name: str, values: Mapping[str, TomlValue]) -> str:
    """The text with a new plan after the others; as it was where they have no known end."""
    return text.replace(STORES_HEAD, f"{plan_text(name, values)}\n{STORES_HEAD}")


def without_plan(text: str, name: str) -> str:
    """The text without the lines of a plan, up to an empty line, a comment or another table."""
    lines = rf"^\[plans\.{re.escape(name)}\]\n(?:[^\[#\n].*\n)*\n?"
    return re.sub(lines, "", text, flags=re.MULTILINE)
