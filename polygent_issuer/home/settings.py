"""The settings in force, and where each of them comes from: the file or the environment."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from polygent_issuer.errors import InvalidSettings, NotFound, UnreadableInput
from polygent_issuer.files import NotUtf8, read_text
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.home.setting_specs import KEYS, SHIPPED_PLANS, TABLES, plan_texts, read_plans
from polygent_issuer.home.setting_types import (
    NAME,
    STORE,
    invalid,
    is_kid,
    prefixed,
    refuse_unknown,
    table_at,
)
from polygent_issuer.terms.dates import ASSUMED_UPLOAD_WINDOW, Term
from polygent_issuer.terms.terms import Catalogue, Plan, catalogue
from polygent_issuer.text import backslash_hint, did_you_mean, escape, nearest
from polygent_issuer.verifier.identifiers import Tier

SETTINGS_FILE = "settings.toml"
OPERATOR_VARIABLE = "POLYGENT_ISSUER_OPERATOR"
"""The environment variable that overrides the setting `operator`."""

_THREE_YEARS = Term(years=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every setting, with its default.

    Attributes:
        issuer: the display name that goes into each license as `iss`.
        operator: who the journal says it was; None leaves the user of the operating system.
        upload_window: how long after its issue a server takes a file; None while not told.
        machine_info_max_age: the oldest machine-info.json that raises no finding.
        long_term: a license over this needs consent.
        not_due: a renewal further ahead of the expiry than this needs consent.
        lapsed: a license that expired longer ago is only renewed when it is named.
        store: where new private keys go: `keyring:`, `file:` and an absolute path, or `pkcs11:`.
        stores: where the private half of each key lies, by kid.
        key_backup_folder: where key backups are proposed.
        output: the folder for license files; None is the current one.
        mail_from: whom mail drafts are from: an address, alone or as `Name <address>`.
        default_plan: the plan of a first license for which none is named.
        plans: by name.
        features: names of modules that are newer than this tool.
        keyring_timeout: how long a keyring or a token may take to answer.
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
    key_backup_folder: Path | None = None
    output: Path | None = None
    mail_from: str | None = None
    default_plan: str = "standard-annual"
    plans: Mapping[str, Plan] = field(default_factory=lambda: SHIPPED_PLANS)
    features: tuple[str, ...] = ()
    keyring_timeout: timedelta = timedelta(seconds=20)

    @property
    def upload_window_or_assumed(self) -> timedelta:
        """The upload window to count with."""
        return ASSUMED_UPLOAD_WINDOW if self.upload_window is None else self.upload_window

    @property
    def upload_window_is_assumed(self) -> bool:
        """Whether nobody has told the server's window yet: displays must say so."""
        return self.upload_window is None

    @property
    def catalogue(self) -> Catalogue:
        """The features that exist, newer modules included."""
        return catalogue(self.features)

    def plan(self, name: str) -> Plan:
        """A plan by its name.

        Raises:
            NotFound: (`not_found`) with the nearest name.
        """
        if name in self.plans:
            return self.plans[name]
        hint = did_you_mean(name, self.plans, f"plans: {', '.join(sorted(self.plans))}")
        raise NotFound(f"there is no plan {escape(name)}", hint=hint)

    def plan_for(self, tier: Tier | None) -> Plan:
        """The plan of a first license for which only the tier was named, or nothing.

        The default plan, unless its tier is another: then the first renewable plan of the tier,
        in the order of the file.

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
            f"there is no plan of the {tier} tier",
            hint=Hint("name one with ", option("--plan", "NAME")),
        )


class Where(StrEnum):
    """Where a value can come from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a value comes from; `detail` is the file's path or the variable's name."""

    where: Where
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of `config show`; `value` is None when nothing is set and there is no default."""

    key: str
    value: str | None
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The settings in force, and the origin of each by its dotted key.

    Attributes:
        settings: as values.
        origins: by dotted key; a plan has one for each of its own keys.
        texts: each value as `config set` takes it, by dotted key.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    texts: Mapping[str, str | None]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every key with its value and origin, in the order of the documentation."""
        return tuple(
            Entry(key=key, value=value, origin=self.origins[key])
            for key, value in self.texts.items()
        )

    def entries_of(self, dotted: str) -> tuple[Entry, ...]:
        """One key, or all of a table: `not_due`, `plans.trial`, `stores`.

        Raises:
            InvalidSettings: (`invalid_settings`) when there is no such key, with the nearest one.
        """
        within = f"{dotted}."
        entries = tuple(e for e in self.entries if e.key == dotted or e.key.startswith(within))
        if entries or dotted in TABLES:
            return entries
        known = [*self.texts, *TABLES, *(f"plans.{name}" for name in self.settings.plans)]
        suggestion = nearest(dotted.casefold().replace("-", "_"), known) or nearest(dotted, known)
        every = run("config", "show")
        raise InvalidSettings(
            f"{escape(dotted)}: there is no such setting",
            hint=Hint(f"did you mean {suggestion}? or ", every) if suggestion else every,
        )


LIMIT = 64 * 1024
"""The largest settings file, in bytes."""

_DEFAULT = Origin(where=Where.DEFAULT)
_EDIT = Hint("edit the file that ", run("config", "path"), " names")


def settings_path(home: Path) -> Path:
    """Where the settings of a home are."""
    return home / SETTINGS_FILE


def load(home: Path, environ: Mapping[str, str]) -> Loaded:
    """The settings in force: defaults, over them the file, over that the environment.

    Args:
        home: the folder of the settings file, which need not exist.
        environ: the process's environment, for `POLYGENT_ISSUER_OPERATOR`.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns the file or may write to it.
        InvalidSettings: (`invalid_settings`) naming the file, and the dotted key or the line.
    """
    path = settings_path(home)
    text = settings_text(path)
    with prefixed(escape(str(path))):
        table = parse(text)
        settings = interpret(table)
    origins = _origins(settings, table, Origin(where=Where.FILE, detail=str(path)))
    if OPERATOR_VARIABLE in environ:
        operator = NAME.read(environ[OPERATOR_VARIABLE], OPERATOR_VARIABLE)
        settings = replace(settings, operator=operator)
        origins["operator"] = Origin(where=Where.ENVIRONMENT, detail=OPERATOR_VARIABLE)
    return Loaded(settings=settings, origins=origins, texts=_texts(settings))


def settings_text(path: Path) -> str:
    """Read a settings file; a missing one is empty. A byte order mark is dropped.

    Raises:
        UnsafeFile: (`unsafe_file`) when another user owns it or may write to it.
        InvalidSettings: (`invalid_settings`) when it cannot be read, is too large or not UTF-8.
    """
    if _is_missing(path):
        return ""
    try:
        return read_text(str(path), limit=LIMIT, what="settings file", trusted=True)
    except NotUtf8 as refused:
        raise InvalidSettings(refused.message, hint=refused.hint) from None
    except UnreadableInput as refused:
        raise InvalidSettings(refused.message, hint="check the file and its permissions") from None


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass  # reading it says what is wrong
    return False


def parse(text: str) -> dict[str, Any]:
    """The TOML document.

    Raises:
        InvalidSettings: (`invalid_settings`) when it is none, with the line.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InvalidSettings("not TOML: nested too deeply", hint=_EDIT) from None
    except ValueError as problem:  # a number of thousands of digits is no TOMLDecodeError
        message = str(problem)
        raise InvalidSettings(
            f"not TOML: {escape(message[:1].lower() + message[1:])}",
            hint=backslash_hint(text, message) or _EDIT,
        ) from None


