"""What a batch says at its end."""

from polygent_issuer.batch.outcomes import Decision, Failed, Job, Kept
from polygent_issuer.cli.blocks import Table
from polygent_issuer.cli.many.review_view import MOST_UNNAMED
from polygent_issuer.cli.many.summary import Summary
from polygent_issuer.cli.many.tally import MOST_FAILURES, Tally
from polygent_issuer.cli.plain_text import plain_lines
from polygent_issuer.errors import ExitCode, NotFound
from polygent_issuer.findings import Consent
from polygent_issuer.settings import Settings


def job(number: int) -> Job:
    """An item."""
    return Job(
        place=f"c{number}", subject=f"c{number}", decide=lambda _: Decision(), consent=Consent()
    )


def tally(*, kept: int = 0, failed: int = 0) -> Tally:
    """What came of some items."""
    counted = Tally()
    for number in range(kept):
        counted.add(Kept(job=job(number), decision=Decision()))
    for number in range(failed):
        counted.add(Failed(job=job(number), error=NotFound("there is none", hint="look")))
    return counted


def lines(summary: Summary) -> list[str]:
    """As a person off a terminal reads it."""
    return list(plain_lines(summary.blocks()))


def test_nothing_to_do() -> None:
    """Exit 0; when it broke off, nobody knows that there was nothing."""
    done = Summary(tally=tally(kept=2), settings=Settings())
    assert lines(done) == ["nothing to do, kept 2"]
    assert done.exit_code is ExitCode.DONE
    broken = Summary(tally=tally(), settings=Settings(), stopped=True)
    assert lines(broken) == ["nothing was issued", "broken off; the same command does the rest"]


def test_what_failed_is_a_table() -> None:
    """The first of them with what mends each, the number of the rest, and exit 20."""
    summary = Summary(tally=tally(failed=MOST_FAILURES + 7), settings=Settings())
    table, *_ = summary.blocks()
    assert isinstance(table, Table)
    rows = list(table.rows)
    assert len(rows) == MOST_FAILURES
    assert rows[0] == ("c0", "there is none")
    assert lines(summary)[-3:] == [
        "and 7 more: --report FILE lists them all",
        "hint for c0 and 49 more: look",
        "failed 57",
    ]
    assert summary.exit_code is ExitCode.BATCH


def test_an_interruption_counts_more_than_a_failure() -> None:
    """Exit 130: it is not finished."""
    summary = Summary(tally=tally(kept=1, failed=1), settings=Settings(), interrupted=True)
    assert summary.exit_code is ExitCode.INTERRUPTED
    assert lines(summary)[-1] == "interrupted; the same command does the rest"
    assert summary.to_json()["summary"]["complete"] is False


def test_customers_beside_the_file() -> None:
    """The first of them by name, all of them for programs."""
    slugs = tuple(f"c{number}" for number in range(MOST_UNNAMED + 2))
    summary = Summary(tally=tally(kept=1), settings=Settings(), unnamed=slugs)
    assert lines(summary)[-1].endswith(f"c{MOST_UNNAMED - 1} and 2 more")
    assert summary.to_json()["summary"]["unnamed"] == list(slugs)
