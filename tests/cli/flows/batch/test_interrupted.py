"""Batches as processes: Ctrl-C, and a full or closed stdout; the rest is done later."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.cli import Desk
from support.databases import Databases
from support.desk_state import litter_in, read_state
from support.many_customers import add_customers_at

from polygent_issuer.batch.run import MAX_GROUP_SIZE

pytestmark = pytest.mark.slow

MANY = 2 * MAX_GROUP_SIZE + 9
"""Three groups."""
DUE = ("renew", "--due-within", "30d")


@pytest.fixture(scope="session")
def made_many(made_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk whose clock is the machine's, with licenses that are due, for copies."""
    desk = made_desk.copy_to(tmp_path_factory.mktemp("many"))
    desk.now = datetime.now(UTC)
    add_customers_at(desk, range(1, MANY + 1))
    desk.ok("journal", "seal")
    return desk


@pytest.fixture
def many(made_many: Desk, tmp_path: Path, engine: Databases | None) -> Desk:
    """The test's own desk with licenses that are due."""
    desk = made_many.copy_to(tmp_path)
    desk.now = datetime.now(UTC)
    return desk.move_registry(engine) if engine else desk


def begin(
    desk: Desk, *argv: str, of: tuple[str, ...] = DUE, stdout: Any = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    """Run a batch in its own process."""
    command = [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home)]
    return subprocess.Popen(
        [*command, *of, *argv],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        bufsize=0,  # what was not read as a line is left for `communicate`
        env={**os.environ, "POLYGENT_ISSUER_PASSPHRASE_FILE": str(desk.passphrase_file)},
    )


def the_rest_is_done_once(desk: Desk) -> None:
    """Check that the same command does the rest: one license and one file for each customer."""
    *_, last = desk.ok("renew", "--due-within", "30d", "--json").out.splitlines()
    assert json.loads(last)["summary"]["complete"] is True
    after = read_state(desk)
    assert len(after.files) == 2 * MANY
    assert len(after.current) == MANY
    assert after.problems == ()
    assert len(list(desk.output.iterdir())) == MANY
    assert litter_in(desk.output) == []
    assert {path.read_text() for path in desk.output.iterdir()} == {
        after.files[license_id].decode() for license_id in after.current
    }
    assert desk.ok("renew", "--due-within", "30d").text == "nothing to do\n"


def test_ctrl_c_finishes_and_reports_the_present_group(many: Desk) -> None:
    """The summary has the next step: exit 130."""
    process = begin(many, "--json")
    assert process.stdout is not None
    first = process.stdout.readline()  # it waits for its reader, with a group to report
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b""
    *items, last = [json.loads(line) for line in (first + out).splitlines()]
    assert 0 < len(items) < MANY
    assert last["summary"]["complete"] is False
    assert last["summary"]["renewed"] == len(items)
    assert len(read_state(many).files) == MANY + len(items)
    the_rest_is_done_once(many)


def test_ctrl_c_prints_the_next_step(many: Desk) -> None:
    """The text output names the next step."""
    process = begin(many)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    assert b"interrupted; run the same command again to continue" in out


def test_a_second_ctrl_c_ends_immediately(many: Desk) -> None:
    """Nothing that was acknowledged is lost."""
    process = begin(many, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    the_rest_is_done_once(many)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_closed_stdout_ends_the_batch_silently(many: Desk, form: tuple[str, ...]) -> None:
    """A pipe to `head -1`: exit 8 without a message, and issued licenses are kept."""
    with begin(many, *form) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 8
    assert MANY < len(read_state(many).files) < 2 * MANY
    the_rest_is_done_once(many)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_stdout_ends_the_batch(many: Desk, form: tuple[str, ...]) -> None:
    """Exit 8 with the reason, since the outcomes cannot be reported."""
    with Path("/dev/full").open("wb") as full:
        process = begin(many, *form, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 8
    assert err.decode() == (
        "error: stdout cannot be written: no space left on device\n"
        f"hint: completed changes are kept: {many.command('journal', 'show')}\n"
    )
    assert len(read_state(many).files) < 2 * MANY
    the_rest_is_done_once(many)


def test_a_killed_batch_is_finished_by_the_same_command(many: Desk) -> None:
    """Committed licenses are delivered, and the rest is issued."""
    with begin(many, "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert MANY < len(read_state(many).files) < 2 * MANY
    the_rest_is_done_once(many)


def test_an_interrupted_batch_continues_with_its_digest(many: Desk) -> None:
    """The same command with the same digest does the rest, and then has nothing to do."""
    file = many.folder / "plan.csv"
    rows = "".join(f"c{number},30\n" for number in range(1, MANY + 1))
    file.write_text(f"customer,users\n{rows}")
    reviewed = many.ok("apply", str(file), "--dry-run", "--json").out.splitlines()[-1]
    expect = ("apply", str(file), "--expect", json.loads(reviewed)["summary"]["digest"])
    process = begin(many, "--json", of=expect)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert MANY < len(read_state(many).files) < 2 * MANY
    many.ok(*expect)
    assert many.ok(*expect).text == f"nothing to do, kept {MANY}\n"
    the_rest_is_done_once(many)


def test_ctrl_c_leaves_a_complete_report(many: Desk) -> None:
    """It has as many items as were done."""
    report = many.folder / "report.json"
    process = begin(many, "--json", "--report", str(report))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(json.loads(report.read_text())) == len(out.splitlines())


def test_two_batches_at_once_issue_each_license_once(many: Desk) -> None:
    """Two processes run the same batch, and exactly one of them issues each license."""
    both = [begin(many, "--json") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    counts = [json.loads(out.splitlines()[-1])["summary"] for out, _ in ended]
    assert sum(each["renewed"] for each in counts) == MANY
    the_rest_is_done_once(many)
