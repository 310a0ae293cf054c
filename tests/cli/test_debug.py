"""`--debug`: a report for maintainers, without secrets."""

import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk
from support.licenses import Books
from support.screen import at_terminal, finish
from support.secret_search import forms_of, places

import polygent_issuer
from polygent_issuer.cli import errors_boundary
from polygent_issuer.cli.commands import config as of_config
from polygent_issuer.errors import HomeProblem, IssuerError
from polygent_issuer.keys import openssh, passphrases, signer

SECRET = "Löwenzahn & Söhne, 7 Uhr"


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `config path` raise this error."""

    def path(_invocation: object) -> None:
        raise error

    monkeypatch.setattr(of_config, "path", path)


def _chained(lower: BaseException, upper: BaseException, *, hidden: bool = False) -> BaseException:
    try:
        try:
            raise lower  # noqa: TRY301 - it must be raised to be a context
        except BaseException:  # noqa: BLE001 - any error
            if hidden:
                raise upper from None
            raise upper  # noqa: B904 - the test reads its context
    except BaseException as error:  # noqa: BLE001 - any error
        return error


def test_a_report_has_versions_and_a_traceback(books: Books) -> None:
    """After the error come the versions of the tool, Python and libraries, and the traceback."""
    lines = books.desk.run("customer", "show", "initech", "--debug").err.splitlines()
    assert lines[0].startswith("error: ")
    versions = next(line for line in lines if line.startswith("debug: polygent-issue "))
    python = ".".join(map(str, sys.version_info[:3]))
    for part in (polygent_issuer.__version__, f"Python {python}", "SQLite 3.", "cryptography "):
        assert part in versions
    assert "Traceback (most recent call last):" in lines
    assert any("customers.py" in line for line in lines)
    assert lines[-1] == lines[0].replace("error", "polygent_issuer.errors.NotFound")


@pytest.mark.parametrize(
    ("argv", "code", "last"),
    [
        (("--debug", "custmer"), 2, "UsageProblem: no such command 'custmer'"),
        (("custmer", "--debug"), 2, "UsageProblem: no such command 'custmer'"),
        (("config", "path", "--hom", "x", "--debug"), 2, "NoSuchOption: "),
        (("inspect", "/nowhere", "--debug"), 3, "errors.UnreadableInput: cannot read"),
    ],
)
def test_every_error_has_a_report(
    books: Books, argv: tuple[str, ...], code: int, last: str
) -> None:
    """`--debug` works at any place on the line, for wrong usage too."""
    outcome = books.desk.run(*argv)
    assert outcome.code == code
    assert last in outcome.err.splitlines()[-1]
    assert "Traceback" not in books.desk.run(*(word for word in argv if word != "--debug")).err


def test_a_report_has_the_message_of_a_verifier_error(books: Books, tmp_path: Path) -> None:
    """The verifier's errors are the tool's own, so their messages are printed."""
    (tmp_path / "public.pem").write_text("no key")
    argv = ("verify", "-", "--public-key", str(tmp_path / "public.pem"), "--debug")
    outcome = books.desk.run(*argv)
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1].startswith("polygent_issuer.verifier.errors.InvalidKey: ")


def test_a_report_of_a_bug_has_its_context(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is exit 1, and the report has the error that led to it."""
    _raising(monkeypatch, _chained(KeyError("acme"), RuntimeError("half done")))
    outcome = books.desk.run("config", "path", "--debug")
    assert outcome.code == 1
    lines = outcome.err.splitlines()
    assert lines.index("KeyError: 'acme'") < lines.index("RuntimeError: half done")


