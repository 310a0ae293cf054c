"""`polygent-issue expiring`: list licenses due for renewal, also as CSV, calendar or metrics."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import flag, option
from polygent_issuer.cli.output.blocks import Block, Line, Style, Table, cut
from polygent_issuer.cli.output.expiry_chart import ExpiryChart
from polygent_issuer.cli.output.files import STDOUT, CsvOptions, write
from polygent_issuer.cli.output.records import ORDER, hold_line, license_json
from polygent_issuer.cli.output.result import Report, Result, write_bytes
from polygent_issuer.delivery.metrics import FIRST_LINE, expiring_metrics
from polygent_issuer.errors import ExitCode, OutputExists, UsageProblem
from polygent_issuer.files import disk, publication
from polygent_issuer.home.settings import Settings
from polygent_issuer.issuing import expiry
from polygent_issuer.registry import Customer, LicenseRecord, Reading, customers
from polygent_issuer.registry.holds import on_hold
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_term
from polygent_issuer.text import Hint, escape, run

_DAY = timedelta(days=1)

COLUMNS = (
    *("id", "customer", "machine", "tier", "expires_at", "last_full_day"),
    *("days_left", "expired", "alert_days", "order_id", "note", "on_hold"),
)
"""JSON members of a due license, which are the columns of the CSV."""

_MAX_NAMES = 10
"""Most customers named in the suggested command; for more it uses --due-within."""
_READABLE: Final = 0o644
"""The mode of the metrics, which node_exporter reads as another user."""


def expiring(
    invocation: Invocation,
    within: str = option(
        "--within", "TERM", "Set how far to look ahead, such as 6mo or 1y.", default="30d"
    ),
    ics: str | None = option("--ics", "FILE", "Write a calendar to this file (- for stdout)."),
    prometheus: str | None = option(
        "--prometheus", "FILE.prom", "Write metrics to this file, and replace it."
    ),
    *,
    exit_code: bool = flag(
        "--exit-code", "Use exit code 9 if a license is due, or has to be sent."
    ),
    form: CsvOptions,
) -> Result:
    """List licenses due for renewal.

    Expired licenses that were not renewed are included; archived customers are not. The column
    alert is the product's latest warning: 30, 14, 7 or 1 days before the expiry. On a terminal a
    chart of the next twelve months is shown above the list. Customers on hold are named below it.

    The calendar of --ics also moves or cancels the events of an earlier one when a license was
    replaced or retired, or its customer archived.
    A license has to be sent if it is not marked as sent and its upload deadline is less than two
    days away, or over. --prometheus writes metrics for node_exporter and replaces its own file.
    """
    as_csv = _asks_for_csv(invocation, form, ics, prometheus)
    settings, now = invocation.settings, invocation.now
    until = dates.term_end(now, parse_term(within))
    with invocation.registry.reading(checked=False) as db:
        due = tuple(expiry.due(db, settings, now=now, until=until))
        records = [record for record, _ in due]
        to_send = tuple(expiry.unsent(db, settings, now))
        measured = b"" if prometheus is None else expiring_metrics(db, records, to_send, now)
        held_ids = sorted({record.customer_id for record in records if on_hold(record, now)})
        held = [customers.by_id(db, each) for each in held_ids]
        events = b"" if ics is None else _events(db, settings, records, now=now, until=until)
        outlook = None if as_csv or invocation.as_json else ExpiryChart.on_stdout(db, now)
    metrics = None if prometheus is None else _write_metrics(measured, prometheus)
    file: Path | str | None = None
    if ics is not None:
        file = write(invocation, events, ics, name="licenses.ics", option="--ics") or STDOUT
    code = ExitCode.DUE if exit_code and (due or to_send) else ExitCode.DONE
    items = [_item(record, now) for record in records]
    if as_csv:
        return form.table(COLUMNS, items, name="expiring.csv", exit_code=code)
    members = {
        "until": dates.instant(until),
        "calendar": file and str(file),
        "metrics": metrics and str(metrics),
        "licenses": items,
        "unsent": [_unsent_item(each) for each in to_send],
    }
    text: list[Block] = [] if outlook is None else [*outlook.blocks()]
    for what, path in (("calendar", file), ("metrics", metrics)):
        text += [Line(f"{what}: {path}", "good")] if isinstance(path, Path) else []
    nothing = Line(f"nothing expires before {dates.instant(until)}", "good")
    text += _due_blocks(due, items, held, within) if due else [nothing]
    text += _unsent_blocks(to_send)
    return Report(members, text, code, STDOUT in (file, metrics), is_idle=not (due or to_send))


def _asks_for_csv(
    invocation: Invocation, form: CsvOptions, ics: str | None, prometheus: str | None
) -> bool:
    """Return whether to write CSV; refuse two documents on stdout."""
    as_csv = form.asked(invocation)
    if ics == STDOUT and as_csv:
        raise UsageProblem("--csv and --ics - are mutually exclusive", hint="--ics FILE")
    others = {"--csv": as_csv, "--ics -": ics == STDOUT, "--json": invocation.as_json}
    for name, is_used in others.items():
        if is_used and prometheus == STDOUT:
            raise UsageProblem(
                f"{name} and --prometheus - are mutually exclusive", hint="--prometheus FILE.prom"
            )
    return as_csv


def _events(
    db: Reading, settings: Settings, due: Iterable[LicenseRecord], *, now: datetime, until: datetime
) -> bytes:
    from polygent_issuer.delivery.calendar import calendar, endings

    events = endings(db, settings, due, now=now, until=until)
    return b"".join(calendar(events, alarms=dates.ALERT_DAYS, now=now))


def _write_metrics(data: bytes, target: str) -> Path | str:
    """Write to stdout (`-`), or a file as a whole, which replaces an earlier one of this tool.

    Raises:
        UsageProblem: (`usage`) the name does not end in `.prom`.
        OutputExists: (`output_exists`) the file has another content.
        OutputProblem: (`output_failed`) it cannot be written.
    """
    if target == STDOUT:
        write_bytes(data)
        return STDOUT
    path = Path(target).absolute()
    if path.suffix != ".prom":
        raise UsageProblem(
            f"node_exporter reads only files that end in .prom, not {escape(path.name)}",
            hint="--prometheus FILE.prom",
        )
    elsewhere = "choose another file with --prometheus"
    publication.require_folder(path.parent, elsewhere)
    known = FIRST_LINE.encode()
    present = disk.content(path, limit=len(known)) or b""
    if os.path.lexists(path) and not present.startswith(known):
        raise OutputExists(
            f"{escape(str(path))} already exists, and was not written by --prometheus",
            hint=elsewhere,
        )
    publication.replace(data, path, mode=_READABLE)
    return path


def _unsent_item(license_: expiry.UnsentLicense) -> dict[str, Any]:
    return {
        "id": license_.record.id,
        "customer": license_.record.customer_slug,
        "machine": license_.record.machine_label,
        "upload_before": dates.instant(license_.upload_before),
        "late": license_.is_late,
    }


def _unsent_blocks(to_send: Sequence[expiry.UnsentLicense]) -> Iterator[Block]:
    if not to_send:
        return
    yield Line()
    yield Line("to be sent: not marked as sent, and the upload deadline is near or over", "warn")
    rows = tuple(
        (
            each.record.customer_slug,
            each.record.machine_label or "any",
            each.record.id[:8],
            dates.instant(each.upload_before),
        )
        for each in to_send
    )
    styles: list[Style] = ["bad" if each.is_late else "warn" for each in to_send]
    yield Table(("customer", "machine", "license", "upload before"), rows, styles)
    if any(each.is_late for each in to_send):
        yield Line(Hint("for a new deadline: ", run("reissue", "CUSTOMER")), "dim")
    yield Line(Hint("once sent: ", run("license", "sent", "LICENSE")), "dim")


def _due_blocks(
    due: Iterable[expiry.Due], items: list[dict[str, Any]], held: Sequence[Customer], within: str
) -> Iterator[Block]:
    yield _table(items)
    held_ids = {customer.id for customer in held}
    renewable = [one for one in due if one[0].customer_id not in held_ids]
    slugs = dict.fromkeys(record.customer_slug for record, command in renewable if command is None)
    if slugs:
        selection = slugs if len(slugs) <= _MAX_NAMES else ("--due-within", within)
        yield Line(Hint("to renew: ", run("renew", *selection)), "dim")
    for _, command in renewable:
        if command is not None:
            yield Line(Hint("to renew individually: ", command), "dim")
    yield from map(hold_line, held)


def _table(items: list[dict[str, Any]]) -> Table:
    headers = ("customer", "machine", "license", "last full day", "left", "alert")
    more = ("order",) if any(item["order_id"] for item in items) else ()
    rows = tuple(
        (
            item["customer"],
            item["machine"] or "any",
            item["id"][:8],
            item["last_full_day"],
            "expired" if item["expired"] else f"{item['days_left']}d",
            "none" if item["alert_days"] is None else f"{item['alert_days']}d",
            *((cut(item["order_id"] or "", ORDER),) if more else ()),
        )
        for item in items
    )
    styles = tuple(map(_style, items))
    return Table((*headers, *more), rows, styles)


def _style(item: Mapping[str, Any]) -> Style:
    if item["expired"]:
        return "bad"
    return "warn" if item["days_left"] <= dates.ALERT_DAYS[1] else "plain"


def _item(record: LicenseRecord, now: datetime) -> dict[str, Any]:
    members = {
        **license_json(record, now),
        "days_left": dates.days_left(record.expires_at, now),
        "alert_days": milestone(record.expires_at, now),
    }
    return {name: members[name] for name in COLUMNS}


def milestone(expires_at: datetime, now: datetime) -> int | None:
    """Return the latest milestone passed, in days before the expiry; None before the first."""
    return next((days for days in dates.ALERT_DAYS if expires_at - now <= days * _DAY), None)
