"""From old to new: what a license changes, and takes away, of the one or several it replaces."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from polygent_issuer.findings import Finding, FindingCode
from polygent_issuer.hints import Hint, join, option
from polygent_issuer.registry import LicenseRecord, Reading, keys
from polygent_issuer.terms import dates, decision
from polygent_issuer.terms.decision import Difference
from polygent_issuer.terms.terms import Changes, Terms
from polygent_issuer.text import escape
from polygent_issuer.verifier import License

_LESSER: Final = (
    "--users",
    "--session-hosts",
    "--deploy-hosts",
    "--remove-feature",
    "--allowed-domain",
)
_NAME_IT: Final = Hint(
    "name what is meant with ", join(", ", map(option, _LESSER)), " or ", option("--expires")
)


def loss(olds: Sequence[License], new: License, changes: Changes) -> Finding | None:
    """`entitlement-loss`: less than now, and not named on the command line."""
    losses = list(decision.losses([Terms.of(old) for old in olds], Terms.of(new), changes))
    named = changes.term or changes.expires or changes.basis
    longest = max(old.expires_at for old in olds)
    if new.expires_at < longest and not named:
        days = dates.days_left(longest, new.expires_at)
        losses.append(
            f"it would end {dates.days(days)} earlier, at {dates.instant(new.expires_at)}"
        )
    if not losses:
        return None
    return Finding(
        code=FindingCode.ENTITLEMENT_LOSS,
        message=f"{new.customer} would lose: {'; '.join(losses)}",
        hint=_NAME_IT,
    )


def differences(olds: Sequence[License], new: License) -> tuple[Difference, ...]:
    """Old → new, for display: what the licenses say beside their terms, then those."""
    pairs = (
        ("customer", _said(old.customer for old in olds), new.customer),
        ("customer slug", _said(old.sub for old in olds), new.sub),
        ("issuer", _said(old.iss for old in olds), new.iss),
        ("fingerprint", _machines(olds), _machines([new])),
    )
    changed = tuple(
        Difference(name=name, old=before, new=after)
        for name, before, after in pairs
        if before != after
    )
    return (*changed, *decision.differences([Terms.of(old) for old in olds], Terms.of(new)))


def notes(db: Reading, records: Sequence[LicenseRecord], now: datetime) -> tuple[str, ...]:
    """What becomes of the old file of each license that is replaced."""
    return tuple(_note(db, record, now) for record in records)


def _note(db: Reading, record: LicenseRecord, now: datetime) -> str:
    until = dates.instant(record.expires_at)
    if record.expires_at <= now:
        return f"license {record.id[:8]} expired at {until}"
    old, key = f"the old file {record.id[:8]}", keys.pinned(db, record.kid)
    works = f"keeps working until {until} where it is installed"
    if key.compromised:
        told = f"{old} was signed with {escape(key.label)}, which is compromised"
        return f"{told}: it works only where that key is still believed"
    if key.retired_at is not None:
        return f"{old} was signed with {escape(key.label)}, which is retired; it {works}"
    return f"{old} {works}"


def _said(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _machines(licenses: Sequence[License]) -> str:
    """Whose fingerprint, or of how many machines: a row of several would be read by nobody."""
    bound = [each.machine_fingerprint for each in licenses if each.machine_fingerprint]
    if len(bound) > 1:
        return f"of {len(bound)} machines"
    return bound[0] if bound else "any"
