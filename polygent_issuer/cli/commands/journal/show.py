"""`polygent-issue journal show`: show the journal."""

from typing import Annotated

from polygent_issuer.cli import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag, option, period
from polygent_issuer.cli.output.files import CsvOptions
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.records import JOURNAL_COLUMNS, journal_json, journal_table
from polygent_issuer.cli.output.result import JsonLines, Report, Result
from polygent_issuer.errors import NotFound, UsageProblem
from polygent_issuer.registry import Reading, journal
from polygent_issuer.text import Hint, run


def show(
    invocation: Invocation,
    customer: Annotated[
        str | None,
        option("--customer", "NAME", "Show only rows about this customer.", candidates.customers),
    ] = None,
    since: Annotated[
        str | None, option("--since", "DATE", "Show rows from this date or timestamp on.")
    ] = None,
    until: Annotated[
        str | None, option("--until", "DATE", "Show rows up to this date (inclusive) or timestamp.")
    ] = None,
    *,
    after: Annotated[
        int, option("--after", "SEQ", "Show only rows after the one with this number.", min=0)
    ] = 0,
    ndjson: Annotated[
        bool, flag("--ndjson", "Write each row as a JSON object on a line of its own.")
    ] = False,
    form: CsvOptions,
) -> Result:
    """Show the journal.

    Each row shows who did what, when and why. The newest row is last. Dates are UTC: a day such as
    2026-11-30, or a timestamp such as 2026-11-30T09:30:00Z.

    For a log shipper, --ndjson --after SEQ writes the rows after the last one that it has.
    """
    as_csv = form.asked(invocation)
    if ndjson and (as_csv or invocation.as_json):
        raise UsageProblem(
            f"--ndjson and {'--csv' if as_csv else '--json'} are mutually exclusive",
            hint="give one of them",
        )
    start, end = period(since, until)
    about = None if customer is None else invocation.customer(customer, checked=False)
    with invocation.registry.reading(checked=False) as db:
        _require_row(db, after)
        rows = tuple(journal.rows(db, customer=about, since=start, until=end, after=after))
    items = map(journal_json, rows)
    if ndjson:
        return JsonLines(items)
    if as_csv:
        return form.table(JOURNAL_COLUMNS, items, name="journal.csv")
    text = journal_table(rows) if rows else Line("no journal rows match", "dim")
    return Report({"rows": items}, [text], is_idle=not rows)


def _require_row(db: Reading, seq: int) -> None:
    """Refuse a number that the journal has not reached: its new rows would be left out silently."""
    size, _ = journal.head(db)
    if seq > size:
        raise NotFound(
            f"the journal has {size:,} rows and no row {seq:,}; a restored backup may lack it",
            hint=Hint("to see the last row: ", run("journal", "show", "--after", str(size - 1))),
        )
