"""Options of the commands that issue licenses: terms, key, output, batch and selection."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    MachineInfoFile,
    OptionGroup,
    PassphraseOptions,
    YesButFindings,
    flag,
    option,
    whole_number,
)
from polygent_issuer.errors import InvalidTerms, UsageProblem
from polygent_issuer.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from polygent_issuer.home.settings import Settings
    from polygent_issuer.terms.parsing import Changes
    from polygent_issuer.verifier import Tier


_option = partial(option, rich_help_panel="Terms")
_limit = partial(_option, metavar="N", parser=whole_number())


@dataclass(frozen=True, kw_only=True, slots=True)
class TermsOptions(OptionGroup):
    """Options that `sign`, `renew` and `reissue` share."""

    plan: str | None = _option("--plan", "NAME", "Use the terms of this plan.", candidates.plans)
    tier: str | None = _option(
        "--tier", "TIER", "Set the tier: standard or enterprise.", candidates.tiers
    )
    term: str | None = _option("--term", "TERM", "Set the term, such as 1y, 6mo or 90d.")
    expires: str | None = _option(
        "--expires", "DATE", "Set the last day (YYYY-MM-DD) or an RFC 3339 timestamp."
    )
    basis: str | None = _option(
        "--from", "BASIS", "Start the term at expiry, now or a date.", candidates.bases
    )
    users: int | None = _limit("--users", text="Set the number of users.")
    session_hosts: int | None = _limit("--session-hosts", text="Set the number of session hosts.")
    deploy_hosts: int | None = _limit("--deploy-hosts", text="Set the number of deploy hosts.")
    allowed_domain: str | None = _option(
        "--allowed-domain", "HOST", "Allow only this host or *.DOMAIN (enterprise)."
    )
    order_id: str | None = option("--order-id", "TEXT", "Record this order id in the registry.")
    note: str | None = option("--note", "TEXT", "Record this note in the registry.")


_AddFeature = Annotated[
    list[str] | None,
    _option("--add-feature", "NAME", "Add a feature (repeatable).", candidates.features),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstTerms(TermsOptions):
    """The terms options of `sign`; a feature is added to those of the plan."""

    feature: list[str] | None = _option(
        "--feature", "NAME", "Include exactly these features (repeatable).", candidates.features
    )
    add_feature: _AddFeature = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NextTerms(TermsOptions):
    """The terms options of `renew` and `reissue`."""

    no_allowed_domain: bool = _option(
        "--no-allowed-domain", None, "Allow any host (enterprise).", default=False
    )
    add_feature: _AddFeature = None
    remove_feature: list[str] | None = _option(
        "--remove-feature", "NAME", "Remove a feature (repeatable).", candidates.features
    )


def parse_changes(settings: "Settings", typed: FirstTerms | NextTerms) -> "Changes":
    """Parse the terms options; an absent option stays absent.

    Raises:
        InvalidTerms: (`invalid_terms`) a term, date or domain is invalid.
        NotFound: (`not_found`) the plan does not exist.
        UsageProblem: (`usage`) the tier does not exist.
    """
    from polygent_issuer.terms.parsing import Changes, parse_domain, parse_expires, parse_term

    first = typed if isinstance(typed, FirstTerms) else FirstTerms()
    later = typed if isinstance(typed, NextTerms) else NextTerms()
    order_id, note = parse_order(typed.order_id, typed.note)
    return Changes(
        plan=None if typed.plan is None else settings.plan(typed.plan),
        tier=None if typed.tier is None else _tier(typed.tier),
        term=None if typed.term is None else parse_term(typed.term),
        expires=None if typed.expires is None else parse_expires(typed.expires),
        basis=_basis(typed.basis),
        users=typed.users,
        session_hosts=typed.session_hosts,
        deploy_hosts=typed.deploy_hosts,
        allowed_domain=None if typed.allowed_domain is None else parse_domain(typed.allowed_domain),
        no_allowed_domain=later.no_allowed_domain,
        features=tuple(first.feature) if first.feature else None,
        add_features=tuple(typed.add_feature or ()),
        remove_features=tuple(later.remove_feature or ()),
        order_id=order_id,
        note=note,
    )


def parse_order(order_id: str | None, note: str | None) -> tuple[str | None, str | None]:
    """Parse `--order-id` and `--note`; an absent option stays absent.

    Raises:
        InvalidTerms: (`invalid_terms`) a text is too long, or has characters that do not print.
    """
    from polygent_issuer.terms.parsing import parse_name, parse_note

    def parse(what: str, text: str | None, parse_text: "Callable[[str], str]") -> str | None:
        try:
            return None if text is None else parse_text(text)
        except InvalidTerms as refused:
            raise InvalidTerms(f"invalid {what}: {refused.message}", hint=refused.hint) from None

    return parse("order id", order_id, parse_name), parse("note", note, parse_note)


def _tier(text: str) -> "Tier":
    from polygent_issuer.terms.parsing import parse_tier

    try:
        return parse_tier(text)
    except InvalidTerms as refused:
        raise UsageProblem(refused.message, hint="--tier standard or --tier enterprise") from None


def _basis(text: str | None) -> "str | datetime | None":
    from polygent_issuer.terms.parsing import parse_date_or_instant

    if text is None or text in ("expiry", "now"):
        return text
    try:
        return parse_date_or_instant(text)
    except InvalidTerms as refused:
        instead = f"--from expiry, --from now, or {refused.hint}"
        hint = did_you_mean(text, ("expiry", "now"), instead, within="--from ")
        raise InvalidTerms(refused.message, hint=hint) from None


EmlFolder = Annotated[str | None, option("--eml", "DIR", "Write mail drafts to this folder.")]

LicenseFile = Annotated[
    str | None, option("--output", "FILE|DIR", "Write to this new path (- for stdout).", short="-o")
]

BundleFile = Annotated[
    Path | None, option("--bundle", "FILE", "Write all licenses to one .zip archive.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueOptions(OptionGroup):
    """Options that `sign`, `renew`, `reissue` and `apply` share."""

    key: str | None = option(
        "--key", "LABEL|KID", "Sign with this key, not the active one.", candidates.keys
    )
    output: LicenseFile = None
    eml: EmlFolder = None
    dry_run: bool = flag("--dry-run", "Show what would be issued, then stop.")
    yes: YesButFindings = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstOptions(OptionGroup):
    """The options of `sign`."""

    machine_info: MachineInfoFile = None
    customer: str | None = option(
        "--customer",
        "NAME",
        "Select the customer by slug or name (created if new).",
        candidates.customers,
    )
    slug: str | None = option("--slug", "SLUG", "Set the slug of a new customer.")
    label: str | None = option("--label", "LABEL", "Set the label of a new machine.")
    terms: FirstTerms
    issue: IssueOptions
    consents: ConsentOptions
    passphrases: PassphraseOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOptions(OptionGroup):
    """The archive and the report of a batch, and the preview that it must have."""

    bundle: BundleFile = None
    report: Path | None = option("--report", "FILE", "Write each outcome to a .csv or .json file.")
    expect: str | None = option("--expect", "DIGEST", "Issue only if the preview has this digest.")


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseSelection(OptionGroup):
    """The license to renew or reissue, and the document of a machine that replaces the old one."""

    license_ids: list[str] | None = option(
        "--license", "ID", "Select this license (repeatable).", candidates.current_licenses
    )
    machine: str | None = option(
        "--machine", "LABEL", "Select the license for this machine.", candidates.machines
    )
    all_machines: bool = flag("--all-machines", "Select all current licenses of the customer.")
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
