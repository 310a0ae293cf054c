"""The dotted keys with which `config show` and `config set` name settings."""

from polygent_issuer.hints import Hint, run
from polygent_issuer.home.setting_types import KINDS, SettingType, invalid, refuse_unknown
from polygent_issuer.home.settings import BY_KID, KEYS, KID, TABLES
from polygent_issuer.text import escape


def kind_of(dotted: str) -> SettingType:
    """Return the type of the value at a dotted key: `not_due`, `stores.KID`, `plans.trial.users`.

    Raises:
        InvalidSettings: (`invalid_settings`) for an unknown key; the hint names a similar one.
    """
    first, *rest = dotted.split(".")
    refuse_unknown([first], (*KEYS, *TABLES))
    if first in KEYS:
        if rest:
            raise invalid(escape(dotted), f"{first} is a single value", f"use the key {first}")
        return KEYS[first].kind
    if first in BY_KID:
        if len(rest) != 1 or not KID.fullmatch(rest[0]):
            hint = Hint(run("key", "show", "LABEL"), " prints the whole KID")
            raise invalid(escape(dotted), f"must be {first}.KID with the whole KID of a key", hint)
        return BY_KID[first]
    if len(rest) != 2:  # noqa: PLR2004 - the plan and its key
        keys = ", ".join(KINDS)
        raise invalid(escape(dotted), "not a single value", f"use plans.NAME.KEY; keys: {keys}")
    refuse_unknown([rest[1]], KINDS, f"plans.{escape(rest[0])}")
    return KINDS[rest[1]]


def plan_of(dotted_key: str) -> str | None:
    """Return the name of the plan if a key is a whole plan (`plans.NAME`)."""
    table, _, name = dotted_key.partition(".")
    return name if table == "plans" and name and "." not in name else None
