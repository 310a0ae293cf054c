"""A desk: a home, an output folder and a clock, with commands run in this process."""

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PrivateFormat,
    load_ssh_private_key,
)

from polygent_issuer.cli.main import run
from polygent_issuer.home.settings import registry_place
from polygent_issuer.home.settings_editing import set_value
from polygent_issuer.registry import REGISTRY_FILE
from polygent_issuer.text import Command
from support import json_schema

if TYPE_CHECKING:
    from support.databases import Databases

NOW = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command."""

    code: int
    out: bytes
    err: str
    argv: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Stdout as text."""
        return self.out.decode()

    @property
    def json(self) -> dict[str, Any]:
        """Stdout, which must be one JSON object of the schema."""
        members: dict[str, Any] = json.loads(self.out)
        json_schema.check(self.argv, members)
        return members

    @property
    def json_lines(self) -> list[dict[str, Any]]:
        """Stdout, which must be a JSON object of the schema on each line, in ASCII."""
        assert self.out.isascii()
        objects = [json.loads(line) for line in self.text.splitlines()]
        for each in objects:
            json_schema.check(self.argv, each)
        return objects


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the objects of `json_lines` without their schema."""
    return [
        {name: value for name, value in each.items() if name != "schema"}
        for each in outcome.json_lines
    ]


@dataclass
class Desk:
    """A home, an output folder and a clock; `run` is one command line without a terminal."""

    folder: Path
    now: datetime = NOW
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def argv(self) -> tuple[str, ...]:
        """The beginning of a command for its home."""
        return ("polygent-issue", "--home", str(self.home))

    @property
    def home(self) -> Path:
        """The folder of settings and registry."""
        return self.folder / "home"

    @property
    def registry(self) -> Path | str:
        """The registry's file, or the URI of its database."""
        return registry_place(self.home)

    @property
    def output(self) -> Path:
        """The output folder for licenses."""
        return self.folder / "out"

    def run(self, *argv: str, stdin: bytes = b"", after: timedelta = timedelta()) -> Outcome:
        """Run a command; `after` moves the clock first, for this and later commands.

        The commands that it prints are without `--home` here; `printed` has them complete.
        """
        self.now += after
        outcome = self.printed(*argv, stdin=stdin)
        here = self.command()
        out, err = outcome.out.replace(here.encode(), b"polygent-issue"), outcome.err
        return replace(outcome, out=out, err=err.replace(here, "polygent-issue"))

    def printed(self, *argv: str, stdin: bytes = b"") -> Outcome:
        """Run a command; its output is exactly as printed."""
        with streams(stdin) as (out, err):
            code = run(["--home", str(self.home), *argv], now=self.now, environ=self._environ())
        return Outcome(code=code, out=out.getvalue(), err=err.getvalue().decode(), argv=argv)

    def command(self, *words: str) -> str:
        """Return a command with `--home`, as it is printed."""
        return str(Command((*self.argv[1:], *words)))

    def ok(self, *argv: str, **more: Any) -> Outcome:
        """Run a command that must succeed."""
        outcome = self.run(*argv, **more)
        assert outcome.code == 0, (argv, outcome)
        return outcome

    def refused(self, *argv: str) -> tuple[int, str, str]:
        """Run a command that is refused; return exit code, code and hint."""
        outcome = self.run(*argv, "--json")
        error = outcome.json["error"]
        return outcome.code, error["code"], error["hint"]

    def set_up(self) -> "Desk":
        """Create the home, the output folder, and one key in an encrypted file."""
        self.output.mkdir()
        self.passphrase_file.write_text(PASSPHRASE + "\n")
        self.passphrase_file.chmod(0o600)
        self.ok(
            "init", "--issuer", "Polygent Ltd", "--operator", "Ada", "--output", str(self.output)
        )
        key = str(self.folder / "main.key")
        self.ok("key", "generate", "main", "--store", f"file:{key}", "--no-backup")
        return self

    def copy_to(self, folder: Path) -> "Desk":
        """Copy the desk to another folder, which is faster than creating one."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        settings = folder / "home" / "settings.toml"
        settings.write_text(settings.read_text().replace(str(self.folder), str(folder)))
        return Desk(folder)

    def move_registry(self, databases: "Databases") -> "Desk":
        """Move the registry from its file into a database."""
        file = self.home / REGISTRY_FILE
        set_value(self.home, "registry", databases.take(file))
        file.unlink()
        return self

    def hasten(self) -> None:
        """Encrypt the key file again with one round: the default takes 0.6 s for each use."""
        path = self.folder / "main.key"
        key = load_ssh_private_key(path.read_bytes(), PASSPHRASE.encode())
        builder = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1)
        encryption = builder.build(PASSPHRASE.encode())
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption))

    @property
    def passphrase_file(self) -> Path:
        """The file that holds the key's passphrase."""
        return self.folder / "passphrase"

    def machine_info(self, name: str = "m.json", **members: Any) -> str:
        """Write a fresh `machine-info.json`; return its path."""
        document = {
            "format": "polygent-machine-info/1",
            "fingerprint": "sha256:" + "ab" * 32,
            "generatedAt": (self.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hostname": "prod-1",
            "customer": "Acme GmbH",
            **members,
        }
        path = self.folder / name
        path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
        return str(path)

    def _environ(self) -> dict[str, str]:
        secret = {"POLYGENT_ISSUER_PASSPHRASE_FILE": str(self.passphrase_file)}
        return {"PATH": os.environ["PATH"], **secret, **self.environ}


@contextmanager
def streams(stdin: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Replace the standard streams; yield the buffers of stdout and stderr."""
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    try:
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()
        sys.stdin, sys.stdout, sys.stderr = before
