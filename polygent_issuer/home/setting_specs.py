"""Every key of the settings, with what it is for: the one table that all of this room reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from polygent_issuer.hints import run
from polygent_issuer.home import paths, plans, setting_types
from polygent_issuer.home.setting_types import SettingType, invalid, refuse_unknown
from polygent_issuer.text import escape


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingSpec:
    """A setting: its kind, one line of explanation, and an example where nothing is the default."""

    kind: SettingType
    about: str
    example: str = ""


KEYS: Mapping[str, SettingSpec] = {
    "issuer": SettingSpec(kind=setting_types.NAME, about="who issues: written into every license"),
    "operator": SettingSpec(
        kind=setting_types.NAME,
        about="who you are in the journal; POLYGENT_ISSUER_OPERATOR overrides it",
        example="Jane Doe",
    ),
    "upload_window": SettingSpec(
        kind=setting_types.DURATION,
        about="how long after its issue the server takes a file; 7 days are assumed until told",
        example="7d",
    ),
    "machine_info_max_age": SettingSpec(
        kind=setting_types.DURATION, about="a machine-info.json that is older needs consent"
    ),
    "long_term": SettingSpec(
        kind=setting_types.TERM, about="a license that runs longer needs consent"
    ),
    "not_due": SettingSpec(
        kind=setting_types.DURATION, about="a renewal further ahead of the expiry needs consent"
    ),
    "lapsed": SettingSpec(
        kind=setting_types.DURATION,
        about="what expired longer ago is renewed only when it is named",
    ),
    "store": SettingSpec(
        kind=paths.STORE,
        about="where new private keys are kept: keyring:, file:/PATH or pkcs11:URI",
    ),
    "key_backup_folder": SettingSpec(
        kind=paths.FOLDER,
        about="where key backups are proposed to go: best another disk",
        example="~/polygent-key-backup",
    ),
    "output": SettingSpec(
        kind=paths.FOLDER,
        about="the folder for license files; without it the current one",
        example="~/licenses",
    ),
    "mail_from": SettingSpec(
        kind=setting_types.MAILBOX,
        about="whom mail drafts are from; without it the mail program says",
        example="Polygent <licenses@polygent.example>",
    ),
    "default_plan": SettingSpec(
        kind=setting_types.PLAN_NAME, about="the plan of a first license for which none is named"
    ),
    "features": SettingSpec(
        kind=setting_types.FEATURES, about="names of modules that are newer than this tool"
    ),
    "keyring_timeout": SettingSpec(
        kind=setting_types.WAIT, about="how long a keyring or a token may take to answer"
    ),
}
"""The single keys, by name; beside them stand the tables `stores` and `plans`."""

TABLES = ("stores", "plans")


def kind_of(dotted: str) -> SettingType:
    """The kind of the value at a dotted key: `not_due`, `stores.KID`, `plans.trial.users`.

    Raises:
        InvalidSettings: (`invalid_settings`) when there is no such key, with the nearest one.
    """
    first, *rest = dotted.split(".")
    refuse_unknown([first], (*KEYS, *TABLES))
    if first in KEYS:
        if rest:
            raise invalid(escape(dotted), f"{first} is a single value", f"use the key {first}")
        return KEYS[first].kind
    if first == "stores":
        if len(rest) != 1 or not paths.is_kid(rest[0]):
            raise invalid(escape(dotted), "must be stores. and a key's kid", run("key", "list"))
        return paths.STORE
    if len(rest) != 2:  # noqa: PLR2004 - the plan and its key
        wanted = f"plans.NAME. and one of {', '.join(plans.KINDS)}"
        raise invalid(escape(dotted), "is no single value", f"use {wanted}")
    refuse_unknown([rest[1]], plans.KINDS, f"plans.{escape(rest[0])}")
    return plans.KINDS[rest[1]]
