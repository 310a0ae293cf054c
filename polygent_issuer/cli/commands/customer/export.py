"""`polygent-issue customer export`: write customers in the form of `customer import`."""

from polygent_issuer.batch import customer_rows
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.output.files import CsvOptions, OutputFile
from polygent_issuer.cli.output.result import Report, Result
from polygent_issuer.registry import customers


def export(invocation: Invocation, *, to: OutputFile = None) -> Result:
    """Export customers as CSV for customer import.

    There is one row for each customer; archived customers are left out. Change the file in a
    spreadsheet and import it again: unchanged rows change nothing. An existing file is never
    overwritten.
    """
    form = CsvOptions(csv=not invocation.as_json or to is not None, to=to)
    as_csv = form.asked(invocation)
    with invocation.registry.reading() as db:
        rows = [customer_rows.exported(customers.checked(db, each)) for each in customers.every(db)]
    if as_csv:
        return form.table(customer_rows.COLUMNS, rows, name="customers.csv")
    return Report({"customers": iter(rows)}, ())
