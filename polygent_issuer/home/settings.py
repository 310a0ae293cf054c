"""The settings: every key with its default, its current value and the source of that."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from polygent_issuer import registry_uri
from polygent_issuer.errors import InvalidSettings, NotFound
from polygent_issuer.files.reading import Rule, UnsafeFile, exposure_of
from polygent_issuer.home.folder import SETTINGS_FILE, may_name_database, parse, settings_text
from polygent_issuer.home.setting_types import (
    DATABASE,
    DURATION,
    FEATURES,
    FILES,
    FLAG,
    FOLDER,
    MAILBOX,
    NAME,
    PLAN_NAME,
    SHIPPED_PLANS,
    STORE,
    TERM,
    WAIT,
    SettingType,
    invalid,
    plan_texts,
    prefixed,
    read_plans,
    refuse_unknown,
    table_at,
)
from polygent_issuer.registry import REGISTRY_FILE
from polygent_issuer.registry.reading import SHARED
from polygent_issuer.terms.dates import ASSUMED_UPLOAD_WINDOW, Term
from polygent_issuer.terms.parsing import Catalogue, Plan, catalogue
from polygent_issuer.text import Hint, did_you_mean, escape, nearest, option, run
from polygent_issuer.verifier.license import Tier

OPERATOR_VARIABLE = "POLYGENT_ISSUER_OPERATOR"
"""The environment variable that overrides the setting `operator`."""
BACKUPS: Final = "backups"
"""The table with the backups of each key; unlike `stores` and `plans`, it is never empty."""
TABLES: Final = ("stores", BACKUPS, "plans")
_THREE_YEARS: Final = Term(years=3)
# A key's thumbprint: base64url of 32 bytes (RFC 7638).
KID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PROGRAM: Final = "token-command="  # an option of a store URI
BY_KID: Final[Mapping[str, SettingType]] = {"stores": STORE, BACKUPS: FILES}


class SettingSpec(NamedTuple):
    """A setting: its type, a one-line description, and an example if it has no default."""

    kind: SettingType
    about: str
    example: str = ""


KEYS: Final[Mapping[str, SettingSpec]] = {
    "issuer": SettingSpec(NAME, "the issuer's name, written into every license"),
    "operator": SettingSpec(
        NAME, f"your name in the journal; {OPERATOR_VARIABLE} overrides it", "Jane Doe"
    ),
    "upload_window": SettingSpec(
        DURATION,
        "how long after its issue the server accepts a file; if unset, 7 days are assumed",
        "7d",
    ),
    "machine_info_max_age": SettingSpec(DURATION, "an older machine-info.json needs consent"),
    "long_term": SettingSpec(TERM, "a license with a longer term needs consent"),
    "not_due": SettingSpec(DURATION, "a renewal earlier than this before the expiry needs consent"),
    "lapsed": SettingSpec(DURATION, "licenses that expired longer ago are renewed only if named"),
    "store": SettingSpec(
        STORE, "where new private keys are kept: keyring:, file:/PATH or pkcs11:URI"
    ),
    "key_backup_folder": SettingSpec(
        FOLDER, "the proposed folder for key backups, best on another disk", "~/polygent-key-backup"
    ),
    "output": SettingSpec(
        FOLDER, "the folder for license files; if unset, the current folder", "~/licenses"
    ),
    "mail_from": SettingSpec(
        MAILBOX,
        "the sender of mail drafts; if unset, the mail program fills it in",
        "Polygent <licenses@polygent.example>",
    ),
    "default_plan": SettingSpec(PLAN_NAME, "the plan of a first license without --plan"),
    "features": SettingSpec(FEATURES, "additional features, of modules newer than this tool"),
    "require_order_id": SettingSpec(FLAG, "whether first licenses and renewals need --order-id"),
    "registry": SettingSpec(
        DATABASE,
        "the database of a team's registry; if unset, registry.db in the home",
        registry_uri.EXAMPLE,
    ),
    "keyring_timeout": SettingSpec(
        WAIT, "the longest time to wait for a keyring, a token or a service"
    ),
}
"""The settings with a single value, by name; the tables are `stores`, `backups` and `plans`."""

PLAN_KEYS: Final[Mapping[str, str]] = {
    "tier": "standard (one machine) or enterprise (any machine; can be limited to a domain)",
    "term": "how long a license runs: 1y, 6mo or 90d",
    "renewable": "false: batches skip it; a single renewal needs --plan or --term",
    "users": "the number of active users",
    "session_hosts": "the number of hosts that run sessions; 0 = none",
    "deploy_hosts": "the number of hosts to deploy to; 0 = none",
    "features": "the enabled features; sso-saml, audit-export, multi-tenant need enterprise",
}
"""The meaning of each key of a plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The values of all settings of `KEYS` and of all tables.

    Attributes:
        stores: the store URI of each private key, by kid; `store` is the URI for new keys.
        backups: the files with a backup of each private key, by kid, the newest last.
        plans: the plans by name.
    """

    issuer: str = "polygent-operator"
    operator: str | None = None
    upload_window: timedelta | None = None
    machine_info_max_age: timedelta = timedelta(days=14)
    long_term: Term = _THREE_YEARS
    not_due: timedelta = timedelta(days=90)
    lapsed: timedelta = timedelta(days=90)
    store: str = "keyring:"
    stores: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    backups: Mapping[str, tuple[Path, ...]] = field(default_factory=lambda: MappingProxyType({}))
    key_backup_folder: Path | None = None
    output: Path | None = None
    mail_from: str | None = None
    default_plan: str = "standard-annual"
    plans: Mapping[str, Plan] = field(default_factory=lambda: SHIPPED_PLANS)
    features: tuple[str, ...] = ()
    require_order_id: bool = False
    registry: str | None = None
    keyring_timeout: timedelta = timedelta(seconds=20)

    @property
    def upload_window_or_assumed(self) -> timedelta:
        """The upload window, or the assumed one if it is not set."""
        return ASSUMED_UPLOAD_WINDOW if self.upload_window is None else self.upload_window

    @property
    def upload_window_is_assumed(self) -> bool:
        """True if the upload window is not set; displays must state that it is assumed."""
        return self.upload_window is None

    @property
    def catalogue(self) -> Catalogue:
        """The known features, including those of newer modules."""
        return catalogue(self.features)

    def plan(self, name: str) -> Plan:
        """Return the plan with a name.

        Raises:
            NotFound: (`not_found`); the hint names the most similar plan.
        """
        if name in self.plans:
            return self.plans[name]
        hint = did_you_mean(name, self.plans, f"plans: {', '.join(sorted(self.plans))}")
        raise NotFound(f"unknown plan {escape(name)}", hint=hint)

    def plan_for(self, tier: Tier | None) -> Plan:
        """Return the default plan if it has the tier, else the first renewable plan of the tier.

        Raises:
            NotFound: (`not_found`) when no renewable plan has this tier.
        """
        default = self.plans[self.default_plan]
        if tier in (None, default.tier):
            return default
        for plan in self.plans.values():
            if plan.tier is tier and plan.renewable:
                return plan
        raise NotFound(
            f"no plan has the tier {tier}",
            hint=Hint("choose a plan with ", option("--plan", "NAME")),
        )


class Where(StrEnum):
    """The possible sources of a value."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    REGISTRY = "registry"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A key, its value as `config set` takes it, and the source of the value.

    Attributes:
        value: None if it is not set and has no default.
        detail: the path of the file, the name of the variable, or the URI of the registry.
    """

    key: str
    value: str | None
    where: Where
    detail: str = ""

    @property
    def about(self) -> str:
        """The meaning of the key."""
        if self.key in KEYS:
            return KEYS[self.key].about
        table, _, name = self.key.partition(".")
        if table == "stores":
            return "where this private key is kept"
        if table == BACKUPS:
            return "the backups of this private key"
        return PLAN_KEYS[name.rpartition(".")[2]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The current settings, and an entry per dotted key in the order of the documentation.

    `overridden` are the settings of the file that differ from those of the registry, which win.
    """

    settings: Settings
    entries: Mapping[str, Entry]
    overridden: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str | None]:
        """The value of each key, as `config set` takes it."""
        return {key: entry.value for key, entry in self.entries.items()}

    def entries_of(self, dotted: str) -> tuple[Entry, ...]:
        """Return the entry of a key, or all entries of a table: `not_due`, `plans.trial`, `stores`.

        Raises:
            InvalidSettings: (`invalid_settings`) for an unknown key; the hint names a similar one.
        """
        within = f"{dotted}."
        every = self.entries.values()
        entries = tuple(e for e in every if e.key == dotted or e.key.startswith(within))
        if entries or dotted in TABLES:
            return entries
        known = [*self.entries, *TABLES, *(f"plans.{name}" for name in self.settings.plans)]
        suggestion = nearest(dotted.casefold().replace("-", "_"), known) or nearest(dotted, known)
        show = run("config", "show")
        raise InvalidSettings(
            f"{escape(dotted)}: unknown setting",
            hint=Hint(f"did you mean {suggestion}? or ", show) if suggestion else show,
        )


