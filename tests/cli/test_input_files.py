"""Input files: FIFOs, devices, Windows encodings, and secrets that others can read."""

import codecs
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli import PASSPHRASE, Desk, Outcome
from support.keys import opened
from support.terminal import terminal
from support.users import ADA, run_as

from polygent_issuer.keys import openssh

PIPE = "it is a pipe, not a regular file"
MARK = codecs.BOM_UTF8
EXAMPLES = Path(__file__).parents[2] / "keys.example"


def ended(desk: Desk, *argv: str) -> tuple[int, str]:
    """Run a command that must end; after a minute an alarm ends this process."""
    signal.alarm(60)
    done = desk.run(*argv)
    signal.alarm(0)
    assert "Traceback" not in done.err
    return done.code, done.text + done.err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("verify", "PIPE"), 3),
        (("verify", "--license", "x", "--machine-info", "PIPE"), 3),
        (("verify", "PIPE", "--public-key", "PIPE"), 3),
        (("inspect", "PIPE"), 3),
        (("sign", "--customer", "Acme", "--machine-info", "PIPE"), 3),
        (("machine-info", "check", "PIPE"), 3),
        (("apply", "PIPE"), 3),
        (("journal", "verify", "--against", "PIPE"), 3),
        (("registry", "restore", "PIPE"), 3),
        (("key", "import", "PIPE", "--no-backup"), 3),
        (("key", "import", "file:PIPE"), 6),
        (("key", "backup", "main", "FOLDER/b", "--passphrase-file", "PIPE"), 6),
    ],
)
def test_a_named_pipe_is_not_read(desk: Desk, argv: tuple[str, ...], code: int) -> None:
    """A named pipe is an error; no command waits for a writer."""
    pipe = desk.folder / "pipe"
    os.mkfifo(pipe)
    words = (word.replace("PIPE", str(pipe)) for word in argv)
    exit_code, output = ended(desk, *(word.replace("FOLDER", str(desk.folder)) for word in words))
    assert exit_code == code, output
    assert PIPE in output


@pytest.mark.sqlite("about the file")
@pytest.mark.parametrize(
    ("name", "argv", "code"),
    [
        ("settings.toml", ("config", "show"), 3),
        ("settings.toml", ("config", "set", "operator", "Grace"), 3),
        ("registry.db", ("customer", "list"), 7),
        ("registry.db-journal", ("customer", "list"), 7),
        ("registry.db-journal", ("doctor", "--quick"), 7),
        (
            "mail.txt",
            ("sign", "--customer", "x", "--plan", "enterprise-annual", "--eml", "FOLDER"),
            3,
        ),
    ],
)
def test_a_named_pipe_in_the_home_is_not_read(
    desk: Desk, name: str, argv: tuple[str, ...], code: int
) -> None:
    """A named pipe in place of a file of the home is an error; SQLite would wait for it."""
    path = desk.home / name
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    words = (word.replace("FOLDER", str(desk.output)) for word in argv)
    exit_code, output = ended(desk, *words)
    assert exit_code == code, output
    assert "a pipe, not a" in output
    assert str(path) in output


def test_irregular_files_of_a_folder_are_reported_as_unreadable(desk: Desk) -> None:
    """A FIFO, a socket and a device among licenses are named and counted."""
    desk.ok("sign", "--machine-info", desk.machine_info(), "--customer", "Acme")
    os.mkfifo(desk.output / "pipe.lic")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(desk.output / "socket.lic"))
    (desk.output / "device.lic").symlink_to("/dev/zero")
    _, output = ended(desk, "verify", str(desk.output))
    assert "4 files: " in output
    assert "3 unreadable" in output
    code, output = ended(desk, "registry", "import", str(desk.output))
    assert code == 20
    for name in ("pipe.lic", "socket.lic", "device.lic"):
        assert f"{desk.output}/{name}" in output


@pytest.mark.parametrize(
    "argv",
    [
        ("key", "export-public", "-o", "PIPE"),
        ("registry", "export", "-o", "PIPE"),
        ("registry", "backup", "PIPE"),
        ("journal", "verify", "--note", "PIPE"),
        ("key", "backup", "main", "PIPE"),
        ("sign", "--customer", "x", "--machine-info", "INFO", "-o", "PIPE"),
    ],
)
def test_nothing_is_written_into_a_pipe(desk: Desk, argv: tuple[str, ...]) -> None:
    """A pipe at the output path is an existing file; no command waits for a reader."""
    pipe = desk.folder / "pipe"
    os.mkfifo(pipe)
    words = {"PIPE": str(pipe), "INFO": desk.machine_info()}
    code, output = ended(desk, *(words.get(word, word) for word in argv))
    assert code == 8, output
    assert str(pipe) in output


