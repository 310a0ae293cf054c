"""Sources of passphrases."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.passphrases import ignore

from polygent_issuer.errors import KeyUnavailable, UsageProblem
from polygent_issuer.keys import passphrases
from polygent_issuer.keys.passphrases import Passphrase, WrongPassphrase

AMPLE = timedelta(seconds=60)


def refusal(source: Passphrase) -> KeyUnavailable:
    """Return the error of reading a passphrase."""
    with pytest.raises(KeyUnavailable) as raised:
        source.get("the key")
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


@pytest.fixture
def stdin(tmp_path: Path) -> Iterator[None]:
    """Make a file with a passphrase the stdin of this process."""
    path = tmp_path / "stdin"
    path.write_bytes(b"correct horse\n")
    before = os.dup(0)
    try:
        with path.open("rb") as stream:
            os.dup2(stream.fileno(), 0)
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def python(code: str) -> str:
    """Return a command line that runs Python code."""
    return shlex.join([sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("written", "passphrase"),
    [
        (b"correct horse", b"correct horse"),
        (b"correct horse\n", b"correct horse"),
        (b"correct horse\r\n", b"correct horse"),
        (b"\xef\xbb\xbfcorrect horse\r\n", b"correct horse"),
        (b" correct horse\t\n", b" correct horse\t"),
        ("größer".encode(), "größer".encode()),
        (b"x" * 1023 + b"\r\n", b"x" * 1023),
        (b"\xef\xbb\xbf" + b"x" * 1023 + b"\r\n", b"x" * 1023),
    ],
)
def test_a_mark_and_one_line_end_are_dropped(
    written: bytes, passphrase: bytes, tmp_path: Path
) -> None:
    """One byte order mark and one line end are dropped, and every other byte counts."""
    path = tmp_path / "passphrase"
    path.write_bytes(written)
    assert passphrases.from_file(path, warn=ignore).get("the key") == passphrase
    with path.open("rb") as stream:
        assert passphrases.from_fd(os.dup(stream.fileno()), warn=ignore).get("x") == passphrase
    printing = shlex.join(["cat", str(path)])
    assert passphrases.from_command(printing, warn=ignore).get("the key") == passphrase


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (b"correct\nhorse\n", "is not one line"),
        (b"correct horse\n\n", "is not one line"),
        (b"correct horse\r", "is not one line"),
        (b"correct horse\r\r\n", "is not one line"),
        (b"correct\0horse", "line 1 has a NUL character"),
        ("größer".encode("latin-1"), "line 1 is not UTF-8"),
        ("größer".encode("utf-16"), "it is in UTF-16"),
        ("correct".encode("utf-16-le"), "it is in UTF-16"),
    ],
)
def test_text_that_is_not_one_line_of_utf8_is_refused(
    written: bytes, problem: str, tmp_path: Path
) -> None:
    """The error names the problem, before a new key is made."""
    path = tmp_path / "passphrase"
    path.write_bytes(written)
    refused = refusal(passphrases.from_file(path, warn=ignore))
    assert refused.code == "passphrase_refused"
    assert refused.message.endswith(problem)
    assert str(path) in refused.message
    assert refused.hint == "save the passphrase as one line of UTF-8 text"
    command = shlex.join(["cat", str(path)])
    refused = refusal(passphrases.from_command(command, warn=ignore))
    assert "the output of the passphrase command" in refused.message


class Lock:
    """A key that one passphrase opens; `tried` lists the attempts."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.tried: list[bytes] = []

    def __call__(self, secret: bytes) -> str:
        """Try a passphrase."""
        self.tried.append(secret)
        if secret != self.secret:
            raise WrongPassphrase("wrong")
        return "open"


