"""Terms: what a customer may use, where they come from, and how they change.

A first license takes its terms from a plan and the options beside it; every later one from the
license before it, changed only by what was typed (DESIGN, "Command line"). Until when a license
runs is decided elsewhere: `Changes` merely carries `term`, `expires` and `basis` along.
"""

from polygent_issuer.terms.comparison import Difference, differences, losses
from polygent_issuer.terms.decision import (
    contradiction,
    first_terms,
    next_terms,
)
from polygent_issuer.terms.features import Catalogue, catalogue
from polygent_issuer.terms.joining import joined
from polygent_issuer.terms.values import Changes, Plan, Terms
from polygent_issuer.verifier.license import Limits

__all__ = [
    "Catalogue",
    "Changes",
    "Difference",
    "Limits",
    "Plan",
    "Terms",
    "catalogue",
    "contradiction",
    "differences",
    "first_terms",
    "joined",
    "losses",
    "next_terms",
]
