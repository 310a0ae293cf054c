"""A user without HOME and without an account, as in containers, has no default home."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.cli import Desk
from support.users import ADA, run_as

from polygent_issuer.cli.context import actor

EXAMPLES = Path(__file__).parents[2] / "keys.example"


@pytest.fixture
def home() -> Iterator[str]:
    """Return a path for a home, where that user can write."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield f"{name}/home"


@pytest.mark.parametrize(
    "argv", [["config", "path"], ["init"], ["customer", "list"], ["registry", "import", "/"]]
)
def test_commands_that_need_a_home_print_how_to_name_one(argv: list[str]) -> None:
    """The error is exit 7, and the hint has the option and the variable."""
    done = run_as(ADA, *argv)
    assert done.returncode == 7
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert "HOME" in error
    assert "--home DIR" in hint
    assert "POLYGENT_ISSUER_HOME=DIR" in hint


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["machine-info", "check", f"{EXAMPLES}/machine-info.json"], 4),
        (["inspect", f"{EXAMPLES}/example.lic"], 0),
        (["verify", "--public-key", f"{EXAMPLES}/public.pem", f"{EXAMPLES}/example.lic"], 0),
        (["completion", "bash"], 0),
        (["--help"], 0),
        (["doctor", "--quick"], 7),
    ],
)
def test_commands_that_need_no_home_work(argv: list[str], code: int) -> None:
    """They work without a home; `doctor` reports that it is missing, and runs its other checks."""
    done = run_as(ADA, *argv)
    assert done.returncode == code, done.stderr
    assert done.stdout
    assert "error: " not in done.stderr
    if argv[0] == "doctor":
        assert "fail  home  " in done.stdout
        assert "ok    keyring-choice" in done.stdout


@pytest.mark.slow
def test_a_user_without_an_account_can_use_a_home(home: str) -> None:
    """With a home every command works, and the journal records the uid."""
    for argv in (["init"], ["customer", "add", "Acme"], ["doctor", "--quick"]):
        done = run_as(ADA, *argv, POLYGENT_ISSUER_HOME=home)
        assert done.returncode == 0, done.stderr
    assert f"uid {ADA}" in run_as(ADA, "--home", home, "journal", "show").stdout


@pytest.mark.slow
def test_a_tilde_cannot_be_expanded_without_an_account(home: str) -> None:
    """A `~` in an option, a setting or a store is an error, not a bug."""
    assert run_as(ADA, "--home", home, "init").returncode == 0
    for code, argv in (
        (3, ["config", "set", "output", "~/licenses"]),
        (3, ["config", "set", "store", "file:~/keys/"]),
        (3, ["key", "generate", "main", "--store", "file:~/keys/", "--no-backup"]),
        (3, ["key", "generate", "main", "--backup", "~/main.key"]),
        (8, ["renew", "acme", "globex", "--bundle", "~/all.zip"]),
        (7, ["--home", "~/home", "customer", "list"]),
    ):
        done = run_as(ADA, *([] if "--home" in argv else ["--home", home]), *argv)
        assert done.returncode == code, (argv, done)
        hints = [x for x in done.stderr.splitlines() if x.strip().startswith("hint: ")]
        assert "~" in done.stderr
        assert "~" not in "".join(hints)
    settings = Path(home) / "settings.toml"
    settings.write_text('output = "~/licenses"\n' + settings.read_text())
    done = run_as(ADA, "--home", home, "config", "show")
    assert done.returncode == 3
    assert "output: unknown user in path: ~/licenses" in done.stderr
    assert "hint: write the absolute path\n" in done.stderr


def test_a_user_without_a_name_is_unknown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a uid, an account database and variables, as on Windows, the user is `unknown`."""
    monkeypatch.delattr(os, "getuid")
    monkeypatch.setitem(sys.modules, "pwd", None)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert actor(None).os_user == "unknown"
    desk.ok("customer", "list")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_an_output_folder_without_access_is_an_error(home: str) -> None:
    """An output in a folder without access is exit 8, and an input exit 3, not a bug."""
    assert run_as(ADA, "init", "--home", home).returncode == 0
    with TemporaryDirectory() as closed:  # 0700, of another user
        for argv, code in (
            (("license", "list", "--csv", "-o", f"{closed}/x.csv"), 8),
            (("expiring", "--ics", f"{closed}/x.ics"), 8),
            (("registry", "export", "-o", f"{closed}/x.toml"), 8),
            (("registry", "backup", f"{closed}/x.db"), 8),
            (("journal", "verify", "--against", f"{closed}/heads"), 3),
        ):
            done = run_as(ADA, *argv, "--home", home)
            assert done.returncode == code, (argv, done)
            assert "bug" not in done.stderr
