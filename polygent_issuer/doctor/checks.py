"""The ordered table of checks, run whatever fails."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from polygent_issuer.doctor import (
    home_checks,
    key_checks,
    registry_checks,
    server_checks,
    tool_checks,
)
from polygent_issuer.doctor.context import (
    PATIENCE,
    DoctorContext,
    NotChecked,
    State,
    Verdict,
    Verdicts,
    not_checked,
    ok,
    refused,
)
from polygent_issuer.errors import ExitCode, IssuerError
from polygent_issuer.files.disk import reason
from polygent_issuer.files.reading import require_unexposed
from polygent_issuer.home import folder
from polygent_issuer.home.settings import Entry, Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.registry.schema import SQLITE_VERSION

Check = Callable[[DoctorContext], Verdicts]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """The result of all checks.

    Attributes:
        rows: in the order of the table.
        settings: the settings that differ from their default; empty if they cannot be read.
    """

    rows: tuple[Verdict, ...]
    settings: tuple[Entry, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the first failed row."""
        failed = (row.exit_code for row in self.rows if row.state is State.FAIL)
        return next(failed, ExitCode.DONE)


def _keyring(context: DoctorContext) -> Verdict:
    """Probe the keyring even if the settings or the registry cannot be read."""
    settings, usable, may_sign = Settings(), None, True
    try:
        settings = context.settings
        usable = key_checks.usable(context.known_keys)
        may_sign = context.may_sign
    except (NotChecked, IssuerError):
        pass
    needed = may_sign and key_checks.is_needed(settings, usable)
    return key_checks.keyring(needed=needed, timeout=min(settings.keyring_timeout, PATIENCE))


def _home_files(context: DoctorContext) -> Verdicts:
    """Check who can change the files of the home, even if the home is not safe to read."""
    return home_checks.exposed(context.home_requirements) or home_checks.private_files(
        context.home_files, group_may=True
    )


def _key_files(context: DoctorContext) -> Verdicts:
    paths = context.key_files
    return home_checks.exposed(
        partial(require_unexposed, path, "key file") for path in paths
    ) or home_checks.private_files(paths)


def _private_keys(context: DoctorContext) -> Verdicts:
    if not context.may_sign:
        return ok("not needed by your roles in the registry")
    return key_checks.private_keys(context.known_keys, context.settings)


def _of_keys(check: Check) -> Check:
    """Let the fixes of a check of keys be what the user's roles allow."""

    def allowed(context: DoctorContext) -> Verdicts:
        verdicts = _several(check(context))
        if context.may_change_keys:
            return verdicts
        return tuple(map(key_checks.within_roles, verdicts))

    return allowed


def _of_server(check: Check) -> Check:
    """Leave the row of a check out if the registry is a file."""
    return lambda context: check(context) if context.is_on_server else ()


def _several(verdicts: Verdicts) -> tuple[Verdict, ...]:
    return verdicts if isinstance(verdicts, tuple) else (verdicts,)


