"""Real SSH agents for one test: OpenSSH's and gpg-agent, each with its own folder and socket."""

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import AF_UNIX, SHUT_RDWR, socket
from typing import Final, TypeAlias

import pytest

from polygent_issuer.keys import openssh
from polygent_issuer.keys.signer import SoftwareSigner
from support.softhsm import MODULE, PIN, SoftHsm
from support.tools import require_tool

LIST: Final = 11
"""The type of a request that signs nothing."""
DENY: Final = "#!/bin/sh\nexit 1\n"
ALLOW: Final = "#!/bin/sh\nexit 0\n"

_PINENTRY: Final = """#!/bin/sh
echo "OK ready"
while read -r line; do
  case "$line" in
    GETPIN*) echo "D only-for-tests"; echo OK ;;
    BYE*) echo OK; exit ;;
    *) echo OK ;;
  esac
done
"""
"""gpg-agent asks this program for the passphrase that protects an added key."""


class SshAgent:
    """A running agent.

    Attributes:
        socket: its path.
        environ: the variables that a process needs to reach it.
    """

    def __init__(self, folder: Path, path: Path, environ: dict[str, str] | None = None) -> None:
        """Store the arguments."""
        self._folder = folder
        self.socket = path
        self.environ = {"SSH_AUTH_SOCK": str(path), **(environ or {})}

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the agent of this process."""
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def generate(self, comment: str, *more: str) -> str:
        """Generate a key as the guide does, and add it to the agent; return its fingerprint."""
        file = self.key_file(comment)
        self.add(*more, file)
        return self.fingerprint(file)

    def key_file(self, comment: str, *kind: str) -> Path:
        """Generate a key file without a passphrase."""
        file = self._folder / comment.replace("/", "-")
        program = require_tool("ssh-keygen", "openssh-client")
        kind = kind or ("-t", "ecdsa", "-b", "256")
        self.run(program, "-q", *kind, "-N", "", "-C", comment, "-f", str(file))
        return file

    def fingerprint(self, file: Path) -> str:
        """Return the fingerprint of a key file, as OpenSSH computes it."""
        program = require_tool("ssh-keygen", "openssh-client")
        return self.run(program, "-l", "-f", str(file)).split()[1]

    def add(self, *arguments: "Path | str") -> None:
        """Run `ssh-add`."""
        self.run(require_tool("ssh-add", "openssh-client"), "-q", *map(str, arguments))

    def fingerprints(self) -> list[str]:
        """Return what `ssh-add -l` lists."""
        listed = subprocess.run(
            [require_tool("ssh-add", "openssh-client"), "-l"],
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return re.findall(r"SHA256:\S+", listed.stdout)

    def add_token(self, hsm: SoftHsm) -> None:
        """Add the keys of a token, as `ssh-add -s` does; the PIN comes from an askpass program."""
        with self.answering(f"#!/bin/sh\necho {PIN}\n"):
            self.add("-s", str(MODULE))
        assert hsm.environ.items() <= {**os.environ, **self.environ}.items()

    def lock(self, *, unlock: bool = False) -> None:
        """Lock the agent, or unlock it."""
        with self.answering("#!/bin/sh\necho only-for-tests\n"):
            self.add("-X" if unlock else "-x")

    @contextmanager
    def answering(self, script: str) -> Iterator[None]:
        """Answer prompts of `ssh-add` with a program."""
        program = self._folder / "askpass"
        program.write_text(script)
        program.chmod(0o700)
        before = dict(self.environ)
        self.environ |= {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
        try:
            yield
        finally:
            self.environ = before

    def run(self, *command: str) -> str:
        """Run a program with this agent."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout


@contextmanager
def ssh_agent(
    folder: Path, *options: str, environ: dict[str, str] | None = None
) -> Iterator[SshAgent]:
    """Run OpenSSH's agent; its confirmations are answered by the program `FOLDER/confirm`."""
    folder.mkdir(exist_ok=True)
    path = folder / "s"
    confirm = folder / "confirm"
    program = require_tool("ssh-agent", "openssh-client")
    more = {"SSH_ASKPASS": str(confirm), "SSH_ASKPASS_REQUIRE": "force", **(environ or {})}
    with subprocess.Popen(
        [program, "-D", "-a", str(path), *options],
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it prints the socket's path when it listens
        try:
            yield SshAgent(folder, path, environ)
        finally:
            process.kill()


@contextmanager
def gpg_agent(folder: Path) -> Iterator[SshAgent]:
    """Run gpg-agent with its ssh socket."""
    folder.mkdir(mode=0o700)
    environ = {"GNUPGHOME": str(folder)}
    pinentry = folder / "pinentry"
    pinentry.write_text(_PINENTRY)
    pinentry.chmod(0o700)
    (folder / "gpg-agent.conf").write_text(
        f"enable-ssh-support\npinentry-program {pinentry}\ns2k-count 1024\n"
    )
    everything = {**os.environ, **environ}
    program = require_tool("gpgconf", "gpgconf")
    require_tool("gpg-agent", "gpg-agent")

    def conf(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], env=everything, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    conf("--launch", "gpg-agent")
    try:
        yield SshAgent(folder, Path(conf("--list-dirs", "agent-ssh-socket")), environ)
    finally:
        conf("--kill", "gpg-agent")


Answer: TypeAlias = Callable[[bytes], bytes | Iterator[bytes]]
"""Returns the answer to a request at once, or in parts."""


class FakeAgent:
    """A socket that gives prepared answers, or none.

    Attributes:
        requests: the first byte of each request.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        """Listen; `answer` gets each request without its length, and returns raw bytes."""
        self.requests: list[int] = []
        self._answer = answer
        self._listener = socket(AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listener.shutdown(SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                length = int.from_bytes(connection.recv(4), "big")
                request = b""
                while len(request) < length:
                    request += connection.recv(length - len(request))
                self.requests.append(request[0])
                answer = self._answer(request)
                for part in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(part)


@contextmanager
def fake_agent(path: Path, answer: Answer) -> Iterator[FakeAgent]:
    """Run a fake agent at a path."""
    agent = FakeAgent(path, answer)
    try:
        yield agent
    finally:
        agent.close()


def framed(kind: int, *parts: bytes) -> bytes:
    """Return a message of the protocol."""
    body = bytes([kind]) + b"".join(parts)
    return len(body).to_bytes(4, "big") + body


def identities(entries: Sequence[tuple[bytes, str]]) -> bytes:
    """Return the answer with these public key blobs and comments."""
    strings = (part for blob, comment in entries for part in (blob, comment.encode()))
    body = b"".join(len(each).to_bytes(4, "big") + each for each in strings)
    return framed(12, len(entries).to_bytes(4, "big"), body)


def signing(
    signer: SoftwareSigner, meanwhile: Callable[[], object] = lambda: None
) -> Callable[[bytes], bytes]:
    """Return the answers of an agent with one key; `meanwhile` runs before each signature."""
    string = openssh.string

    def answer(request: bytes) -> bytes:
        blob = openssh.blob_of(signer.public_key)
        if request[0] == LIST:
            return identities([(blob, "remote")])
        meanwhile()
        named, rest = openssh.take_string(request[1:])
        assert named == blob
        signature = signer.sign(openssh.take_string(rest)[0])
        numbers = b"".join(string(b"\0" + half) for half in (signature[:32], signature[32:]))
        return framed(14, string(string(openssh.KIND) + string(numbers)))

    return answer
