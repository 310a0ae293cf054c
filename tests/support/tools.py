"""Programs of the machine that some tests need, and the environment of those that meet faults."""

import os
import shutil

import pytest


def require_tool(name: str, package: str) -> str:
    """The path of a program; without it the test skips and says which package has it.

    Under `CI=true` nothing may be left out silently, so there the test fails instead.

    Args:
        name: the program, found by PATH.
        package: the Debian package that holds it.
    """
    path = shutil.which(name)
    if path is None:
        told = f"needs {name}: apt install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return path


def unmeasured() -> dict[str, str]:
    """The environment of this process, without the measuring of coverage.

    A process that a fault meets while it writes its coverage leaves a torn file, about which
    `coverage combine` complains.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