CHECKS: Final[Mapping[str, Check]] = {
    "tool": lambda _: tool_checks.tool(),
    "python": lambda _: tool_checks.python(sys.version_info[:3]),
    "sqlite": lambda _: tool_checks.sqlite(SQLITE_VERSION),
    "cryptography": lambda _: tool_checks.cryptography(),
    "libraries": lambda _: tool_checks.libraries(tool_checks.requirements()),
    "time-zones": lambda _: tool_checks.time_zones(),
    "home": lambda c: home_checks.where(c.folder, c.origin),
    "home-rights": lambda c: home_checks.rights(c.home),
    "home-disk": lambda c: home_checks.local_disk(
        c.folder, home_checks.read_mountinfo(), has_registry=not c.is_on_server
    ),
    "variables": lambda c: home_checks.variables(c.environ),
    "settings": lambda c: home_checks.origins(c.loaded),
    "issuer": lambda c: home_checks.issuer(c.shared),
    "operator": lambda c: home_checks.operator(c.loaded),
    "upload-window": lambda c: home_checks.upload_window(c.shared),
    "output": lambda c: home_checks.output_folder(c.settings.output),
    "key-backup-folder": lambda c: home_checks.key_backup_folder(c.settings.key_backup_folder),
    "passphrase-file": lambda c: home_checks.passphrase_file(c.environ.get(passphrases.VARIABLE)),
    "mail-template": lambda c: home_checks.mail_template(c.home),
    "home-files": _home_files,
    "key-files": _key_files,
    "leftovers": lambda c: home_checks.leftovers(c.folders, c.now),
    "free-space": lambda c: home_checks.free_space(c.folders),
    "registry": lambda c: registry_checks.opened(c.registry),
    "server": _of_server(lambda c: server_checks.server_version(c.server)),
    "tls": _of_server(lambda c: server_checks.tls(c.server)),
    "encoding": _of_server(lambda c: server_checks.encoding(c.server)),
    "roles": _of_server(lambda c: server_checks.roles(c.server)),
    "server-clock": _of_server(lambda c: server_checks.server_clock(c.server, c.now)),
    "durability": _of_server(lambda c: server_checks.durability(c.server)),
    "replication": _of_server(lambda c: server_checks.replication(c.server)),
    "connections": _of_server(lambda c: server_checks.connections(c.server)),
    "writer": _of_server(lambda c: server_checks.writer(c.server)),
    "tables": lambda c: registry_checks.tables(c.registry),
    "integrity": lambda c: registry_checks.integrity(c.registry),
    "journal": lambda c: registry_checks.journal_intact(c.current_registry),
    "clock": lambda c: registry_checks.clock(c.current_registry, c.now),
    "outbox": lambda c: registry_checks.outbox(c.current_registry, folder.id_of(c.home)),
    "customer-zones": lambda c: registry_checks.customer_zones(c.current_registry),
    "journal-head": lambda c: registry_checks.journal_head(c.current_registry, c.now),
    "journal-seal": lambda c: registry_checks.journal_seal(c.current_registry, c.now),
    "registry-backup": lambda c: registry_checks.registry_backup(c.current_registry, c.now),
    "active-key": _of_keys(lambda c: key_checks.active(c.known_keys)),
    "keyring": _keyring,
    "keyring-choice": lambda c: key_checks.keyring_overrides(c.environ),
    "key": _of_keys(_private_keys),
    "key-backup": _of_keys(lambda c: key_checks.backups(c.known_keys, c.settings, c.home)),
    "compromised-key": lambda c: key_checks.compromised(c.known_keys, c.current_registry),
}
"""Each check by the stable name of its rows, in order; later checks depend on earlier ones."""

SLOW: Final = frozenset({"integrity", "journal"})
"""The checks that read the whole registry; `--quick` skips them."""


def examine(
    option: Path | None, environ: Mapping[str, str], *, now: datetime, quick: bool = False
) -> Examination:
    """Run all checks, without changes and without prompts; no failure stops the run.

    Args:
        option: the value of `--home`.
        environ: the environment variables of the process.
        now: timezone-aware.
        quick: skip the checks that read the whole registry.
    """
    with ExitStack() as closing:
        context = DoctorContext(option, environ, now=now, closing=closing)
        rows = tuple(row for name in CHECKS for row in _rows(name, context, quick=quick))
        try:
            chosen = home_checks.chosen(context.loaded)
        except NotChecked:
            chosen = ()
    return Examination(rows=rows, settings=chosen)


def _rows(name: str, context: DoctorContext, *, quick: bool) -> Iterator[Verdict]:
    left_out = quick and name in SLOW
    verdicts = not_checked("skipped by --quick") if left_out else verdict_of(CHECKS[name], context)
    return (replace(verdict, name=name) for verdict in _several(verdicts))


def verdict_of(check: Check, context: DoctorContext) -> Verdicts:
    """Return the verdicts of a check, also for an error that it raises."""
    try:
        return check(context)
    except NotChecked as earlier:
        return not_checked(str(earlier))
    except IssuerError as error:
        return refused(error)
    except OSError as error:
        return not_checked(reason(error))
