"""`--debug`: what a maintainer needs, and nothing that must not leave the operator's desk."""

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
from support.searching import forms_of, places

import polygent_issuer
from polygent_issuer.cli import debug
from polygent_issuer.cli.commands.config import path as path_command
from polygent_issuer.errors import HomeProblem, IssuerError
from polygent_issuer.keys import file_store, passphrases, signer

SECRET = "Löwenzahn & Söhne, 7 Uhr"


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let `config path` end so."""

    def path(_invocation: object) -> None:
        raise error

    monkeypatch.setattr(path_command, "path", path)


def _led_to(lower: BaseException, upper: BaseException, *, hidden: bool = False) -> BaseException:
    try:
        try:
            raise lower  # noqa: TRY301 - that it is raised is what matters
        except BaseException:  # noqa: BLE001 - whatever it is
            if hidden:
                raise upper from None
            raise upper  # noqa: B904 - it is its context that is looked at
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error


def test_versions_and_where_it_was_raised(books: Books) -> None:
    """After the error itself: of the tool, of what it runs on, of its libraries."""
    lines = books.desk.run("customer", "show", "nobody", "--debug").err.splitlines()
    assert lines[0] == "error: there is no customer nobody"
    versions = next(line for line in lines if line.startswith("debug: polygent-issue "))
    python = ".".join(map(str, sys.version_info[:3]))
    for part in (polygent_issuer.__version__, f"Python {python}", "SQLite 3.", "cryptography "):
        assert part in versions
    assert "Traceback (most recent call last):" in lines
    assert any("customers.py" in line for line in lines)
    assert lines[-1] == "polygent_issuer.errors.NotFound: there is no customer nobody"


@pytest.mark.parametrize(
    ("argv", "code", "last"),
    [
        (("--debug", "custmer"), 2, "UsageProblem: no such command 'custmer'"),
        (("custmer", "--debug"), 2, "UsageProblem: no such command 'custmer'"),
        (("config", "path", "--hom", "x", "--debug"), 2, "NoSuchOption: "),
        (("inspect", "/nowhere", "--debug"), 3, "errors.UnreadableInput: cannot read"),
    ],
)
def test_any_error_has_a_report(books: Books, argv: tuple[str, ...], code: int, last: str) -> None:
    """Wherever `--debug` stands, wrong usage included."""
    outcome = books.desk.run(*argv)
    assert outcome.code == code
    assert last in outcome.err.splitlines()[-1]
    assert "Traceback" not in books.desk.run(*(word for word in argv if word != "--debug")).err


def test_an_error_of_the_verifier(books: Books, tmp_path: Path) -> None:
    """It is ours, so its message is told."""
    (tmp_path / "public.pem").write_text("no key")
    argv = ("verify", "-", "--public-key", str(tmp_path / "public.pem"), "--debug")
    outcome = books.desk.run(*argv)
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1].startswith("polygent_issuer.verifier.errors.InvalidKey: ")


def test_a_bug(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1, with what led to it."""
    _raising(monkeypatch, _led_to(KeyError("acme"), RuntimeError("half done")))
    outcome = books.desk.run("config", "path", "--debug")
    assert outcome.code == 1
    lines = outcome.err.splitlines()
    assert lines.index("KeyError: 'acme'") < lines.index("RuntimeError: half done")


