"""A command line with fixed IDs, keys and host, so that its output can be compared."""

import itertools
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from support.cli import Outcome, streams

from polygent_issuer.cli.main import run

START = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command line.

    Attributes:
        argv: its words; `{folder}` is the bench's folder.
        days: the days that pass before it.
        stdin: the text of its stdin.
    """

    argv: tuple[str, ...]
    days: int = 0
    stdin: str = ""


def step(line: str, *, days: int = 0, stdin: str = "") -> Step:
    """Return a step from words separated by spaces; `~` in a word is a space."""
    words = tuple(word.replace("~", " ") for word in line.split())
    return Step(argv=words, days=days, stdin=stdin)


@dataclass
class Bench:
    """A folder with a home, a clock that only steps move, and the command line."""

    folder: Path
    now: datetime = START
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder of settings and registry."""
        return self.folder / "home"

    def run(self, step: Step) -> Outcome:
        """Run one step."""
        self.now += timedelta(days=step.days)
        words = [word.replace("{folder}", str(self.folder)) for word in step.argv]
        environ = {
            "PATH": os.environ["PATH"],
            "POLYGENT_ISSUER_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            **self.environ,
        }
        with streams(step.stdin.encode()) as (out, err):
            code = run(["--home", str(self.home), *words], now=self.now, environ=environ)
        return Outcome(code=code, out=out.getvalue(), err=err.getvalue().decode())

    def machine_info(self, name: str, **members: Any) -> None:
        """Write a machine-info document created an hour ago."""
        document = {
            "format": "polygent-machine-info/1",
            "fingerprint": "sha256:" + "3c7e91d5" * 8,
            "generatedAt": (self.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hostname": "prod-1",
            "customer": "Acme GmbH",
        }
        (self.folder / name).write_text(json.dumps(document | members), encoding="utf-8")


@contextmanager
def fixed(first: int = 1) -> Iterator[None]:
    """Fix IDs, counted from `first`, new keys, from the scalar 999 + `first`, and the host."""
    ids, scalars = itertools.count(first), itertools.count(999 + first)
    before = uuid.uuid4, ec.generate_private_key, socket.gethostname
    uuid.uuid4 = lambda: uuid.UUID(f"{next(ids):08x}-0000-4000-8000-000000000000")
    ec.generate_private_key = lambda curve, backend=None: ec.derive_private_key(  # noqa: ARG005 - the library's signature
        next(scalars), curve
    )
    socket.gethostname = lambda: "desk"
    try:
        yield
    finally:
        uuid.uuid4, ec.generate_private_key, socket.gethostname = before
