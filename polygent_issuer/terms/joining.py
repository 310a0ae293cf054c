"""One license in the place of several: what can be joined, and what only a person can say.

Features are united. Limits are not: of two machines with 25 users each, nobody but the operator
knows whether the customer has 25 people or 50, so every limit is named, or a plan is.
"""

from collections.abc import Sequence

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.terms.decision import LIMITS, next_terms
from polygent_issuer.terms.features import Catalogue
from polygent_issuer.terms.values import Changes, Terms
from polygent_issuer.verifier.catalogue import Tier
from polygent_issuer.verifier.domain import AllowedDomain


def wants_one(several: Sequence[Terms], changes: Changes) -> bool:
    """Whether one license shall take the place of these.

    An enterprise license is for no machine, so several standard ones become one; several that are
    enterprise already are for several domains, and each has its own next one.
    """
    tier = changes.tier or (changes.plan.tier if changes.plan else None)
    some_are_bound = any(terms.tier is Tier.STANDARD for terms in several)
    return len(several) > 1 and tier is Tier.ENTERPRISE and some_are_bound


def joined_terms(several: Sequence[Terms], changes: Changes, catalogue: Catalogue) -> Terms:
    """Terms of the one enterprise license that takes the place of several.

    Raises:
        MissingInput: (`missing_input`) for limits that nobody named, and domains that differ.
        InvalidTerms: (`invalid_terms`) for terms that no license may have.
    """
    if changes.plan is None:
        _require_limits(several, changes)
    present = Terms(
        tier=Tier.ENTERPRISE,
        features=tuple(sorted({name for terms in several for name in terms.features})),
        limits=several[0].limits,
        allowed_domain=_domain(several, changes),
    )
    return next_terms(present, changes, catalogue)


def joint_losses(several: Sequence[Terms], new: Terms, changes: Changes) -> tuple[str, ...]:
    """What the one license takes away without a word of the operator (`entitlement-loss`).

    A limit is held against what the several had together.

    Returns:
        A sentence for each loss; empty when there is none.
    """
    told = []
    for name in LIMITS:
        each = [getattr(terms.limits, name) for terms in several]
        after = getattr(new.limits, name)
        if after < sum(each) and getattr(changes, name) is None:
            added = " + ".join(map(str, each))
            told.append(f"{after} instead of {added} {name.replace('_', ' ')}")
    had = {name for terms in several for name in terms.features}
    gone = sorted(had.difference(new.features))
    told += [f"the feature {name} is lost" for name in gone if not changes.names_feature(name)]
    return tuple(told)


def _require_limits(several: Sequence[Terms], changes: Changes) -> None:
    missing = [name for name in LIMITS if getattr(changes, name) is None]
    if not missing:
        return
    told = "; ".join(
        f"{name.replace('_', ' ')} {', '.join(str(getattr(t.limits, name)) for t in several)}"
        for name in missing
    )
    options = " ".join(f"--{name.replace('_', '-')} N" for name in missing)
    raise MissingInput(
        f"what {len(several)} licenses allow is not added up by itself: {told}",
        hint=f"add {options}, or --plan PLAN",
    )


def _domain(several: Sequence[Terms], changes: Changes) -> AllowedDomain | None:
    domains = {terms.allowed_domain for terms in several if terms.tier is Tier.ENTERPRISE}
    if changes.allowed_domain is not None or changes.no_allowed_domain or not domains:
        return None
    if len(domains) > 1:
        told = ", ".join(sorted(str(domain or "any") for domain in domains))
        raise InvalidTerms(
            f"these licenses are for several domains: {told}",
            hint="name the one of the new license with --allowed-domain HOST, or "
            "--no-allowed-domain; or the licenses that are meant with --license",
        )
    return domains.pop()
