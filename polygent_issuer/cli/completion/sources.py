"""What may stand as a value, by what its parameter is called.

Words of the tool; customers, licenses, machines and keys of the registry; plans and keys of the
settings.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from polygent_issuer.cli.completion.asked import Asked
from polygent_issuer.cli.completion.reply import Candidate

MOST: Final = 100
"""How many rows of the registry are offered at once."""


def customers(asked: Asked) -> Iterator[Candidate]:
    """Slugs, with the customer's name; who stands on the line already is left out."""
    from polygent_issuer.registry.beginnings import slugs

    already = {slug for name in ("CUSTOMER", "FROM") for slug in asked.cursor.given.get(name, ())}
    with asked.reading() as db:
        for row in slugs(db, asked.word, MOST):
            if row.slug not in already:
                yield Candidate(row.slug, f"{row.name} (archived)" if row.archived else row.name)


def licenses(asked: Asked) -> Iterator[Candidate]:
    """Beginnings of ids, of the customer on the line if there is one; what follows is current."""
    from polygent_issuer.registry import LicenseStatus
    from polygent_issuer.registry.beginnings import ids

    current = asked.cursor.path[0] in ("renew", "reissue")
    with asked.reading() as db:
        whose = asked.customer(db)
        for row in ids(db, asked.word, MOST, customer=whose, current=current):
            told = [row.customer, row.machine, f"expires {row.expires_at:%Y-%m-%d}"]
            if row.status is not LicenseStatus.CURRENT:
                told.append(str(row.status))
            value = row.short if row.short.startswith(asked.word) else row.id
            yield Candidate(value, ", ".join(part for part in told if part))


def machines(asked: Asked) -> Iterator[Candidate]:
    """Labels of the machines of the customer on the line."""
    from polygent_issuer.registry.beginnings import labels

    with asked.reading() as db:
        customer = asked.customer(db)
        for row in labels(db, customer, asked.word, MOST) if customer else ():
            yield Candidate(row.label, row.hostname or "")


def keys(asked: Asked) -> Iterator[Candidate]:
    """Labels of the signing keys."""
    from polygent_issuer.registry import keys as registered

    with asked.reading() as db:
        for key in registered.every(db)[:MOST]:
            state = "active, " if key.active else "retired, " if key.retired_at else ""
            state = "compromised, " if key.compromised else state
            yield Candidate(key.label, f"{state}{key.kid[:8]}")


def plans(asked: Asked) -> Iterator[Candidate]:
    """Names of plans."""
    for plan in asked.loaded.settings.plans.values():
        yield Candidate(plan.name, f"{plan.tier}, {plan.term}, {plan.limits.users} users")


def features(asked: Asked) -> Iterator[Candidate]:
    """Names of features, those of newer modules too."""
    catalogue = asked.loaded.settings.catalogue
    for name in sorted(catalogue.names):
        yield Candidate(name, "enterprise only" if name in catalogue.enterprise else "")


def settings(asked: Asked) -> Iterator[Candidate]:
    """Dotted keys, with the value in force."""
    for key, value in asked.loaded.texts.items():
        yield Candidate(key, value or "not set")


def findings(_asked: Asked) -> Iterator[Candidate]:
    """Codes that `--accept` takes."""
    from polygent_issuer.findings import FindingCode

    yield from map(Candidate, FindingCode)


def tiers(_asked: Asked) -> Iterator[Candidate]:
    """The two tiers."""
    from polygent_issuer.verifier.catalogue import Tier

    yield from map(Candidate, Tier)


def bases(_asked: Asked) -> Iterator[Candidate]:
    """Where a term may start, apart from a date."""
    yield Candidate("expiry", "where the old one ends")
    yield Candidate("now", "today")


def stores(_asked: Asked) -> Iterator[Candidate]:
    """How the place of a private key begins."""
    yield Candidate("keyring:", "the keyring of the system")
    yield Candidate("file:", "an encrypted file")


def setting_values(asked: Asked) -> Iterator[Candidate]:
    """The value in force of the key on the line, and others where they are few.

    A new plan is a copy of another.
    """
    from polygent_issuer.settings import places, plan_of, values
    from polygent_issuer.settings.schema import kind_of

    key = asked.first("KEY") or ""
    others: Mapping[object, Source] = {
        values.FLAG: lambda _: map(Candidate, ("true", "false")),
        values.PLAN_NAME: plans,
        values.TIER: tiers,
        places.STORE: stores,
    }
    if plan_of(key):
        yield from plans(asked)
        return
    present = asked.loaded.texts.get(key)
    if present:
        yield Candidate(present, "in force")
    for kind, source in others.items():
        if kind is kind_of(key):
            yield from (each for each in source(asked) if each.value != present)


Source = Callable[[Asked], Iterator[Candidate]]

SOURCES: Final[Mapping[str, Source]] = {
    "--accept": findings,
    "--add-feature": features,
    "--customer": customers,
    "--feature": features,
    "--from": bases,
    "--key": keys,
    "--license": licenses,
    "--machine": machines,
    "--plan": plans,
    "--remove-feature": features,
    "--store": stores,
    "--tier": tiers,
    "CUSTOMER": customers,
    "FROM": customers,
    "INTO": customers,
    "KEY": keys,
    "LICENSE": licenses,
    "config set KEY": settings,
    "config set VALUE": setting_values,
    "config show KEY": settings,
}
"""By an option's long name or an argument's metavar; before them counts the one of a command."""
