"""The folder and the verifier's, copied to another project, need only `cryptography`."""

import doctest
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from polygent_issuer import enforcement

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from datetime import timedelta
from pathlib import Path
from vendored.licensing.enforcement import LicenseMiddleware, ServerLicense, SqliteStore
from vendored.licensing.verifier import KeySet, Verifier
example = Path(sys.argv[2])
verifier = Verifier(KeySet.from_pem((example / "public.pem").read_bytes(), allow_example=True))
data = (example / "example.lic").read_bytes()
now = verifier.authenticate(data).issued_at
fingerprint = json.loads((example / "machine-info.json").read_bytes())["fingerprint"]
store = SqliteStore(Path(sys.argv[3]))
license = ServerLicense(verifier, store, fingerprint=fingerprint)
license.install(data, now=now, by="ada")
store.close()
roots = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"customer": license.active(now).customer, "modules": roots}))
"""


def test_copied_folders_work_in_a_clean_interpreter(tmp_path: Path) -> None:
    """Both folders work under another name, isolated and without site-packages."""
    project, beside = tmp_path / "project", tmp_path / "beside"
    licensing = project / "vendored" / "licensing"
    licensing.mkdir(parents=True)
    for room in ("verifier", "enforcement"):
        shutil.copytree(
            ROOT / "polygent_issuer" / room,
            licensing / room,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    beside.mkdir()
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser", "typing_extensions"):
        for entry in Path(sysconfig.get_path("platlib")).glob(f"{name}*"):
            if not entry.name.endswith("-info"):
                (beside / entry.name).symlink_to(entry)
    ran = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-W", "error", "-c", SCRIPT),
            json.dumps([str(project), str(beside)]),
            *(str(ROOT / "keys.example"), str(tmp_path / "license.db")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    report = json.loads(ran.stdout)
    assert report["customer"] == "Example GmbH"
    of_cryptography = {"cryptography", "_openssl", "_cffi_backend", "typing_extensions"}
    foreign = set(report["modules"]) - set(sys.stdlib_module_names) - of_cryptography
    assert foreign == {"vendored", "__main__"} - set(sys.stdlib_module_names)


def test_package_docstring_is_a_runnable_example(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The example in the package's docstring gives the result that it shows."""
    for name in ("public.pem", "example.lic"):
        shutil.copy(ROOT / "keys.example" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(enforcement)
    assert result.failed == 0
    assert result.attempted >= 8