def settings_path(home: Path) -> Path:
    """Return the path of the settings file of a home."""
    return home / SETTINGS_FILE


def registry_place(home: Path) -> Path | str:
    """Return the file of the registry, or the URI of its database if the settings name one.

    Invalid settings that name none do not hide the file.

    Raises:
        InvalidSettings, UnsafeFile: (`invalid_settings`, `unsafe_file`) as `load`.
    """
    file = home / REGISTRY_FILE
    if not may_name_database(home):
        return file
    try:
        settings_text(settings_path(home))
    except InvalidSettings:
        if file.exists():
            return file
        raise
    return load(home, {}).settings.registry or file


class Team(NamedTuple):
    """The settings in a registry, as a TOML document; it has all of `SHARED`, or their defaults."""

    place: str
    table: Mapping[str, Any]


def load(home: Path, environ: Mapping[str, str], team: Team | None = None) -> Loaded:
    """Return the current settings: defaults, overridden by the file, the environment, the team.

    The settings file of `home` need not exist.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it; also a
            trusted group, if a store URI in it names a program.
        InvalidSettings: (`invalid_settings`) with the file and the dotted key or the line.
    """
    path = settings_path(home)
    loaded = load_text(settings_text(path), path, team)
    if any(_PROGRAM in uri for uri in (loaded.settings.store, *loaded.settings.stores.values())):
        exposure = exposure_of(path, "settings file", path.stat(), rule=Rule.CODE)
        if exposure is not None:
            raise UnsafeFile(exposure.message, hint=exposure.hint("run the command again"))
    if OPERATOR_VARIABLE not in environ:
        return loaded
    operator = NAME.read(environ[OPERATOR_VARIABLE], OPERATOR_VARIABLE)
    entry = Entry(key="operator", value=operator, where=Where.ENVIRONMENT, detail=OPERATOR_VARIABLE)
    return replace(
        loaded,
        settings=replace(loaded.settings, operator=operator),
        entries={**loaded.entries, entry.key: entry},
    )


