"""How a merger looks, before it is carried out and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polygent_issuer import dates
from polygent_issuer.cli.blocks import Block, Fields, Line
from polygent_issuer.cli.customer.customer_view import customer_json, customer_rows
from polygent_issuer.cli.customer.still_named_view import still_named_json, still_named_lines
from polygent_issuer.cli.hint_json import hint_json
from polygent_issuer.cli.output import Result
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing.merger import DecidedMerger, Rival
from polygent_issuer.registry import Customer


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged(Result):
    """Who remains of two customers, and what the operator does next."""

    decided: DecidedMerger
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
            "still_named": [still_named_json(each) for each in self.decided.still_named],
            "rivals": [_rival_json(each) for each in self.decided.rivals],
        }

    def blocks(self) -> Iterable[Block]:
        """Who remains, what moved, what to issue again, what to retire."""
        yield Line(f"merged {self.decided.merger.gone.slug} into {self.customer.slug}", "good")
        yield Fields(tuple(customer_rows(self.customer)))
        yield from following(self.decided)


def following(decided: DecidedMerger) -> Iterable[Block]:
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
    yield from still_named_lines(decided.still_named, f"the name or slug of {gone.slug}")


def _dropped(decided: DecidedMerger) -> Iterable[Block]:
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


def _rivals(decided: DecidedMerger) -> Iterable[Block]:
    for rival in decided.rivals:
        until = dates.describe_expiry(rival.record.expires_at)
        yield Line(
            f"{rival.machine} has two current licenses: {rival.keep.id[:8]} runs longer than "
            f"{rival.record.id[:8]}, which ends {until}",
            "warn",
        )
        yield Line(_command(rival), indent=1)


def _command(rival: Rival) -> Hint:
    why = f"the same machine as {rival.keep.id[:8]}"
    return run("license", "retire", rival.record.id[:8], "--reason", why)


def _rival_json(rival: Rival) -> dict[str, Any]:
    return {
        "id": rival.record.id,
        "machine": rival.machine,
        "expires_at": dates.instant(rival.record.expires_at),
        "longer": rival.keep.id,
        **hint_json(_command(rival), "mend"),
    }


def _machine_json(old: str, new: str, what: str) -> dict[str, str]:
    return {"was": old, "label": new, "what": what}
