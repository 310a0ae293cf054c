"""Old and new terms side by side: for the preview, and for what would be lost unasked.

Old are mostly the terms of one license; of several, when one takes their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from polygent_issuer.terms.terms import LIMITS, Changes, Terms

NONE = "none"

_FEW = 5
"""Up to as many numbers are told one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One term that changes: its name for people, what it was and what it becomes."""

    name: str
    old: str
    new: str

    @property
    def key(self) -> str:
        """The same name for programs and the journal: `session_hosts`, `feature_sso-saml`."""
        return self.name.replace(" ", "_")


def differences(olds: Sequence[Terms], new: Terms) -> tuple[Difference, ...]:
    """What changes from one license, or several, to the next, for display.

    Without an old license every term is told; else only those that change, features one by one.
    """
    if len(olds) == 1 and olds[0] == new:
        return ()
    rows = (
        Difference(name=name, old=before, new=after)
        for (name, before), (_, after) in zip(_plain(olds), _plain((new,)), strict=True)
        if before != after or not olds
    )
    return (*rows, *_feature_differences(olds, new))


def losses(olds: Sequence[Terms], new: Terms, changes: Changes) -> tuple[str, ...]:
    """What the new terms take away without a word of the operator (finding `entitlement-loss`).

    A number or a feature that was named on the command line is her decision; a plan that is
    lower than the present terms names none of them. A limit is held against what several
    licenses allow together, since the customer may use all of them today.

    Returns:
        A sentence for each loss; empty when there is none.
    """
    if len(olds) == 1 and olds[0] == new:
        return ()
    told = []
    for name in LIMITS:
        each = [getattr(old.limits, name) for old in olds]
        after = getattr(new.limits, name)
        if after < sum(each) and getattr(changes, name) is None:
            told.append(f"{after} instead of {sum_text(each)} {name.replace('_', ' ')}")
    had = {name for old in olds for name in old.features}
    gone = sorted(had.difference(new.features))
    told += [f"the feature {name} is lost" for name in gone if not changes.names_feature(name)]
    elsewhere = any(old.allowed_domain != new.allowed_domain for old in olds)
    if new.allowed_domain is not None and elsewhere and not changes.names_domain:
        told.append(f"every host name outside {new.allowed_domain}")
    return tuple(told)


def sum_text(numbers: Sequence[int]) -> str:
    """What several licenses allow, said without adding it up for the reader: `40 + 25`."""
    if len(numbers) <= _FEW:
        return " + ".join(map(str, numbers))
    return f"{sum(numbers)} in {len(numbers)} licenses"


def _plain(several: Sequence[Terms]) -> list[tuple[str, str]]:
    """Each term by its name, but for the features."""
    limits = [
        (name.replace("_", " "), sum_text([getattr(terms.limits, name) for terms in several]))
        for name in LIMITS
    ]
    tiers = ", ".join(dict.fromkeys(str(terms.tier) for terms in several))
    # By name: the order of the licenses goes by their random IDs.
    domains = ", ".join(sorted({str(terms.allowed_domain or NONE) for terms in several}))
    rows = [("tier", tiers), *limits, ("allowed domain", domains)]
    return [(name, value or NONE) for name, value in rows]


def _feature_differences(olds: Sequence[Terms], new: Terms) -> list[Difference]:
    if not olds:
        return [Difference(name="features", old=NONE, new=", ".join(new.features) or NONE)]
    names = sorted({name for terms in (*olds, new) for name in terms.features})
    rows = (
        Difference(name=f"feature {name}", old=_having(olds, name), new=_having((new,), name))
        for name in names
    )
    return [row for row in rows if row.old != row.new]


def _having(several: Sequence[Terms], feature: str) -> str:
    """Whether all of them have a feature: `yes`, `no`, or how many."""
    number = sum(feature in terms.features for terms in several)
    if number in (0, len(several)):
        return "yes" if number else "no"
    return f"{number} of {len(several)}"
