"""`polygent-issue report`: what runs now and what changed, as text, CSV, JSON or a page."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from polygent_issuer import files
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option, period
from polygent_issuer.cli.output.blocks import Line
from polygent_issuer.cli.output.files import BOM, STDOUT, OutputFile, new_file, write_csv
from polygent_issuer.cli.output.report import COLUMNS, licenses_json, report_blocks, report_json
from polygent_issuer.cli.output.result import (
    Report,
    Result,
    json_document,
    plain_lines,
    write_bytes,
)
from polygent_issuer.errors import UsageProblem
from polygent_issuer.files import disk
from polygent_issuer.text import Hint, escape
from polygent_issuer.text import option as option_hint

if TYPE_CHECKING:
    from polygent_issuer.delivery.report import LicenseReport

_DEFAULT_PERIOD: Final = timedelta(days=30)
_NEEDED: Final = ("jinja2", "pygal")


class Format(StrEnum):
    """A format of the report."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


_ENDINGS: Final = {"": Format.TEXT, ".txt": Format.TEXT} | {f".{each}": each for each in Format}


def report(
    invocation: Invocation,
    *,
    since: str | None = option("--since", "DATE", "Report changes from this date or timestamp on."),
    until: str | None = option(
        "--until", "DATE", "Report changes up to this date (inclusive) or timestamp."
    ),
    form: Format | None = option(
        "--format", None, "Set the format (default: the ending of --output, else text)."
    ),
    output: OutputFile = None,
) -> Result:
    """Report what runs now and what changed.

    The report has the licenses that run now with their customers and terms, totals by plan and
    tier, expiries by month, the changes of a period with the users before and after, and the
    customers of each key. The period is by default the last 30 days. Dates are UTC.

    csv has only the table of licenses. html is one page for a browser or a printer, which loads
    nothing; it needs additional packages.
    """
    chosen = _format(invocation, form, output)
    if chosen is Format.HTML:
        _require_extra()
    start, end = period(since, until)
    first = start or _days_before(end or invocation.now)
    if first >= (end or invocation.now):
        raise UsageProblem("the period of the report is empty", hint="give an earlier --since")
    from polygent_issuer.delivery.report import license_report

    with invocation.registry.reading() as db:
        made = license_report(db, now=invocation.now, since=first, until=end)
    if output not in (None, STDOUT):
        bom = BOM.encode() if chosen is Format.CSV else b""
        ending = "txt" if chosen is Format.TEXT else chosen
        with new_file(str(output), f"report.{ending}") as path:
            # Only this user can read it, because it names customers.
            files.write_private(bom + _data(invocation, made, chosen), path)
        return Report({"file": str(path)}, (Line(f"wrote {path}"),))
    if chosen is Format.TEXT or invocation.as_json:
        return Report(report_json(made) if invocation.as_json else {}, report_blocks(made))
    write_bytes(_data(invocation, made, chosen))
    return Report({}, ())


def _days_before(end: datetime) -> datetime:
    """Return the beginning of the default period."""
    try:
        return end - _DEFAULT_PERIOD
    except OverflowError:  # in January of the year 1
        return datetime.min.replace(tzinfo=UTC)


def _format(invocation: Invocation, form: Format | None, output: str | None) -> Format:
    """Return the format of `--format`, of `--json`, or of the ending of `--output`."""
    if invocation.as_json and output == STDOUT:
        raise UsageProblem("--json and --output - both use stdout", hint="--output FILE")
    if invocation.as_json and output is None:
        if form not in (None, Format.JSON):
            raise UsageProblem(
                f"--json and --format {form} both use stdout",
                hint="give one of them, or --output FILE",
            )
        return Format.JSON
    if form is not None or output in (None, STDOUT) or disk.is_folder(Path(str(output))):
        return form or Format.TEXT
    ending = Path(str(output)).suffix.lower()
    if ending not in _ENDINGS:
        raise UsageProblem(
            f"no format of a report ends in {escape(ending)}",
            hint=Hint("choose one with ", option_hint("--format", "html"), ", csv, json or text"),
        )
    return _ENDINGS[ending]


def _require_extra() -> None:
    if any(find_spec(name) is None for name in _NEEDED):
        raise UsageProblem(
            "a report as a page needs packages that are not installed",
            hint="pip install 'polygent-issuer[report]', or another --format",
        )


def _data(invocation: Invocation, made: "LicenseReport", form: Format) -> bytes:
    if form is Format.HTML:
        from polygent_issuer.delivery.report_page import page

        return page(made, issuer=invocation.settings.issuer).encode()
    if form is Format.JSON:
        return json_document(report_json(made)).encode()
    if form is Format.CSV:
        stream = StringIO(newline="")
        write_csv(stream, COLUMNS, licenses_json(made))
        return stream.getvalue().encode()
    return "".join(f"{line}\n" for line in plain_lines(report_blocks(made))).encode()
