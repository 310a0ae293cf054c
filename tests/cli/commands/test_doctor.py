"""`polygent-issue doctor`: its output and its exit codes."""

import json
from pathlib import Path

import pytest
from support.cli import Desk
from support.doctor_rows import row
from support.terminal import terminal

from polygent_issuer import __version__


@pytest.fixture
def healthy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk with a key in a file and no keyring."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    (desk.home / "settings.toml").chmod(0o600)
    return desk


def test_each_check_is_a_line_with_its_fix_below(healthy: Desk) -> None:
    """Each check has an aligned line and its fix below; the counts are last."""
    outcome = healthy.ok("doctor")
    lines = outcome.text.splitlines()
    assert lines[0] == f"ok    tool               polygent-issue {__version__}"
    at = lines.index("warn  upload-window      not set: upload deadlines assume 7 days")
    assert lines[at + 1] == ("      fix: polygent-issue config set upload_window 7d")
    warnings = sum(line.startswith("warn  ") for line in lines)
    fine = sum(line.startswith("ok    ") for line in lines)
    assert lines[-1] == f"{fine} ok, {warnings} warnings, 0 failures"
    assert outcome.err == ""


def test_skipped_checks_are_counted_separately(healthy: Desk) -> None:
    """A check that was not run is neither ok nor a failure."""
    lines = healthy.ok("doctor", "--quick").text.splitlines()
    assert "--    journal            not checked: skipped by --quick" in lines
    assert lines[-1].endswith(" failures, 2 not checked")


@pytest.mark.sqlite("about the file")
def test_counts_use_the_singular(healthy: Desk) -> None:
    """One warning and one failure are written in the singular."""
    (healthy.home / "registry.db").unlink()
    healthy.ok("config", "set", "upload_window", "7d")
    outcome = healthy.run("doctor")
    assert outcome.code == 7
    # No keyring: whether a key needs one is not known without the registry.
    assert ", 1 warning, 1 failure, " in outcome.text.splitlines()[-1]


def test_json_has_the_rows_their_count_and_the_settings(healthy: Desk) -> None:
    """JSON has stable names and one of four states for each row."""
    outcome = healthy.ok("doctor", "--json")
    assert set(outcome.json) == {"schema", "rows", "count", "settings"}
    for found in outcome.json["rows"]:
        assert set(found) - {"argv"} == {"name", "state", "message", "mend"}
    assert outcome.json["count"] == {
        state: sum(found["state"] == state for found in outcome.json["rows"])
        for state in ("ok", "warn", "fail", "not_checked")
    }
    assert row(outcome, "upload-window") == {
        "name": "upload-window",
        "state": "warn",
        "message": "not set: upload deadlines assume 7 days",
        "mend": "polygent-issue config set upload_window 7d",
        "argv": [*healthy.argv, "config", "set", "upload_window", "7d"],
    }


def test_commands_name_the_home_only_with_the_option(
    healthy: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    """A home from the environment is not repeated in the commands."""
    from polygent_issuer.cli.main import run  # noqa: PLC0415

    environ = {"POLYGENT_ISSUER_HOME": str(healthy.home)}
    assert run(["doctor", "--json"], now=healthy.now, environ=environ) == 0
    mends = [found["mend"] for found in json.loads(capfd.readouterr().out)["rows"]]
    assert "polygent-issue config set upload_window 7d" in mends


def test_a_home_with_a_space_is_quoted_in_every_command(healthy: Desk, tmp_path: Path) -> None:
    """A printed command can be pasted into a shell."""
    other = healthy.copy_to(tmp_path / "my desk")
    command = f"polygent-issue --home '{other.home}' config set upload_window 7d"
    assert f"fix: {command}\n" in other.printed("doctor").text


def test_a_terminal_gets_colours_and_no_prompts(healthy: Desk) -> None:
    """States are green, yellow or red, and the installed command ends without a prompt."""
    (healthy.folder / "main.key").unlink()
    with terminal(healthy, "doctor", environ={"TERM": "xterm"}) as running:
        assert running.ends() == 6
    assert "\x1b[32mok    sqlite" in running.screen
    assert "\x1b[33mwarn  upload-window" in running.screen
    assert "\x1b[1;31mfail  key  " in running.screen
    assert "fix: polygent-issue --home" in running.screen
