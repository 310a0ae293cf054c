"""Batches at a real terminal: preview, one consent, confirmation, and a bar that vanishes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.cli import PASSPHRASE, Desk
from support.many_customers import add_customers_at
from support.pty import press_ctrl_c
from support.screen import at_terminal, finish, left_on

from polygent_issuer.batch.run import MAX_GROUP_SIZE

QUESTION = "go ahead with 3? [Y/n]: "
UNLOCK = "passphrase for the key file main.key: "


@pytest.fixture
def today(desk: Desk) -> Desk:
    """A desk whose clock is the machine's, with three licenses that are due."""
    desk.now = datetime.now(UTC)
    add_customers_at(desk, range(1, 4))
    return desk


def begin(desk: Desk, *argv: str, **environ: str) -> Any:
    """Start a command at a terminal, without a stored passphrase."""
    return at_terminal(desk.home, *argv, DBUS_SESSION_BUS_ADDRESS="", **environ)


def issued(desk: Desk) -> int:
    """Return the number of license files."""
    return len(list(desk.output.iterdir()))


def test_a_batch_is_previewed_confirmed_unlocked_and_done(today: Desk) -> None:
    """The steps come in this order; the bar leaves no trace, and the lines stay."""
    terminal = begin(today, "renew", "--due-within", "30d")
    terminal.expect_exact("3 old files keep working")
    terminal.expect_exact("renew 3")
    terminal.expect_exact(QUESTION)
    assert issued(today) == 0
    terminal.sendline("")
    terminal.expect_exact(UNLOCK)
    assert terminal.waitnoecho()
    terminal.sendline(PASSPHRASE)
    code, screen = finish(terminal)
    assert code == 0
    assert issued(today) == 3
    left = [line for line in left_on(screen) if line]
    assert "\u2501" in screen  # the bar was there
    assert not [line for line in left if "\u2501" in line or "renewing" in line]
    told = "".join(left)  # a path may be broken in two
    assert told.count("renewed c") == 3
    assert "renewed 3" in left


def test_a_declined_batch_issues_nothing(today: Desk) -> None:
    """Exit 130, without a prompt for a passphrase."""
    terminal = begin(today, "renew", "--due-within", "30d")
    terminal.expect_exact(QUESTION)
    terminal.sendline("n")
    code, screen = finish(terminal)
    assert code == 130
    assert "passphrase" not in screen
    assert issued(today) == 0


@pytest.mark.slow
def test_a_batch_with_nothing_to_do_has_no_prompt(today: Desk) -> None:
    """It prompts neither for confirmation nor for a passphrase."""
    code, screen = finish(begin(today, "renew", "--due-within", "1d"))
    assert code == 0
    assert screen.count("nothing to do") == 1
    assert "\u2501" not in screen, "no bar of nothing"
    assert "?" not in "".join(left_on(screen))
    assert "passphrase" not in screen


@pytest.mark.slow
def test_yes_skips_the_confirmation(today: Desk) -> None:
    """`--yes` answers the one question, and no other."""
    terminal = begin(today, "renew", "--due-within", "30d", "--yes")
    terminal.expect_exact(UNLOCK)
    assert terminal.waitnoecho()
    terminal.sendline(PASSPHRASE)
    assert finish(terminal)[0] == 0
    assert issued(today) == 3


def unlocked(desk: Desk) -> dict[str, str]:
    """The passphrase from its file."""
    return {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)}


def test_each_code_has_one_prompt_for_consent(today: Desk) -> None:
    """The prompt has the number of items; the journal has the reason for each."""
    terminal = begin(today, "renew", "c1", "c2", "c3", "--term", "5y", **unlocked(today))
    terminal.expect_exact("consent needed for 3 items: --accept long-term")
    terminal.expect_exact("accept long-term for 3 items? [y/N]: ")
    terminal.sendline("y")
    terminal.expect_exact("reason for the journal: ")
    terminal.sendline("agreed with sales")
    terminal.expect_exact(QUESTION)
    terminal.sendline("")
    assert finish(terminal)[0] == 0
    rows = today.ok("journal", "show", "--json").json["rows"]
    reasons = [each["reason"] for each in rows if each["event"] == "license-renewed"]
    assert reasons == ["agreed with sales"] * 3


def test_a_wrong_passphrase_comes_before_the_reason(today: Desk) -> None:
    """Three wrong ones end the batch before anything else is typed."""
    terminal = begin(today, "renew", "c1", "c2", "--term", "5y")
    for left in ("2 tries left", "1 try left", "try again with the passphrase"):
        terminal.expect_exact(UNLOCK)
        terminal.sendline("wrong")
        terminal.expect_exact(left)
    code, screen = finish(terminal)
    assert (code, "accept long-term" in screen) == (6, False)
    assert issued(today) == 0


