"""The registry: does it open, is it sound, is everything delivered."""

import os
from datetime import datetime

from polygent_issuer.doctor.verdict import Verdict, fail, ok, warn
from polygent_issuer.errors import ExitCode, InvalidTerms
from polygent_issuer.hints import Hint, run
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.registry import (
    Registry,
    customers,
    database,
    database_file,
    journal_check,
    summaries,
)
from polygent_issuer.registry.journal import clock_behind_finding
from polygent_issuer.terms import dates
from polygent_issuer.text import escape, for_shell

_VERIFY = run("journal", "verify")
_RESTORE = Hint(
    "keep a copy of it as it is, and restore the last good backup: ",
    run("registry", "restore", "FILE"),
)


def opened(registry: Registry) -> Verdict:
    """How large the file is, and whether it can be written; that it opens is the news."""
    path = registry.path
    # Where nothing in the folder can be written, the home has a row that says so.
    if os.access(path.parent, os.W_OK) and not os.access(path, os.W_OK):
        return fail(
            f"you may not write to the registry {escape(str(path))}",
            f"chmod 600 {for_shell(str(path))}",
            ExitCode.REGISTRY,
        )
    return ok(f"{escape(str(path))}, {path.stat().st_size // 1024} KiB")


def tables(registry: Registry) -> Verdict:
    """Whether tables, indexes and triggers are as their version makes them, and none is added."""
    with registry.reading(checked=False) as db:
        present = db.execute(database_file.STATEMENTS)
        problems = tuple(database_file.differences(present, registry.tables))
    if problems:
        return _broken(problems)
    if not registry.is_up_to_date:
        return warn(
            f"the tables are of version {registry.tables}, older than this polygent-issue; "
            "the next command brings them up to date",
            _VERIFY,
        )
    with registry.reading(checked=False) as db:
        count = ", ".join(f"{name} {count}" for name, count in summaries.count_all(db).items())
    return ok(f"version {registry.tables}, as made; rows: {count}")


def integrity(registry: Registry) -> Verdict:
    """Whether SQLite finds the file sound, every page of it.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it cannot be read to its end.
    """
    with registry.reading(checked=False) as db:
        problems = database.sqlite_problems(db)
    return _broken(problems) if problems else ok("SQLite finds it sound")


def journal_stands(registry: Registry) -> Verdict:
    """Whether the journal stands as it was written, and the registry as the journal says.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it cannot be read to its end.
    """
    with registry.reading(checked=False) as db:
        check = journal_check.verify(db)
    if check.problems:
        return fail(_first(check.problems), _VERIFY, ExitCode.REGISTRY)
    return ok(f"intact; rows: {check.size}")


def clock(registry: Registry, now: datetime) -> Verdict:
    """Whether this machine's clock is before what the journal says has happened."""
    with registry.reading(checked=False) as db:
        behind = clock_behind_finding(db, now)
    if behind:
        return warn(behind[0].message, behind[0].hint or "")
    return ok(f"{dates.instant(now)}, not before the journal's newest row")


def outbox(registry: Registry) -> tuple[Verdict, ...]:
    """Which licenses were issued whose file may not have reached its place."""
    waiting = outbox_delivery.undelivered_rows(registry)
    if not waiting:
        return (ok("every license was delivered"),)
    return tuple(
        warn(outbox_delivery.describe(row), outbox_delivery.export_hint(row.license_id))
        for row in waiting
    )


def customer_zones(registry: Registry) -> tuple[Verdict, ...]:
    """Which customers have a time zone that this machine does not know; it is left out then."""
    with registry.reading(checked=False) as db:
        unknown = tuple(each for each in customers.zones(db) if not _is_known(each[1]))
    if not unknown:
        return (ok("every customer's time zone is known here"),)
    return tuple(
        warn(
            f"{slug}: the time zone {escape(zone)} is not known on this machine",
            run("customer", "edit", slug, "--time-zone", "ZONE"),
        )
        for slug, zone in unknown
    )


def _is_known(zone: str) -> bool:
    try:
        dates.parse_zone(zone)
    except InvalidTerms:
        return False
    return True


def _broken(problems: tuple[str, ...]) -> Verdict:
    return fail(_first(problems), _RESTORE, ExitCode.REGISTRY)


def _first(problems: tuple[str, ...]) -> str:
    more = len(problems) - 1
    told = escape(problems[0].replace("\n", " "))
    return f"{told}, and {more} more" if more else told
