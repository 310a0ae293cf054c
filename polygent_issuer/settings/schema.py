"""Every key of the settings, with what it is for: the one table that all of this room reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from polygent_issuer.hints import run
from polygent_issuer.settings import places, plans, values
from polygent_issuer.settings.kind import Kind, refuse_unknown, wrong
from polygent_issuer.text import shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A setting: its kind, one line of explanation, and an example where nothing is the default."""

    kind: Kind
    about: str
    example: str = ""


KEYS: Mapping[str, Key] = {
    "issuer": Key(kind=values.NAME, about="who issues: written into every license"),
    "operator": Key(
        kind=values.NAME,
        about="who you are in the journal; POLYGENT_ISSUER_OPERATOR overrides it",
        example="Jane Doe",
    ),
    "upload_window": Key(
        kind=values.DURATION,
        about="how long after its issue the server takes a file; 7 days are assumed until told",
        example="7d",
    ),
    "machine_info_max_age": Key(
        kind=values.DURATION, about="a machine-info.json that is older needs consent"
    ),
    "long_term": Key(kind=values.TERM, about="a license that runs longer needs consent"),
    "not_due": Key(
        kind=values.DURATION, about="a renewal further ahead of the expiry needs consent"
    ),
    "lapsed": Key(
        kind=values.DURATION, about="what expired longer ago is renewed only when it is named"
    ),
    "store": Key(
        kind=places.STORE,
        about="where new private keys are kept: keyring:, file:/PATH or pkcs11:URI",
    ),
    "key_backup_folder": Key(
        kind=places.FOLDER,
        about="where key backups are proposed to go: best another disk",
        example="~/polygent-key-backup",
    ),
    "output": Key(
        kind=places.FOLDER,
        about="the folder for license files; without it the current one",
        example="~/licenses",
    ),
    "mail_from": Key(
        kind=values.MAILBOX,
        about="whom mail drafts are from; without it the mail program says",
        example="Polygent <licenses@polygent.example>",
    ),
    "default_plan": Key(
        kind=values.PLAN_NAME, about="the plan of a first license for which none is named"
    ),
    "features": Key(kind=values.FEATURES, about="names of modules that are newer than this tool"),
    "keyring_timeout": Key(
        kind=values.WAIT, about="how long a keyring or a token may take to answer"
    ),
}
"""The single keys, by name; beside them stand the tables `stores` and `plans`."""

TABLES = ("stores", "plans")


def kind_of(dotted: str) -> Kind:
    """The kind of the value at a dotted key: `not_due`, `stores.KID`, `plans.trial.users`.

    Raises:
        InvalidSettings: (`invalid_settings`) when there is no such key, with the nearest one.
    """
    first, *rest = dotted.split(".")
    refuse_unknown([first], (*KEYS, *TABLES))
    if first in KEYS:
        if rest:
            raise wrong(shown(dotted), f"{first} is a single value", f"use the key {first}")
        return KEYS[first].kind
    if first == "stores":
        if len(rest) != 1 or not places.is_kid(rest[0]):
            raise wrong(shown(dotted), "must be stores. and a key's kid", run("key", "list"))
        return places.STORE
    if len(rest) != 2:  # noqa: PLR2004 - the plan and its key
        wanted = f"plans.NAME. and one of {', '.join(plans.KINDS)}"
        raise wrong(shown(dotted), "is no single value", f"use {wanted}")
    refuse_unknown([rest[1]], plans.KINDS, f"plans.{shown(rest[0])}")
    return plans.KINDS[rest[1]]
