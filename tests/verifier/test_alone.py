"""The verifier's folder, copied to another project, needs only `cryptography`."""

import ast
import doctest
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from polygent_issuer import verifier

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "polygent_issuer" / "verifier"

SCRIPT = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from datetime import UTC, datetime
from pathlib import Path
from vendored.licensing import ClockGuard, KeySet, LicenseError, Verifier
example = Path(sys.argv[2])
verifier = Verifier(KeySet.from_pem((example / "public.pem").read_bytes(), allow_example=True))
data = (example / "example.lic").read_bytes()
fingerprint = json.loads((example / "machine-info.json").read_bytes())["fingerprint"]
now = datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
license = verifier.verify(data, now=now, fingerprint=fingerprint, clock=ClockGuard())
try:
    verifier.verify(data, now=datetime(2100, 1, 1, tzinfo=UTC), fingerprint=fingerprint)
except LicenseError as error:
    code = error.code
roots = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"customer": license.customer, "code": code, "modules": roots}))
"""


def test_copied_folder_works_in_a_clean_interpreter(tmp_path: Path) -> None:
    """The folder verifies under another name, isolated and without site-packages."""
    project = tmp_path / "project"
    (project / "vendored").mkdir(parents=True)
    shutil.copytree(
        FOLDER, project / "vendored/licensing", ignore=shutil.ignore_patterns("__pycache__")
    )
    beside = tmp_path / "beside"
    beside.mkdir()
    installed = Path(sysconfig.get_path("platlib"))
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser", "typing_extensions"):
        for entry in installed.glob(f"{name}*"):
            if not entry.name.endswith("-info"):
                (beside / entry.name).symlink_to(entry)
    ran = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-W", "error", "-c", SCRIPT),
            json.dumps([str(project), str(beside)]),
            str(ROOT / "keys.example"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    report = json.loads(ran.stdout)
    assert (report["customer"], report["code"]) == ("Example GmbH", "expired")
    of_cryptography = {"cryptography", "_openssl", "_cffi_backend", "typing_extensions"}
    foreign = set(report["modules"]) - set(sys.stdlib_module_names) - of_cryptography
    assert foreign == {"vendored", "__main__"} - set(sys.stdlib_module_names)


def test_source_has_no_input_output_and_no_clock() -> None:
    """The folder opens and prints nothing, reads no clock and draws no random numbers."""
    forbidden_names = {"open", "print", "input", "exec", "eval"}
    forbidden_attributes = {"now", "utcnow", "today", "read_bytes", "read_text", "write_bytes"}
    forbidden_modules = {"os", "sys", "time", "random", "secrets", "pathlib", "io", "socket"}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden_names, path
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in forbidden_attributes, path
            elif isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & forbidden_modules, path
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert str(node.module).partition(".")[0] not in forbidden_modules, path


def test_package_docstring_is_a_runnable_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example in the package's docstring gives the result that it shows."""
    monkeypatch.chdir(ROOT)
    assert doctest.testmod(verifier) == doctest.TestResults(failed=0, attempted=7)