def test_process_substitution_works_for_passphrase_and_document(desk: Desk) -> None:
    """`<(…)` names an open descriptor, and works like stdin."""
    info = desk.machine_info()
    line = (
        f'"$0" -m polygent_issuer --home {desk.home} sign --customer Acme --output {desk.output} '
        f"--machine-info <(cat {info}) --passphrase-file <(cat {desk.passphrase_file}) "
        "--accept stale-machine-info --reason test"
    )
    done = subprocess.run(
        ["bash", "-c", line, sys.executable], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert b"other users" not in done.stderr


def test_a_secret_file_that_others_can_read_is_a_warning(desk: Desk) -> None:
    """Passphrase files, key files and imported keys get the same warning."""
    for path in (desk.passphrase_file, desk.folder / "main.key"):
        path.chmod(0o640)
    info = desk.machine_info()
    signed = desk.ok("sign", "--machine-info", info, "--customer", "Acme")
    passphrase = f"other users can read the passphrase file {desk.passphrase_file}: chmod 600"
    assert passphrase in signed.err
    assert f"other users can read the key file {desk.folder}/main.key: chmod 600" in signed.err
    named = ("--passphrase-file", str(desk.passphrase_file))
    assert (
        passphrase in desk.ok("renew", "acme", "--accept", "not-due", "--reason", "x", *named).err
    )
    again = ("key", "import", str(desk.folder / "main.key"), "--no-backup")
    imported = desk.ok(*again, "--store", f"file:{desk.folder}/new.key")
    assert f"other users can read the private key {desk.folder}/main.key: chmod 600" in imported.err


def test_a_file_without_a_private_key_is_not_called_one(desk: Desk) -> None:
    """The warning about the rights of a private key is for a file that contains one."""
    path = desk.folder / "notes.txt"
    path.write_text("no key")
    path.chmod(0o644)
    outcome = desk.run("key", "import", str(path), "--no-backup")
    assert outcome.code == 6
    assert outcome.err.startswith("error: no readable private key in this file\n")


def sealed_as_before(desk: Desk, written: bytes) -> None:
    """Write a passphrase file, and encrypt the key with it as an earlier version did."""
    desk.passphrase_file.write_bytes(written)
    path = desk.folder / "main.key"
    key = opened(path)
    path.write_bytes(
        openssh.seal_openssh(key, written.removesuffix(b"\n").removesuffix(b"\r"), rounds=1)
    )


def sign(desk: Desk) -> Outcome:
    """Sign a first license."""
    return desk.run("sign", "--machine-info", desk.machine_info(), "--customer", "Acme")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (MARK + PASSPHRASE.encode() + b"\r\n", "begins with a byte order mark"),
        (b"correct horse\nbattery staple\n", "is not one line"),
        (PASSPHRASE.encode("utf-16"), "it is in UTF-16"),
    ],
)
def test_a_key_from_an_earlier_version_still_signs(
    desk: Desk, written: bytes, problem: str
) -> None:
    """A passphrase file that is not one line of text works, with a warning."""
    sealed_as_before(desk, written)
    signed = sign(desk)
    assert signed.code == 0, signed.err
    assert problem in signed.err
    assert "cannot read" not in signed.err
    assert "the key file main.key opens only with all of its bytes" in signed.err


def test_a_byte_order_mark_is_removed_from_a_passphrase(desk: Desk) -> None:
    """The command in the warning encrypts the key with a passphrase that can be typed."""
    sealed_as_before(desk, MARK + PASSPHRASE.encode() + b"\r\n")
    place = f"file:{desk.folder}/new.key"
    desk.ok("key", "import", str(desk.folder / "main.key"), "--store", place, "--no-backup")
    desk.passphrase_file.write_text(PASSPHRASE)
    (desk.folder / "main.key").unlink()
    signed = sign(desk)
    assert signed.code == 0, signed.err
    assert "opens only" not in signed.err


@pytest.mark.parametrize("written", [b"correct horse\nbattery staple\n", "hö".encode("utf-16")])
def test_a_key_gets_another_passphrase_on_a_terminal(desk: Desk, written: bytes) -> None:
    """The old file opens the key; the new passphrase is typed."""
    sealed_as_before(desk, written)
    argv = ("key", "import", "main.key", "--store", f"file:{desk.folder}/new.key", "--no-backup")
    named = ("--passphrase-file", str(desk.passphrase_file))
    with terminal(desk, *argv, *named) as person:
        person.sees("source):")  # the line may be broken before it
        person.sees(desk.command("key", "import", "FILE", "--store", "URI"))
        for _ in range(2):
            person.sees(
                "repeat the passphrase: " if _ else "passphrase for the new key file new.key: "
            )
            person.types_secretly(PASSPHRASE)
        person.sees("imported the key main")
        assert person.ends() == 0
    (desk.folder / "main.key").unlink()
    desk.passphrase_file.write_text(PASSPHRASE)
    desk.now = datetime.now(UTC)  # as in the process at the terminal
    assert sign(desk).code == 0


