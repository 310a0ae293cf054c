"""Consent and reasons, on a terminal and off it (DESIGN, "Findings and consent")."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from polygent_issuer.cli import prompts
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import OptionGroup, flag, option
from polygent_issuer.cli.output.result import note, write_blocks
from polygent_issuer.errors import InputRefused, MissingInput, UsageProblem
from polygent_issuer.text import escape, nearest

if TYPE_CHECKING:
    from polygent_issuer.cli.output.model import Block
    from polygent_issuer.findings import Consent, Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentOptions(OptionGroup):
    """`--accept` and `--reason`."""

    accept: Annotated[
        list[str] | None,
        option("--accept", "CODE", "Accept a finding; repeatable.", candidates.findings),
    ] = None
    reason: Annotated[str | None, option("--reason", "TEXT", "Why; kept in the journal.")] = None


Yes = Annotated[bool, flag("--yes", "Go ahead without asking.", short="-y")]
# For commands that have findings beside that of the clock.
YesButFindings = Annotated[
    bool, flag("--yes", "Go ahead without asking; accepts no finding.", short="-y")
]


def sound_reason(reason: str | None) -> str | None:
    """Return a reason as the journal may have it; a blank one is none.

    Raises:
        InputRefused: (`input_refused`) when it could steer a terminal.
    """
    reason = (reason or "").strip()
    if escape(reason) != reason:
        raise InputRefused(
            f"the reason has characters that cannot be shown: {escape(reason)}",
            hint="--reason with plain text",
        )
    return reason or None


def given(options: ConsentOptions) -> "Consent":
    """Return the consent of the command line.

    Raises:
        UsageProblem: (`usage`) when a code does not exist.
    """
    from polygent_issuer.findings import Consent, FindingCode

    codes = options.accept or ()
    for code in codes:
        if code not in tuple(FindingCode):
            meant = nearest(code, [*FindingCode])
            known = "codes: " + ", ".join(FindingCode)
            hint = f"did you mean --accept {meant}?" if meant else known
            raise UsageProblem(f"no finding has the code {code!a}", hint=hint)
    reason = sound_reason(options.reason)
    return Consent(accepted=frozenset(map(FindingCode, codes)), reason=reason)


def obtain_for_many(missing: Mapping[str, int], consent: "Consent") -> "Consent":
    """Ask on a terminal, once for each code, with how many items it stops otherwise."""
    from polygent_issuer.findings import Consent, FindingCode

    codes = {
        FindingCode(code)
        for code, count in sorted(missing.items())
        if prompts.confirm(f"accept {code} for {count:,}?")
    }
    if not codes:
        return consent
    reason = consent.reason or sound_reason(prompts.line("why, for the journal"))
    return Consent(accepted=consent.accepted | codes, reason=reason)


def obtain(invocation: Invocation, findings: "Iterable[Finding]", consent: "Consent") -> "Consent":
    """Ask for what is missing on a terminal.

    Raises:
        ConsentNeeded: (`consent_needed`) when a finding, or off a terminal its reason, is missing.
    """
    from polygent_issuer.findings import Consent, ConsentNeeded

    findings = tuple(findings)
    missing = consent.missing(findings)
    if not invocation.interactive:
        used = tuple(finding for finding in findings if finding.code in consent.accepted)
        if missing:
            raise ConsentNeeded(missing)
        if used and not consent.reason:
            raise ConsentNeeded(used, reason_missing=True)
        return consent
    for finding in missing:
        note(str(finding.code), finding.message)
        if finding.hint:
            note("hint", finding.hint, style="dim")
        if not prompts.confirm("accept this?"):
            raise ConsentNeeded((finding,))
    reason = consent.reason
    if missing and not reason:
        reason = sound_reason(prompts.line("why, for the journal"))
    codes = consent.accepted | {finding.code for finding in missing}
    return Consent(accepted=codes, reason=reason)


def required_reason(invocation: Invocation, reason: str | None, action: str) -> str:
    """Return the reason of the command line, else what a person at the terminal says.

    Raises:
        MissingInput: (`missing_input`) when there is none and nobody to ask why the `action` was.
    """
    if (sound := sound_reason(reason)) is not None:
        return sound
    if not invocation.interactive:
        raise MissingInput(
            f"no reason was given, and the journal keeps why {action}", hint="add --reason TEXT"
        )
    return prompts.text("why, for the journal", check=_named).strip()


def confirm_or_cancel(
    invocation: Invocation,
    question: str,
    *,
    yes: bool,
    preview: "Iterable[Block]" = (),
    default: bool = False,
) -> None:
    """Ask for a last yes on a terminal, under the preview; nothing with `--yes` or off it."""
    if invocation.interactive and not yes:
        write_blocks(preview, sys.stderr)
        prompts.require_yes(question, default=default)


def _named(text: str) -> None:
    if sound_reason(text) is None:
        raise InputRefused("the reason is empty", hint="say why, for the journal")
