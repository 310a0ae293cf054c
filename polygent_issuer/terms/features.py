"""The features that the issuer may write into a license (FORMAT §2)."""

from collections.abc import Iterable
from dataclasses import dataclass

from polygent_issuer.errors import InvalidTerms
from polygent_issuer.text import escape, nearest
from polygent_issuer.verifier.features import ENTERPRISE_FEATURES, FEATURES


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
                raise InvalidTerms(f"unknown feature {escape(name)}", hint=self._near(name))

    def enterprise_only(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that a standard license cannot have, sorted."""
        return tuple(sorted(self.enterprise.intersection(names)))

    def _near(self, name: str) -> str:
        near = nearest(name.casefold(), sorted(self.names))
        if near:
            return f"did you mean {near}?"
        return f"known are {', '.join(sorted(self.names))}; newer modules: the setting features"


def catalogue(extra: Iterable[str] = ()) -> Catalogue:
    """The catalogue of FORMAT §2 and the newer modules that the settings name.

    A name of the catalogue among `extra` changes nothing: what is enterprise only stays so.
    """
    names = frozenset((*FEATURES, *ENTERPRISE_FEATURES, *extra))
    return Catalogue(names=names, enterprise=frozenset(ENTERPRISE_FEATURES))
