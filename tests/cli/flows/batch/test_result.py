"""The result of a batch."""

import pytest

from polygent_issuer.batch.items import Decision, Failed, Job, Kept
from polygent_issuer.cli.flows.batch.result import (
    MOST_FAILURES,
    MOST_MISSING_CUSTOMERS,
    BatchCounts,
    batch_report,
    repeated,
)
from polygent_issuer.cli.output.blocks import Table
from polygent_issuer.cli.output.result import Report, plain_lines
from polygent_issuer.errors import ExitCode, NotFound
from polygent_issuer.findings import Consent
from polygent_issuer.home.settings import Settings


def job(number: int) -> Job:
    """Return an item."""
    return Job(
        place=f"c{number}", subject=f"c{number}", decide=lambda _: Decision(), consent=Consent()
    )


def counts(*, kept: int = 0, failed: int = 0) -> BatchCounts:
    """Count some outcomes."""
    counted = BatchCounts()
    for number in range(kept):
        counted.add(Kept(job=job(number), decision=Decision()))
    for number in range(failed):
        counted.add(Failed(job=job(number), error=NotFound("no such customer", hint="look")))
    return counted


def lines(result: Report) -> list[str]:
    """Return the lines without a terminal."""
    return list(plain_lines(result.text))


def test_a_batch_with_nothing_to_do_exits_0() -> None:
    """A batch that was stopped does not state that there was nothing to do."""
    done = batch_report(counts(kept=2), Settings())
    assert lines(done) == ["nothing to do, kept 2"]
    assert done.exit_code is ExitCode.DONE
    broken = batch_report(counts(), Settings(), stopped=True)
    assert lines(broken) == [
        "nothing was issued",
        "stopped by an error; fix it, and run the same command again to continue",
    ]


def test_failures_are_a_table() -> None:
    """It has the first failures with their hints, the number of the others, and exit 20."""
    result = batch_report(counts(failed=MOST_FAILURES + 7), Settings())
    table, *_ = result.text
    assert isinstance(table, Table)
    rows = list(table.rows)
    assert len(rows) == MOST_FAILURES
    assert rows[0] == ("c0", "no such customer")
    assert lines(result)[-3:] == [
        "and 7 more: --report FILE lists them all",
        "hint for c0 and 49 more: look",
        "failed 57",
    ]
    assert result.exit_code is ExitCode.BATCH


def test_an_interruption_takes_precedence_over_a_failure() -> None:
    """Exit 130, since the batch is not finished."""
    result = batch_report(counts(kept=1, failed=1), Settings(), interrupted=True)
    assert result.exit_code is ExitCode.INTERRUPTED
    assert lines(result)[-1] == "interrupted; run the same command again to continue"
    assert result.members["summary"]["complete"] is False


def test_customers_without_a_row_are_listed() -> None:
    """The first of them are named, and the JSON has all of them."""
    slugs = tuple(f"c{number}" for number in range(MOST_MISSING_CUSTOMERS + 2))
    result = batch_report(counts(kept=1), Settings(), missing_customers=slugs)
    assert lines(result)[-1].endswith(f"c{MOST_MISSING_CUSTOMERS - 1} and 2 more")
    assert result.members["summary"]["unnamed"] == list(slugs)


@pytest.mark.parametrize(
    ("argv", "again"),
    [
        ("renew c1 c2 --dry-run", "renew c1 c2 --expect D"),
        ("--home /h renew --dry-run - --home=/h", "renew - --expect D"),
        ("reissue --all --dry-run --report r.csv --eml d", "reissue --all --eml d --expect D"),
        ("apply --report=r.csv --expect OLD f.csv --expect=X", "apply f.csv --expect D"),
        ("renew --dry-run -o out -- --dry-run x", "renew -o out --expect D -- --dry-run x"),
    ],
)
def test_a_command_line_is_repeated_without_its_preview(argv: str, again: str) -> None:
    """Only what belongs to the dry run is left out, each with its value."""
    command = repeated(argv.split(), "--expect", "D")
    assert command.argv == ("polygent-issue", *again.split())
    quoted = repeated(["renew", "--reason", "it's due"], "--expect", "D")
    assert str(quoted) == """polygent-issue renew --reason 'it'"'"'s due' --expect D"""
