"""What a document says beside its fingerprint: how old it is, which parts have changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.terms.dates import in_utc, instant

if TYPE_CHECKING:
    from polygent_issuer.machine_info.fields import MachineInfo

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)


class ComponentState(StrEnum):
    """What became of one part of a fingerprint between two documents."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentChange:
    """One part by its name, and what became of it."""

    name: str
    state: ComponentState


def freshness_finding(info: "MachineInfo", *, now: datetime, max_age: timedelta) -> Finding | None:
    """Judge the age of a document: fresh from 5 minutes ahead up to `max_age` (FORMAT §4).

    This catches honest staleness only: the sender writes the time.
    """
    age = in_utc(now) - info.generated_at
    if -_CLOCKS_DIFFER <= age <= max_age:
        return None
    made = f"the machine info was made at {instant(info.generated_at)}"
    told = (
        f"{made}, {_length(-age)} ahead of this machine's clock"
        if age < timedelta()
        else f"{made}, over {_length(age)} ago, and may be {_length(max_age)} old"
    )
    return Finding(
        code=FindingCode.STALE_MACHINE_INFO,
        message=told,
        hint="ask the customer to download machine info again",
    )


def changed_components(
    old: Mapping[str, str], new: Mapping[str, str]
) -> tuple[ComponentChange, ...]:
    """Compare the parts of two documents by name, sorted: why a fingerprint has changed."""
    return tuple(
        ComponentChange(name=name, state=_state(old.get(name), new.get(name)))
        for name in sorted(old.keys() | new.keys())
    )


def _state(old: str | None, new: str | None) -> ComponentState:
    if old is None:
        return ComponentState.ADDED
    if new is None:
        return ComponentState.REMOVED
    return ComponentState.SAME if old == new else ComponentState.CHANGED


def _length(span: timedelta) -> str:
    """Say a span in its largest unit, rounded down."""
    for unit, name in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if span >= 2 * unit:
            return f"{span // unit} {name}"
    return f"{span // timedelta(seconds=1)} seconds"
