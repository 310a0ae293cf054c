"""Search for a secret in everything that a process wrote or was started with."""

import base64
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from support.tools import require_tool

# All calls that write bytes or start a process. -xx writes every byte in hex.
_CALLS = "execve,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,mkdir,symlink"
_LINE = re.compile(rb"^(\d+) +(\w+)\(")
_TEXT = re.compile(rb'"((?:\\x[0-9a-f]{2})+)"')


def forms_of(secret: bytes) -> Iterator[bytes]:
    """Yield encodings of bytes: raw, hexadecimal, base64 at any offset, Python's `repr`."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    shown = repr(b'"' + secret)[3:-1]
    yield shown.encode()
    yield shown.replace("\\'", "'").encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            begun = encode(b"\0" * shift + secret)
            # These characters do not depend on the bytes before and after the secret.
            yield begun[(shift * 8 + 5) // 6 : (shift + len(secret)) * 8 // 6]


def forms_of_key(key: ec.EllipticCurvePrivateKey) -> Iterator[bytes]:
    """Yield encodings of the private number, which every encoding of the key contains."""
    number = key.private_numbers().private_value
    # OpenSSH omits leading zeros; the other encodings contain the remaining bytes, too.
    yield from forms_of(number.to_bytes((number.bit_length() + 7) // 8, "big"))
    yield str(number).encode()


def places(everything: Mapping[str, bytes], forms: Iterator[bytes]) -> set[str]:
    """Return the names under which any of these forms occurs, ignoring line ends."""
    patterns = tuple(forms)
    return {
        name
        for name, data in everything.items()
        for text in (data, re.sub(rb"[\r\n]", b"", data))
        if any(form in text for form in patterns)
    }


@dataclass
class Watch:
    """Commands under strace, with everything that they wrote, also to deleted files.

    Attributes:
        folder: their current folder.
        environ: their whole environment.
        seen: the bytes written or started, by command, process and kind of call.
    """

    folder: Path
    environ: Mapping[str, str]
    seen: dict[str, bytes] = field(default_factory=dict)

    def run(self, *command: str) -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end; `seen` has it under the number of the run."""
        number = len({name.partition(" ")[0] for name in self.seen}) + 1
        log = self.folder.parent / "strace.log"
        strace = [require_tool("strace", "strace"), "--seccomp-bpf", "-f", "-qq", "-v", "-xx"]
        strace += ["-s", "1000000", "-o", str(log), "-e", f"trace={_CALLS}"]
        done = subprocess.run(
            [*strace, *command],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self.environ},
        )
        for (process, call), data in _written(log.read_bytes().splitlines()).items():
            self.seen[f"{number} {call} of {process}"] = data
        log.unlink()
        self.seen[f"{number} stdout"] = done.stdout
        self.seen[f"{number} stderr"] = done.stderr
        return done


def _written(lines: Sequence[bytes]) -> dict[tuple[str, str], bytes]:
    """Return the bytes of each process's calls, by process and kind of call."""
    written: dict[tuple[str, str], bytearray] = {}
    for line in lines:
        begun = _LINE.match(line)
        if begun is None:
            continue
        data = written.setdefault((begun[1].decode(), begun[2].decode()), bytearray())
        for text in _TEXT.findall(line):
            data += bytes.fromhex(text.replace(b"\\x", b"").decode())
            if begun[2] == b"execve":
                data += b"\0"
    return {key: bytes(data) for key, data in written.items()}
