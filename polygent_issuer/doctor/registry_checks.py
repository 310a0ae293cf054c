"""Checks of the registry, its journal, and their copies."""

import os
from datetime import datetime, timedelta

from polygent_issuer.doctor.context import Verdict, fail, ok, warn
from polygent_issuer.errors import ExitCode
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.registry import Registry, customers, journal, journal_check, seals, summaries
from polygent_issuer.registry.change import clock_behind_finding
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, counted, escape, for_shell, run

_VERIFY = run("journal", "verify")
_SEAL_LASTS = timedelta(days=30)
_RESTORE = run("registry", "restore", "FILE")
_RESTORE_FILE = Hint("copy the damaged file, then restore the last good backup: ", _RESTORE)
_RESTORE_TABLES = Hint("let the owner undo the change, or restore the last good backup: ", _RESTORE)


def opened(registry: Registry) -> Verdict:
    """Check that the registry file can be written."""
    path = registry.place
    if isinstance(path, str):
        return ok(escape(path))
    # If nothing in the folder can be written, the check of the home reports it.
    if os.access(path.parent, os.W_OK) and not os.access(path, os.W_OK):
        return fail(
            f"no permission to write to the registry {escape(str(path))}",
            f"chmod 600 {for_shell(str(path))}",
            ExitCode.REGISTRY,
        )
    return ok(f"{escape(str(path))}, {path.stat().st_size // 1024} KiB")


def tables(registry: Registry) -> Verdict:
    """Check that exactly the tables, indexes and triggers of the version exist."""
    with registry.reading(checked=False) as db:
        problems = db.connection.schema_problems(registry.tables)
    if problems:
        return _broken(registry, problems)
    if not registry.is_up_to_date:
        return _older(registry)
    with registry.reading(checked=False) as db:
        count = ", ".join(f"{name} {count}" for name, count in summaries.count_all(db).items())
    return ok(f"version {registry.tables}; rows: {count}")


def _older(registry: Registry) -> Verdict:
    message = f"the tables have version {registry.tables}, which is older than this polygent-issue"
    if isinstance(registry.place, str):
        owner = Hint("let the owner upgrade them: ", run("registry", "upgrade"))
        return fail(message, owner, ExitCode.REGISTRY)
    return warn(f"{message}; the next command upgrades them", _VERIFY)


def integrity(registry: Registry) -> Verdict:
    """Check every page of a file with SQLite; a server checks its own.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it cannot be read to its end.
    """
    if isinstance(registry.place, str):
        return ok("the server checks its pages and references")
    with registry.reading(checked=False) as db:
        problems = db.connection.damage()
    return _broken(registry, problems) if problems else ok("no problems found by SQLite")


def journal_intact(registry: Registry) -> Verdict:
    """Check the journal, and compare the registry with it.

    Raises:
        RegistryDamaged: (`registry_damaged`) when it cannot be read to its end.
    """
    check = journal_check.verify_registry(registry)
    if check.problems:
        return fail(_first(check.problems), _VERIFY, ExitCode.REGISTRY)
    return ok(f"intact; rows: {check.size}")


def clock(registry: Registry, now: datetime) -> Verdict:
    """Check that this machine's clock is not before the journal's newest row."""
    with registry.reading(checked=False) as db:
        behind = clock_behind_finding(db, now)
    if behind:
        return warn(behind[0].message, behind[0].hint or "")
    return ok(f"{dates.instant(now)}, later than the newest journal row")


def outbox(registry: Registry, home: str | None) -> tuple[Verdict, ...]:
    """Check that this home, by its id, delivered its license files; name others that have not."""
    undelivered = tuple(
        warn(outbox_delivery.describe(row), outbox_delivery.export_hint(row.license_id))
        for row in outbox_delivery.undelivered_rows(registry, home)
    )
    others = tuple(
        ok(f"{counted(count, 'license file')} to be delivered by the home of {operator} on {host}")
        for count, operator, host in outbox_delivery.other_homes(registry, home)
    )
    return (*(undelivered or (ok("every license file was delivered"),)), *others)


