"""`polygent-issue customer merge`: two customers who are one."""

import sys
from typing import Annotated

import typer

from polygent_issuer.cli import consent, names, output, prompts
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.customer.merge_view import Merged, following
from polygent_issuer.cli.reasons import required_reason
from polygent_issuer.issuing import merger


def merge(
    invocation: Invocation,
    gone: Annotated[
        str,
        typer.Argument(
            metavar="FROM", autocompletion=candidates.customers, help="Whose slug becomes an alias."
        ),
    ],
    kept: Annotated[
        str,
        typer.Argument(metavar="INTO", autocompletion=candidates.customers, help="Who remains."),
    ],
    *,
    consents: consent.ConsentOptions,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")] = False,
) -> Merged:
    """Merge a customer into another: machines, licenses and history follow.

    It cannot be undone. The old slug stays an alias, so commands and journal find by it what they
    found before. The contacts of both are kept; time zone and CRM reference are those of INTO,
    where it has them.
    """
    given, now = consent.given(consents), invocation.now
    typed = [names.customer(invocation, text).slug for text in (gone, kept)]
    decided = invocation.decide(lambda db: merger.decide(db, *typed, now=now))
    agreed = consent.obtain(invocation, decided.behind, given)
    reason = required_reason(invocation, agreed.reason, "customers are merged")
    if invocation.interactive and not yes:
        output.write_blocks(following(decided.decision), sys.stderr)
        rows = decided.decision.merger
        prompts.go_ahead(f"merge {rows.gone.slug} into {rows.kept.slug}, for good?")
    merged = merger.carry_out(
        decided,
        reason=reason,
        consent=agreed,
    )
    return Merged(decided=decided.decision, customer=merged)
