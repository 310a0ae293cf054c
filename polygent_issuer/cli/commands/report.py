"""`polygent-issue report`: what runs now and what changed, as text, CSV, JSON or a page."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import option
from polygent_issuer.cli.options.journal import period
from polygent_issuer.cli.output.blocks import Block, Fields, Line, Style, Table
from polygent_issuer.cli.output.files import BOM, STDOUT, OutputFile, new_file, write_csv
from polygent_issuer.cli.output.records import details_json
from polygent_issuer.cli.output.result import (
    Report,
    Result,
    json_document,
    plain_lines,
    write_bytes,
)
from polygent_issuer.errors import UsageProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, escape, list_first
from polygent_issuer.text import option as option_hint

if TYPE_CHECKING:
    from polygent_issuer.delivery.report import (
        KeyReach,
        LicenseChange,
        LicenseReport,
        ReportedLicense,
        Total,
    )


_DEFAULT_PERIOD: Final = timedelta(days=30)
_NEEDED: Final = ("jinja2", "pygal")
COLUMNS: Final = (
    *("id", "customer", "name", "plan", "tier", "users", "session_hosts", "deploy_hosts"),
    *("machine", "allowed_domain", "issued_at", "expires_at", "last_full_day", "expired"),
    *("order_id", "note", "sent_at", "on_hold", "held_until", "held_reason", "key", "kid"),
)
"""The members of a license in a report, as the columns of its CSV."""


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
            publication.write_private(bom + _data(invocation, made, chosen), path)
        return Report({"file": str(path)}, (Line(f"wrote {path}"),))
    if chosen is Format.TEXT or invocation.as_json:
        return Report(report_json(made) if invocation.as_json else {}, report_blocks(made))
    write_bytes(_data(invocation, made, chosen))
    return Report({}, ())


def _days_before(end: datetime) -> datetime:
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


def report_json(report: "LicenseReport") -> dict[str, Any]:
    """Return the report as the members of a JSON object."""
    counts = {"issued": 0, "renewed": 0, "reissued": 0, "retired": 0}
    for change in report.changes:
        counts[change.action] += 1
    return {
        "at": dates.instant(report.now),
        "since": dates.instant(report.since),
        "until": dates.instant(report.until),
        "total": _total_json(report.total),
        "by_plan": [_total_json(each, "plan") for each in report.by_plan],
        "by_tier": [_total_json(each, "tier") for each in report.by_tier],
        "expiries": [_total_json(each, "month") for each in report.months],
        "later_expiries": _total_json(report.later),
        "licenses": list(licenses_json(report)),
        "changed": counts,
        "changes": [_change_json(each) for each in report.changes],
        "keys": [_key_json(each) for each in report.keys],
    }


def licenses_json(report: "LicenseReport") -> Iterator[dict[str, Any]]:
    """Yield each license of the report as JSON, with the columns of the CSV."""
    labels = {each.key.kid: each.key.label for each in report.keys}
    for each in report.licenses:
        record = each.record
        yield {
            "id": record.id,
            "customer": record.customer_slug,
            "machine": record.machine_label,
            "tier": record.tier,
            "issued_at": dates.instant(record.issued_at),
            "expires_at": dates.instant(record.expires_at),
            "last_full_day": dates.last_full_day(record.expires_at).isoformat(),
            "expired": each.expired,
            "sent_at": dates.optional_instant(record.sent_at),
            "order_id": record.order_id,
            "note": record.note,
            "on_hold": each.on_hold,
            "key": labels.get(record.kid),
            "kid": record.kid,
            **details_json(each),
        }


def _total_json(total: "Total", named: str | None = None) -> dict[str, Any]:
    return {
        **({} if named is None else {named: total.name}),
        "licenses": total.licenses,
        "customers": total.customers,
        "users": total.users,
        "session_hosts": total.session_hosts,
        "deploy_hosts": total.deploy_hosts,
    }


def _change_json(change: "LicenseChange") -> dict[str, Any]:
    row = change.row
    return {
        "seq": row.seq,
        "at": dates.instant(row.at),
        "action": change.action,
        "customer": row.customer,
        "license": row.license,
        "users_before": change.users_before,
        "users": change.users,
        "operator": row.operator,
        "reason": row.reason,
    }


def _key_json(reach: "KeyReach") -> dict[str, Any]:
    return {
        "kid": reach.key.kid,
        "label": reach.key.label,
        "state": reach.key.state,
        "licenses": reach.licenses,
        "customers": list(reach.customers),
    }


def report_blocks(report: "LicenseReport") -> Iterator[Block]:
    """Yield the report for people."""
    total, expired = report.total, sum(each.expired for each in report.licenses)
    yield Line(f"report at {dates.instant(report.now)}", "title")
    yield Fields(
        (
            ("licenses", f"{total.licenses:,}"),
            ("customers", f"{total.customers:,}"),
            ("users", f"{total.users:,}"),
            ("session hosts", f"{total.session_hosts:,}"),
            ("deploy hosts", f"{total.deploy_hosts:,}"),
            ("expired", f"{expired:,}, not counted above" if expired else None),
        )
    )
    if report.licenses:
        title = "what runs now; hosts are session + deploy"
        yield from _titled(title, _terms_table(report.licenses))
        yield from _titled("where it runs, orders and deliveries", _place_table(report.licenses))
    if total.licenses:
        yield from _titled("by plan", _total_table("plan", report.by_plan))
        yield from _titled("by tier", _total_table("tier", report.by_tier))
        months = [each for each in (*report.months, report.later) if each.licenses]
        yield from _titled("expiries by month", _total_table("month", months))
    since, until = dates.instant(report.since), dates.instant(report.until)
    title = f"changes from {since} to {until}"
    if report.changes:
        yield from _titled(title, _change_table(report.changes))
    else:
        yield from _titled(title, Line("none", "dim"))
    if report.keys:
        yield from _titled("keys, and the customers whose licenses they signed", _key_table(report))


def _titled(title: str, block: Block) -> Iterator[Block]:
    yield Line()
    yield Line(title, "title")
    yield block


def _terms_table(licenses: "Sequence[ReportedLicense]") -> Table:
    headers = ("customer", "license", "plan", "tier", "users", "hosts", "last full day")
    rows = tuple(
        (
            each.customer.slug,
            each.record.id[:8],
            each.record.plan or "none",
            each.record.tier,
            f"{each.terms.limits.users:,}",
            each.hosts,
            each.last_day,
        )
        for each in licenses
    )
    return Table(headers, rows, tuple(map(_license_style, licenses)))


def _place_table(licenses: "Sequence[ReportedLicense]") -> Table:
    """Return the rest, in a table of its own, because all columns are wider than most screens."""
    headers = ("customer", "license", "machine or domain", "order id", "sent", "hold")
    rows = tuple(
        (
            each.customer.slug,
            each.record.id[:8],
            each.place,
            each.record.order_id or "",
            "" if each.record.sent_at is None else each.record.sent_at.date().isoformat(),
            each.hold,
        )
        for each in licenses
    )
    return Table(headers, rows, tuple(map(_license_style, licenses)))


def _license_style(license_: "ReportedLicense") -> Style:
    if license_.expired:
        return "bad"
    return "warn" if license_.on_hold else "plain"


def _total_table(named: str, totals: "Sequence[Total]") -> Table:
    headers = (named, "licenses", "customers", "users", "session hosts", "deploy hosts")
    rows = tuple(
        (
            each.name,
            *(f"{number:,}" for number in (each.licenses, each.customers, each.users)),
            *(f"{number:,}" for number in (each.session_hosts, each.deploy_hosts)),
        )
        for each in totals
    )
    return Table(headers, rows)


def _change_table(changes: "Sequence[LicenseChange]") -> Table:
    headers = ("at", "change", "customer", "license", "users", "by")
    rows = tuple(
        (
            each.row.at.date().isoformat(),
            each.action,
            each.row.customer or "",
            (each.row.license or "")[:8],
            each.users_text,
            each.row.operator,
        )
        for each in changes
    )
    return Table(headers, rows)


def _key_table(report: "LicenseReport") -> Table:
    headers = ("key", "state", "licenses", "customers", "such as")
    rows = tuple(
        (
            each.key.label,
            each.key.state,
            f"{each.licenses:,}",
            f"{len(each.customers):,}",
            list_first(each.customers),
        )
        for each in report.keys
    )
    return Table(headers, rows)
