"""`polygent-issue journal show`: who did what, when and why."""

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
        str | None, option("--customer", "NAME", "About a customer only.", candidates.customers)
    ] = None,
    since: Annotated[str | None, option("--since", "DATE", "From then on.")] = None,
    until: Annotated[str | None, option("--until", "DATE", "Until then; a day, all of it.")] = None,
    *,
    form: CsvOptions,
) -> Result:
    """Show the journal, the newest row last.

    Dates are UTC: 2026-11-30, or an instant such as 2026-11-30T09:30:00Z.
    """
    as_csv = form.asked(invocation)
    start = None if since is None else _instant(since)
    end = None if until is None else _instant(until)
    if end is not None and len(until or "") == _DATE_LENGTH:
        with suppress(OverflowError):  # after the last day of 9999 there is nothing to leave out
            end += timedelta(days=1)
    about = None if customer is None else invocation.customer(customer, checked=False)
    with invocation.registry.reading(checked=False) as db:
        rows = tuple(journal.rows(db, customer=about, since=start, until=end))
    items = map(journal_json, rows)
    if as_csv:
        return form.table(COLUMNS, items, name="journal.csv")
    text = journal_table(rows) if rows else Line("no journal row matches", "dim")
    return Report({"rows": items}, [text])


def _instant(text: str) -> datetime:
    from polygent_issuer.terms.parsing import parse_date_or_instant  # the verifier costs 30 ms

    return parse_date_or_instant(text)
