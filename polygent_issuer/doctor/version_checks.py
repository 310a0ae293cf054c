"""Checks of what the tool runs on: Python, SQLite, the libraries, the time zones."""

import re
import shlex
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Final

from polygent_issuer import __version__
from polygent_issuer.doctor.context import NotChecked, Verdict, ok, warn
from polygent_issuer.errors import InvalidTerms
from polygent_issuer.keys.signer import deterministic_es256
from polygent_issuer.registry.connection import require_sqlite
from polygent_issuer.terms import dates

DISTRIBUTION: Final = "polygent-issuer"
OLDEST_PYTHON: Final = (3, 11)
NEWEST_PYTHON: Final = (3, 14)

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])? *([^;]*)")
_BOUND: Final = re.compile(r"(>=|<) *([0-9.]+)")
_ANY_ZONE: Final = "Europe/Berlin"


def tool() -> Verdict:
    """Report the version of the tool."""
    return ok(f"polygent-issue {__version__}")


def python(version: tuple[int, ...]) -> Verdict:
    """Check that the tool is tested on this Python.

    Args:
        version: as `sys.version_info`.
    """
    name = f"Python {_dotted(version[:3])}"
    if OLDEST_PYTHON <= version[:2] <= NEWEST_PYTHON:
        return ok(name)
    tested = f"{_dotted(OLDEST_PYTHON)} to {_dotted(NEWEST_PYTHON)}"
    return warn(
        f"{name}: polygent-issue is tested on {tested}",
        f"install it into an environment of Python {_dotted(NEWEST_PYTHON)}",
    )


def sqlite(version: tuple[int, ...]) -> Verdict:
    """Check that the SQLite of this Python has what the registry needs.

    Raises:
        HomeProblem: (`sqlite_too_old`) below 3.37.
    """
    require_sqlite(version)
    return ok(f"SQLite {_dotted(version)}")


def cryptography() -> Verdict:
    """Check that the library can sign deterministically, as software keys must.

    Raises:
        KeyUnavailable: (`key_unavailable`) when it cannot.
    """
    from cryptography.hazmat.backends.openssl.backend import backend  # noqa: PLC0415 -- 30 ms

    deterministic_es256()
    version = metadata.version("cryptography")
    return ok(f"cryptography {version} on {backend.openssl_version_text()}")


def requirements() -> tuple[str, ...]:
    """Return the requirements of the installed tool, without the extras.

    Raises:
        NotChecked: when it runs from a folder that was never installed.
    """
    try:
        lines = metadata.requires(DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:
        raise NotChecked(
            "polygent-issuer is not installed, so nothing says what it needs"
        ) from None
    return tuple(line for line in lines if ";" not in line)


def libraries(needed: Iterable[str], installed: Callable[[str], str] = metadata.version) -> Verdict:
    """Check that each library has a version that the tool was made for.

    Args:
        needed: requirements as a distribution states them, with bounds `>=` and `<`.
        installed: the version of a distribution; raises `PackageNotFoundError`.
    """
    fit, unfit = [], []
    for line in needed:
        name, bounds = _REQUIREMENT.match(line).groups()  # type: ignore[union-attr] # any line
        try:
            version = installed(name)
        except metadata.PackageNotFoundError:
            unfit.append((f"{name} is not installed", line))
            continue
        fit.append(f"{name} {version}")
        if not _within(version, bounds):
            unfit.append((f"{name} {version} is not {bounds.strip()}", line))
    if not unfit:
        return ok(", ".join(fit))
    needs = " ".join(shlex.quote(line) for _, line in unfit)
    return warn("; ".join(problem for problem, _ in unfit), f"{_pip()} install {needs}")


def time_zones() -> Verdict:
    """Check that this machine knows time zones: expiries are shown in the customers', too."""
    try:
        dates.parse_zone(_ANY_ZONE)
    except InvalidTerms:
        return warn("this machine has no time zone database", f"{_pip()} install tzdata")
    return ok("time zones are known")


def _within(version: str, bounds: str) -> bool:
    release = _release(version)
    return all(
        release >= _release(bound) if sign == ">=" else release < _release(bound)
        for sign, bound in _BOUND.findall(bounds)
    )


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, comparable: 0.29 is 0.29.0."""
    numbers = [int(number) for number in re.findall(r"^\d+|(?<=\.)\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _pip() -> str:
    return f"{shlex.quote(sys.executable)} -m pip"
