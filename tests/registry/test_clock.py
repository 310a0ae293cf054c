"""This machine's clock, and what the journal says has happened already."""

from datetime import timedelta

from support.registries import NOW, writing

from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import Registry
from polygent_issuer.registry.journal import clock_behind_finding

LATER = NOW + timedelta(days=1)


def test_five_minutes_behind_the_newest_row_are_no_finding(registry: Registry) -> None:
    """More is one, and it names both instants."""
    with writing(registry, now=LATER):
        pass
    edge = LATER - timedelta(minutes=5)
    with registry.reading() as db:
        assert clock_behind_finding(db, LATER) == clock_behind_finding(db, edge) == ()
        (finding,) = clock_behind_finding(db, edge - timedelta(seconds=1))
    assert finding.code is FindingCode.CLOCK_BEHIND
    assert "2026-03-02T09:24:59Z" in finding.message
    assert "2026-03-02T09:30:00Z" in finding.message
    assert finding.hint == "set the clock right"
