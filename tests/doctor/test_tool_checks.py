"""Checks of the tool itself."""

import sys
import zoneinfo
from importlib import metadata

import pytest

from polygent_issuer import __version__
from polygent_issuer.doctor import State, tool_checks
from polygent_issuer.doctor.context import NotChecked
from polygent_issuer.errors import HomeProblem
from polygent_issuer.registry.schema import SQLITE_VERSION


def test_the_tool_reports_its_version() -> None:
    """The version is that of `--version`."""
    assert tool_checks.tool().message == f"polygent-issue {__version__}"


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 4), (3, 13, 1), (3, 14, 9)])
def test_a_tested_python_is_ok(version: tuple[int, ...]) -> None:
    """Each minor version of the range is ok, with any micro version."""
    assert tool_checks.python(version).state is State.OK


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 15, 0), (4, 0, 0)])
def test_another_python_is_a_warning(version: tuple[int, ...]) -> None:
    """Another Python may work; the message has the tested range."""
    verdict = tool_checks.python(version)
    assert verdict.state is State.WARN
    assert "tested with Python 3.11 to 3.14" in verdict.message
    assert verdict.fix == "install polygent-issue into an environment with Python 3.14"


def test_the_range_is_that_of_the_distribution() -> None:
    """The oldest Python is the one in the package metadata."""
    oldest = ".".join(map(str, tool_checks.OLDEST_PYTHON))
    assert metadata.metadata("polygent-issuer")["Requires-Python"] == f">={oldest}"


def test_sqlite_must_have_strict_tables() -> None:
    """This machine's SQLite is ok; an older one is refused as in every command."""
    assert tool_checks.sqlite(SQLITE_VERSION).state is State.OK
    with pytest.raises(HomeProblem, match=r"SQLite 3\.36\.0"):
        tool_checks.sqlite((3, 36, 0))


def test_cryptography_supports_deterministic_signatures() -> None:
    """The row has its version and that of its OpenSSL."""
    verdict = tool_checks.cryptography()
    assert verdict.state is State.OK
    assert f"cryptography {metadata.version('cryptography')} with OpenSSL " in verdict.message


def test_the_libraries_are_within_their_bounds() -> None:
    """Each requirement of the installed package except extras is checked."""
    needed = tool_checks.requirements()
    verdict = tool_checks.libraries(needed)
    assert verdict.state is State.OK
    for name in ("typer", "rich", "keyring", "cryptography"):
        assert f"{name} {metadata.version(name)}" in verdict.message
    assert "pytest" not in verdict.message


def test_every_bound_is_understood() -> None:
    """A bound of another type would be ignored."""
    for line in tool_checks.requirements():
        _, bounds = tool_checks._REQUIREMENT.match(line).groups()  # type: ignore[union-attr]
        assert tool_checks._BOUND.sub("", bounds).strip(" ,") == "", line


def test_a_library_out_of_bounds_is_a_warning_with_the_command() -> None:
    """One command installs all of them, with each requirement quoted."""
    verdict = tool_checks.libraries(
        ["typer>=99", "rich>=1,<2", "cryptography[ssh]>=44", "no-such>=1"]
    )
    typer, rich = metadata.version("typer"), metadata.version("rich")
    assert verdict.state is State.WARN
    assert verdict.message == (
        f"typer {typer} does not match >=99; rich {rich} does not match >=1,<2; "
        "no-such is not installed"
    )
    assert verdict.fix == (f"{sys.executable} -m pip install 'typer>=99' 'rich>=1,<2' 'no-such>=1'")


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("0.28", True),
        ("0.28.0", True),
        ("0.28.3", True),
        ("0.27.9", False),
        ("0.29", False),
        ("0.29.0", False),
        ("1", False),
        ("0.28.0rc1", True),
    ],
)
def test_versions_are_compared_as_numbers(
    version: str,
    fits: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0.29 equals 0.29.0, and 0.3 is older than 0.28."""
    monkeypatch.setattr(metadata, "version", lambda _: version)
    verdict = tool_checks.libraries(["typer>=0.28,<0.29"])
    assert (verdict.state is State.OK) is fits


def test_a_package_that_is_not_installed_is_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without metadata the requirements are unknown."""
    monkeypatch.setattr(tool_checks, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(NotChecked, match="not installed"):
        tool_checks.requirements()


@pytest.mark.usefixtures("no_tzdata")
def test_a_machine_without_time_zones_is_a_warning() -> None:
    """The fix installs the package tzdata."""
    assert tool_checks.time_zones().state is State.OK
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    try:
        verdict = tool_checks.time_zones()
    finally:
        zoneinfo.reset_tzpath()
    assert verdict.state is State.WARN
    assert verdict.fix == f"{sys.executable} -m pip install tzdata"