def test_a_report_does_not_mix_with_json(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--json` the report goes to stderr."""
    _raising(monkeypatch, RuntimeError("x"))
    outcome = books.desk.run("config", "path", "--debug", "--json")
    assert outcome.json["error"]["code"] == "bug"
    assert outcome.err.splitlines()[-1] == "RuntimeError: x"


def test_a_report_of_ctrl_c_shows_the_place(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback of an interrupt is printed, although Typer hides it."""
    _raising(monkeypatch, KeyboardInterrupt())
    outcome = books.desk.run("config", "path", "--debug")
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "KeyboardInterrupt"
    assert "test_debug.py" in outcome.err


def test_a_report_of_ctrl_c_at_a_prompt_shows_the_place(tmp_path: Path) -> None:
    """At a real terminal the exit code is 130, and the traceback names the prompt."""
    child = at_terminal(tmp_path / "home", "init", "--debug", NO_COLOR="1")
    child.expect_exact("[polygent-operator]: ")
    child.kill(signal.SIGINT)
    code, screen = finish(child)
    assert code == 130
    assert "prompts.py" in screen
    assert "KeyboardInterrupt" in screen


def test_foreign_characters_are_escaped(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters and line breaks in messages and names are escaped."""
    _raising(monkeypatch, RuntimeError("a\x1b[2J\u202eb\nTraceback: forged"))
    err = books.desk.run("config", "path", "--debug").err
    assert "RuntimeError: a\\x1b[2J\\u202eb\\x0aTraceback: forged" in err.splitlines()
    odd = books.desk.run("customer", "show", "x\x1b[2J", "--debug").err
    assert "\x1b" not in odd


def test_a_report_has_no_values_of_variables(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report contains neither local variables nor the environment."""

    def path(_invocation: object) -> None:
        local = f"{SECRET}!"
        raise RuntimeError(len(local))

    monkeypatch.setattr(of_config, "path", path)
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    books.desk.environ["SOME_TOKEN"] = SECRET
    err = books.desk.run("config", "path", "--debug").err
    assert "RuntimeError" in err
    assert places({"err": err.encode()}, forms_of(SECRET.encode())) == set()


def _loader(_data: bytes, passphrase: bytes | None) -> None:
    raise ValueError(f"cannot decrypt with {passphrase!r}")


def _reader(secret: bytes) -> bytes:
    raise RuntimeError(f"unusable: {secret!r}")


def _plant(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Make a library or a bug put the secret into its message."""
    if where == "loader":
        monkeypatch.setattr(openssh, "load_ssh_private_key", _loader)
    elif where == "reader":
        monkeypatch.setattr(passphrases, "_usable", _reader)


@pytest.mark.parametrize(("where", "code"), [("loader", 6), ("reader", 1), ("nothing", 0)])
def test_a_secret_in_a_message_is_left_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, where: str, code: int
) -> None:
    """A library's message is left out where a passphrase is in use; the place is printed."""
    _plant(monkeypatch, where)
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "--debug")
    assert outcome.code == code
    assert places({"err": outcome.err.encode()}, forms_of(PASSPHRASE.encode())) == set()
    assert ("/keys/" in outcome.err) == bool(code)
    assert ("RuntimeError: (message left out)" in outcome.err) == (where == "reader")


def test_a_report_has_no_passphrase(desk: Desk) -> None:
    """Neither the wrong nor the right passphrase is printed."""
    desk.passphrase_file.write_text(f"{SECRET}\n")
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "--debug")
    assert outcome.code == 6
    assert "Traceback" in outcome.err
    for secret in (SECRET, PASSPHRASE):
        assert places({"err": outcome.err.encode()}, forms_of(secret.encode())) == set()


def test_a_message_of_a_keyring_is_left_out() -> None:
    """A keyring's message is left out, also when it comes from another thread."""

    def call() -> None:
        raise OSError(5, f"denied {SECRET}")

    with pytest.raises(OSError, match="denied") as raised:
        signer.run_with_timeout(timedelta(seconds=60), call)
    lines = list(errors_boundary.debug_report(raised.value))
    assert lines[-1] == "OSError: EIO (message left out)"
    assert SECRET not in "\n".join(lines)


def test_the_message_of_a_suppressed_error_is_left_out() -> None:
    """After `from None` a report has the error's type and place, without its message."""
    lower = _chained(ValueError(SECRET), OSError(2, "x", SECRET))
    lines = list(errors_boundary.debug_report(_chained(lower, IssuerError("refused"), hidden=True)))
    messages = [line for line in lines if not line.startswith((" ", "Traceback", "debug"))]
    assert messages == [
        "ValueError: (message left out)",
        "FileNotFoundError: ENOENT (message left out)",
        "polygent_issuer.errors.IssuerError: refused",
    ]


def test_the_message_of_an_explicit_cause_is_printed() -> None:
    """After `from error` a report has the cause's message; a cycle of causes ends."""
    upper = HomeProblem("no")
    upper.__cause__ = OSError(28, "No space left on device")
    upper.__cause__.__context__ = upper
    messages = [
        line for line in errors_boundary.debug_report(upper) if not line.startswith("debug")
    ]
    assert "OSError: [Errno 28] No space left on device" in messages
    assert messages[-1] == "polygent_issuer.errors.HomeProblem: no"


@pytest.fixture
def closed_stderr() -> Iterator[None]:
    """Replace stderr by a closed file."""
    before = sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as closed:
        sys.stderr = closed
    yield
    sys.stderr = before


@pytest.mark.usefixtures("closed_stderr")
def test_a_closed_stderr_raises_no_further_error() -> None:
    """A report on a closed stderr is dropped silently."""
    errors_boundary.write_debug_report(RuntimeError("x"))
