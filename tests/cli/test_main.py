"""The command line: global options, the form of errors, and help without imports."""

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
from polygent_issuer.cli.commands import config as of_config
from polygent_issuer.cli.main import load
from polygent_issuer.errors import IssuerError, NotFound
from polygent_issuer.findings import ConsentNeeded, Finding, FindingCode
from polygent_issuer.text import run
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
    """Make `config path` raise this error."""

    def path(_invocation: object) -> None:
        raise error

    monkeypatch.setattr(of_config, "path", path)


@pytest.mark.parametrize(
    "argv",
    [
        ("--json", "config", "path"),
        ("config", "--json", "path"),
        ("config", "path", "--json"),
        ("--json", "config", "--json", "path", "--json"),
    ],
)
def test_global_options_work_before_and_after_the_command(
    books: Books, argv: tuple[str, ...]
) -> None:
    """A global option works before the group, before the command and after it."""
    assert "path" in books.desk.ok(*argv).json


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_last_option_home_takes_precedence(books: Books, at: int) -> None:
    """A later `--home` overrides an earlier one, at any place on the line."""
    argv = ["config", "path"]
    argv[at:at] = ["--home", str(books.desk.folder / "nowhere")]
    assert books.desk.run(*argv).code == 7


def test_the_home_can_be_set_by_a_variable(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """`POLYGENT_ISSUER_HOME` names the home, unless `--home` overrides it."""
    elsewhere = str(books.desk.folder / "nowhere")
    books.desk.environ["POLYGENT_ISSUER_HOME"] = elsewhere
    assert books.desk.run("config", "path").code == 0
    monkeypatch.setenv("POLYGENT_ISSUER_HOME", str(books.desk.home))
    done = _process("config", "path", "--json")
    assert json.loads(done.stdout)["path"].startswith(str(books.desk.home))


def test_quiet_suppresses_warnings_only(books: Books) -> None:
    """`--quiet` changes neither the result nor the exit code, and errors are printed."""
    books.desk.home.chmod(0o755)
    assert "warning: " in books.desk.ok("config", "path").err
    quiet = books.desk.ok("config", "path", "--quiet")
    assert (quiet.err, quiet.text) == ("", books.desk.ok("config", "path").text)
    assert "error: " in books.desk.run("customer", "show", "nobody", "--quiet").err


def test_warnings_go_to_stderr(books: Books) -> None:
    """With `--json` warnings are text on stderr, too."""
    books.desk.home.chmod(0o755)
    outcome = books.desk.ok("config", "path", "--json")
    assert "path" in outcome.json
    assert outcome.err.startswith("warning: ")


def test_an_error_is_text_on_stderr(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is `error:` and `hint:` on stderr, with nothing on stdout."""
    _raising(monkeypatch, NotFound("no such thing", hint=run("customer", "list")))
    outcome = books.desk.run("config", "path")
    assert outcome.out == b""
    assert outcome.err == "error: no such thing\nhint: polygent-issue customer list\n"


def test_an_error_is_one_json_object(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--json` an error is an object on stdout with its exit code; stderr is empty."""
    _raising(monkeypatch, NotFound("no such thing", hint=run("customer", "list")))
    outcome = books.desk.run("config", "path", "--json")
    assert outcome.err == ""
    assert outcome.json == {
        "schema": "polygent-issue/1",
        "error": {
            "code": "not_found",
            "message": "no such thing",
            "hint": "polygent-issue customer list",
            "argv": [*books.desk.argv, "customer", "list"],
            "exit_code": 5,
        },
    }
    assert outcome.code == 5


def test_findings_are_members_of_the_error(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON of `consent_needed` lists the findings with their codes."""
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
        (("sandbox", "--port", "x"), "'--port': not a whole number: x", "sandbox --help"),
        (("sandbox", "--port", "65536"), "must be 0 to 65535, not 65536", "sandbox --help"),
        (("journal", "show", "--after", "-1"), "must be 0 or more, not -1", "journal show --help"),
        (("sign", "--passphrase-fd", "x"), "not a whole number: x", "sign --help"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_wrong_usage_is_an_error_with_a_suggestion(
    empty_desk: Desk, argv: tuple[str, ...], message: str, hint: str, *, before: bool
) -> None:
    """Wrong usage is exit 2, JSON with `--json`, and its hint suggests what was meant."""
    error = _usage(empty_desk.run(*(("--json", *argv) if before else (*argv, "--json"))))
    assert message in error["message"]
    assert "did you mean" not in error["message"].lower()
    assert hint in error["hint"]


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (("key", "backup", "--to", "x"), "key backup"),
        (("expiring", "--unsent"), "expiring"),
        (("expiring", "--x"), "expiring"),
    ],
)
def test_an_option_that_is_like_no_other_has_no_suggestion(
    empty_desk: Desk, argv: tuple[str, ...], command: str
) -> None:
    """The two hyphens that all options begin with do not make them similar."""
    error = _usage(empty_desk.run("--json", *argv))
    assert error["hint"] == f"polygent-issue {command} --help"


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (("apply", "--expect"), "apply"),
        (("license", "list", "--tier"), "license list"),
        (("config", "--home"), "config"),
    ],
)
def test_an_option_without_its_value_is_wrong_usage(
    empty_desk: Desk, argv: tuple[str, ...], command: str
) -> None:
    """The hint is the help of the command on the line."""
    error = _usage(empty_desk.run("--json", *argv))
    assert "requires an argument" in error["message"]
    assert error["hint"] == f"polygent-issue {command} --help"


@pytest.mark.parametrize("argv", [("customer", "list"), ("expiring",), ("config", "path")])
def test_a_missing_home_is_not_created(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """A missing home is exit 7 with the hint `init`, and no folder is created."""
    outcome = empty_desk.run(*argv)
    assert outcome.code == 7
    assert "hint: polygent-issue init" in outcome.err
    assert list(empty_desk.folder.iterdir()) == []


def test_a_bug_shows_no_traceback_and_no_content(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is exit 1 with its place and `--debug`; the exception's message is not printed."""
    _raising(monkeypatch, RuntimeError("the passphrase"))
    outcome = books.desk.run("config", "path")
    assert outcome.code == 1
    assert "RuntimeError at test_main.py:" in outcome.err
    assert "--debug" in outcome.err
    assert "Traceback" not in outcome.err
    assert "the passphrase" not in outcome.err
    as_json = books.desk.run("config", "path", "--json")
    assert (as_json.code, as_json.json["error"]["code"], as_json.err) == (1, "bug", "")
    debug = books.desk.run("config", "path", "--debug")
    assert debug.code == 1
    assert "Traceback" in debug.err


def test_debug_prints_a_traceback_after_the_error(books: Books) -> None:
    """A traceback is printed with `--debug` only."""
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
def test_every_exception_has_an_exit_code(
    books: Books, monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int, code: str
) -> None:
    """No exception escapes; an OSError of a command is not mistaken for one of stdout."""
    _raising(monkeypatch, error)
    outcome = books.desk.run("config", "path", "--json")
    assert outcome.code == exit_code
    assert outcome.json["error"]["code"] == code


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("argv", [(), *GROUPS])
def test_help_of_a_group_lists_its_commands(
    empty_desk: Desk, argv: tuple[str, ...], flag: str
) -> None:
    """Help lists each command with its summary, and the global options, without a home."""
    text = empty_desk.ok(*argv, flag).text
    entries = next((e.entries for e in COMMANDS.entries if (e.name,) == argv), COMMANDS.entries)
    for entry in entries:
        assert any(line.split()[:1] == [entry.name] for line in text.splitlines())
        assert entry.help in text
    assert all(option in text for option in GLOBAL)
    assert "\x1b" not in text


def test_no_arguments_print_help() -> None:
    """The command without arguments prints the help and is exit 0."""
    bare, full = _process(), _process("--help")
    assert bare.returncode == 0
    assert bare.stdout == full.stdout
    assert b"Commands:" in bare.stdout


@pytest.mark.parametrize("argv", GROUPS)
def test_a_group_without_a_command_prints_its_help(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """A group alone prints its help and is exit 0; with `--json` it is an error."""
    full = empty_desk.ok(*argv, "--help")
    for options in ((), ("--quiet",)):
        bare = empty_desk.ok(*argv, *options)
        assert (bare.text, bare.err) == (full.text, "")
    assert "missing command" in _usage(empty_desk.run(*argv, "--json"))["message"]


@pytest.mark.parametrize("argv", EVERY_COMMAND, ids=" ".join)
def test_every_command_has_help(empty_desk: Desk, argv: tuple[str, ...]) -> None:
    """The help of each command has a summary and the global options."""
    text = empty_desk.ok(*argv, "-h").text
    assert text.startswith(f"Usage: polygent-issue {' '.join(argv)} ")
    assert text.splitlines()[2].strip()
    assert all(option in text for option in GLOBAL)


@pytest.mark.slow
def test_help_does_not_depend_on_docstrings() -> None:
    """With PYTHONOPTIMIZE=2, which removes docstrings, each command has the same help."""
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


def test_help_without_docstring_and_source_is_the_summary() -> None:
    """A build of compiled files with PYTHONOPTIMIZE=2 has the summaries of the table."""
    namespace: dict[str, Callable[..., None]] = {}
    exec("def path(_invocation: object) -> None: ...", namespace)  # noqa: S102 - no source
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_config, "path", namespace["path"])
        entry = next(entry for entry in COMMANDS.entries if entry.name == "config")
        [path] = [each for each in entry.entries if each.name == "path"]
        assert load(path, None).help == path.help


@pytest.mark.parametrize("argv", [("--help",), (), ("customer", "-h"), ("key", "--help")])
def test_help_of_a_group_imports_no_command(argv: tuple[str, ...]) -> None:
    """Help of a group imports neither the commands nor a large library."""
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
def test_help_of_a_command_imports_only_its_options(command: str) -> None:
    """Help of a command does not import the rooms below the command line."""
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


@pytest.mark.sqlite("a team's settings are loaded")
@pytest.mark.parametrize("argv", [("customer", "list"), ("journal", "show")])
def test_lists_without_licenses_do_not_import_cryptography(
    books: Books, argv: tuple[str, ...]
) -> None:
    """These lists verify no signature, and the import would take a third of their time.

    Nor do they read the id of the home, which only pending files need.
    """
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
    assert not loaded & {"polygent_issuer.home.home_id", "polygent_issuer.registry.change"}


def test_verify_with_a_public_key_does_not_import_the_registry() -> None:
    """It opens none, and the import would take a tenth of its time."""
    example = Path(__file__).parents[2] / "keys.example"
    files = [str(example / "example.lic"), "--public-key", str(example / "public.pem")]
    program = (
        "import sys\n"
        "from polygent_issuer.cli.main import run\n"
        f"run({['verify', *files]!r})\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    bare = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=bare)
    assert "accepted" in done.stdout
    loaded = set(done.stderr.split())
    assert not loaded & {"sqlite3", "polygent_issuer.registry", "pydantic", "keyring", "rich"}


def test_the_version_is_printed(empty_desk: Desk) -> None:
    """`--version` works with and without other options."""
    expected = f"polygent-issue {polygent_issuer.__version__}\n"
    assert _process("--version").stdout.decode() == expected
    assert empty_desk.ok("--version").text == expected


def _process(*argv: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "polygent_issuer", *argv]
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)


def test_the_installed_command_runs_this_package() -> None:
    """`polygent-issue` in the folder of this Python prints the same version."""
    script = Path(sys.executable).with_name("polygent-issue")
    done = subprocess.run([script, "--version"], capture_output=True, check=True)
    assert done.stdout == _process("--version").stdout
