"""The result of a batch."""

from polygent_issuer.batch.outcomes import Decision, Failed, Job, Kept
from polygent_issuer.cli.flows.batch.result import (
    MOST_FAILURES,
    MOST_MISSING_CUSTOMERS,
    BatchCounts,
    BatchResult,
)
from polygent_issuer.cli.output.model import Table
from polygent_issuer.cli.output.result import plain_lines
from polygent_issuer.errors import ExitCode, NotFound
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings


def job(number: int) -> Job:
    """An item."""
    return Job(
        place=f"c{number}", subject=f"c{number}", decide=lambda _: Decision(), consent=Consent()
    )


def counts(*, kept: int = 0, failed: int = 0) -> BatchCounts:
    """Count some outcomes."""
    counted = BatchCounts()
    for number in range(kept):
        counted.add(Kept(job=job(number), decision=Decision()))
    for number in range(failed):
        counted.add(Failed(job=job(number), error=NotFound("there is none", hint="look")))
    return counted


def lines(result: BatchResult) -> list[str]:
    """As a person off a terminal reads it."""
    return list(plain_lines(result.blocks()))


def test_nothing_to_do() -> None:
    """Exit 0; when it broke off, nobody knows that there was nothing."""
    done = BatchResult(counts=counts(kept=2), settings=Settings())
    assert lines(done) == ["nothing to do, kept 2"]
    assert done.exit_code is ExitCode.DONE
    broken = BatchResult(counts=counts(), settings=Settings(), stopped=True)
    assert lines(broken) == ["nothing was issued", "broken off; the same command does the rest"]


def test_what_failed_is_a_table() -> None:
    """The first of them with what mends each, the number of the rest, and exit 20."""
    result = BatchResult(counts=counts(failed=MOST_FAILURES + 7), settings=Settings())
    table, *_ = result.blocks()
    assert isinstance(table, Table)
    rows = list(table.rows)
    assert len(rows) == MOST_FAILURES
    assert rows[0] == ("c0", "there is none")
    assert lines(result)[-3:] == [
        "and 7 more: --report FILE lists them all",
        "hint for c0 and 49 more: look",
        "failed 57",
    ]
    assert result.exit_code is ExitCode.BATCH


def test_an_interruption_counts_more_than_a_failure() -> None:
    """Exit 130: it is not finished."""
    result = BatchResult(counts=counts(kept=1, failed=1), settings=Settings(), interrupted=True)
    assert result.exit_code is ExitCode.INTERRUPTED
    assert lines(result)[-1] == "interrupted; the same command does the rest"
    assert result.to_json()["summary"]["complete"] is False


def test_customers_beside_the_file() -> None:
    """The first of them by name, all of them for programs."""
    slugs = tuple(f"c{number}" for number in range(MOST_MISSING_CUSTOMERS + 2))
    result = BatchResult(counts=counts(kept=1), settings=Settings(), missing_customers=slugs)
    assert lines(result)[-1].endswith(f"c{MOST_MISSING_CUSTOMERS - 1} and 2 more")
    assert result.to_json()["summary"]["unnamed"] == list(slugs)
