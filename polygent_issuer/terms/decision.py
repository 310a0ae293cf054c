"""The terms of the next license: from a plan or the license before it, and what was typed."""

from collections.abc import Iterable

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.hints import Hint, join, option
from polygent_issuer.terms.features import Catalogue
from polygent_issuer.terms.parsing import check_limit
from polygent_issuer.terms.terms import LIMITS, Changes, Plan, Terms
from polygent_issuer.text import escape, nearest
from polygent_issuer.verifier.features import Tier
from polygent_issuer.verifier.license import Limits


def first_terms(plan: Plan | None, changes: Changes, catalogue: Catalogue) -> Terms:
    """Terms of a customer's first license.

    Args:
        plan: fills what was not typed, unless `changes.plan` names another. Without either
            everything must be typed.
        changes: what was typed.
        catalogue: the features that exist.

    Raises:
        InvalidTerms: (`invalid_terms`) for terms that no license may have, or that contradict
            each other.
        MissingInput: (`missing_input`) when there is no plan and something was not typed.
    """
    _refuse_contradictions(changes)
    plan = changes.plan or plan
    base = _typed_alone(changes) if plan is None else _terms_of(plan)
    catalogue.require_known((*base.features, *changes.typed_features))
    _refuse_absent(changes.remove_features, base.features, "plan")
    terms = _changed(base, changes)
    _refuse_enterprise_rights(terms, changes, catalogue, base_is_license=False)
    return terms


def next_terms(current: Terms, changes: Changes, catalogue: Catalogue) -> Terms:
    """Terms of a license that replaces one: as now, but for what was typed.

    A feature of the present license stays, also when this operator's catalogue does not know it:
    it was issued, and an absent term means as now.

    Raises:
        InvalidTerms: (`invalid_terms`) for terms that no license may have, or that contradict
            each other.
    """
    _refuse_contradictions(changes)
    base = current if changes.plan is None else _terms_of(changes.plan, current)
    asked = {*changes.typed_features, *(changes.plan.features if changes.plan else ())}
    catalogue.require_known(sorted(asked.difference(current.features)))
    _refuse_absent(changes.remove_features, {*base.features, *current.features}, "license")
    terms = _changed(base, changes)
    _refuse_enterprise_rights(terms, changes, catalogue, base_is_license=True)
    return terms


def contradiction(changes: Changes) -> InvalidTerms | None:
    """What is wrong with what was typed, whatever it is to change; None when nothing is."""
    no_domain = changes.no_allowed_domain or None
    exclusive = (
        ("--term", changes.term, "--expires", changes.expires),
        ("--from", changes.basis, "--expires", changes.expires),
        ("--allowed-domain", changes.allowed_domain, "--no-allowed-domain", no_domain),
        ("--feature", changes.features, "--add-feature", changes.add_features or None),
        ("--feature", changes.features, "--remove-feature", changes.remove_features or None),
    )
    for one, one_value, other, other_value in exclusive:
        if one_value is not None and other_value is not None:
            return InvalidTerms(
                f"{one} and {other} contradict each other", hint="give one of the two"
            )
    both = sorted(set(changes.add_features) & set(changes.remove_features))
    if both:
        return InvalidTerms(
            f"feature {escape(both[0])} is both added and removed",
            hint="give it to --add-feature or to --remove-feature",
        )
    return None


def _terms_of(plan: Plan, current: Terms | None = None) -> Terms:
    return Terms(
        tier=plan.tier,
        features=tuple(sorted(plan.features)),
        limits=plan.limits,
        allowed_domain=current.allowed_domain if current else None,
    )


def _typed_alone(changes: Changes) -> Terms:
    tier, users = changes.tier, changes.users
    sessions, deploys = changes.session_hosts, changes.deploy_hosts
    if tier is None or users is None or sessions is None or deploys is None:
        wanted = ("tier", *LIMITS)
        absent = [_option(name) for name in wanted if getattr(changes, name) is None]
        raise MissingInput(
            f"there is no plan, and not given: {', '.join(absent)}",
            hint=Hint("add ", option("--plan", "NAME"), ", or ", join(" ", absent)),
        )
    limits = Limits(users=users, session_hosts=sessions, deploy_hosts=deploys)
    return Terms(tier=tier, features=(), limits=limits)


def _option(name: str) -> Hint:
    return option(f"--{name.replace('_', '-')}")


def _changed(base: Terms, changes: Changes) -> Terms:
    features = set(base.features if changes.features is None else changes.features)
    features |= set(changes.add_features)
    features -= set(changes.remove_features)
    limits = {}
    for name in LIMITS:
        typed = getattr(changes, name)
        limits[name] = getattr(base.limits, name) if typed is None else typed
        check_limit(name, limits[name])
    return Terms(
        tier=changes.tier or base.tier,
        features=tuple(sorted(features)),
        limits=Limits(**limits),
        allowed_domain=None
        if changes.no_allowed_domain
        else changes.allowed_domain or base.allowed_domain,
    )


def _refuse_contradictions(changes: Changes) -> None:
    problem = contradiction(changes)
    if problem is not None:
        raise problem


def _refuse_absent(removed: Iterable[str], present: Iterable[str], where: str) -> None:
    names = sorted(set(present))
    for name in removed:
        if name not in names:
            near = nearest(name.casefold(), names)
            known = f"it has {', '.join(names)}" if names else "it has no features"
            raise InvalidTerms(
                f"feature {escape(name)} cannot be removed: the {where} does not have it",
                hint=f"did you mean {near}?" if near else known,
            )


def _refuse_enterprise_rights(
    terms: Terms, changes: Changes, catalogue: Catalogue, *, base_is_license: bool
) -> None:
    if terms.tier is not Tier.STANDARD:
        return
    features = catalogue.enterprise_only(terms.features)
    rights = [f"the feature {name}" for name in features]
    rights += ["an allowed domain"] if terms.allowed_domain else []
    if not rights:
        return
    ways = [] if changes.tier is Tier.STANDARD else [Hint("add ", option("--tier", "enterprise"))]
    typed = changes.typed_features
    carried = [option("--remove-feature", name) for name in features if name not in typed]
    if terms.allowed_domain and changes.allowed_domain is None:
        carried.append(option("--no-allowed-domain"))
    if carried:
        ways.append(
            Hint("add ", join(" ", carried))
            if base_is_license
            else Hint("choose a standard ", option("--plan"))
        )
    left_out = [name for name in features if name in typed]
    left_out += [option("--allowed-domain")] if changes.allowed_domain else []
    if left_out:
        ways.append(Hint("leave out ", join(", ", left_out)))
    raise InvalidTerms(
        f"a standard license cannot have {' and '.join(rights)}", hint=join(", or ", ways)
    )
