"""The private key and the passphrase are where they belong, and nowhere else.

Every key command runs as a process of its own under strace, which writes down the arguments and
the environment of each process that is started. Then everything is searched: what was written to
stdout and stderr, every file that is left, what strace saw.
"""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.cli import Desk
from support.desk_state import tree
from support.keys import QUICKLY, opened
from support.secret_search import forms_of, forms_of_key, places
from support.secret_service import secret_service
from support.tools import require_tool

pytestmark = pytest.mark.slow

SECRET = "Löwenzahn & Söhne, 7 Uhr"


@dataclass
class Watched:
    """Commands at a desk, with all that can be observed of them."""

    desk: Desk
    environ: dict[str, str]
    message: list[bytes] = field(default_factory=list)

    def run(self, *argv: str, code: int = 0) -> bytes:
        """Run a command as a process under strace; return its output."""
        log = self.desk.folder.parent / "trace"
        strace = [require_tool("strace", "strace"), "--seccomp-bpf", "-f", "-qq", "-v"]
        strace += ["-s", "100000", "-o", str(log), "-e", "trace=execve"]
        command = [sys.executable, "-c", QUICKLY, "--home", str(self.desk.home), *argv]
        done = subprocess.run(
            [*strace, *command],
            check=False,
            capture_output=True,
            env={"PATH": os.environ["PATH"], **self.environ},
            cwd=self.desk.folder,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stderr.decode()
        self.message += [done.stdout, done.stderr, _unescaped(log.read_bytes())]
        return done.stdout + done.stderr

    def everything(self) -> dict[str, bytes]:
        """Return output, process arguments and environments, and every file left."""
        message = {f"output {number}": data for number, data in enumerate(self.message)}
        return message | tree(self.desk.folder)


def _unescaped(log: bytes) -> bytes:
    """Undo strace's octal escapes as far as text needs it."""
    return log + b"\n" + log.decode("unicode_escape").encode("latin-1")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Create a desk in a folder of its own, with a real Secret Service."""
    folder = tmp_path / "desk"
    folder.mkdir()
    with secret_service() as service:
        yield Watched(Desk(folder), service.environ)


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        (Encoding.PEM, PrivateFormat.PKCS8),
        (Encoding.DER, PrivateFormat.PKCS8),
        (Encoding.PEM, PrivateFormat.TraditionalOpenSSL),
        (Encoding.DER, PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_the_search_finds_a_plain_key(encoding: Encoding, form: PrivateFormat) -> None:
    """The search finds the key in a file that has it unencrypted."""
    for _ in range(20):
        key = ec.generate_private_key(ec.SECP256R1())
        plain = key.private_bytes(encoding, form, NoEncryption())
        plain = plain.replace(b"\n", b"") if encoding is Encoding.PEM else plain
        der = key.private_bytes(Encoding.DER, form, NoEncryption())
        held = {"plain": plain, "hex": der.hex().encode(), "base64": base64.b64encode(der)}
        other = {
            "other": ec.generate_private_key(ec.SECP256R1()).private_bytes(
                encoding, form, NoEncryption()
            )
        }
        assert places(held | other, forms_of_key(key)) == {"plain", "hex", "base64"}
    message = {"a": f"x{SECRET}y".encode(), "b": repr(SECRET.encode()).encode(), "c": b"nothing"}
    assert places(message, forms_of(SECRET.encode())) == {"a", "b"}


def test_the_watch_sees_arguments_and_environment(watched: Watched) -> None:
    """Arguments and environment of a process are searched, so a secret is found there."""
    watched.run("key", "show", SECRET, code=7)
    trace = {"trace": watched.message[-1]}
    assert places(trace, forms_of(SECRET.encode())) == {"trace"}
    assert places(trace, iter([watched.environ["DBUS_SESSION_BUS_ADDRESS"].encode()])) == {"trace"}


def test_no_secret_leaves_its_place(watched: Watched) -> None:
    """After every key command, failed ones included, no output or file has a secret."""
    folder = watched.desk.folder
    (folder / "pw").write_text(SECRET)
    passphrase = ("--passphrase-file", "pw")
    result = ("--passphrase-command", "cat pw")
    file = f"file:{folder / 'file.key'}"
    watched.run("init", "--issuer", "Polygent Ltd")
    watched.run("key", "generate", "ring", "--backup", "ring.backup", *passphrase)
    watched.run("key", "generate", "file", "--store", file, "--backup", "file.backup", *result)
    watched.run("key", "generate", "file", "--store", file, "--no-backup", "--debug", code=3)
    watched.run("key", "generate", "x", "--store", file, "--no-backup", "--debug", *result, code=8)
    for command in (("key", "list"), ("key", "show", "ring"), ("key", "show", "file", "--json")):
        watched.run(*command)
    watched.run("key", "backup", "file", "second.backup", *result, "--json")
    watched.run("key", "backup", "file", "second.backup", *result, "--debug", code=8)
    (folder / "new").write_text(f"{SECRET}!")
    change = ("key", "passphrase", "file", "--new-passphrase-file")
    watched.run(*change, "pw", *result, "--debug", code=6)
    watched.run(*change, "new", *result, "--debug")
    watched.run(*change, "pw", "--passphrase-file", "new", "--json")
    watched.run("key", "backup", "file", "--check", *result)
    watched.run("key", "import", "second.backup", "--store", "keyring:", *result, "--debug")
    watched.run("key", "import", "file.backup", "--no-backup", "--debug", code=6)
    watched.run("key", "export-public", "file", "--json")
    watched.run("key", "export-public", "--all", "-o", "public.jwks")
    watched.run("key", "use", "file", "--accept", "key-rollout", "--reason", "x", "--json")
    accepted = ("--accept", "stale-machine-info", "--reason", "the clock is not the test's")
    watched.run("sign", "--machine-info", watched.desk.machine_info(), *result, *accepted)
    watched.run("journal", "show", "--json")
    watched.run("config", "show", "--json")
    everything = watched.everything()
    assert {"home/registry.db", "home/settings.toml", "file.key", "ring.backup"} <= set(everything)
    assert places(everything, forms_of(SECRET.encode())) == {"pw", "new"}
    for name in ("ring.backup", "file.backup", "second.backup", "file.key"):
        assert places(everything, forms_of_key(opened(folder / name, SECRET))) == set()


def test_a_broken_key_file_is_not_quoted(watched: Watched) -> None:
    """A file that cannot be imported may have a key, so no part of it is printed."""
    folder = watched.desk.folder
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keeping = ("--label", "x", "--no-backup", "--store", f"file:{folder / 'k'}", "--debug")
    for number, broken in enumerate((pem[:-40], pem.replace(b"\n", b"\n\n!"), pem + pem)):
        path = folder.parent / f"broken {number}"
        path.write_bytes(broken)
        message = watched.run("key", "import", str(path), *keeping, code=6)
        body = pem.split(b"\n")[1]
        assert body[:20] not in message
    assert places(watched.everything(), forms_of_key(key)) == set()
