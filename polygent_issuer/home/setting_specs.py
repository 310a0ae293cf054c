"""Every key of the settings, with what it is for; plans: those that ship, and reading them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from polygent_issuer.hints import run
from polygent_issuer.home import setting_types
from polygent_issuer.home.setting_types import (
    SettingType,
    TomlValue,
    invalid,
    refuse_unknown,
    table_at,
)
from polygent_issuer.terms.dates import Term
from polygent_issuer.terms.terms import Catalogue, Plan
from polygent_issuer.text import did_you_mean, escape
from polygent_issuer.verifier.identifiers import ENTERPRISE_FEATURES, FEATURES, Tier, is_slug
from polygent_issuer.verifier.license import Limits

KINDS: Mapping[str, SettingType] = {
    "tier": setting_types.TIER,
    "term": setting_types.TERM,
    "renewable": setting_types.FLAG,
    "users": setting_types.USERS,
    "session_hosts": setting_types.SESSION_HOSTS,
    "deploy_hosts": setting_types.DEPLOY_HOSTS,
    "features": setting_types.FEATURES,
}
"""The keys of a plan's table, in the order in which they are written."""

_OPTIONAL = {"renewable": True}

# One session for each user is what the product does by itself.
_STANDARD = tuple(name for name in FEATURES if name != "multiple-active-sessions")


def _shipped(name: str, tier: Tier, term: Term, limits: tuple[int, int, int], **more: bool) -> Plan:
    users, sessions, deploys = limits
    enterprise = tier is Tier.ENTERPRISE
    return Plan(
        name=name,
        tier=tier,
        term=term,
        features=(*FEATURES, *ENTERPRISE_FEATURES) if enterprise else _STANDARD,
        limits=Limits(users=users, session_hosts=sessions, deploy_hosts=deploys),
        **more,
    )


SHIPPED_PLANS: Mapping[str, Plan] = MappingProxyType(
    {
        plan.name: plan
        for plan in (
            _shipped("standard-annual", Tier.STANDARD, Term(years=1), (25, 5, 5)),
            _shipped("enterprise-annual", Tier.ENTERPRISE, Term(years=1), (250, 50, 50)),
            _shipped("trial", Tier.STANDARD, Term(days=30), (5, 1, 1), renewable=False),
        )
    }
)
"""What holds while the settings have no plans; `init` writes them down for editing."""


def read_plans(table: Mapping[str, object], catalogue: Catalogue) -> dict[str, Plan]:
    """The plans of the table `plans`.

    Raises:
        InvalidSettings: (`invalid_settings`) with the dotted path of what is wrong.
    """
    plans = {}
    for name, values in table.items():
        path = f"plans.{escape(name)}"
        if not is_slug(name):
            raise invalid(path, "not a plan's name", "use small letters, digits and hyphens")
        plan = _read_plan(name, table_at(values, path), path)
        _check_features(plan, catalogue, f"{path}.features")
        plans[name] = plan
    return plans


def plan_texts(plan: Plan) -> dict[str, str]:
    """A plan's values by their keys, as `config set` takes them."""
    return {key: KINDS[key].text(value) for key, value in _parts(plan).items()}


def plan_toml(plan: Plan) -> dict[str, TomlValue]:
    """A plan's values by their keys, as TOML has them."""
    return {key: KINDS[key].typed(text, key) for key, text in plan_texts(plan).items()}


def _parts(plan: Plan) -> dict[str, object]:
    return {
        "tier": plan.tier,
        "term": plan.term,
        "renewable": plan.renewable,
        "users": plan.limits.users,
        "session_hosts": plan.limits.session_hosts,
        "deploy_hosts": plan.limits.deploy_hosts,
        "features": plan.features,
    }


def _read_plan(name: str, values: Mapping[str, object], path: str) -> Plan:
    refuse_unknown(values, KINDS, path)
    for key in KINDS:
        if key not in values and key not in _OPTIONAL:
            raise invalid(f"{path}.{key}", "missing", f"add {key} = {KINDS[key].example}")
    read: dict[str, Any] = {
        key: kind.read(values[key], f"{path}.{key}") if key in values else _OPTIONAL[key]
        for key, kind in KINDS.items()
    }
    return Plan(
        name=name,
        tier=read["tier"],
        term=read["term"],
        renewable=read["renewable"],
        features=read["features"],
        limits=Limits(
            users=read["users"],
            session_hosts=read["session_hosts"],
            deploy_hosts=read["deploy_hosts"],
        ),
    )


def _check_features(plan: Plan, catalogue: Catalogue, path: str) -> None:
    for name in plan.features:
        if name not in catalogue.names:
            otherwise = "name newer modules in features first"
            hint = did_you_mean(name, sorted(catalogue.names), otherwise)
            raise invalid(path, f"unknown feature {name}", hint)
    reserved = catalogue.enterprise_only(plan.features)
    if plan.tier is Tier.STANDARD and reserved:
        raise invalid(
            path,
            f"a standard license cannot have {', '.join(reserved)}",
            "take it out, or make the plan's tier enterprise",
        )


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
        kind=setting_types.STORE,
        about="where new private keys are kept: keyring:, file:/PATH or pkcs11:URI",
    ),
    "key_backup_folder": SettingSpec(
        kind=setting_types.FOLDER,
        about="where key backups are proposed to go: best another disk",
        example="~/polygent-key-backup",
    ),
    "output": SettingSpec(
        kind=setting_types.FOLDER,
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
        if len(rest) != 1 or not setting_types.is_kid(rest[0]):
            raise invalid(escape(dotted), "must be stores. and a key's kid", run("key", "list"))
        return setting_types.STORE
    if len(rest) != 2:  # noqa: PLR2004 - the plan and its key
        wanted = f"plans.NAME. and one of {', '.join(KINDS)}"
        raise invalid(escape(dotted), "is no single value", f"use {wanted}")
    refuse_unknown([rest[1]], KINDS, f"plans.{escape(rest[0])}")
    return KINDS[rest[1]]