def customer_zones(registry: Registry) -> tuple[Verdict, ...]:
    """Check that this machine knows the time zone of every customer."""
    with registry.reading(checked=False) as db:
        zones = customers.zones(db)
        unknown = [(slug, zone) for slug, zone in zones if dates.known_zone(zone) is None]
    if not unknown:
        return (ok("the time zones of all customers are known"),)
    return tuple(
        warn(
            f"{slug}: this machine does not know the time zone {escape(zone)}",
            run("customer", "edit", slug, "--time-zone", "ZONE"),
        )
        for slug, zone in unknown
    )


def journal_head(registry: Registry, now: datetime) -> Verdict:
    """Check that the journal head was saved elsewhere, which reveals removed rows."""
    return _copy_age(
        registry,
        now,
        event=journal.HEAD_NOTED,
        made="saved",
        lack="the journal head has never been saved outside this machine, so truncation would go "
        "unnoticed",
        lasts=timedelta(days=30),
        fix=run("journal", "verify", "--note", "FILE"),
    )


def journal_seal(registry: Registry, now: datetime) -> Verdict:
    """Check the seals of the journal, and how old the rows after the last one are."""
    with registry.reading(checked=False) as db:
        checked = seals.check(db)
        sealed = seals.sealed_rows(checked)
        count, since = journal.acts_since(db, sealed), seals.unsealed_since(db, sealed)
    if problems := tuple(seals.problems(checked)):
        return fail(_first(problems), _VERIFY, ExitCode.REGISTRY)
    fix = run("journal", "seal")
    newest = max(checked, key=lambda each: each.sealed, default=None)
    if newest is None or newest.seal is None or not sealed:
        weak = ", except by a key that is marked as compromised" if checked else ""
        what = f"the journal is not sealed{weak}, so a rewritten journal would go unnoticed"
        return warn(what, fix) if count else ok("there is nothing to seal yet")
    message = (
        f"rows 1 to {sealed} sealed on {dates.instant(newest.seal.at)} by "
        f"{escape(newest.label or newest.kid)}; rows since then: {count}"
    )
    if count and since is not None and now - since > _SEAL_LASTS:
        return warn(message, fix)
    return ok(message)


def registry_backup(registry: Registry, now: datetime) -> Verdict:
    """Check that the registry was backed up."""
    return _copy_age(
        registry,
        now,
        event=journal.BACKED_UP,
        made="backed up",
        lack="the registry has never been backed up",
        lasts=timedelta(days=7),
        fix=run("registry", "backup", "FILE"),
    )


def _copy_age(
    registry: Registry,
    now: datetime,
    *,
    event: str,
    made: str,
    lack: str,
    lasts: timedelta,
    fix: str,
) -> Verdict:
    """Check that a copy exists and is not too old; only changes after the copy make it old."""
    with registry.reading(checked=False) as db:
        copy = journal.newest_copy(db, event)
        since = 0 if copy is None else journal.acts_since(db, copy.seq)
    if copy is None:
        return warn(f"{lack}; keep a copy on another disk", fix)
    file = copy.details.get("file")
    place = f" in {escape(file)}" if isinstance(file, str) else ""
    message = f"{made} on {dates.instant(copy.at)}{place}; journal rows since then: {since}"
    if since and now - copy.at > lasts:
        return warn(f"last {message}; keep a copy on another disk", fix)
    return ok(message)


def _broken(registry: Registry, problems: tuple[str, ...]) -> Verdict:
    fix = _RESTORE_TABLES if isinstance(registry.place, str) else _RESTORE_FILE
    return fail(_first(problems), fix, ExitCode.REGISTRY)


def _first(problems: tuple[str, ...]) -> str:
    more = len(problems) - 1
    first = escape(problems[0].replace("\n", " "))
    return f"{first}, and {more} more" if more else first
