"""`polygent-issue journal show`: show the journal."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated

from polygent_issuer.cli.completion import candidates
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.output.csv_text import CsvOptions
from polygent_issuer.cli.output.journal_rows import COLUMNS, journal_json, journal_table
from polygent_issuer.cli.output.model import Line
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.registry import journal

_DATE_LENGTH = len("2026-11-30")


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
    form: CsvOptions,
) -> Result:
    """Show the journal.

    Each row shows who did what, when and why. The newest row is last. Dates are UTC: a day such as
    2026-11-30, or a timestamp such as 2026-11-30T09:30:00Z.
    """
    as_csv = form.asked(invocation)
    start = None if since is None else _instant(since)
    end = None if until is None else _instant(until)
    if end is not None and len(until or "") == _DATE_LENGTH:
        with suppress(OverflowError):  # no row can be later than the last day of 9999
            end += timedelta(days=1)
    about = None if customer is None else invocation.customer(customer, checked=False)
    with invocation.registry.reading(checked=False) as db:
        rows = tuple(journal.rows(db, customer=about, since=start, until=end))
    items = map(journal_json, rows)
    if as_csv:
        return form.table(COLUMNS, items, name="journal.csv")
    text = journal_table(rows) if rows else Line("no journal rows match", "dim")
    return Report({"rows": items}, [text])


def _instant(text: str) -> datetime:
    from polygent_issuer.terms.parsing import parse_date_or_instant  # its import takes 30 ms

    return parse_date_or_instant(text)
