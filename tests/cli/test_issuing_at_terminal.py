"""`sign` and `renew` at a real terminal: prompts, preview and answers."""

import shlex
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from support.cli import PASSPHRASE, Desk
from support.pty import spawn
from support.screen import at_terminal, finish


@pytest.fixture
def today(desk: Desk) -> Desk:
    """Return a desk with the system's time, which real commands use."""
    desk.now = datetime.now(UTC)
    return desk


def begin(desk: Desk, *argv: str, **environ: str) -> Any:
    """Start a command at a terminal, with the passphrase from its file."""
    secret = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)}
    return at_terminal(desk.home, *argv, **{**secret, **environ})


def licenses(desk: Desk) -> list[dict[str, Any]]:
    """Return the licenses in the registry."""
    return list(desk.ok("license", "list", "--json").json["licenses"])


def test_sign_asks_for_the_customer_and_the_plan(today: Desk) -> None:
    """`sign` proposes the name and the plan, shows a preview, and signs after a yes."""
    terminal = begin(today, "sign", "--machine-info", today.machine_info())
    terminal.expect_exact("customer [Acme GmbH]: ")
    terminal.sendline("")
    terminal.expect_exact("[standard-annual]: ")
    terminal.sendline("trial")
    terminal.expect("expires")
    terminal.expect_exact("go ahead? [Y/n]: ")
    assert list(today.output.iterdir()) == []
    terminal.sendline("")
    code, screen = finish(terminal)
    assert code == 0
    assert "signed license" in screen
    [license_] = licenses(today)
    assert (license_["customer"], license_["tier"]) == ("acme-gmbh", "standard")
    assert len(list(today.output.iterdir())) == 1


def test_sign_without_options_asks_for_everything(today: Desk) -> None:
    """An invalid file, name or plan is an error message and a new prompt."""
    today.machine_info("sent.json")
    terminal = begin(today, "sign", "--yes", HOME=str(today.folder))
    for wrong, problem in (("none.json", "no such"), ("-", "no such"), ("~/passphrase", "not")):
        terminal.expect_exact("machine-info file (none for an enterprise license): ")
        terminal.sendline(wrong)
        terminal.expect_exact(problem)
    terminal.expect_exact("machine-info file (none for an enterprise license): ")
    terminal.sendline("~/sent.json")
    terminal.expect_exact("customer [Acme GmbH]: ")
    terminal.sendline("x" * 201)
    terminal.expect("error")
    terminal.expect_exact("customer [Acme GmbH]: ")
    terminal.sendline("Globex")
    terminal.expect_exact("plan (standard-annual, trial) [standard-annual]: ")
    terminal.sendline("enterprise-annual")
    terminal.expect_exact("answer with one of")
    terminal.sendline("")
    assert finish(terminal)[0] == 0
    assert licenses(today)[0]["customer"] == "globex"

    terminal = begin(today, "sign", HOME=str(today.folder))
    terminal.expect_exact("machine-info file (none for an enterprise license): ")
    terminal.sendline("~/sent.json")
    code, screen = finish(terminal)
    assert (code, "customer [" in screen) == (3, False)
    assert "Globex already has a license" in screen


def test_a_prompt_with_one_answer_is_left_out(today: Desk) -> None:
    """Without a document only an enterprise plan fits; there is one, so it is not asked for."""
    terminal = begin(today, "sign", "--customer", "Globex")
    terminal.expect_exact("machine-info file (none for an enterprise license): ")
    terminal.sendline("none")
    assert terminal.expect_exact(["go ahead? [Y/n]: ", "plan ("]) == 0
    terminal.sendline("y")
    assert finish(terminal)[0] == 0
    [license_] = licenses(today)
    assert (license_["customer"], license_["tier"]) == ("globex", "enterprise")

    terminal = begin(today, "sign", "--customer", "Hooli", "--tier", "standard")
    terminal.expect_exact("machine-info file: ")
    terminal.sendline("none")
    terminal.expect_exact("cannot read the machine-info document")
    terminal.close(force=True)


def test_a_missing_key_is_an_error_before_any_prompt(today: Desk) -> None:
    """Nothing that was typed is lost because the key cannot sign."""
    terminal = begin(today, "sign", "--machine-info", today.machine_info(), "--key", "spare")
    code, screen = finish(terminal)
    assert code == 5
    assert "customer [" not in screen


def test_a_missing_order_id_is_an_error_before_any_prompt(today: Desk) -> None:
    """No answer is lost because a setting asks for an option."""
    today.ok("config", "set", "require_order_id", "true")
    code, screen = finish(begin(today, "sign"))
    assert code == 3
    assert "add --order-id TEXT" in screen
    assert "machine-info file" not in screen


@pytest.mark.parametrize("answer", ["n", "\x03", "\x04"])
def test_a_no_ctrl_c_and_end_of_input_issue_nothing(today: Desk, answer: str) -> None:
    """At the last prompt each of them is exit 130, without a row or a file."""
    argv = ("--customer", "Acme", "--plan", "trial")
    terminal = begin(today, "sign", "--machine-info", today.machine_info(), *argv)
    terminal.expect_exact("go ahead? [Y/n]: ")
    if answer == "n":
        terminal.sendline(answer)
    else:
        terminal.send(answer)
    code, screen = finish(terminal)
    assert code == 130
    assert "Traceback" not in screen
    assert licenses(today) == []
    assert list(today.output.iterdir()) == []


