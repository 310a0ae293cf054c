"""`polygent-issue doctor`: how it looks, and how it ends."""

import json
from pathlib import Path

import pytest
from support.cli import Desk
from support.doctor_rows import look, row
from support.terminal import terminal

from polygent_issuer import __version__


@pytest.fixture
def healthy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a key in a file, and no keyring."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    (desk.home / "settings.toml").chmod(0o600)
    return desk


def test_each_row_is_a_line_and_each_mend_one_below(healthy: Desk) -> None:
    """Aligned, so that an eye finds what is wrong; the sum stands at the end."""
    outcome = healthy.ok("doctor")
    lines = outcome.text.splitlines()
    assert lines[0] == f"ok    tool               polygent-issue {__version__}"
    at = lines.index("warn  upload-window      not set: upload deadlines assume 7 days")
    assert lines[at + 1] == (
        f"      fix: polygent-issue --home {healthy.home} config set upload_window 7d"
    )
    warnings = sum(line.startswith("warn  ") for line in lines)
    fine = sum(line.startswith("ok    ") for line in lines)
    assert lines[-1] == f"{fine} ok, {warnings} warnings, 0 failures"
    assert outcome.err == ""


def test_what_was_not_checked_is_counted_apart(healthy: Desk) -> None:
    """It is neither well nor wrong."""
    lines = healthy.ok("doctor", "--quick").text.splitlines()
    assert "--    journal            not checked: skipped by --quick" in lines
    assert lines[-1].endswith(" failures, 2 not checked")


def test_one_warning_and_one_failure_are_one(healthy: Desk) -> None:
    """Said as people say it."""
    (healthy.home / "registry.db").unlink()
    healthy.ok("config", "set", "upload_window", "7d")
    outcome = healthy.run("doctor")
    assert outcome.code == 7
    # No keyring: whether a key needs one is not known without the registry.
    assert ", 1 warning, 1 failure, " in outcome.text.splitlines()[-1]


def test_json_has_the_rows_their_count_and_the_settings(healthy: Desk) -> None:
    """For a watching program: names are stable, states are four words."""
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
        "mend": f"polygent-issue --home {healthy.home} config set upload_window 7d",
        "argv": [*healthy.argv, "config", "set", "upload_window", "7d"],
    }


def test_without_the_option_no_command_names_the_home(
    healthy: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    """The variable stands in the shell in which it will be typed."""
    from polygent_issuer.cli.main import run  # noqa: PLC0415

    environ = {"POLYGENT_ISSUER_HOME": str(healthy.home)}
    assert run(["doctor", "--json"], now=healthy.now, environ=environ) == 0
    mends = [found["mend"] for found in json.loads(capfd.readouterr().out)["rows"]]
    assert "polygent-issue config set upload_window 7d" in mends


def test_a_home_with_a_space_is_quoted_in_every_command(healthy: Desk, tmp_path: Path) -> None:
    """What is printed can be pasted."""
    other = healthy.copy_to(tmp_path / "my desk")
    assert look(other, "upload-window")["mend"] == (
        f"polygent-issue --home '{other.home}' config set upload_window 7d"
    )


def test_a_terminal_sees_colours_and_is_asked_nothing(healthy: Desk) -> None:
    """Green, yellow, red; the installed command, to its end without a key pressed."""
    (healthy.folder / "main.key").unlink()
    with terminal(healthy, "doctor", environ={"TERM": "xterm"}) as running:
        assert running.ends() == 6
    assert "\x1b[32mok    sqlite" in running.screen
    assert "\x1b[33mwarn  upload-window" in running.screen
    assert "\x1b[1;31mfail  key  " in running.screen
    assert "fix: polygent-issue --home" in running.screen
