"""Decide the terms of the next license: from a plan or the licenses before it, and the options.

The features of several licenses are merged. Their limits are not, even if they are equal: if two
machines have 25 users each, only the operator knows whether the customer has 25 people or 50.
Therefore the operator must give each limit, or a plan.

In an allowed domain `*` matches exactly one label (FORMAT §3).
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from polygent_issuer.errors import InvalidTerms, MissingInput
from polygent_issuer.terms.parsing import LIMITS, Catalogue, Changes, Plan, Terms, check_limit
from polygent_issuer.text import Hint, did_you_mean, escape, join, option
from polygent_issuer.verifier.domain import AllowedDomain, host_name
from polygent_issuer.verifier.errors import InvalidDomain
from polygent_issuer.verifier.license import Limits, Tier

NONE = "none"
_ANY_LABEL: Final = "*."
_FEW = 5  # a sum of more numbers is shown as one number


def first_terms(plan: Plan, changes: Changes, catalogue: Catalogue) -> Terms:
    """Return the terms of a customer's first license: those of the plan, with the changes.

    A plan in the changes replaces `plan`. Terms that are not allowed in a license, or contradict
    each other, are `invalid_terms`.
    """
    if problem := contradiction(changes):
        raise problem
    base = _terms_of(changes.plan or plan)
    catalogue.require_known((*base.features, *changes.typed_features))
    _refuse_absent(changes.remove_features, base.features, "plan")
    terms = _changed(base, changes)
    _refuse_enterprise_rights(terms, changes, catalogue, base_is_license=False)
    return terms


def next_terms(current: Terms, changes: Changes, catalogue: Catalogue) -> Terms:
    """Return the terms of the license that replaces one: the current terms, with the changes.

    A feature of the current license stays even if this operator's catalogue does not have it. Terms
    that are not allowed in a license, or contradict each other, are `invalid_terms`.
    """
    if problem := contradiction(changes):
        raise problem
    base = current if changes.plan is None else _terms_of(changes.plan, current)
    requested = {*changes.typed_features, *(changes.plan.features if changes.plan else ())}
    catalogue.require_known(sorted(requested.difference(current.features)))
    _refuse_absent(changes.remove_features, {*base.features, *current.features}, "license")
    terms = _changed(base, changes)
    _refuse_enterprise_rights(terms, changes, catalogue, base_is_license=True)
    return terms


def contradiction(changes: Changes) -> InvalidTerms | None:
    """Return the error for options that exclude each other; None without a contradiction."""
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
                f"{one} and {other} are mutually exclusive", hint="give one of them"
            )
    both = sorted(set(changes.add_features) & set(changes.remove_features))
    if both:
        return InvalidTerms(
            f"the feature {escape(both[0])} is both added and removed",
            hint="name it in --add-feature or in --remove-feature, not in both",
        )
    return None


def _terms_of(plan: Plan, current: Terms | None = None) -> Terms:
    return Terms(
        tier=plan.tier,
        features=tuple(sorted(plan.features)),
        limits=plan.limits,
        allowed_domain=current.allowed_domain if current else None,
    )


def _option(limit: str, value: str = "") -> Hint:
    return option(f"--{limit.replace('_', '-')}", value)


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


def _refuse_absent(removed: Iterable[str], present: Iterable[str], where: str) -> None:
    names = sorted(set(present))
    for name in removed:
        if name not in names:
            known = f"the {where} has {', '.join(names) or 'no features'}"
            raise InvalidTerms(
                f"cannot remove the feature {escape(name)}: the {where} does not have it",
                hint=did_you_mean(name.casefold(), names, known),
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


def merged_terms(several: Sequence[Terms], changes: Changes) -> Terms:
    """Return the terms that several licenses have together, as the current terms of the next one.

    For more than one license `changes` must have the limits (`missing_input`), and also a domain if
    the licenses have different ones (`invalid_terms`).
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
    limits_now = "; ".join(
        f"{name.replace('_', ' ')} {sum_text(_each(several, name))}" for name in missing
    )
    options = join(" ", [_option(name, "N") for name in missing])
    raise MissingInput(
        f"the limits of {len(several)} licenses are not added automatically: {limits_now}",
        hint=Hint(
            "give the limits of the new license: add ", options, ", or ", option("--plan", "PLAN")
        ),
    )


def _each(several: Sequence[Terms], name: str) -> list[int]:
    return [getattr(terms.limits, name) for terms in several]


