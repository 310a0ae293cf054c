"""The command line itself: options everywhere, errors in one form, help without imports."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.cli import Desk, Outcome
from support.licenses import Books

import polygent_issuer
from polygent_issuer.cli.commands import COMMANDS, Entry
from polygent_issuer.cli.commands.config import path as path_command
from polygent_issuer.cli.main import load
from polygent_issuer.errors import IssuerError
from polygent_issuer.findings import ConsentNeeded, Finding, FindingCode
from polygent_issuer.verifier import InvalidKey


def _commands(entry: Entry, *above: str) -> Iterator[tuple[str, ...]]:
    for child in entry.entries:
        if child.entries:
            yield from _commands(child, *above, child.name)
        else:
            yield (*above, child.name)


EVERY_COMMAND = tuple(_commands(COMMANDS))
GROUPS = tuple((entry.name,) for entry in COMMANDS.entries if entry.entries)
GLOBAL = ("--home DIR", "--json", "--quiet", "--no-input", "--debug")


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `config path` end so."""

    def path(_invocation: object) -> None:
        raise error

    monkeypatch.setattr(path_command, "path", path)


@pytest.mark.parametrize(
    "argv",
    [
        ("--json", "config", "path"),
        ("config", "--json", "path"),
        ("config", "path", "--json"),
        ("--json", "config", "--json", "path", "--json"),
    ],
)
def test_global_options_work_on_both_sides(books: Books, argv: tuple[str, ...]) -> None:
    """Before the command, within a group, after the command."""
    assert "path" in books.desk.ok(*argv).json


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_last_home_counts(books: Books, at: int) -> None:
    """A `--home` after the command overrides one before it, wherever it stands."""
    argv = ["config", "path"]
    argv[at:at] = ["--home", str(books.desk.folder / "nowhere")]
    assert books.desk.run(*argv).code == 7


