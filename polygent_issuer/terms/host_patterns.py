"""Allowed domains for people: the depth of a wildcard, and the patterns that cover several hosts.

FORMAT §3 has the rules: `*` matches exactly one label.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from polygent_issuer.verifier.domain import AllowedDomain, host_name
from polygent_issuer.verifier.errors import InvalidDomain

_ANY_LABEL: Final = "*."


def depth(domain: AllowedDomain) -> str | None:
    """Return the names that a wildcard covers, with examples; None for an exact name."""
    if not domain.text.startswith(_ANY_LABEL):
        return None
    base = domain.text.removeprefix(_ANY_LABEL)
    return f"exactly one level: api.{base}, but neither {base} nor api.v2.{base}"


def covering(hosts: Sequence[str]) -> tuple[AllowedDomain, ...]:
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