def test_stdout_is_json_alone(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report goes to stderr."""
    _raising(monkeypatch, RuntimeError("x"))
    outcome = books.desk.run("config", "path", "--debug", "--json")
    assert outcome.json["error"]["code"] == "bug"
    assert outcome.err.splitlines()[-1] == "RuntimeError: x"


def test_ctrl_c_shows_where(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command was doing; Typer keeps it to itself."""
    _raising(monkeypatch, KeyboardInterrupt())
    outcome = books.desk.run("config", "path", "--debug")
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "KeyboardInterrupt"
    assert "test_debug.py" in outcome.err


def test_ctrl_c_at_a_question(tmp_path: Path) -> None:
    """At a real terminal: exit 130, and the question's place."""
    child = at_terminal(tmp_path / "home", "init", "--debug", NO_COLOR="1")
    child.expect_exact("who issues?")
    child.kill(signal.SIGINT)
    code, screen = finish(child)
    assert code == 130
    assert "prompts.py" in screen
    assert "KeyboardInterrupt" in screen


def test_foreign_characters_are_escaped(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of messages, names and source lines: nothing steers the terminal, nothing begins a line."""
    _raising(monkeypatch, RuntimeError("a\x1b[2J\u202eb\nTraceback: forged"))
    err = books.desk.run("config", "path", "--debug").err
    assert "RuntimeError: a\\x1b[2J\\u202eb\\x0aTraceback: forged" in err.splitlines()
    odd = books.desk.run("customer", "show", "x\x1b[2J", "--debug").err
    assert "\x1b" not in odd


def test_neither_environment_nor_variables(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are not what a report is of."""

    def path(_invocation: object) -> None:
        local = f"{SECRET}!"
        raise RuntimeError(len(local))

    monkeypatch.setattr(path_command, "path", path)
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
    """Libraries and bugs that put the secret into their message."""
    if where == "loader":
        monkeypatch.setattr(file_store, "load_ssh_private_key", _loader)
    elif where == "reader":
        monkeypatch.setattr(passphrases, "_usable", _reader)


@pytest.mark.parametrize(("where", "code"), [("loader", 6), ("reader", 1), ("nothing", 0)])
def test_a_secret_in_a_message_is_left_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, where: str, code: int
) -> None:
    """Whatever a library says while a passphrase is at hand; the place is told all the same."""
    _plant(monkeypatch, where)
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "--debug")
    assert outcome.code == code
    assert places({"err": outcome.err.encode()}, forms_of(PASSPHRASE.encode())) == set()
    assert ("/keys/" in outcome.err) == bool(code)
    assert ("RuntimeError: (its message is left out)" in outcome.err) == (where == "reader")


def test_a_wrong_passphrase(desk: Desk) -> None:
    """Neither the wrong one nor the right one."""
    desk.passphrase_file.write_text(f"{SECRET}\n")
    outcome = desk.run("sign", "--machine-info", desk.machine_info(), "--debug")
    assert outcome.code == 6
    assert "Traceback" in outcome.err
    for secret in (SECRET, PASSPHRASE):
        assert places({"err": outcome.err.encode()}, forms_of(secret.encode())) == set()


def test_a_keyring_s_words_are_left_out() -> None:
    """Also from the thread in which a keyring is asked."""

    def call() -> None:
        raise OSError(5, f"said {SECRET}")

    with pytest.raises(OSError, match="said") as raised:
        signer.run_with_timeout(timedelta(seconds=60), call)
    lines = list(debug.report(raised.value))
    assert lines[-1] == "OSError: EIO (its message is left out)"
    assert SECRET not in "\n".join(lines)


def test_what_was_hidden_on_purpose_stays_so() -> None:
    """`from None`: the kind of the error and its place, without its message."""
    lower = _led_to(ValueError(SECRET), OSError(2, "x", SECRET))
    lines = list(debug.report(_led_to(lower, IssuerError("refused"), hidden=True)))
    told = [line for line in lines if not line.startswith((" ", "Traceback", "debug"))]
    assert told == [
        "ValueError: (its message is left out)",
        "FileNotFoundError: ENOENT (its message is left out)",
        "polygent_issuer.errors.IssuerError: refused",
    ]


def test_a_cause_that_was_named_is_told() -> None:
    """`from error`: somebody meant it to be seen. Errors that led to each other end, too."""
    upper = HomeProblem("no")
    upper.__cause__ = OSError(28, "No space left on device")
    upper.__cause__.__context__ = upper
    told = [line for line in debug.report(upper) if not line.startswith("debug")]
    assert "OSError: [Errno 28] No space left on device" in told
    assert told[-1] == "polygent_issuer.errors.HomeProblem: no"


@pytest.fixture
def closed_stderr() -> Iterator[None]:
    """A stderr that is gone."""
    before = sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as gone:
        sys.stderr = gone
    yield
    sys.stderr = before


@pytest.mark.usefixtures("closed_stderr")
def test_a_stderr_that_is_gone_is_no_new_error() -> None:
    """The exit code is what the command said."""
    debug.write(RuntimeError("x"))