def test_the_home_is_also_a_variable(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """POLYGENT_ISSUER_HOME, unless the option says otherwise."""
    elsewhere = str(books.desk.folder / "nowhere")
    books.desk.environ["POLYGENT_ISSUER_HOME"] = elsewhere
    assert books.desk.run("config", "path").code == 0
    monkeypatch.setenv("POLYGENT_ISSUER_HOME", str(books.desk.home))
    told = _process("config", "path", "--json")
    assert json.loads(told.stdout)["path"].startswith(str(books.desk.home))


def test_quiet_leaves_out_warnings_and_nothing_else(books: Books) -> None:
    """The result and the exit code stay; errors are still said."""
    books.desk.home.chmod(0o755)
    assert "warning: " in books.desk.ok("config", "path").err
    quiet = books.desk.ok("config", "path", "--quiet")
    assert (quiet.err, quiet.text) == ("", books.desk.ok("config", "path").text)
    assert "error: " in books.desk.run("customer", "show", "nobody", "--quiet").err


def test_warnings_never_reach_stdout(books: Books) -> None:
    """Under --json too they go to stderr, as text."""
    books.desk.home.chmod(0o755)
    outcome = books.desk.ok("config", "path", "--json")
    assert "path" in outcome.json
    assert outcome.err.startswith("warning: ")


def test_an_error_is_said_once_for_people(books: Books) -> None:
    """`error:` and `hint:` on stderr, nothing on stdout."""
    outcome = books.desk.run("customer", "show", "nobody")
    assert outcome.out == b""
    assert outcome.err == (
        "error: there is no customer nobody\nhint: polygent-issue customer list\n"
    )


def test_an_error_is_one_json_object(books: Books) -> None:
    """On stdout, with its exit code; stderr is silent."""
    outcome = books.desk.run("customer", "show", "nobody", "--json")
    assert outcome.err == ""
    assert outcome.json == {
        "schema": "polygent-issue/1",
        "error": {
            "code": "not_found",
            "message": "there is no customer nobody",
            "hint": "polygent-issue customer list",
            "argv": [*books.desk.argv, "customer", "list"],
            "exit_code": 5,
        },
    }
    assert outcome.code == 5


def test_findings_are_members_of_the_error(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program need not read codes out of the message; other errors have no findings."""
    late = Finding(code=FindingCode.NOT_DUE, message="too early", hint="wait")
    loss = Finding(code=FindingCode.ENTITLEMENT_LOSS, message="fewer users")
    _raising(monkeypatch, ConsentNeeded((late, loss)))
    outcome = books.desk.run("config", "path", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (4, "consent_needed")
    assert outcome.json["error"]["findings"] == [
        {"code": "not-due", "message": "too early", "hint": "wait"},
        {"code": "entitlement-loss", "message": "fewer users", "hint": None},
    ]


def _usage(outcome: Outcome) -> dict[str, Any]:
    error: dict[str, Any] = outcome.json["error"]
    assert (outcome.code, error["code"], error["exit_code"]) == (2, "usage", 2)
    assert outcome.err == ""
    message: str = error["message"]
    assert message[0].islower()
    assert message[-1] != "."
    return error


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (("custmer",), "'custmer'", "did you mean customer? or polygent-issue --help"),
        (("config", "pth"), "'pth'", "did you mean path? or polygent-issue config --help"),
        (("customer",), "missing command", "polygent-issue customer --help"),
        (("config", "path", "--hom", "x"), "--hom", "did you mean --home? or "),
        (("license", "list", "--custmer", "x"), "--custmer", "did you mean --customer? or "),
        (("config", "path", "more"), "unexpected extra argument", "config path --help"),
        (("renew", "acme", "--usres", "5"), "--usres", "did you mean --users? or "),
        (("license", "list", "--tier", "x"), "'x' is not one of", "license list --help"),
        (("license", "list", "--status", "curent"), "'curent'", "did you mean current? or "),
        (("key", "export-public", "--format", "jwk"), "'jwk'", "did you mean jwks? or "),
        (("completion",), "missing argument 'SHELL': bash, zsh, fish", "completion --help"),
        (("completion", "zhs"), "'zhs'", "did you mean zsh? or "),
        (("license", "list", "--status=curent"), "'curent'", "did you mean current? or "),
        (("license", "show"), "missing argument 'LICENSE'", "license show --help"),
        (("xyzzy",), "no such command 'xyzzy'", "polygent-issue --help"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_wrong_usage_is_an_error_like_others(
    empty_desk: Desk, argv: tuple[str, ...], message: str, hint: str, *, before: bool
) -> None:
    """Exit 2, JSON where it was asked for, and what was probably meant."""
    error = _usage(empty_desk.run(*(("--json", *argv) if before else (*argv, "--json"))))
    assert message in error["message"]
    assert "did you mean" not in error["message"].lower()
    assert hint in error["hint"]


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (("apply", "--expect"), "apply"),
        (("license", "list", "--tier"), "license list"),
        (("config", "--home"), "config"),
    ],
)
def test_an_option_without_its_value(empty_desk: Desk, argv: tuple[str, ...], command: str) -> None:
    """The hint is the help of the command that was typed."""
    error = _usage(empty_desk.run("--json", *argv))
    assert "requires an argument" in error["message"]
    assert error["hint"] == f"polygent-issue {command} --help"


@pytest.mark.parametrize("argv", [("customer", "list"), ("expiring",), ("config", "path")])
def test_a_mistyped_home_starts_nothing(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """Exit 7 and `init`; no folder appears."""
    outcome = empty_desk.run(*argv)
    assert outcome.code == 7
    assert "hint: polygent-issue init" in outcome.err
    assert list(empty_desk.folder.iterdir()) == []


def test_a_bug_shows_no_traceback_and_no_content(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, where it happened, and how to see more; what the exception says stays unsaid."""
    _raising(monkeypatch, RuntimeError("the passphrase"))
    outcome = books.desk.run("config", "path")
    assert outcome.code == 1
    assert "RuntimeError at test_main.py:" in outcome.err
    assert "--debug" in outcome.err
    assert "Traceback" not in outcome.err
    assert "the passphrase" not in outcome.err
    told = books.desk.run("config", "path", "--json")
    assert (told.code, told.json["error"]["code"], told.err) == (1, "bug", "")
    debug = books.desk.run("config", "path", "--debug")
    assert debug.code == 1
    assert "Traceback" in debug.err


def test_debug_shows_where_an_error_was_raised(books: Books) -> None:
    """After the error itself; without it there is none."""
    assert "Traceback" not in books.desk.run("customer", "show", "nobody").err
    err = books.desk.run("customer", "show", "nobody", "--debug").err
    assert err.startswith("error: ")
    assert "Traceback" in err


class _Odd(IssuerError):
    code = "odd"


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (_Odd("x"), 1, "odd"),
        (InvalidKey("x", hint="y"), 3, "invalid_key"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "interrupted"),
        (EOFError(), 130, "interrupted"),
        (OSError(5, "Input/output error"), 1, "bug"),
        (BrokenPipeError(32, "Broken pipe"), 1, "bug"),
        (RecursionError(), 1, "bug"),
    ],
)
def test_whatever_ends_a_command_has_its_exit(
    books: Books, monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int, code: str
) -> None:
    """Nothing foreign is raised; an error of the disk is not taken for one of stdout."""
    _raising(monkeypatch, error)
    outcome = books.desk.run("config", "path", "--json")
    assert outcome.code == exit_code
    assert outcome.json["error"]["code"] == code


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("argv", [(), *GROUPS])
def test_help_lists_the_commands(empty_desk: Desk, argv: tuple[str, ...], flag: str) -> None:
    """Every entry with its line, and the global options; no home is needed."""
    text = empty_desk.ok(*argv, flag).text
    entries = next((e.entries for e in COMMANDS.entries if (e.name,) == argv), COMMANDS.entries)
    for entry in entries:
        assert any(line.split()[:1] == [entry.name] for line in text.splitlines())
        assert entry.help in text
    assert all(option in text for option in GLOBAL)
    assert "\x1b" not in text


def test_no_arguments_show_help() -> None:
    """The same as `--help`, exit 0."""
    bare, asked = _process(), _process("--help")
    assert bare.returncode == 0
    assert bare.stdout == asked.stdout
    assert b"Commands:" in bare.stdout


