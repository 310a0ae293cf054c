"""A missing tool skips a test, and fails it in CI."""

import pytest
from _pytest.outcomes import Failed, Skipped

from support.tools import require_tool

MISSING = "no-such-tool-on-any-machine"


def test_an_installed_tool_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of an installed tool is returned, in CI and elsewhere."""
    for value in ("true", ""):
        monkeypatch.setenv("CI", value)
        assert require_tool("sh", "dash").endswith("/sh")


def test_a_missing_tool_skips_and_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside CI the test is skipped with the package to install."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(Skipped, match=f"needs {MISSING}: apt install some-package"):
        require_tool(MISSING, "some-package")


def test_a_missing_tool_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI=true a missing tool is a failure."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Failed, match="apt install some-package"):
        require_tool(MISSING, "some-package")