def load_text(text: str, path: Path, team: Team | None = None) -> Loaded:
    """Return the settings of the text of a file, whose path is for messages.

    Those in the registry of a team replace its `SHARED`, also where they are not set.

    Raises:
        InvalidSettings: (`invalid_settings`) with the file or the registry, and the dotted key or
            the line.
    """
    shared: dict[str, Any] = {}
    if team is not None:
        shared = dict(team.table)
        with prefixed(escape(team.place)):
            interpret(shared)
    with prefixed(escape(str(path))):
        own = parse(text)
        table = own
        if team is not None:
            table = {name: value for name, value in own.items() if name not in SHARED} | shared
        settings = interpret(table)
    overridden = tuple(name for name in own if table.get(name) != own[name])
    entries = {entry.key: entry for entry in _entries(settings, table, path, team)}
    return Loaded(settings=settings, entries=entries, overridden=overridden)


def interpret(table: Mapping[str, Any]) -> Settings:
    """Return the settings of a TOML document.

    Raises:
        InvalidSettings: (`invalid_settings`) with the dotted path of the invalid value.
    """
    refuse_unknown(table, (*KEYS, *TABLES))
    values = {name: key.kind.read(table[name], name) for name, key in KEYS.items() if name in table}
    for name, kind in BY_KID.items():
        of_keys = table_at(table.get(name, {}), name)
        values[name] = {kid: _of_key(name, kind, kid, value) for kid, value in of_keys.items()}
    if "plans" in table:
        known = catalogue(values.get("features", ()))
        values["plans"] = read_plans(table_at(table["plans"], "plans"), known)
    settings = Settings(**values)
    if settings.default_plan not in settings.plans:
        every = f"plans: {', '.join(settings.plans) or 'none'}"
        hint = did_you_mean(settings.default_plan, settings.plans, every)
        raise invalid("default_plan", f"unknown plan {settings.default_plan}", hint)
    return settings


def _of_key(name: str, kind: SettingType, kid: str, value: object) -> Any:  # noqa: ANN401 - as `SettingType.read`
    path = f"{name}.{escape(kid)}"
    if not KID.fullmatch(kid):
        raise invalid(path, "not the kid of a key", run("key", "list"))
    return kind.read(value, path)


def _entries(
    settings: Settings, table: Mapping[str, Any], path: Path, team: Team | None
) -> Iterator[Entry]:
    def entry(key: str, value: str | None, *, is_set: bool) -> Entry:
        if not is_set:
            return Entry(key=key, value=value, where=Where.DEFAULT)
        if team is not None and key.partition(".")[0] in SHARED:
            return Entry(key=key, value=value, where=Where.REGISTRY, detail=team.place)
        return Entry(key=key, value=value, where=Where.FILE, detail=str(path))

    for name, spec in KEYS.items():
        value = getattr(settings, name)
        text = None if value is None else spec.kind.text(value)
        yield entry(name, text, is_set=name in table)
    for name, kind in BY_KID.items():
        for kid, of_key in getattr(settings, name).items():
            yield entry(f"{name}.{kid}", kind.text(of_key), is_set=True)
    written = table.get("plans", {})
    for plan in settings.plans.values():
        for key, text in plan_texts(plan).items():
            is_set = key in written.get(plan.name, {})
            yield entry(f"plans.{plan.name}.{key}", text, is_set=is_set)
