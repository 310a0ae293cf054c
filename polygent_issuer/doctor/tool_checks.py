"""Checks of the tool itself: its Python, SQLite, libraries and time zones."""

import re
import shlex
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Final

from polygent_issuer import __version__
from polygent_issuer.doctor.context import NotChecked, Verdict, ok, warn
from polygent_issuer.keys.signer import deterministic_es256
from polygent_issuer.registry.schema import require_sqlite
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
    if dates.known_zone(_ANY_ZONE) is None:
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