@pytest.mark.parametrize(
    ("written", "secret", "tried"),
    [
        (b"horse\n", b"horse", [b"horse"]),
        (b"\xef\xbb\xbfhorse\n", b"horse", [b"horse"]),
        (b"\xef\xbb\xbfhorse\n", b"\xef\xbb\xbfhorse", [b"horse", b"\xef\xbb\xbfhorse"]),
        (b"horse\n\n", b"horse\n", [b"horse\n"]),
        (b"\xff\xfeh\0\n\0", b"\xff\xfeh\0\n\0", [b"\xff\xfeh\0\n\0"]),
        (b"h\xf6rse\r\n", b"h\xf6rse", [b"h\xf6rse"]),
    ],
)
def test_an_existing_key_is_tried_with_the_bytes_of_earlier_versions(
    written: bytes, secret: bytes, tried: list[bytes], tmp_path: Path
) -> None:
    """These bytes are tried once, after the passphrase, and a warning follows."""
    path = tmp_path / "passphrase"
    path.write_bytes(written)
    path.chmod(0o600)
    warnings: list[str] = []
    lock = Lock(secret)
    assert passphrases.from_file(path, warn=warnings.append).unlock("the key", lock) == "open"
    assert lock.tried == tried
    assert len(warnings) == (secret != b"horse")
    for warning in warnings:
        assert str(path) in warning
        assert "the key opens only with all of its bytes" in warning
        assert "polygent-issue key import" in warning


@pytest.mark.parametrize(
    ("written", "code", "tried"),
    [
        (b"horse\n", "wrong_passphrase", 1),
        (b"\xef\xbb\xbfhorse\n", "wrong_passphrase", 2),
        (b"two\nlines", "passphrase_refused", 1),
        (b"\n", "passphrase_refused", 0),
        (b"x\n" * 999, "passphrase_refused", 0),
    ],
)
def test_a_refused_passphrase_that_opens_nothing_keeps_its_error(
    written: bytes, code: str, tried: int, tmp_path: Path
) -> None:
    """The error of the passphrase is raised, without a warning."""
    path = tmp_path / "passphrase"
    path.write_bytes(written)
    path.chmod(0o600)
    warnings: list[str] = []
    lock = Lock(b"another")
    with pytest.raises(KeyUnavailable) as raised:
        passphrases.from_file(path, warn=warnings.append).unlock("the key", lock)
    assert raised.value.code == code
    assert len(lock.tried) == tried
    assert warnings == []


def test_a_readable_passphrase_file_warns_once(tmp_path: Path) -> None:
    """The warning appears once, even if the passphrase is needed again."""
    path = tmp_path / "passphrase"
    path.write_bytes(b"correct horse")
    path.chmod(0o640)
    warnings: list[str] = []
    source = passphrases.from_file(path, warn=warnings.append)
    assert source.get("the key") == source.get("the backup", confirm=True)
    assert warnings == [f"other users can read the passphrase file {path}: chmod 600 {path}"]


@pytest.mark.parametrize("written", [b"", b"\n", b"\r\n", b"x" * 1024, b"x" * 1024 + b"\n"])
def test_an_empty_or_too_long_passphrase_is_refused(written: bytes, tmp_path: Path) -> None:
    """A passphrase has 1 to 1,023 bytes."""
    path = tmp_path / "passphrase"
    path.write_bytes(written)
    refused = refusal(passphrases.from_file(path, warn=ignore))
    assert refused.code == "passphrase_refused"
    assert "xxx" not in refused.message
    if not written.strip():
        assert refused.message == f"the passphrase file {path} is empty"


def test_a_device_is_refused() -> None:
    """An endless device is not read to its end."""
    refused = refusal(passphrases.from_file(Path("/dev/zero"), warn=ignore))
    assert refused.code == "passphrase_refused"
    assert refused.message.endswith("it is a device, not a regular file")


@pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    """A missing file, a folder or an invalid name is refused."""
    refused = refusal(passphrases.from_file(tmp_path / name, warn=ignore))
    assert refused.code == "passphrase_refused"
    assert refused.message.isprintable()
    assert "Error" not in refused.message
    assert "check the path" in str(refused.hint)


def test_a_missing_file_is_reported_with_its_reason(tmp_path: Path) -> None:
    """The message contains the reason of the system."""
    refused = refusal(passphrases.from_file(tmp_path / "nope", warn=ignore))
    assert refused.message == (
        f"the passphrase file {tmp_path}/nope cannot be read: no such file or directory"
    )


def typing(monkeypatch: pytest.MonkeyPatch, *lines: bytes) -> list[str]:
    """Type these lines at the terminal; return the list of its prompts."""
    prompts: list[str] = []
    typed = iter(lines)

    def ask(prompt: str) -> bytes:
        prompts.append(prompt)
        return next(typed)

    monkeypatch.setattr(passphrases, "ask_at_terminal", ask)
    return prompts


