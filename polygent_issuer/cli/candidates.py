"""Completion candidates: callbacks for `autocompletion=`, each yields values with their help.

The registry is opened read-only and with a short timeout. Any error means no candidates
(`completion`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from polygent_issuer.home.settings import Loaded
    from polygent_issuer.registry import Customer, Reading

VARIABLE: Final = "_POLYGENT_ISSUE_COMPLETE"
"""Environment variable in which Typer's scripts name the shell."""
EARLIER: Final = "__complete"
"""First argument in the scripts of earlier versions, which get no candidates."""
MOST: Final = 100
"""Maximum number of registry rows offered at once."""
_PATIENCE: Final = timedelta(milliseconds=200)
Candidates = Iterable[tuple[str, str]]


def customers(ctx: typer.Context, incomplete: str) -> Candidates:
    """Yield slugs with the customer's name, except those already on the line."""
    from polygent_issuer.registry.summaries import slugs

    already = (*(ctx.params.get("customers") or ()), ctx.params.get("gone"))
    with _reading(ctx) as db:
        for row in slugs(db, incomplete, MOST):
            if row.slug not in already:
                yield row.slug, f"{row.name} (archived)" if row.archived_at else row.name


def licenses(ctx: typer.Context, incomplete: str) -> Candidates:
    """Yield shortened license IDs, only of the customer on the line if there is one."""
    return _licenses(ctx, incomplete, current=False)


def current_licenses(ctx: typer.Context, incomplete: str) -> Candidates:
    """Yield shortened IDs of current licenses, which can be renewed."""
    return _licenses(ctx, incomplete, current=True)


def machines(ctx: typer.Context, incomplete: str) -> Candidates:
    """Yield labels of machines of the customer on the line."""
    from polygent_issuer.registry.summaries import labels

    with _reading(ctx) as db:
        customer = _customer(ctx, db)
        for row in labels(db, customer, incomplete, MOST) if customer else ():
            yield row.label, row.hostname or ""


def keys(ctx: typer.Context) -> Candidates:
    """Yield labels of the signing keys."""
    from polygent_issuer.registry import keys as registered

    with _reading(ctx) as db:
        for key in registered.every(db)[:MOST]:
            state = "active, " if key.active else "retired, " if key.retired_at else ""
            state = "compromised, " if key.compromised else state
            yield key.label, f"{state}{key.kid[:8]}"


def plans(ctx: typer.Context) -> Candidates:
    """Yield names of plans."""
    for plan in _loaded(ctx).settings.plans.values():
        yield plan.name, f"{plan.tier}, {plan.term}, {plan.limits.users} users"


def features(ctx: typer.Context) -> Candidates:
    """Yield names of features, including those added in the settings."""
    catalogue = _loaded(ctx).settings.catalogue
    for name in sorted(catalogue.names):
        yield name, "enterprise only" if name in catalogue.enterprise else ""


def settings(ctx: typer.Context) -> Candidates:
    """Yield dotted keys with their effective value."""
    for key, value in _loaded(ctx).texts.items():
        yield key, value or "not set"


def findings() -> Candidates:
    """Return the finding codes that `--accept` takes."""
    from polygent_issuer.findings import FindingCode

    return ((code, "") for code in FindingCode)


def topics() -> Candidates:
    """Yield topics of the guide."""
    from polygent_issuer.guide import TOPICS

    return TOPICS.items()


def tiers() -> Candidates:
    """Return the two tiers."""
    from polygent_issuer.verifier.license import Tier

    return ((tier, "") for tier in Tier)


def bases() -> Candidates:
    """Return the words for the start of a term."""
    return ("expiry", "when the old license expires"), ("now", "today")


def stores() -> Candidates:
    """Return the beginnings of key store URIs."""
    return (
        ("keyring:", "the system keyring"),
        ("file:", "an encrypted file"),
        ("pkcs11:", "a token"),
        ("agent:", "an SSH agent, which has its own keys"),
        ("vault:", "Vault or OpenBao, with its own keys"),
        ("awskms:", "AWS KMS, with its own keys"),
    )


def setting_values(ctx: typer.Context) -> Candidates:
    """Yield the effective value of the key on the line, and the others if there are few."""
    from polygent_issuer.home import setting_types
    from polygent_issuer.home.settings_editing import kind_of, plan_of

    key = ctx.params.get("key") or ""
    if plan_of(key):  # a new plan is a copy of another
        yield from plans(ctx)
        return
    others: Mapping[object, Callable[[], Candidates]] = {
        setting_types.FLAG: lambda: (("true", ""), ("false", "")),
        setting_types.PLAN_NAME: lambda: plans(ctx),
        setting_types.TIER: tiers,
        setting_types.STORE: stores,
    }
    present = _loaded(ctx).texts.get(key)
    if present:
        yield present, "current value"
    few = others.get(kind_of(key), tuple)
    yield from (each for each in few() if each[0] != present)


def _licenses(ctx: typer.Context, incomplete: str, *, current: bool) -> Candidates:
    from polygent_issuer.registry import LicenseStatus
    from polygent_issuer.registry.summaries import ids

    with _reading(ctx) as db:
        for row in ids(db, incomplete, MOST, customer=_customer(ctx, db), current=current):
            text = [row.customer, row.machine, f"expires {row.expires_at:%Y-%m-%d}"]
            if row.status is not LicenseStatus.CURRENT:
                text.append(str(row.status))
            value = row.short if row.short.startswith(incomplete) else row.id
            yield value, ", ".join(part for part in text if part)


@contextmanager
def _reading(ctx: typer.Context) -> "Iterator[Reading]":
    """Open a read-only snapshot of the registry with a short timeout."""
    from polygent_issuer.registry import Registry

    opened = Registry.open(ctx.obj.registry_place, busy_timeout=_PATIENCE, read_only=True)
    with opened as registry, registry.reading() as db:
        yield db


def _loaded(ctx: typer.Context) -> "Loaded":
    """Return the settings; without a readable registry those of the home."""
    from polygent_issuer.errors import IssuerError
    from polygent_issuer.home.settings import load
    from polygent_issuer.home.team_settings import team_of

    team = None
    with suppress(IssuerError), _reading(ctx) as db:
        team = team_of(db.team_settings(), "the registry")
    return load(ctx.obj.home, ctx.obj.environ, team)


def _customer(ctx: typer.Context, db: "Reading") -> "Customer | None":
    """Return the customer on the line; None without one, or if it is not in the registry."""
    from polygent_issuer.registry import customers as registered

    # Typer leaves arguments in `args` where the option at the cursor lacks its value.
    name = ctx.params.get("customer") or next(iter(ctx.params.get("customers") or ctx.args), None)
    matches = () if name is None else registered.matches(db, name)
    return matches[0] if len(matches) == 1 else None
