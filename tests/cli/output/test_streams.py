"""Real processes: stdout that is closed, full or gone, Ctrl-C, colour, and hostile names."""

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.licenses import Books
from support.pty import press_ctrl_c, spawn
from support.screen import at_terminal, finish

from polygent_issuer.registry import customer_names
from polygent_issuer.text import Command

ESCAPE = "\x1b"
# An unbuffered stdout fails early; the usual one fails when it is flushed.
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
NAME = "[/red][b]x \x1b[2J\x1b]0;x\x07\u202e:bell:"
SIMILAR = "red b x 2J 0 x bella"
SHOWN = r"[/red][b]x \x1b[2J\x1b]0;x\x07\u202e:bell:"


def _start(*argv: str, **streams: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "polygent_issuer", *argv]
    given = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": ENVIRON, **streams}
    return subprocess.Popen(command, **given)


def _ended(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Return the exit code and stderr, which never has a traceback."""
    _, err = process.communicate(timeout=60)
    message = (err or b"").decode()
    assert "Traceback" not in message
    assert "Exception ignored" not in message
    return process.returncode, message


@pytest.fixture
def commands(books: Books) -> dict[str, tuple[str, ...]]:
    """Return a command line for every way in which stdout is written."""
    home = ("--home", str(books.desk.home))
    record = books.license(books.customer())
    return {
        "text": (*home, "customer", "list"),
        "json": (*home, "customer", "list", "--json"),
        "csv": (*home, "customer", "list", "--csv"),
        "bytes": (*home, "license", "export", record.id, "-o", "-"),
        "help": ("--help",),
        "help of a command": ("customer", "list", "--help"),
        "version": ("--version",),
        "version and more": ("--version", "--quiet"),
    }


WAYS = (
    *("text", "json", "help", "version"),
    *(
        pytest.param(way, marks=pytest.mark.slow)
        for way in ("csv", "bytes", "help of a command", "version and more")
    ),
)


def journal(argv: tuple[str, ...]) -> str:
    """The command of the hint, with the home that was named."""
    return str(Command((*(argv[:2] if argv[0] == "--home" else ()), "journal", "show")))


@pytest.mark.parametrize("way", WAYS)
def test_a_full_stdout_is_exit_8(commands: dict[str, tuple[str, ...]], way: str) -> None:
    """`> /dev/full`: the reason on stderr."""
    with Path("/dev/full").open("wb") as full:
        code, err = _ended(_start(*commands[way], stdout=full))
    assert code == 8
    assert err == (
        "error: stdout cannot be written: no space left on device\n"
        f"hint: completed changes are kept: {journal(commands[way])}\n"
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_pipe_is_exit_8(commands: dict[str, tuple[str, ...]], way: str) -> None:
    """`| true`: the reader is gone before the first byte, and no message is printed."""
    reader, writer = os.pipe()
    os.close(reader)
    code, err = _ended(_start(*commands[way], stdout=writer))
    os.close(writer)
    assert (code, err) == (8, "")


@pytest.mark.parametrize("way", WAYS)
def test_no_stdout_at_all_is_exit_8(commands: dict[str, tuple[str, ...]], way: str) -> None:
    """`>&-`: the result cannot be printed."""
    process = _start(*commands[way], preexec_fn=lambda: os.close(1))
    code, err = _ended(process)
    assert code == 8
    assert err == (
        "error: stdout cannot be written: it is closed\n"
        f"hint: completed changes are kept: {journal(commands[way])}\n"
    )


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("stdout", ["/dev/full", "/dev/null"])
def test_an_error_keeps_its_exit_whatever_the_streams(
    books: Books, options: tuple[str, ...], stdout: str
) -> None:
    """A full stdout or stderr does not hide that the customer was not found."""
    argv = ("--home", str(books.desk.home), "customer", "show", "zzz", *options)
    with Path(stdout).open("wb") as out, Path("/dev/full").open("wb") as err:
        assert _ended(_start(*argv, stdout=out, stderr=err))[0] == 5
    with Path(stdout).open("wb") as out:
        assert _ended(_start(*argv, stdout=out, preexec_fn=lambda: os.close(2)))[0] == 5


def test_a_json_error_goes_to_stderr_if_stdout_is_full(books: Books) -> None:
    """The error is printed as text, so that it is not lost."""
    argv = ("--home", str(books.desk.home), "customer", "show", "zzz", "--json")
    with Path("/dev/full").open("wb") as full:
        code, err = _ended(_start(*argv, stdout=full))
    assert code == 5
    assert err.startswith("error: ")
    assert "zzz" in err


def test_what_the_encoding_lacks_is_escaped(books: Books) -> None:
    """An arrow and an umlaut reach an ASCII pipe as escapes; the command does not fail."""
    argv = ("--home", str(books.desk.home), "config", "set", "issuer", "Köln")
    env = {**ENVIRON, "PYTHONIOENCODING": "ascii"}
    process = _start(*argv, stdout=subprocess.PIPE, env=env)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == b"issuer: Polygent Ltd \\u2192 K\\xf6ln\n"


def test_ctrl_c_at_a_question_is_exit_130(books: Books) -> None:
    """Nothing was changed, and no traceback is on the screen."""
    record = books.license(books.customer())
    terminal = at_terminal(
        books.desk.home, "license", "retire", record.id, "--reason", "x", "--accept", "clock-behind"
    )
    terminal.expect("retire license")
    press_ctrl_c(terminal)
    code, screen = finish(terminal)
    assert code == 130
    assert "interrupted" in screen
    assert "Traceback" not in screen
    assert books.record(record.id).is_current


def test_the_end_of_input_at_a_question_is_exit_130(books: Books) -> None:
    """Ctrl-D cancels the command."""
    record = books.license(books.customer())
    terminal = at_terminal(
        books.desk.home, "license", "retire", record.id, "--reason", "x", "--accept", "clock-behind"
    )
    terminal.expect("retire license")
    terminal.sendeof()
    code, screen = finish(terminal)
    assert code == 130
    assert "Traceback" not in screen
    assert books.record(record.id).is_current


def test_an_interrupt_while_it_waits_is_exit_130(books: Books) -> None:
    """SIGINT while stdin is read that does not come, as a shell sends it to a pipeline."""
    argv = ("--home", str(books.desk.home), "inspect", "-", "--json")
    process = _start(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    room = fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, 4096)
    os.write(
        process.stdin.fileno(), b"x" * (room + 1)
    )  # returns when the command has begun to read
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b'"code": "interrupted"' in out
    assert err == b""


def _named(books: Books, name: str) -> None:
    """Add Acme under a name that every command would refuse."""
    books.customer()
    with books.writing() as db:
        db.update("customers", 1, name=name)
        customer_names.delete(db, 1)
        customer_names.write(db, 1, name)
        db.record("test", customer="acme")


def test_names_are_shown_literally_off_a_terminal(books: Books) -> None:
    """Markup is data, and escape sequences are escaped: in text and in errors."""
    _named(books, NAME)
    for argv in (("customer", "list"), ("customer", "show", "acme")):
        text = books.desk.ok(*argv).text
        assert SHOWN in text
        assert ESCAPE not in text
    outcome = books.desk.run("customer", "show", "[/red]\x1b[2J")
    assert "[/red]\\x1b[2J\n" in outcome.err
    outcome = books.desk.run("customer", "add", SIMILAR)
    assert SHOWN in outcome.err
    assert ESCAPE not in outcome.err


def test_names_are_shown_literally_in_colour(books: Books) -> None:
    """On a terminal rich draws them, and reads neither markup nor emoji nor escapes in them."""
    _named(books, NAME)
    for argv in (("customer", "list"), ("customer", "show", "acme")):
        code, screen = finish(at_terminal(books.desk.home, *argv, COLUMNS="200"))
        assert code == 0
        assert f"{ESCAPE}[" in screen
        assert SHOWN in screen
        assert f"{ESCAPE}[2J" not in screen
        assert f"{ESCAPE}]0;" not in screen
        assert "\u202e" not in screen
    code, screen = finish(at_terminal(books.desk.home, "customer", "show", "[/red]\x1b[2J"))
    assert code == 5
    assert "[/red]\\x1b[2J" in screen
    risky = ("customer", "add", SIMILAR, "--no-input")
    code, screen = finish(at_terminal(books.desk.home, *risky, COLUMNS="200"))
    assert code == 4
    assert SHOWN in screen
    assert f"{ESCAPE}[2J" not in screen


def test_json_is_ascii(books: Books) -> None:
    """A control character is a JSON escape; the value itself is unchanged."""
    _named(books, NAME)
    outcome = books.desk.ok("customer", "list", "--json")
    assert outcome.out.isascii()
    assert outcome.out.replace(b"\n", b"").decode().isprintable()
    assert outcome.json["customers"][0]["name"] == NAME


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_a_dumb_terminal_get_no_colour(books: Books, environ: dict[str, str]) -> None:
    """Results, errors and help are plain lines."""
    books.customer()
    for argv, code in (
        (("customer", "list"), 0),
        (("customer", "show", "zzz"), 5),
        (("--help",), 0),
    ):
        ended, screen = finish(at_terminal(books.desk.home, *argv, **environ))
        assert ended == code
        assert ESCAPE not in screen
        assert "╭" not in screen


def test_an_empty_no_color_means_colour(books: Books) -> None:
    """NO_COLOR counts only when it is not empty (no-color.org)."""
    screen = finish(at_terminal(books.desk.home, "customer", "show", "no", NO_COLOR=""))[1]
    assert f"{ESCAPE}[1;31merror:" in screen


def test_help_on_a_terminal_is_in_colour_and_panels(books: Books) -> None:
    """The commands under their headings."""
    code, screen = finish(at_terminal(books.desk.home, "--help"))
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    assert plain != screen
    for heading in ("Issue", "Check", "Manage", "Global options"):
        assert f"─ {heading} ─" in plain


def test_a_long_line_can_be_copied_whole(books: Books) -> None:
    """The terminal wraps it: no newline is put into a path or a command."""
    elsewhere = books.desk.folder / ("long" * 50)
    code, screen = finish(at_terminal(books.desk.home, "config", "path", "--home", str(elsewhere)))
    assert code == 7
    assert str(elsewhere) in screen
    elsewhere.mkdir(mode=0o700)
    code, screen = finish(at_terminal(books.desk.home, "config", "path", "--home", str(elsewhere)))
    assert code == 0
    assert screen.strip() == f"{elsewhere}/settings.toml"


def test_only_stdout_decides_about_the_colour_of_results(books: Books) -> None:
    """A result in a file is plain though the person sits at a terminal."""
    books.customer()
    target = books.desk.folder / "list.txt"
    command = f"{sys.executable} -m polygent_issuer --home {books.desk.home} customer list"
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    shell = spawn("/bin/sh", ["-c", f"{command} > {target}"], env=environ)
    assert finish(shell) == (0, "")
    assert target.read_text().startswith("customer  name")