@pytest.mark.parametrize("source", [("--passphrase-file", "/dev/stdin"), ("--passphrase-fd", "0")])
def test_an_empty_nonblocking_descriptor_is_an_error(desk: Desk, source: tuple[str, str]) -> None:
    """A descriptor without data is exit 6, not a bug."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    argv = ("key", "backup", "main", f"{desk.folder}/b", *source)
    done = subprocess.run(
        [sys.executable, "-m", "polygent_issuer", "--home", str(desk.home), *argv],
        check=False,
        capture_output=True,
        stdin=reading,
        cwd=desk.folder,
    )
    for each in (reading, writing):
        os.close(each)
    assert done.returncode == 6, done.stderr
    assert b"read" in done.stderr


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("verify", f"{EXAMPLES}/example.lic", "--public-key", "/dev/stdin"), 0),
        (("registry", "import", "/", "--public-key", "/dev/stdin"), 7),
        (("renew", "acme", "--passphrase-file", "/dev/stdin"), 7),
    ],
)
def test_a_pipe_opened_by_another_user_is_read(argv: tuple[str, ...], code: int) -> None:
    """A pipe as in `… | sudo -u ada polygent-issue …` is read."""
    reading, writing = os.pipe()
    os.write(writing, (EXAMPLES / "public.pem").read_bytes())
    os.close(writing)
    done = run_as(ADA, *argv, stdin=reading)
    os.close(reading)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("written", [b"correct horse\nbattery staple\n", "hö".encode("utf-16")])
def test_no_key_is_generated_with_an_invalid_passphrase_file(desk: Desk, written: bytes) -> None:
    """A passphrase file that is not one line of UTF-8 is exit 6, and leaves no key file."""
    desk.passphrase_file.write_bytes(written)
    refused = desk.run("key", "generate", "two", "--store", f"file:{desk.folder}/t", "--no-backup")
    assert refused.code == 6
    assert "passphrase file" in refused.err
    assert "save the passphrase as one line of UTF-8 text" in refused.err
    assert not (desk.folder / "t").exists()


def rewritten(path: Path, encoding: str) -> str:
    """Copy a file as a Windows editor saves it; return the path."""
    other = path.with_name(f"{encoding}-{path.name}")
    other.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    return str(other)


@pytest.mark.parametrize("form", ["pem", "jwks"])
def test_public_keys_from_windows_are_read(desk: Desk, form: str) -> None:
    """A PEM or JWKS with a byte order mark and CRLF is read; UTF-16 is an error."""
    assert sign(desk).code == 0
    (license_file,) = desk.output.iterdir()
    public = desk.folder / "public"
    desk.ok("key", "export-public", "--format", form, "-o", str(public))
    argv = ("verify", str(license_file), "--public-key")
    assert desk.run(*argv, rewritten(public, "utf-8-sig")).code in (0, 11)
    refused = desk.run(*argv, rewritten(public, "utf-16"))
    assert refused.code == 3
    assert "utf-16-public: it is in UTF-16\nhint: save it as UTF-8\n" in refused.err


def test_heads_from_windows_are_read(desk: Desk) -> None:
    """Heads with a byte order mark and CRLF are read; UTF-16 is an error."""
    heads = desk.folder / "heads.txt"
    heads.write_text("# noted\n")
    desk.ok("journal", "verify", "--note", str(heads))
    desk.ok("journal", "verify", "--against", rewritten(heads, "utf-8-sig"))
    refused = desk.run("journal", "verify", "--against", rewritten(heads, "utf-16"))
    assert refused.code == 3
    assert "it is in UTF-16\nhint: save it as UTF-8\n" in refused.err


def test_customer_names_from_windows_are_read(desk: Desk) -> None:
    """Names with a byte order mark and CRLF on stdin are read; UTF-16 is an error."""
    sign(desk)
    argv = ("renew", "-", "--dry-run")
    assert desk.run(*argv, stdin=MARK + b"acme\r\n").code in (0, 4)
    refused = desk.run(*argv, stdin="acme\r\n".encode("utf-16"))
    assert refused.code == 3
    assert "cannot read the list of customers from stdin: it is in UTF-16" in refused.err


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_private_key_from_windows_is_imported(desk: Desk, encoding: str) -> None:
    """A key with a byte order mark is imported; UTF-16 is an error."""
    other = rewritten(desk.folder / "main.key", encoding)
    done = desk.run("key", "import", other, "--store", f"file:{desk.folder}/n", "--no-backup")
    assert done.code == (0 if encoding == "utf-8-sig" else 3), done.err
    assert ("it is in UTF-16" in done.err) == (encoding == "utf-16")


def test_settings_with_a_byte_order_mark_can_be_edited(desk: Desk) -> None:
    """The first change removes the byte order mark, and keeps comments and other settings."""
    path = desk.home / "settings.toml"
    text = path.read_text().replace("\n", "\r\n")
    path.write_bytes(text.encode("utf-8-sig"))
    desk.ok("config", "set", "operator", "Grace")
    desk.ok("config", "set", "plans.trial.users", "7")
    data = path.read_bytes()
    assert not data.startswith(MARK)
    assert data.count(b"#") >= text.count("#") - 1
    assert b'operator = "Grace"' in data
    assert "  Polygent Ltd  " in desk.ok("config", "show", "issuer").text
