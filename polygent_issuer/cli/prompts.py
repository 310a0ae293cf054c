"""Prompts on stderr, also for consent and its reason (DESIGN, "Findings and consent")."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import typer

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.errors_boundary import Stopped
from polygent_issuer.cli.options.common import parse_reason
from polygent_issuer.cli.output.result import note, write_blocks
from polygent_issuer.errors import InputRefused, MissingInput
from polygent_issuer.text import counted, escape

if TYPE_CHECKING:
    from polygent_issuer.cli.output.blocks import Block
    from polygent_issuer.findings import Consent, Finding

_WORDS: Final = {"y": True, "yes": True, "n": False, "no": False}
_REASON: Final = "reason for the journal"


def line(question: str) -> str:
    """Prompt for one line, which may be empty; raise `typer.Abort` at end of input (Ctrl-D).

    Typer's own prompts write a space to stdout, which may be the output of the license.
    """
    prompt = f"{escape(question)}: "
    try:
        sys.stderr.write(prompt)
        sys.stderr.flush()
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise
    if not answer:
        sys.stderr.write("\n")
        raise typer.Abort
    return answer.rstrip("\r\n")


def text(
    question: str,
    *,
    default: str | None = None,
    check: Callable[[str], object],
    what: str = "answer",
) -> str:
    """Prompt until `check` accepts the answer, a `what`; an empty one means the default."""
    prompt = question if default is None else f"{question} [{default}]"
    while True:
        answer = line(prompt) or default
        if answer is None:
            note("error", f"no {what} was typed", style="bad")
            continue
        try:
            check(answer)
        except InputRefused as refused:
            note("error", refused.message, style="bad")
            if refused.hint:
                note("hint", refused.hint)
        else:
            return answer


def choice(question: str, options: Sequence[str], *, default: str) -> str:
    """Prompt for one of the options; the only one is the answer without a prompt."""
    if len(options) == 1:
        return options[0]
    words = ", ".join(options)

    def known(answer: str) -> None:
        if answer not in options:
            raise InputRefused(f"answer with one of {words}")

    return text(f"{question} ({words})", default=default, check=known)


def confirm(question: str, *, default: bool = False) -> bool:
    """Prompt for yes or no; an empty answer means the default."""
    prompt = f"{question} [{'Y/n' if default else 'y/N'}]"
    while True:
        answer = line(prompt).strip().lower()
        if answer in _WORDS:
            return _WORDS[answer]
        if not answer:
            return default
        note("error", "answer y or n", style="bad")


def require_yes(question: str, *, default: bool = False) -> None:
    """Prompt for confirmation; raise `Stopped` (`declined`) on a no."""
    if not confirm(question, default=default):
        raise Stopped("cancelled; nothing was changed", code="declined")


def obtain_consent_for_many(missing: Mapping[str, int], consent: "Consent") -> "Consent":
    """Prompt once for each finding code; `missing` has the number of items that need it."""
    from polygent_issuer.findings import Consent, FindingCode

    codes = {
        FindingCode(code)
        for code, count in sorted(missing.items())
        if confirm(f"accept {code} for {counted(count, 'item')}?")
    }
    if not codes:
        return consent
    reason = consent.reason or parse_reason(line(_REASON))
    return Consent(accepted=consent.accepted | codes, reason=reason)


def obtain_consent(
    invocation: Invocation, findings: "Iterable[Finding]", consent: "Consent"
) -> "Consent":
    """Return consent to all findings; prompt for missing consent on a terminal.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding is not accepted, or the reason is missing
            without a terminal.
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
        if not confirm("accept this?"):
            raise ConsentNeeded((finding,))
    reason = consent.reason
    if missing and not reason:
        reason = parse_reason(line(_REASON))
    codes = consent.accepted | {finding.code for finding in missing}
    return Consent(accepted=codes, reason=reason)


def required_reason(invocation: Invocation, reason: str | None, action: str) -> str:
    """Return the reason from the command line, else prompt for it.

    `action` completes the message, such as "retire a license".

    Raises:
        MissingInput: (`missing_input`) the reason is missing, and no terminal can prompt for it.
    """
    if (parsed := parse_reason(reason)) is not None:
        return parsed
    if not invocation.interactive:
        raise MissingInput(f"a reason is required to {action}", hint="add --reason TEXT")
    return text(_REASON, check=_require_reason, what="reason").strip()


def confirm_or_cancel(
    invocation: Invocation,
    question: str,
    *,
    yes: bool,
    preview: "Iterable[Block]" = (),
    default: bool = False,
) -> None:
    """Show the preview and ask for confirmation, on a terminal and without `--yes`."""
    if invocation.interactive and not yes:
        write_blocks(preview, sys.stderr)
        require_yes(question, default=default)


def _require_reason(text: str) -> None:
    if parse_reason(text) is None:
        raise InputRefused("the reason is empty", hint="give a reason for the journal")
