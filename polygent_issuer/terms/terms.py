"""Plans, terms, and the changes that were typed."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Self

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.terms.dates import Term
from polygent_issuer.text import escape, nearest
from polygent_issuer.verifier.identifiers import ENTERPRISE_FEATURES, FEATURES, AllowedDomain, Tier
from polygent_issuer.verifier.license import License, Limits

LIMITS = ("users", "session_hosts", "deploy_hosts")
"""The limits by their names here, in the order of the command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A preset of the settings; it fills a first license and never flows into a renewal.

    Attributes:
        renewable: False for trials: batches skip such a license.
    """

    name: str
    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    term: Term
    renewable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a license entitles to, apart from its dates and its machine; features are sorted."""

    tier: Tier
    features: tuple[str, ...]
    limits: Limits
    allowed_domain: AllowedDomain | None = None

    @classmethod
    def of(cls, license: License) -> Self:  # noqa: A002 - the noun of the field
        """The terms of a license."""
        return cls(
            tier=license.tier,
            features=tuple(sorted(license.features)),
            limits=license.limits,
            allowed_domain=license.allowed_domain,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What was typed on the command line, or stands in a batch's row; the rest is *as now*.

    What is named here is the operator's decision and never a finding.

    Attributes:
        plan: replaces tier, features and limits; the options beside it win over it.
        features: exactly these (`--feature` of a first license); empty means none at all.
        add_features: beside those there are (`--add-feature`).
        remove_features: no more of these (`--remove-feature`).
        term: how long, and `expires`: until when, in UTC; one of the two.
        basis: what the term counts from: `expiry` (the present one), `now`, or a moment in UTC.
    """

    plan: Plan | None = None
    tier: Tier | None = None
    users: int | None = None
    session_hosts: int | None = None
    deploy_hosts: int | None = None
    allowed_domain: AllowedDomain | None = None
    no_allowed_domain: bool = False
    features: tuple[str, ...] | None = None
    add_features: tuple[str, ...] = ()
    remove_features: tuple[str, ...] = ()
    term: Term | None = None
    expires: datetime | None = None
    basis: str | datetime | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The options that were given, as they are typed, in the order of the command line.

        With any of them it must be clear which license is meant.
        """
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        return tuple(_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in given)

    @property
    def makes_enterprise(self) -> bool:
        """Whether the tier, or the plan's, was said to be enterprise."""
        return (self.tier or (self.plan.tier if self.plan else None)) is Tier.ENTERPRISE

    @property
    def names_domain(self) -> bool:
        """Whether it was the operator's word which hosts are allowed, or that all are."""
        return self.allowed_domain is not None or self.no_allowed_domain

    @property
    def typed_features(self) -> frozenset[str]:
        """The features that were asked for by name."""
        return frozenset((*(self.features or ()), *self.add_features))

    def names_feature(self, name: str) -> bool:
        """Whether it was the operator's word that this feature stays or goes."""
        return self.features is not None or name in self.remove_features


_OPTIONS = {
    "features": "--feature",
    "add_features": "--add-feature",
    "remove_features": "--remove-feature",
    "basis": "--from",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    """The names that exist, and those among them that only the enterprise tier may have."""

    names: frozenset[str]
    enterprise: frozenset[str]

    def require_known(self, names: Iterable[str]) -> None:
        """Refuse a name that no server knows.

        Raises:
            InvalidTerms: (`invalid_terms`) naming the first unknown one and the nearest known.
        """
        for name in names:
            if name not in self.names:
                raise InvalidTerms(f"unknown feature {escape(name)}", hint=self._suggestion(name))

    def enterprise_only(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that a standard license cannot have, sorted."""
        return tuple(sorted(self.enterprise.intersection(names)))

    def _suggestion(self, name: str) -> str:
        similar = nearest(name.casefold(), sorted(self.names))
        if similar:
            return f"did you mean {similar}?"
        return f"known are {', '.join(sorted(self.names))}; newer modules: the setting features"


def catalogue(extra: Iterable[str] = ()) -> Catalogue:
    """The catalogue of FORMAT §2 and the newer modules that the settings name.

    A name of the catalogue among `extra` changes nothing: what is enterprise only stays so.
    """
    names = frozenset((*FEATURES, *ENTERPRISE_FEATURES, *extra))
    return Catalogue(names=names, enterprise=frozenset(ENTERPRISE_FEATURES))