def test_a_wrong_passphrase_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person has three tries; an empty line is one of them."""
    prompts = typing(monkeypatch, b"wrong", b"", b"horse")
    assert passphrases.TerminalPassphrase().unlock("the key", Lock(b"horse")) == "open"
    assert prompts == [
        "passphrase for the key: ",
        "wrong; 2 tries left\npassphrase for the key: ",
        "no passphrase was typed; 1 try left\npassphrase for the key: ",
    ]


def test_the_third_wrong_passphrase_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of the last try, and a further one is not asked for."""
    typing(monkeypatch, b"one", b"two", b"three", b"horse")
    lock = Lock(b"horse")
    with pytest.raises(WrongPassphrase):
        passphrases.TerminalPassphrase().unlock("the key", lock)
    assert lock.tried == [b"one", b"two", b"three"]


def test_a_pin_has_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """`get`, which tokens use, asks once: also for an empty PIN, which is not sent."""
    prompts = typing(monkeypatch, b"1234", b"")
    assert passphrases.TerminalPassphrase().get("the token") == b"1234"
    assert refusal(passphrases.TerminalPassphrase()).message == "no passphrase was typed"
    assert len(prompts) == 2


def test_a_descriptor_is_read_once_and_closed() -> None:
    """The passphrase serves each purpose, and the descriptor is closed."""
    reading, writing = os.pipe()
    os.write(writing, b"correct horse\n")
    os.close(writing)
    source = passphrases.from_fd(reading, warn=ignore)
    assert source.get("the key") == b"correct horse"
    assert source.get("the backup", confirm=True) == b"correct horse"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


@pytest.mark.usefixtures("stdin")
def test_the_standard_descriptors_stay_open() -> None:
    """`--passphrase-fd 0` does not close stdin for the rest of the process."""
    assert passphrases.from_fd(0, warn=ignore).get("the key") == b"correct horse"
    assert os.fstat(0).st_size == len(b"correct horse\n")


@pytest.mark.parametrize("descriptor", [-1, 9999, 2**40])
def test_a_descriptor_that_is_not_open_is_refused(descriptor: int) -> None:
    """The message names the descriptor."""
    refused = refusal(passphrases.from_fd(descriptor, warn=ignore))
    assert refused.code == "passphrase_refused"
    assert str(descriptor) in refused.message


def test_a_command_supplies_its_output() -> None:
    """One newline is dropped, and the command runs once for all purposes."""
    source = passphrases.from_command(python("import os; print(os.getpid())"), warn=ignore)
    first = source.get("the key")
    assert int(first) > 0
    assert source.get("the backup") == first


def test_no_shell_runs_the_command(tmp_path: Path) -> None:
    """Quotes group words; no other character is special."""
    marker = tmp_path / "marker"
    source = passphrases.from_command(f"echo '$HOME;' a`touch {marker}`b >x | & *", warn=ignore)
    assert source.get("the key") == f"$HOME; a`touch {marker}`b >x | & *".encode()
    assert not marker.exists()


@pytest.mark.usefixtures("stdin")
def test_a_command_gets_no_stdin() -> None:
    """The command cannot read data that is piped into this tool."""
    source = passphrases.from_command(
        python("import sys; print(len(sys.stdin.read()))"), warn=ignore
    )
    assert source.get("the key") == b"0"


@pytest.mark.parametrize("line", ["", "  ", "'unbalanced"])
def test_an_empty_command_is_wrong_usage(line: str) -> None:
    """The error is raised when the option is read, not when the passphrase is needed."""
    with pytest.raises(UsageProblem):
        passphrases.from_command(line, warn=ignore)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (python("import sys; print('t0psecret'); sys.exit(3)"), "status 3"),
        ("/nowhere/t0psecret", "cannot be started"),
        ("/", "cannot be started"),
        (python("pass"), "empty"),
    ],
)
def test_a_command_that_fails_is_refused(line: str, reason: str) -> None:
    """The message has the exit status, but neither the command line nor its output."""
    refused = refusal(passphrases.from_command(line, warn=ignore))
    assert refused.code == "passphrase_refused"
    assert reason in refused.message
    assert "t0psecret" not in f"{refused!r}{refused.message}{refused.hint}"


