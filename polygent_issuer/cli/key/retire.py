"""`polygent-issue key retire`: a key that signs no more, or that others may hold."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from polygent_issuer.cli import consent, output, prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.key.retire_view import RetiredKeyReport
from polygent_issuer.cli.key.show import KeyName
from polygent_issuer.cli.reasons import required_reason
from polygent_issuer.custody import place_of, presence
from polygent_issuer.custody.retirement import decide, retire


def retire_key(
    invocation: Invocation,
    key: KeyName,
    *,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Others may hold it: servers must drop it.")
    ] = False,
    consents: consent.ConsentOptions,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")] = False,
) -> RetiredKeyReport:
    """Let a key sign no more, for good; the licenses under it are listed, with the way out.

    Its public half stays with the servers while its licenses run. With --compromised it is the
    other way round: servers must drop it, so each license under it is issued again.
    """
    given, now = consent.given(consents), invocation.now
    decided = invocation.decide(lambda db: decide(db, key, compromised=compromised))
    retirement = decided.decision
    held = place_of(invocation.settings, retirement.key.kid)
    here = presence(invocation.settings, retirement.key.kid)
    foreseen = RetiredKeyReport(
        retirement=retirement, store=held, presence=here, now=now, changed=False
    )
    if not retirement.needed:
        return foreseen
    asks = invocation.interactive and not yes
    if asks:
        output.write_blocks(foreseen.following(), sys.stderr)
    agreed = consent.obtain(invocation, decided.behind, given)
    reason = required_reason(invocation, agreed.reason, "a key is retired")
    if asks:
        prompts.go_ahead(f"let {retirement.key.label} sign no more, for good?")
    done = retire(
        decided,
        reason=reason,
        consent=agreed,
    )
    return replace(foreseen, retirement=done, changed=True)