def _domain(several: Sequence[Terms]) -> AllowedDomain | None:
    """Return the domain of the enterprise licenses; licenses of machines have none."""
    domains = {terms.allowed_domain for terms in several if terms.tier is Tier.ENTERPRISE}
    if len(domains) > 1:
        names = ", ".join(sorted(str(domain or "any") for domain in domains))
        raise InvalidTerms(
            f"these licenses have different domains: {names}",
            hint="add --allowed-domain HOST or --no-allowed-domain for the new license; or select "
            "licenses with --license",
        )
    return domains.pop() if domains else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A term that changes: its name for people, its old and its new value."""

    name: str
    old: str
    new: str

    @property
    def key(self) -> str:
        """The name for programs and the journal: `session_hosts`, `feature_sso-saml`."""
        return self.name.replace(" ", "_")


def differences(replaced: Sequence[Terms], new: Terms) -> tuple[Difference, ...]:
    """Return the changes from one or several licenses to the next, for display.

    Without an old license every term is listed. Otherwise only changes are listed, with a row per
    feature.
    """
    if len(replaced) == 1 and replaced[0] == new:
        return ()
    rows = (
        Difference(name=name, old=before, new=after)
        for (name, before), (_, after) in zip(_plain(replaced), _plain((new,)), strict=True)
        if before != after or not replaced
    )
    return (*rows, *_feature_differences(replaced, new))


def losses(replaced: Sequence[Terms], new: Terms, changes: Changes) -> tuple[str, ...]:
    """Name the losses that the operator did not type (finding `entitlement-loss`).

    A number or a feature on the command line is a decision of the operator. A plan with lower terms
    than now is not. A new limit is compared with the sum over several licenses, because the
    customer may use all of them now.
    """
    if len(replaced) == 1 and replaced[0] == new:
        return ()
    lost = []
    for name in LIMITS:
        each = _each(replaced, name)
        after = getattr(new.limits, name)
        if after < sum(each) and getattr(changes, name) is None:
            lost.append(f"{name.replace('_', ' ')} ({after} instead of {sum_text(each)})")
    had = {name for old in replaced for name in old.features}
    gone = sorted(had.difference(new.features))
    lost += [f"the feature {name}" for name in gone if not changes.names_feature(name)]
    elsewhere = any(old.allowed_domain != new.allowed_domain for old in replaced)
    if new.allowed_domain is not None and elsewhere and not changes.names_domain:
        lost.append(f"host names outside {new.allowed_domain}")
    return tuple(lost)


def sum_text(numbers: Sequence[int]) -> str:
    """Format a limit of several licenses, without adding up a few numbers: `40 + 25`."""
    if len(numbers) <= _FEW:
        return " + ".join(map(str, numbers))
    return f"{sum(numbers)} in {len(numbers)} licenses"


def _plain(several: Sequence[Terms]) -> list[tuple[str, str]]:
    """Return the name and value of each term except the features."""
    limits = [(name.replace("_", " "), sum_text(_each(several, name))) for name in LIMITS]
    tiers = ", ".join(dict.fromkeys(str(terms.tier) for terms in several))
    # Sorted by name, because the order of the licenses is that of their random IDs.
    domains = ", ".join(sorted({str(terms.allowed_domain or NONE) for terms in several}))
    rows = [("tier", tiers), *limits, ("allowed domain", domains)]
    return [(name, value or NONE) for name, value in rows]


def _feature_differences(replaced: Sequence[Terms], new: Terms) -> list[Difference]:
    if not replaced:
        return [Difference(name="features", old=NONE, new=", ".join(new.features) or NONE)]
    names = sorted({name for terms in (*replaced, new) for name in terms.features})
    rows = (
        Difference(name=f"feature {name}", old=_having(replaced, name), new=_having((new,), name))
        for name in names
    )
    return [row for row in rows if row.old != row.new]


def _having(several: Sequence[Terms], feature: str) -> str:
    """Return `yes` if all terms have a feature, `no` if none has, else the number: `1 of 2`."""
    number = sum(feature in terms.features for terms in several)
    if number in (0, len(several)):
        return "yes" if number else "no"
    return f"{number} of {len(several)}"


def wildcard_depth(domain: AllowedDomain) -> str | None:
    """Return the names that a wildcard covers, with examples; None for an exact name."""
    if not domain.text.startswith(_ANY_LABEL):
        return None
    base = domain.text.removeprefix(_ANY_LABEL)
    return f"exactly one level: api.{base}, but neither {base} nor api.v2.{base}"


def covering_domains(hosts: Sequence[str]) -> tuple[AllowedDomain, ...]:
    """Return the patterns that each cover all hosts, the narrowest first; empty if none does.

    `hosts` are Host headers, at least one. Only two patterns cover the first: its name, and the
    wildcard at its level.
    """
    name = host_name(hosts[0])
    if name is None:
        return ()
    patterns = list[AllowedDomain]()
    for text in (name, f"{_ANY_LABEL}{name.partition('.')[2]}"):
        with suppress(InvalidDomain):
            patterns.append(AllowedDomain(text))
    return tuple(each for each in patterns if all(map(each.matches, hosts)))
