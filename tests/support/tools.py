"""System programs that some tests need, and an environment without coverage."""

import os
import shutil

import pytest


def require_tool(name: str, package: str) -> str:
    """Return the path of a program; without it the test skips and names the package.

    With `CI=true` the test fails instead.

    Args:
        name: the program, searched in PATH.
        package: the Debian package that contains it.
    """
    path = shutil.which(name)
    if path is None:
        reason = f"needs {name}: apt install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def unmeasured() -> dict[str, str]:
    """Return the environment of this process without coverage measurement.

    A fault while a process writes its coverage leaves a partial file, which `coverage combine`
    reports as an error.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
