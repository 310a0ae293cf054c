"""Options of the commands that issue licenses: key, output, batch and selection."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.consent import ConsentOptions, YesButFindings
from polygent_issuer.cli.options.common import OptionGroup, PassphraseOptions, flag, option
from polygent_issuer.cli.options.input_files import MachineInfoFile
from polygent_issuer.cli.options.terms import NextTerms
from polygent_issuer.errors import UsageProblem

EmlFolder = Annotated[str | None, option("--eml", "DIR", "Write mail drafts to this folder.")]

LicenseFile = Annotated[
    str | None,
    option("--output", "FILE|DIR", "Write to this new path (- for stdout).", short="-o"),
]

BundleFile = Annotated[
    Path | None, option("--bundle", "FILE", "Write all licenses to one .zip archive.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueOptions(OptionGroup):
    """Options that `sign`, `renew`, `reissue` and `apply` share."""

    key: Annotated[
        str | None,
        option("--key", "LABEL|KID", "Sign with this key, not the active one.", candidates.keys),
    ] = None
    output: LicenseFile = None
    eml: EmlFolder = None
    dry_run: Annotated[bool, flag("--dry-run", "Show what would be issued, then stop.")] = False
    yes: YesButFindings = False


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOptions(OptionGroup):
    """The archive and the report of a batch, and the preview that it must have."""

    bundle: BundleFile = None
    report: Annotated[
        Path | None, option("--report", "FILE", "Write each outcome to a .csv or .json file.")
    ] = None
    expect: Annotated[
        str | None,
        option("--expect", "DIGEST", "Issue only if the preview has this digest."),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseSelection(OptionGroup):
    """The license to renew or reissue, and the document of a machine that replaces the old one."""

    license_ids: Annotated[
        list[str] | None,
        option("--license", "ID", "Select this license (repeatable).", candidates.current_licenses),
    ] = None
    machine: Annotated[
        str | None,
        option("--machine", "LABEL", "Select the license for this machine.", candidates.machines),
    ] = None
    all_machines: Annotated[
        bool, flag("--all-machines", "Select all current licenses of the customer.")
    ] = False
    machine_info: MachineInfoFile = None

    def check(self, customers: int) -> None:
        """Check that the options do not contradict each other or the number of `customers`.

        Raises:
            UsageProblem: (`usage`) they do; the hint names what to give instead.
        """
        selectors = (self.license_ids, self.machine, self.all_machines)
        if sum(map(bool, selectors)) > 1:
            raise UsageProblem(
                "--license, --machine and --all-machines are mutually exclusive",
                hint="give one of them",
            )
        if customers > 1 and (self.license_ids or self.machine):
            raise UsageProblem(
                "--license and --machine need exactly one customer",
                hint="name one customer at a time",
            )
        many = customers > 1 or self.all_machines or len(self.license_ids or ()) > 1
        if self.machine_info and many:
            raise UsageProblem(
                "--machine-info describes one machine, but several licenses are selected",
                hint="name one customer, and one machine with --machine LABEL",
            )


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
