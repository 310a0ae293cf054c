"""`polygent-issue customer archive`: a customer who is none any more."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from polygent_issuer.cli import consent, prompts
from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.consent import required_reason
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output import streams
from polygent_issuer.cli.output.customer import customer_json, zone_of
from polygent_issuer.cli.output.model import Block, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import ArchivePlan
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedReport(Result):
    """A customer who is archived, or is so no longer.

    Attributes:
        changed: whether it was this command that did it.
    """

    archival: ArchivePlan
    changed: bool

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `changed`, and the licenses that are `running` all the same."""
        return {
            "customer": customer_json(self.archival.customer),
            "changed": self.changed,
            "running": [
                {
                    "id": record.id,
                    "machine": record.machine_label,
                    "works_until": dates.instant(record.expires_at),
                }
                for record in self.archival.running
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """What it is now, and what the operator should know."""
        customer = self.archival.customer
        what = (
            f"{customer.name} ({customer.slug}) is {'not ' if self.archival.undo else ''}archived"
        )
        if not self.changed:
            yield Line(what if self.archival.undo else f"{what} already", "dim")
            return
        yield Line(f"{what} any more" if self.archival.undo else what, "good")
        if not self.archival.undo:
            yield from following(self.archival)
            yield Line(f"to undo: polygent-issue customer archive {customer.slug} --undo", "dim")


def following(found: ArchivePlan) -> Iterable[Block]:
    """What archiving does, and what it does not do to the licenses that run."""
    yield Line("sign, renew and reissue refuse it; customer list and expiring leave it out")
    zone = zone_of(found.customer)
    for record in found.running:
        until = dates.describe_expiry(record.expires_at, zone)
        what = f"license {record.id[:8]} for {record.machine_label or 'any machine'}"
        yield Line(f"{what} keeps working until {until}, where it is installed", "warn", 1)


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
    slug = invocation.customer(customer).slug
    decided = invocation.decide(
        lambda db: customer_changes.plan_archive(db, slug, undo=undo, now=now)
    )
    archived = decided.decision
    if not archived.needed:
        return ArchivedReport(archival=archived, changed=False)
    agreed = consent.obtain(invocation, decided.behind, given)
    reason = agreed.reason
    if not undo:
        reason = required_reason(invocation, reason, "a customer is archived")
        if invocation.interactive and not yes:
            streams.write_blocks(following(archived), sys.stderr)
            prompts.go_ahead(f"archive {archived.customer.name} ({slug})?")
    done = customer_changes.archive(
        decided,
        reason=reason,
        consent=agreed,
    )
    return ArchivedReport(archival=done, changed=True)
