"""Options of `renew` and `reissue`: the licenses, and all that the two commands share."""

from collections.abc import Sequence
from dataclasses import dataclass

from polygent_issuer.cli.consent import ConsentOptions
from polygent_issuer.cli.options.common import OptionGroup, PassphraseOptions
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions, LicenseSelection
from polygent_issuer.cli.options.terms import NextTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class NextOptions(OptionGroup):
    """The options that `renew` and `reissue` share."""

    selection: LicenseSelection
    terms: NextTerms
    issue: IssueOptions
    batch: BatchOptions
    consents: ConsentOptions
    passphrases: PassphraseOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """The licenses to renew or reissue: those of customers, or all current ones that match.

    Attributes:
        names: slugs or names of customers; `-` reads more from stdin.
        due_within, signed_with: as typed, a term and a key.
        every: the option `--all`.
    """

    names: Sequence[str]
    due_within: str | None = None
    signed_with: str | None = None
    every: bool = False

    @property
    def filters(self) -> tuple[str, ...]:
        """The options that are given in place of customers."""
        given = {
            "--all": self.every,
            "--signed-with": self.signed_with is not None,
            "--due-within": self.due_within is not None,
        }
        return tuple(name for name, is_given in given.items() if is_given)