def test_an_item_that_changes_during_the_prompt_is_not_issued(today: Desk) -> None:
    """Another command writes meanwhile, so the decision differs from the preview."""
    terminal = begin(today, "renew", "c1", "c2", "c3", "--term", "5y", **unlocked(today))
    terminal.expect_exact("accept long-term for 3 items? [y/N]: ")
    today.ok("customer", "edit", "c2", "--name", "Globex Corporation")
    terminal.sendline("y")
    terminal.expect_exact("reason for the journal: ")
    terminal.sendline("agreed with sales")
    terminal.expect_exact(QUESTION)
    terminal.sendline("")
    code, screen = finish(terminal)
    assert code == 20
    assert "renewed 2, failed 1" in screen
    assert "registry changed after the preview" in "".join(left_on(screen))


@pytest.mark.slow
def test_a_declined_consent_fails_the_items_that_need_it(today: Desk) -> None:
    """They fail, and the others are done."""
    file = today.folder / "plan.csv"
    file.write_text("customer,term\nc1,5y\nc2,1y\nc3,1y\n")
    terminal = begin(today, "apply", str(file), **unlocked(today))
    terminal.expect_exact("accept long-term for 1 item? [y/N]: ")
    terminal.sendline("")
    terminal.expect_exact("go ahead with 2? [Y/n]: ")
    terminal.sendline("")
    code, screen = finish(terminal)
    assert code == 20
    assert "renewed 2, failed 1" in screen
    assert issued(today) == 2


@pytest.mark.slow
def test_the_digest_is_compared_before_any_prompt(today: Desk) -> None:
    """The preview has changed: exit 3."""
    file = today.folder / "plan.csv"
    file.write_text("customer\nc1\nc2\nc3\n")
    code, screen = finish(begin(today, "apply", str(file), "--expect", "0" * 64))
    assert code == 3
    assert "go ahead" not in screen
    assert issued(today) == 0


@pytest.mark.slow
@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_without_colour_has_no_bar(today: Desk, environ: dict[str, str]) -> None:
    """It gets plain lines, without any escape sequence."""
    argv = ("renew", "--due-within", "30d", "--yes")
    code, screen = finish(begin(today, *argv, **unlocked(today), **environ))
    assert code == 0
    assert "\x1b[" not in screen
    assert screen.count("renewed c") == 3


@pytest.mark.slow
def test_quiet_draws_no_bar(today: Desk) -> None:
    """`--json` has no bar in its lines, either."""
    argv = ("renew", "--due-within", "30d", "--yes", "--quiet")
    code, screen = finish(begin(today, *argv, **unlocked(today)))
    assert code == 0
    assert "\u2501" not in screen


@pytest.mark.slow
def test_no_input_has_no_prompt(today: Desk) -> None:
    """The batch runs as from cron."""
    argv = ("renew", "--due-within", "30d", "--no-input")
    code, screen = finish(begin(today, *argv, **unlocked(today)))
    assert code == 0
    assert "go ahead" not in screen
    assert issued(today) == 3


@pytest.mark.slow
def test_a_beginning_of_a_name_is_enough_at_a_terminal(today: Desk) -> None:
    """The rule is the same as for a single customer."""
    today.ok("customer", "edit", "c3", "--name", "Globex Corporation")
    terminal = begin(today, "renew", "c1", "Glob", **unlocked(today))
    terminal.expect_exact("go ahead with 2? [Y/n]: ")
    terminal.sendline("")
    assert finish(terminal)[0] == 0
    assert issued(today) == 2


def test_ctrl_c_at_the_prompt_issues_nothing(today: Desk) -> None:
    """Exit 130."""
    terminal = begin(today, "renew", "--due-within", "30d")
    terminal.expect_exact(QUESTION)
    press_ctrl_c(terminal)
    code, screen = finish(terminal)
    assert code == 130
    assert "Traceback" not in screen
    assert issued(today) == 0


@pytest.mark.slow
def test_ctrl_c_finishes_the_present_group(today: Desk) -> None:
    """The bar vanishes, and the screen has the next step."""
    add_customers_at(today, range(4, 2 * MAX_GROUP_SIZE))
    argv = ("renew", "--due-within", "30d", "--yes")
    terminal = begin(today, *argv, **unlocked(today))
    terminal.expect_exact("renewed c")  # a full screen waits to be read
    terminal.sendintr()
    code, screen = finish(terminal)
    assert code == 130
    left = left_on(screen)
    assert "interrupted; run the same command again to continue" in left
    assert "\u2501" not in "".join(left)
    assert "Traceback" not in screen
    done = issued(today)
    assert 0 < done < 2 * MAX_GROUP_SIZE - 1
    assert (
        today.ok("renew", "--due-within", "30d").text.count("renewed c")
        == 2 * MAX_GROUP_SIZE - 1 - done
    )
