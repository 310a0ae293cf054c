"""Old and new terms side by side: for the preview, and for what would be lost unasked."""

from dataclasses import dataclass

from polygent_issuer.terms.values import Changes, Terms

NONE = "none"


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


def differences(old: Terms | None, new: Terms) -> tuple[Difference, ...]:
    """What changes from one license to the next, for display.

    Without an old license every term is told; else only those that change, features one by one.
    """
    rows = [
        Difference(name=name, old=before, new=after)
        for (name, before), (_, after) in zip(_plain(old), _plain(new), strict=True)
        if before != after or old is None
    ]
    return (*rows, *_feature_differences(old, new))


def losses(old: Terms, new: Terms, changes: Changes) -> tuple[str, ...]:
    """What the new terms take away without a word of the operator (finding `entitlement-loss`).

    A number or a feature that was named on the command line is her decision; a plan that is
    lower than the present terms names none of them.

    Returns:
        A sentence for each loss; empty when there is none.
    """
    told = []
    for name in ("users", "session_hosts", "deploy_hosts"):
        before, after = getattr(old.limits, name), getattr(new.limits, name)
        if after < before and getattr(changes, name) is None:
            told.append(f"{after} instead of {before} {name.replace('_', ' ')}")
    gone = [name for name in old.features if name not in new.features]
    told += [f"the feature {name} is lost" for name in gone if not changes.names_feature(name)]
    return tuple(told)


def _plain(terms: Terms | None) -> list[tuple[str, str]]:
    names = ("tier", "users", "session hosts", "deploy hosts", "allowed domain")
    if terms is None:
        return [(name, NONE) for name in names]
    limits = terms.limits
    values = (terms.tier, limits.users, limits.session_hosts, limits.deploy_hosts)
    return [
        *zip(names, map(str, values), strict=False),
        (names[-1], str(terms.allowed_domain or NONE)),
    ]


def _feature_differences(old: Terms | None, new: Terms) -> list[Difference]:
    if old is None:
        return [Difference(name="features", old=NONE, new=", ".join(new.features) or NONE)]
    changed = sorted(set(old.features) ^ set(new.features))
    return [
        Difference(
            name=f"feature {name}",
            old="yes" if name in old.features else "no",
            new="yes" if name in new.features else "no",
        )
        for name in changed
    ]
