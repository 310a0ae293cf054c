"""The ordered table of checks, run whatever fails; and the checks of the tool itself.

Those are of Python, SQLite, the libraries and the time zones.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

from polygent_issuer import __version__
from polygent_issuer.doctor import home_checks, key_checks, registry_checks
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
    warn,
)
from polygent_issuer.errors import ExitCode, IssuerError
from polygent_issuer.files.disk import reason
from polygent_issuer.files.reading import require_unexposed
from polygent_issuer.home import folder
from polygent_issuer.home.settings import Entry, Settings
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.signer import deterministic_es256
from polygent_issuer.registry.schema import SQLITE_VERSION, require_sqlite

DISTRIBUTION: Final = "polygent-issuer"
OLDEST_PYTHON: Final = (3, 11)
NEWEST_PYTHON: Final = (3, 14)

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])? *([^;]*)")
_BOUND: Final = re.compile(r"(>=|<) *([0-9.]+)")
_ANY_ZONE: Final = "Europe/Berlin"

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


def tool() -> Verdict:
    """Report the version of the tool."""
    return ok(f"polygent-issue {__version__}")


def python(version: tuple[int, ...]) -> Verdict:
    """Check that the tool is tested with this Python version."""
    name = f"Python {_dotted(version[:3])}"
    if OLDEST_PYTHON <= version[:2] <= NEWEST_PYTHON:
        return ok(name)
    tested = f"{_dotted(OLDEST_PYTHON)} to {_dotted(NEWEST_PYTHON)}"
    return warn(
        f"{name} is not supported: polygent-issue is tested with Python {tested}",
        f"install polygent-issue into an environment with Python {_dotted(NEWEST_PYTHON)}",
    )


def sqlite(version: tuple[int, ...]) -> Verdict:
    """Check that the SQLite version of this Python is new enough for the registry.

    Raises:
        HomeProblem: (`sqlite_too_old`) below 3.37.
    """
    require_sqlite(version)
    return ok(f"SQLite {_dotted(version)}")


def cryptography() -> Verdict:
    """Check that the library supports deterministic signatures, which software keys need.

    Raises:
        KeyUnavailable: (`key_unavailable`) when it does not.
    """
    from cryptography.hazmat.backends.openssl.backend import backend  # noqa: PLC0415 -- 30 ms

    deterministic_es256()
    version = metadata.version("cryptography")
    return ok(f"cryptography {version} with {backend.openssl_version_text()}")


def requirements() -> tuple[str, ...]:
    """Return the requirements of the installed tool, without the extras.

    Raises:
        NotChecked: when the tool runs without being installed.
    """
    try:
        lines = metadata.requires(DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:
        raise NotChecked(
            "polygent-issuer is not installed as a package, so its requirements are unknown"
        ) from None
    return tuple(line for line in lines if ";" not in line)


def libraries(needed: Iterable[str]) -> Verdict:
    """Check that each library has a supported version.

    Each requirement is a line of a distribution, with bounds `>=` and `<`.
    """
    fit, unfit = [], []
    for line in needed:
        name, bounds = _REQUIREMENT.match(line).groups()  # type: ignore[union-attr] # any line
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            unfit.append((f"{name} is not installed", line))
            continue
        fit.append(f"{name} {version}")
        if not _within(version, bounds):
            unfit.append((f"{name} {version} does not match {bounds.strip()}", line))
    if not unfit:
        return ok(", ".join(fit))
    needs = " ".join(shlex.quote(line) for _, line in unfit)
    return warn("; ".join(problem for problem, _ in unfit), f"{_pip()} install {needs}")


def time_zones() -> Verdict:
    """Check that this machine has a time zone database, to show times in customers' zones."""
    if not registry_checks.is_known_zone(_ANY_ZONE):
        return warn("this machine has no time zone database", f"{_pip()} install tzdata")
    return ok("time zone database found")


def _within(version: str, bounds: str) -> bool:
    release = _release(version)
    return all(
        release >= _release(bound) if sign == ">=" else release < _release(bound)
        for sign, bound in _BOUND.findall(bounds)
    )


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version for comparison; 0.29 equals 0.29.0."""
    numbers = [int(number) for number in re.findall(r"^\d+|(?<=\.)\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _pip() -> str:
    return f"{shlex.quote(sys.executable)} -m pip"


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
    return key_checks.keyring(
        needed=needed, timeout=min(settings.keyring_timeout, context.patience)
    )


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
    "tool": lambda _: tool(),
    "python": lambda _: python(sys.version_info[:3]),
    "sqlite": lambda _: sqlite(SQLITE_VERSION),
    "cryptography": lambda _: cryptography(),
    "libraries": lambda _: libraries(requirements()),
    "time-zones": lambda _: time_zones(),
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
    "server": _of_server(lambda c: registry_checks.server_version(c.server)),
    "tls": _of_server(lambda c: registry_checks.tls(c.server)),
    "encoding": _of_server(lambda c: registry_checks.encoding(c.server)),
    "roles": _of_server(lambda c: registry_checks.roles(c.server)),
    "server-clock": _of_server(lambda c: registry_checks.server_clock(c.server, c.now)),
    "durability": _of_server(lambda c: registry_checks.durability(c.server)),
    "replication": _of_server(lambda c: registry_checks.replication(c.server)),
    "connections": _of_server(lambda c: registry_checks.connections(c.server)),
    "writer": _of_server(lambda c: registry_checks.writer(c.server)),
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
    option: Path | None,
    environ: Mapping[str, str],
    *,
    now: datetime,
    quick: bool = False,
    patience: timedelta = PATIENCE,
) -> Examination:
    """Run all checks, without changes and without prompts; no failure stops the run.

    Args:
        option: the value of `--home`.
        environ: the environment variables of the process.
        now: timezone-aware.
        quick: skip the checks that read the whole registry.
        patience: the time limit for a keyring to answer and for a registry lock to end.
    """
    with ExitStack() as closing:
        context = DoctorContext(option, environ, now=now, closing=closing, patience=patience)
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
