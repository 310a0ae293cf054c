"""`polygent-issue customer merge`: two customers who are one."""

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
from polygent_issuer.cli.output.customer import (
    customer_json,
    customer_rows,
    outdated_json,
    outdated_lines,
)
from polygent_issuer.cli.output.json_text import hint_json
from polygent_issuer.cli.output.model import Block, Fields, Line
from polygent_issuer.cli.output.result import Result
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing import customer_changes
from polygent_issuer.issuing.customer_changes import DuplicateMachineLicense, MergePlan
from polygent_issuer.registry import Customer
from polygent_issuer.terms import dates


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged(Result):
    """Who remains of two customers, and what the operator does next."""

    decided: MergePlan
    customer: Customer

    def to_json(self) -> Mapping[str, Any]:
        """`customer`, `from`, its `machines`, `still_named` and `rivals` with what mends each."""
        merger = self.decided.merger
        return {
            "customer": customer_json(self.customer),
            "from": customer_json(merger.gone),
            "licenses": self.decided.licenses,
            "machines": [
                *(_machine_json(each.machine.label, each.label, "moved") for each in merger.moved),
                *(_machine_json(each.gone.label, each.kept.label, "same") for each in merger.same),
            ],
            "still_named": [outdated_json(each) for each in self.decided.still_named],
            "rivals": [_rival_json(each) for each in self.decided.rivals],
        }

    def blocks(self) -> Iterable[Block]:
        """Who remains, what moved, what to issue again, what to retire."""
        yield Line(f"merged {self.decided.merger.gone.slug} into {self.customer.slug}", "good")
        yield Fields(tuple(customer_rows(self.customer)))
        yield from following(self.decided)


def following(decided: MergePlan) -> Iterable[Block]:
    """What a merger means, in words."""
    merger = decided.merger
    gone, kept = merger.gone, merger.kept
    yield Line(
        f"{gone.name} ({gone.slug}) → {kept.name} ({kept.slug}); {gone.slug} becomes an alias"
    )
    yield Line(f"licenses that change hands: {decided.licenses}", indent=1)
    for moved in merger.moved:
        label = moved.machine.label
        now = "" if label == moved.label else f", now {moved.label}: that label was taken"
        yield Line(f"machine {label}{now}", indent=1)
    for same in merger.same:
        yield Line(
            f"machine {same.gone.label} is {kept.slug}'s {same.kept.label}: one fingerprint, "
            "so it is one machine",
            indent=1,
        )
    yield from _dropped(decided)
    yield from _rivals(decided)
    yield from outdated_lines(decided.still_named, f"the name or slug of {gone.slug}")


def _dropped(decided: MergePlan) -> Iterable[Block]:
    """What the row that goes said, and the one that remains says otherwise."""
    gone, kept = decided.merger.gone, decided.merger.kept
    for name, old, new, taken in (
        ("time zone", gone.time_zone, kept.time_zone, decided.merger.time_zone),
        ("CRM reference", gone.crm, kept.crm, decided.merger.crm),
    ):
        if old is None or old == new:
            continue
        if new is None:
            yield Line(f"{name}: {taken}, taken from {gone.slug}", indent=1)
        else:
            yield Line(f"{name}: {new} stays; {gone.slug} had {old}", "warn", 1)
    if gone.archived_at is not None:
        yield Line(f"{gone.slug} was archived; its licenses count again", "warn", 1)


def _rivals(decided: MergePlan) -> Iterable[Block]:
    for rival in decided.rivals:
        until = dates.describe_expiry(rival.record.expires_at)
        yield Line(
            f"{rival.machine} has two current licenses: {rival.keep.id[:8]} runs longer than "
            f"{rival.record.id[:8]}, which ends {until}",
            "warn",
        )
        yield Line(_command(rival), indent=1)


def _command(rival: DuplicateMachineLicense) -> Hint:
    why = f"the same machine as {rival.keep.id[:8]}"
    return run("license", "retire", rival.record.id[:8], "--reason", why)


def _rival_json(rival: DuplicateMachineLicense) -> dict[str, Any]:
    return {
        "id": rival.record.id,
        "machine": rival.machine,
        "expires_at": dates.instant(rival.record.expires_at),
        "longer": rival.keep.id,
        **hint_json(_command(rival), "mend"),
    }


def _machine_json(old: str, new: str, what: str) -> dict[str, str]:
    return {"was": old, "label": new, "what": what}


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
    typed = [invocation.customer(text).slug for text in (gone, kept)]
    decided = invocation.decide(lambda db: customer_changes.plan_merge(db, *typed, now=now))
    agreed = consent.obtain(invocation, decided.behind, given)
    reason = required_reason(invocation, agreed.reason, "customers are merged")
    if invocation.interactive and not yes:
        streams.write_blocks(following(decided.decision), sys.stderr)
        rows = decided.decision.merger
        prompts.go_ahead(f"merge {rows.gone.slug} into {rows.kept.slug}, for good?")
    merged = customer_changes.merge(
        decided,
        reason=reason,
        consent=agreed,
    )
    return Merged(decided=decided.decision, customer=merged)