def interpret(table: Mapping[str, Any]) -> Settings:
    """The settings that a TOML document means.

    Raises:
        InvalidSettings: (`invalid_settings`) with the dotted path of what is wrong.
    """
    refuse_unknown(table, (*KEYS, *TABLES))
    values = {name: key.kind.read(table[name], name) for name, key in KEYS.items() if name in table}
    stores = table_at(table.get("stores", {}), "stores")
    values["stores"] = {kid: _store(kid, uri) for kid, uri in stores.items()}
    if "plans" in table:
        known = catalogue(values.get("features", ()))
        values["plans"] = read_plans(table_at(table["plans"], "plans"), known)
    settings = Settings(**values)
    if settings.default_plan not in settings.plans:
        every = f"plans: {', '.join(settings.plans) or 'none'}"
        hint = did_you_mean(settings.default_plan, settings.plans, every)
        raise invalid("default_plan", f"there is no plan {settings.default_plan}", hint)
    return settings


def _store(kid: str, uri: object) -> str:
    path = f"stores.{escape(kid)}"
    if not is_kid(kid):
        raise invalid(path, "not a key's kid", run("key", "list"))
    text: str = STORE.read(uri, path)
    return text


def _origins(settings: Settings, table: Mapping[str, Any], file: Origin) -> dict[str, Origin]:
    origins = {name: file if name in table else _DEFAULT for name in KEYS}
    origins |= {f"stores.{kid}": file for kid in settings.stores}
    written = table.get("plans", {})
    for plan in settings.plans.values():
        keys = written.get(plan.name, {})
        for key in plan_texts(plan):
            origins[f"plans.{plan.name}.{key}"] = file if key in keys else _DEFAULT
    return origins


def _texts(settings: Settings) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for name, key in KEYS.items():
        value = getattr(settings, name)
        texts[name] = None if value is None else key.kind.text(value)
    texts |= {f"stores.{kid}": uri for kid, uri in settings.stores.items()}
    for plan in settings.plans.values():
        texts |= {f"plans.{plan.name}.{key}": text for key, text in plan_texts(plan).items()}
    return texts
