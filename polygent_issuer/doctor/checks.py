"""The one ordered table of checks, and going through it whatever is wrong."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from polygent_issuer.doctor import (
    backup_checks,
    home_checks,
    key_checks,
    registry_checks,
    settings_checks,
    version_checks,
)
from polygent_issuer.doctor.context import PATIENCE, DoctorContext
from polygent_issuer.doctor.verdict import NotChecked, Row, State, Verdict, not_checked, refused
from polygent_issuer.errors import ExitCode, IssuerError
from polygent_issuer.files.disk import reason
from polygent_issuer.files.ownership import require_unexposed
from polygent_issuer.home.settings import Entry, Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.registry import KeyRecord
from polygent_issuer.registry.connection import sqlite_version


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A line of the table.

    Attributes:
        name: of its rows; stable, for programs.
        look: asks the case for what it needs and judges that.
        slow: whether it reads the whole registry, and `--quick` leaves it out.
    """

    name: str
    look: Callable[[DoctorContext], Verdict | tuple[Verdict, ...]]
    slow: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What was found.

    Attributes:
        rows: in the order of the table.
        settings: those that are not at their default; none when they cannot be read.
    """

    rows: tuple[Row, ...]
    settings: tuple[Entry, ...]

    @property
    def exit_code(self) -> ExitCode:
        """How a command would end that needs what failed first."""
        failed = (row.exit_code for row in self.rows if row.state is State.FAIL)
        return next(failed, ExitCode.DONE)


def _keyring(case: DoctorContext) -> Verdict:
    """Asked even when settings or registry cannot be read: the keyring may be what is wrong."""
    chosen, known = Settings(), None
    try:
        chosen = case.settings
        known = case.known_keys()
    except (NotChecked, IssuerError):
        pass
    needed = key_checks.is_needed(chosen, None if known is None else key_checks.usable(known))
    return key_checks.keyring(needed=needed, timeout=min(chosen.keyring_timeout, case.patience))


def _home_files(case: DoctorContext) -> Verdict | tuple[Verdict, ...]:
    """Check who can change them, even where the home is not safe to read."""
    return home_checks.exposed(case.home_requirements()) or home_checks.private_files(
        case.home_files(), group_may=True
    )


def _key_files(case: DoctorContext) -> Verdict | tuple[Verdict, ...]:
    found = case.key_files()
    return home_checks.exposed(
        partial(require_unexposed, path, "key file") for path in found
    ) or home_checks.private_files(found)


def _of_keys(
    judge: Callable[[tuple[KeyRecord, ...], Settings], tuple[Verdict, ...]],
) -> Callable[[DoctorContext], tuple[Verdict, ...]]:
    return lambda case: judge(case.known_keys(), case.settings)


CHECKS: Final = (
    Check(name="tool", look=lambda _: version_checks.tool()),
    Check(name="python", look=lambda _: version_checks.python(sys.version_info[:3])),
    Check(name="sqlite", look=lambda _: version_checks.sqlite(sqlite_version())),
    Check(name="cryptography", look=lambda _: version_checks.cryptography()),
    Check(name="libraries", look=lambda _: version_checks.libraries(version_checks.requirements())),
    Check(name="time-zones", look=lambda _: version_checks.time_zones()),
    Check(name="home", look=lambda case: home_checks.where(case.folder(), case.origin)),
    Check(name="home-rights", look=lambda case: home_checks.rights(case.home())),
    Check(
        name="home-disk",
        look=lambda case: home_checks.local_disk(case.folder(), home_checks.read_mountinfo()),
    ),
    Check(name="variables", look=lambda case: settings_checks.variables(case.environ)),
    Check(name="settings", look=lambda case: settings_checks.origins(case.loaded())),
    Check(name="issuer", look=lambda case: settings_checks.issuer(case.loaded())),
    Check(name="operator", look=lambda case: settings_checks.operator(case.loaded())),
    Check(name="upload-window", look=lambda case: settings_checks.upload_window(case.loaded())),
    Check(name="output", look=lambda case: settings_checks.output_folder(case.settings.output)),
    Check(
        name="key-backup-folder",
        look=lambda case: settings_checks.key_backup_folder(case.settings.key_backup_folder),
    ),
    Check(
        name="passphrase-file",
        look=lambda case: settings_checks.passphrase_file(case.environ.get(passphrases.VARIABLE)),
    ),
    Check(name="mail-template", look=lambda case: settings_checks.mail_template(case.home())),
    Check(name="home-files", look=_home_files),
    Check(name="key-files", look=_key_files),
    Check(name="leftovers", look=lambda case: home_checks.leftovers(case.folders(), case.now)),
    Check(name="free-space", look=lambda case: home_checks.free_space(case.folders())),
    Check(name="registry", look=lambda case: registry_checks.opened(case.registry())),
    Check(name="tables", look=lambda case: registry_checks.tables(case.registry())),
    Check(
        name="integrity", look=lambda case: registry_checks.integrity(case.registry()), slow=True
    ),
    Check(
        name="journal", look=lambda case: registry_checks.journal_stands(case.books()), slow=True
    ),
    Check(name="clock", look=lambda case: registry_checks.clock(case.books(), case.now)),
    Check(name="outbox", look=lambda case: registry_checks.outbox(case.books())),
    Check(name="customer-zones", look=lambda case: registry_checks.customer_zones(case.books())),
    Check(
        name="journal-head",
        look=lambda case: backup_checks.age(case.books(), backup_checks.HEAD, case.now),
    ),
    Check(
        name="registry-backup",
        look=lambda case: backup_checks.age(case.books(), backup_checks.BACKUP, case.now),
    ),
    Check(name="active-key", look=lambda case: key_checks.active(case.known_keys())),
    Check(name="keyring", look=_keyring),
    Check(name="keyring-choice", look=lambda case: key_checks.choosing(case.environ)),
    Check(name="key", look=_of_keys(key_checks.private_halves)),
    Check(name="key-backup", look=_of_keys(key_checks.backups)),
    Check(
        name="compromised-key",
        look=lambda case: key_checks.compromised(case.known_keys(), case.books()),
    ),
)
"""Every check, in the order of its rows; what others rest on comes first."""


def examine(
    option: Path | None,
    environ: Mapping[str, str],
    *,
    now: datetime,
    quick: bool = False,
    patience: timedelta = PATIENCE,
) -> Examination:
    """Look at everything, change nothing, ask nobody; nothing that is wrong ends it.

    Args:
        option: what `--home` said; it is named in each command that mends something.
        environ: the process's environment.
        now: the present, aware.
        quick: leave out what reads the whole registry.
        patience: how long a keyring, or whoever holds the registry, may take to answer.
    """
    with ExitStack() as closing:
        case = DoctorContext(option, environ, now=now, closing=closing, patience=patience)
        rows = tuple(row for check in CHECKS for row in _rows(check, case, quick=quick))
        try:
            chosen = settings_checks.chosen(case.loaded())
        except NotChecked:
            chosen = ()
    return Examination(rows=rows, settings=chosen)


def _rows(check: Check, case: DoctorContext, *, quick: bool) -> Iterator[Row]:
    found = not_checked("left out by --quick") if quick and check.slow else _looked(check, case)
    for verdict in found if isinstance(found, tuple) else (found,):
        yield Row(
            name=check.name,
            state=verdict.state,
            message=verdict.message,
            mend=verdict.mend,
            exit_code=verdict.exit_code,
        )


def _looked(check: Check, case: DoctorContext) -> Verdict | tuple[Verdict, ...]:
    try:
        return check.look(case)
    except NotChecked as earlier:
        return not_checked(str(earlier))
    except IssuerError as error:
        return refused(error)
    except OSError as error:
        return not_checked(reason(error))
