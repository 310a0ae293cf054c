"""One license in the place of several: what can be joined, and what only a person can say.

Features are united. Limits are not, not even where they are the same in all: of two machines with
25 users each, nobody but the operator knows whether the customer has 25 people or 50. To keep 25
could take half of them away, to write 50 could give away what nobody bought; so each limit is
named, or a plan is.
"""

from collections.abc import Sequence

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.hints import Hint, join, option
from polygent_issuer.terms.comparison import sum_text
from polygent_issuer.terms.terms import LIMITS, Changes, Terms
from polygent_issuer.verifier.domain import AllowedDomain
from polygent_issuer.verifier.features import Tier
from polygent_issuer.verifier.license import Limits


def merged_terms(several: Sequence[Terms], changes: Changes) -> Terms:
    """What several licenses allow together: the present terms of the one that follows them.

    Args:
        several: at least one; one alone is what it is.
        changes: what was typed; of several, the limits must be among it, and a domain where they
            have more than one.

    Raises:
        MissingInput: (`missing_input`) for limits that nobody named.
        InvalidTerms: (`invalid_terms`) for domains that differ.
    """
    if len(several) == 1:
        return several[0]
    if changes.plan is None:
        _require_limits(several, changes)
    return Terms(
        tier=Tier.ENTERPRISE,
        features=tuple(sorted({name for terms in several for name in terms.features})),
        limits=Limits(**{name: sum(_each(several, name)) for name in LIMITS}),
        allowed_domain=None if changes.names_domain else _domain(several),
    )


def _require_limits(several: Sequence[Terms], changes: Changes) -> None:
    missing = [name for name in LIMITS if getattr(changes, name) is None]
    if not missing:
        return
    told = "; ".join(
        f"{name.replace('_', ' ')} {sum_text(_each(several, name))}" for name in missing
    )
    limits = join(" ", [option(f"--{name.replace('_', '-')}", "N") for name in missing])
    raise MissingInput(
        f"what {len(several)} licenses allow is not added up by itself: {told}",
        hint=Hint(
            "say what the one license shall allow: add ",
            limits,
            ", or ",
            option("--plan", "PLAN"),
        ),
    )


def _each(several: Sequence[Terms], name: str) -> list[int]:
    return [getattr(terms.limits, name) for terms in several]


def _domain(several: Sequence[Terms]) -> AllowedDomain | None:
    """The domain of those that are enterprise already; a machine's license has none."""
    domains = {terms.allowed_domain for terms in several if terms.tier is Tier.ENTERPRISE}
    if len(domains) > 1:
        told = ", ".join(sorted(str(domain or "any") for domain in domains))
        raise InvalidTerms(
            f"these licenses are for several domains: {told}",
            hint="name the one of the new license with --allowed-domain HOST, or "
            "--no-allowed-domain; or the licenses that are meant with --license",
        )
    return domains.pop() if domains else None