def test_a_finding_is_asked_about_at_a_terminal(today: Desk) -> None:
    """A no is exit 4; a yes continues, and the journal has the reason."""
    old = today.machine_info(generatedAt="2026-01-01T00:00:00Z")
    argv = ("sign", "--machine-info", old, "--customer", "Acme", "--plan", "trial", "--yes")
    terminal = begin(today, *argv)
    terminal.expect_exact("stale-machine-info")
    terminal.expect_exact("accept this? [y/N]: ")
    terminal.sendline("")
    assert finish(terminal)[0] == 4
    assert licenses(today) == []

    terminal = begin(today, *argv)
    terminal.expect_exact("accept this? [y/N]: ")
    terminal.sendline("y")
    terminal.expect_exact("reason for the journal: ")
    terminal.sendline("their mail was slow")
    assert finish(terminal)[0] == 0
    row = today.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["accepted"], row["reason"]) == (["stale-machine-info"], "their mail was slow")


def test_prompts_do_not_go_to_stdout(today: Desk) -> None:
    """`-o -` redirected into a file writes exactly the license file."""
    argv = ("--customer", "Acme", "--plan", "trial", "-o", "-")
    words = [sys.executable, "-m", "polygent_issuer", "--home", str(today.home), "sign"]
    command = shlex.join([*words, "--machine-info", today.machine_info(), *argv])
    target = today.folder / "piped.lic"
    terminal = spawn(
        "/bin/sh",
        ["-c", f"{command} > {shlex.quote(str(target))}"],
        env={"POLYGENT_ISSUER_PASSPHRASE_FILE": str(today.passphrase_file), "TERM": "dumb"},
    )
    terminal.expect_exact("go ahead? [Y/n]: ")
    terminal.sendline("y")
    assert finish(terminal)[0] == 0
    [license_] = licenses(today)
    assert today.ok("license", "export", license_["id"], "-o", "-").out == target.read_bytes()


def test_no_input_asks_nothing_at_a_terminal(today: Desk) -> None:
    """With `--no-input` a finding is an error, as without a terminal."""
    old = today.machine_info(generatedAt="2026-01-01T00:00:00Z")
    code, screen = finish(begin(today, "sign", "--machine-info", old, "--no-input"))
    assert code == 4
    assert "--accept stale-machine-info --reason TEXT" in screen.replace("\r\n", " ")


def test_the_beginning_of_a_name_selects_a_customer(today: Desk) -> None:
    """At a terminal the beginning of a name is enough; a note and the preview show the customer."""
    today.ok("sign", "--machine-info", today.machine_info(), "--term", "30d")
    terminal = begin(today, "renew", "acm")
    terminal.expect_exact("acm is Acme GmbH (acme-gmbh)")
    terminal.expect_exact("Acme GmbH (acme-gmbh)")
    terminal.expect_exact("go ahead? [Y/n]: ")
    terminal.sendline("y")
    assert finish(terminal)[0] == 0
    assert len(licenses(today)) == 2


def test_a_typed_passphrase_is_not_shown(today: Desk) -> None:
    """Without a passphrase file the terminal is asked, and does not echo."""
    argv = ("--customer", "Acme", "--plan", "trial", "--yes")
    terminal = begin(
        *(today, "sign", "--machine-info", today.machine_info(), *argv),
        POLYGENT_ISSUER_PASSPHRASE_FILE="",
    )
    terminal.expect("(?i)passphrase")
    assert terminal.waitnoecho()
    terminal.sendline(PASSPHRASE)
    code, screen = finish(terminal)
    assert code == 0, screen
    assert PASSPHRASE not in screen
    assert len(licenses(today)) == 1


def test_a_wrong_passphrase_is_asked_for_before_anything_is_typed(today: Desk) -> None:
    """It is asked for again, three times at most; customer and plan are asked for afterwards."""
    argv = ("sign", "--machine-info", today.machine_info(), "--yes")
    terminal = begin(today, *argv, POLYGENT_ISSUER_PASSPHRASE_FILE="")
    for left in ("2 tries left", "1 try left", "try again with the passphrase"):
        terminal.expect_exact("passphrase for the key file main.key: ")
        terminal.sendline("wrong")
        terminal.expect_exact(left)
    assert finish(terminal)[0] == 6
    assert licenses(today) == []

    terminal = begin(today, *argv, POLYGENT_ISSUER_PASSPHRASE_FILE="")
    for secret in ("wrong", PASSPHRASE):
        terminal.expect_exact("passphrase for the key file main.key: ")
        terminal.sendline(secret)
    terminal.expect_exact("customer [Acme GmbH]: ")
    terminal.sendline("")
    terminal.expect_exact("[standard-annual]: ")
    terminal.sendline("")
    code, screen = finish(terminal)
    assert code == 0, screen
    assert "passphrase for" not in screen
    assert len(licenses(today)) == 1


def test_markup_in_a_name_is_text_at_a_terminal(today: Desk) -> None:
    """Brackets in names are shown as text."""
    document = today.machine_info(customer="[/red] [bold]Acme", hostname="[blink]x")
    terminal = begin(today, "sign", "--machine-info", document, "--plan", "trial", "--yes")
    terminal.expect_exact("customer [[/red] [bold]Acme]: ")
    terminal.sendline("")
    code, screen = finish(terminal)
    assert code == 0
    assert "[/red] [bold]Acme" in screen
    assert "[blink]x" in screen