@pytest.mark.parametrize("argv", GROUPS)
def test_a_group_without_a_command_shows_its_help(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """Exit 0, with and without global options; a program gets an error and no help."""
    asked = empty_desk.ok(*argv, "--help")
    for options in ((), ("--quiet",)):
        bare = empty_desk.ok(*argv, *options)
        assert (bare.text, bare.err) == (asked.text, "")
    assert "missing command" in _usage(empty_desk.run(*argv, "--json"))["message"]


@pytest.mark.parametrize("argv", EVERY_COMMAND, ids=" ".join)
def test_every_command_has_help(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """Each resolves, is described by a sentence, and takes the global options."""
    text = empty_desk.ok(*argv, "-h").text
    assert text.startswith(f"Usage: polygent-issue {' '.join(argv)} ")
    assert text.splitlines()[2].strip()
    assert all(option in text for option in GLOBAL)


@pytest.mark.slow
def test_help_does_not_depend_on_docstrings() -> None:
    """With PYTHONOPTIMIZE=2, which drops them, every command has the same help."""
    lines = [list(argv) for argv in ((), *GROUPS, *EVERY_COMMAND)]
    program = (
        "from polygent_issuer.cli.main import run\n"
        f"codes = [run([*argv, '--help']) for argv in {lines!r}]\n"
        "raise SystemExit(max(codes))"
    )
    plain, optimized = (
        subprocess.run(
            [sys.executable, *flags, "-c", program], capture_output=True, check=True, text=True
        ).stdout
        for flags in ((), ("-OO",))
    )
    assert optimized.splitlines() == plain.splitlines()
    assert plain.count("Usage: polygent-issue") == len(lines)


def test_help_without_docstring_and_source_is_the_line_of_the_table() -> None:
    """A build of compiled files alone, with PYTHONOPTIMIZE=2."""
    namespace: dict[str, Callable[..., None]] = {}
    exec("def path(_invocation: object) -> None: ...", namespace)  # noqa: S102 - no source
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_command, "path", namespace["path"])
        entry = next(entry for entry in COMMANDS.entries if entry.name == "config")
        [path] = [each for each in entry.entries if each.name == "path"]
        assert load(path, None).help == path.help


@pytest.mark.parametrize("argv", [("--help",), (), ("customer", "-h"), ("key", "--help")])
def test_listing_imports_no_command(argv: tuple[str, ...]) -> None:
    """Help reads the table alone: neither a command's module nor anything heavy."""
    program = (
        "import sys\n"
        "from polygent_issuer.cli.main import run\n"
        f"run({list(argv)!r})\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    bare = {"PATH": os.environ["PATH"]}  # measuring coverage imports modules of its own
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=bare)
    loaded = set(done.stderr.split())
    targets = {e.target for group in COMMANDS.entries for e in (group, *group.entries)}
    modules = {
        f"polygent_issuer.cli.commands.{target.partition(':')[0]}" for target in targets if target
    }
    heavy = {"rich", "pydantic", "keyring", "tomlkit", "sqlite3", "cryptography", "platformdirs"}
    assert not loaded & (modules | heavy)


@pytest.mark.parametrize("command", ["sign", "renew", "reissue", "verify", "sandbox", "doctor"])
def test_help_imports_options_alone(command: str) -> None:
    """Neither what the command does nor what it reads."""
    program = (
        "import sys\n"
        "from polygent_issuer.cli.main import run\n"
        f"run([{command!r}, '--help'])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    bare = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, env=bare
    )
    below = {"home", "registry", "verifier", "terms", "issuing", "files", "findings"}
    ours = {
        name.split(".")[1] for name in done.stderr.split() if name.startswith("polygent_issuer.")
    }
    assert "cli" in ours
    assert not ours & below
    assert not set(done.stderr.split()) & {"rich", "json", "pickle", "tempfile"}


@pytest.mark.parametrize("argv", [("customer", "list"), ("journal", "show")])
def test_lists_of_what_is_no_license_import_no_cryptography(
    books: Books, argv: tuple[str, ...]
) -> None:
    """They judge no signature, and it would make up a third of their time."""
    program = (
        "import sys\n"
        "from polygent_issuer.cli.main import run\n"
        f"run({[*argv, '--home', str(books.desk.home)]!r})\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    bare = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=bare)
    loaded = set(done.stderr.split())
    assert "polygent_issuer.registry" in loaded
    assert not loaded & {"cryptography", "polygent_issuer.verifier", "pydantic", "keyring"}


def test_the_version_is_said(empty_desk: Desk) -> None:
    """Alone, and beside other options."""
    expected = f"polygent-issue {polygent_issuer.__version__}\n"
    assert _process("--version").stdout.decode() == expected
    assert empty_desk.ok("--version").text == expected


def _process(*argv: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "polygent_issuer", *argv]
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)


def test_the_installed_command_is_the_same() -> None:
    """`polygent-issue` beside this Python."""
    script = Path(sys.executable).with_name("polygent-issue")
    done = subprocess.run([script, "--version"], capture_output=True, check=True)
    assert done.stdout == _process("--version").stdout
