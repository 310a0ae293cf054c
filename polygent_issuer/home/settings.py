"""The settings in force, and where each of them comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from polygent_issuer.errors import InvalidSettings, NotFound
from polygent_issuer.hints import Hint, option, run
from polygent_issuer.home.plans import SHIPPED_PLANS
from polygent_issuer.terms.dates import ASSUMED_UPLOAD_WINDOW
from polygent_issuer.terms.features import Catalogue, catalogue
from polygent_issuer.terms.term import Term
from polygent_issuer.terms.terms import Plan
from polygent_issuer.text import escape, nearest
from polygent_issuer.verifier.features import Tier

SETTINGS_FILE = "settings.toml"
OPERATOR_VARIABLE = "POLYGENT_ISSUER_OPERATOR"
"""The environment variable that overrides the setting `operator`."""

_TABLES = ("plans", "stores")
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
        near = nearest(name, self.plans)
        hint = f"did you mean {near}?" if near else f"plans: {', '.join(sorted(self.plans))}"
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
        found = tuple(e for e in self.entries if e.key == dotted or e.key.startswith(within))
        if found or dotted in _TABLES:
            return found
        known = [*self.texts, *_TABLES, *(f"plans.{name}" for name in self.settings.plans)]
        near = nearest(dotted.casefold().replace("-", "_"), known) or nearest(dotted, known)
        every = run("config", "show")
        raise InvalidSettings(
            f"{escape(dotted)}: there is no such setting",
            hint=Hint(f"did you mean {near}? or ", every) if near else every,
        )