def test_a_command_with_endless_output_is_stopped() -> None:
    """No more than the longest passphrase is read, and the command is ended."""
    start = time.monotonic()
    endless = python("import sys\nwhile True: sys.stdout.write('x' * 9999)")
    assert (
        refusal(passphrases.from_command(endless, warn=ignore, timeout=AMPLE)).code
        == "passphrase_refused"
    )
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("stdout", ["", ">&-"], ids=["open", "closed"])
def test_a_command_that_hangs_is_stopped(stdout: str, tmp_path: Path) -> None:
    """At the deadline the command is refused and its process has ended."""
    record = tmp_path / "pid"
    script = f"echo $$ >{shlex.quote(str(record))}; exec sleep 600 {stdout}"
    hanging = shlex.join(["/bin/sh", "-c", script])
    refused = refusal(
        passphrases.from_command(hanging, warn=ignore, timeout=timedelta(seconds=0.5))
    )
    assert refused.code == "passphrase_refused"
    assert "0.5 s" in refused.message
    with pytest.raises(ProcessLookupError):
        os.kill(int(record.read_text()), 0)


def test_without_a_source_the_options_are_named() -> None:
    """The hint lists every option; a passphrase is never an argument."""
    refused = refusal(passphrases.NoPassphrase())
    assert refused.code == "passphrase_needed"
    assert "the key" in refused.message
    for way in ("-fd", "-file", "-command", "POLYGENT_ISSUER_PASSPHRASE_FILE", "terminal"):
        assert way in str(refused.hint)


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    """An unused source runs and opens nothing."""
    marker = tmp_path / "marker"
    passphrases.from_command(f"touch {marker}", warn=ignore)
    passphrases.from_file(tmp_path / "missing", warn=ignore)
    passphrases.from_fd(9999, warn=ignore)
    assert not marker.exists()


def test_no_source_shows_its_passphrase(tmp_path: Path) -> None:
    """`repr` of a source does not contain its passphrase."""
    path = tmp_path / "passphrase"
    path.write_bytes(b"correct horse")
    source = passphrases.from_file(path, warn=ignore)
    source.get("the key")
    assert "correct horse" not in repr(source)


def test_a_process_without_a_terminal_cannot_prompt() -> None:
    """Without a controlling terminal there is an error; stdin is not read instead."""
    code = (
        "from polygent_issuer.keys import passphrases\n"
        "from polygent_issuer.errors import KeyUnavailable\n"
        "try: passphrases.TerminalPassphrase().get('the key')\n"
        "except KeyUnavailable as refused: print(refused.code)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=b"from stdin\n",
        check=True,
        capture_output=True,
        start_new_session=True,
    )
    assert ended.stdout == b"passphrase_needed\n"


def test_a_new_passphrase_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that differ are asked for again, three times at most."""
    prompts = typing(monkeypatch, b"one", b"two", b"three", b"three", *([b"four", b"five"] * 3))
    source = passphrases.TerminalPassphrase()
    assert source.get("the backup", confirm=True) == b"three"
    assert prompts == [
        "passphrase for the backup: ",
        "repeat the passphrase: ",
        "the two passphrases differ; 2 tries left\npassphrase for the backup: ",
        "repeat the passphrase: ",
    ]
    with pytest.raises(KeyUnavailable, match="differ") as raised:
        source.get("the backup", confirm=True)
    assert raised.value.code == "passphrase_refused"
    assert len(prompts) == 10


@pytest.mark.parametrize(("written", "kept"), [(b"correct horse\n", True), (b"a\nb\n", False)])
def test_a_new_key_falls_back_to_the_terminal(
    tmp_path: Path, written: bytes, *, kept: bool
) -> None:
    """If the source is not usable for a new key, the terminal is used."""
    path = tmp_path / "passphrase"
    path.write_bytes(written)
    source = passphrases.from_file(path, warn=ignore)
    assert (passphrases.or_terminal(source) is source) == kept
    typed = passphrases.TerminalPassphrase()
    assert passphrases.or_terminal(typed) is typed
