"""The key and the passphrase are never disclosed, not even in a temporary file.

Each command runs with strace, which records every byte that leaves the process: files, sockets (the
Secret Service), stdout and stderr, and the arguments and environment of child processes. These
records and every remaining file are searched.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support.cli import Desk
from support.desk_state import tree
from support.keys import QUICKLY, opened
from support.secret_search import Watch, forms_of, forms_of_key, places
from support.secret_service import secret_service

pytestmark = pytest.mark.slow

SECRET = "Löwenzahn & Söhne, 7 Uhr"
PASSPHRASE = ("--passphrase-file", "passphrase")
WRONG = ("--passphrase-file", "wrong")
ACCEPTED = (
    *("--accept", "stale-machine-info", "--accept", "not-due", "--accept", "long-term"),
    *("--accept", "key-rollout", "--reason", "asked for"),
)


class Story:
    """Commands at a desk, with recorded output."""

    def __init__(self, desk: Desk, environ: dict[str, str]) -> None:
        """Use a desk whose folder exists; `environ` reaches the Secret Service."""
        self.desk = desk
        self.watch = Watch(desk.folder, environ)
        (desk.folder / "passphrase").write_text(SECRET + "\n")
        (desk.folder / "wrong").write_text("another passphrase")
        desk.output.mkdir()

    def does(self, *argv: str, code: int = 0) -> bytes:
        """Run a command and check its exit code; return its output."""
        home = str(self.desk.home)
        done = self.watch.run(sys.executable, "-c", QUICKLY, "--home", home, *argv)
        assert done.returncode == code, (argv, done)
        assert done.stderr or not code
        return done.stdout + done.stderr

    def issues(self, number: int) -> None:
        """Issue a license and renew it, with every form of output."""
        document = self.desk.machine_info(
            f"{number}.json", customer=f"Customer {number}", fingerprint=f"{number + 1:064x}"
        )
        self.does("sign", "--machine-info", document, *PASSPHRASE, *ACCEPTED, "--json")
        self.does("renew", f"customer-{number}", *PASSPHRASE, *ACCEPTED, "--debug", "-o", "-")

    def judge(self, *keys: ec.EllipticCurvePrivateKey) -> None:
        """Check that the passphrase is only in its own file, and the keys are nowhere."""
        everything = {**self.watch.seen, **tree(self.desk.folder)}
        assert {"home/registry.db", "home/settings.toml"} <= set(everything)
        assert places(everything, forms_of(SECRET.encode())) == {"passphrase"}
        for key in keys:
            assert places(everything, forms_of_key(key)) == set()


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """A desk with a real Secret Service."""
    folder = tmp_path / "desk"
    folder.mkdir()
    with secret_service() as service:
        yield Story(Desk(folder), service.environ)


def test_a_key_in_a_file(story: Story) -> None:
    """All commands from `init` to `renew`, with a wrong passphrase and a damaged file."""
    folder = story.desk.folder
    store = f"file:{folder / 'main.key'}"
    story.does("init", "--issuer", "Polygent Ltd", "--output", str(story.desk.output))
    story.does("key", "generate", "main", "--store", store, "--backup", "backup", *PASSPHRASE)
    key = opened(folder / "main.key", SECRET)
    story.does("key", "backup", "main", "second", *PASSPHRASE, "--json")
    story.does("key", "export-public", "main", "--json")
    story.issues(1)
    sign = ("sign", "--machine-info", story.desk.machine_info(), *ACCEPTED, "--debug")
    story.does(*sign, *WRONG, code=6)
    story.does("key", "backup", "main", "third", *WRONG, "--debug", code=6)
    sealed = (folder / "main.key").read_bytes()
    for number, damaged in enumerate(damages(sealed, key)):
        (folder / "main.key").write_bytes(damaged)
        output = story.does(*sign, *PASSPHRASE, code=6)
        assert b"Traceback" in output, "--debug shows it"
        assert damaged.split(b"\n")[1][:20] not in output, number
    (folder / "main.key").write_bytes(sealed)
    story.does("journal", "show", "--json")
    story.judge(key)


def damages(sealed: bytes, key: ec.EllipticCurvePrivateKey) -> Iterator[bytes]:
    """Return key files that are cut, changed, of another key, or in another format."""
    yield sealed[: len(sealed) // 2]
    middle = len(sealed) - 120
    yield sealed[:middle] + bytes([sealed[middle] ^ 2]) + sealed[middle + 1 :]
    other = ec.generate_private_key(ec.SECP256R1())
    hasty = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1).build(SECRET.encode())
    yield other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, hasty)
    best = BestAvailableEncryption(SECRET.encode())
    yield key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, best)


def test_a_key_in_the_keyring(story: Story) -> None:
    """The key is not readable on its way to the Secret Service."""
    folder = story.desk.folder
    story.does("init", "--issuer", "Polygent Ltd", "--output", str(story.desk.output))
    story.does("key", "generate", "main", "--backup", "backup", *PASSPHRASE)
    key = opened(folder / "backup", SECRET)
    story.does("key", "backup", "main", "second", *PASSPHRASE)
    story.does("key", "show", "main", "--json")
    story.issues(1)
    seen = b"".join(story.watch.seen.values())
    assert b"org.freedesktop.Secret" in seen, "the way to the Secret Service is watched"
    assert seen.count(key_id(story)) > 1
    story.judge(key)


def key_id(story: Story) -> bytes:
    """Return the kid, which identifies the keyring entry."""
    keys: list[dict[str, Any]] = story.desk.ok("key", "list", "--json").json["keys"]
    return str(keys[0]["kid"]).encode()


LEAKS = {
    "stdout": "print(secret)",
    "stderr": "raise ValueError(secret)",
    "write": "p = pathlib.Path('gone'); p.write_text(secret); p.unlink()",
    "pwrite64": "f = os.open('gone', 66); os.unlink('gone'); os.pwrite(f, secret.encode(), 0)",
    "sendto": "import socket; a, b = socket.socketpair(); a.send(secret.encode())",
    "execve": "import subprocess; subprocess.run(['true', secret])",
    "environment": "import subprocess; subprocess.run(['true'], env={'X': secret})",
    "split": "f = os.open('gone', 65); os.write(f, secret[:9].encode()); "
    "os.write(f, secret[9:].encode())",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_the_search_finds_a_leak(tmp_path: Path, leak: str) -> None:
    """A secret is found on each way out of the process."""
    (tmp_path / "desk").mkdir()
    (tmp_path / "secret").write_text(SECRET)
    watch = Watch(tmp_path / "desk", {"LC_ALL": "C.UTF-8"})
    code = f"import os, pathlib; secret = pathlib.Path('../secret').read_text(); {LEAKS[leak]}"
    watch.run(sys.executable, "-c", code)
    matches = places(watch.seen, forms_of(SECRET.encode()))
    call = {"environment": "execve", "split": "write"}.get(leak, leak)
    assert any(call in place for place in matches), watch.seen
    assert places(watch.seen, forms_of(b"something else entirely")) == set()


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH]
)
def test_the_search_knows_every_encoding_of_a_key(encoding: Encoding, form: PrivateFormat) -> None:
    """The search finds PEM, DER, hexadecimal, base64 and decimal encodings."""
    if form is PrivateFormat.OpenSSH and encoding is Encoding.DER:
        encoding = Encoding.PEM
    for _ in range(20):
        key = ec.generate_private_key(ec.SECP256R1())
        data = key.private_bytes(encoding, form, NoEncryption())
        encodings = {
            "itself": data,
            "hex": data.hex().encode(),
            "shown": repr(data).encode(),
            "number": str(key.private_numbers().private_value).encode(),
        }
        if encoding is Encoding.PEM:
            del encodings["hex"], encodings["shown"]
        other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            encoding, form, NoEncryption()
        )
        assert places({**encodings, "other": other}, forms_of_key(key)) == set(encodings)
