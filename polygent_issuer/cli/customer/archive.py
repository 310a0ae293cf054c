"""`polygent-issue customer archive`: a customer who is none any more."""

import sys
from typing import Annotated

import typer

from polygent_issuer.cli import consent, names, output, prompts
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.customer.archive_view import ArchivedReport, following
from polygent_issuer.cli.reasons import required_reason
from polygent_issuer.issuing import archival


def archive(
    invocation: Invocation,
    customer: Annotated[
        str,
        typer.Argument(
            metavar="CUSTOMER", autocompletion=candidates.customers, help="A slug or a name."
        ),
    ],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    consents: consent.ConsentOptions,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")] = False,
) -> ArchivedReport:
    """Archive a customer: issued nothing more, and left out of customer list and expiring.

    Nothing is forgotten, and what runs keeps running where it is installed.
    """
    given, now = consent.given(consents), invocation.now
    slug = names.customer(invocation, customer).slug
    decided = invocation.decide(lambda db: archival.decide(db, slug, undo=undo, now=now))
    archived = decided.decision
    if not archived.needed:
        return ArchivedReport(archival=archived, changed=False)
    agreed = consent.obtain(invocation, decided.behind, given)
    reason = agreed.reason
    if not undo:
        reason = required_reason(invocation, reason, "a customer is archived")
        if invocation.interactive and not yes:
            output.write_blocks(following(archived), sys.stderr)
            prompts.go_ahead(f"archive {archived.customer.name} ({slug})?")
    done = archival.carry_out(
        decided,
        reason=reason,
        consent=agreed,
    )
    return ArchivedReport(archival=done, changed=True)
