"""The topic *backup*, walked line by line: a lost laptop, with and without a backup.

Each block is a script of a real shell with the installed command, in a home directory of its own
for each machine; only the paths of the sticks are others.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli import PASSPHRASE
from support.runbooks import blocks
from support.secret_service import secret_service

pytestmark = pytest.mark.slow

(KEEP,) = blocks("Backups", "backup")
LOST_LAPTOP, NO_BACKUP, LOST_REGISTRY = blocks("A lost laptop")


@dataclass
class Laptop:
    """A machine of one's own: its home directory, its keyring, and the sticks in it."""

    home: Path
    sticks: Path
    environ: dict[str, str]

    def types(self, block: str, code: int = 0) -> str:
        """Type a block of the guide; return what the commands printed."""
        lines = (line.removeprefix("$ ") for line in block.splitlines())
        script = "\n".join(lines).replace("/media", str(self.sticks))
        bin_folder = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-euc", script],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            env={
                **{k: v for k, v in os.environ.items() if k.startswith("COVERAGE")},
                "PATH": f"{bin_folder}:{os.environ['PATH']}",
                "POLYGENT_ISSUER_PASSPHRASE_FILE": str(self.sticks / "passphrase"),
                **self.environ,
                "HOME": str(self.home),
            },
        )
        assert done.returncode == code, (block, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def sticks(tmp_path: Path) -> Path:
    """What is not lost with the laptop."""
    for name in ("safe", "notes", "sent"):
        (tmp_path / "media" / name).mkdir(parents=True)
    (tmp_path / "media" / "passphrase").write_text(f"{PASSPHRASE}\n")
    return tmp_path / "media"


@pytest.fixture
def old(tmp_path: Path, sticks: Path) -> Iterator[Laptop]:
    """The laptop that will be lost: a key and two licenses, the second after the backup."""
    with secret_service() as service:
        laptop = Laptop(tmp_path / "old", sticks, dict(service.environ))
        laptop.home.mkdir()
        laptop.types(
            'polygent-issue init --issuer "Your Company"\n'
            "polygent-issue key generate main --no-backup\n"
            "polygent-issue key export-public -o polygent-public.pem\n"
            "polygent-issue sign --customer Acme --tier enterprise -o /media/sent\n"
        )
        laptop.types(KEEP)
        laptop.types("polygent-issue sign --customer Globex --tier enterprise -o /media/sent")
        yield laptop


@pytest.fixture
def new(tmp_path: Path, sticks: Path, old: Laptop) -> Iterator[Laptop]:
    """Another machine; the licenses that were sent come out of the mail."""
    with secret_service() as service:
        laptop = Laptop(tmp_path / "new", sticks, dict(service.environ))
        laptop.home.mkdir()
        (old.sticks / "sent").rename(laptop.home / "sent")
        yield laptop


RENEW = (
    "polygent-issue renew {} --term 1y --accept not-due --accept long-term --reason 'a test' -o ."
)


def goes_on(laptop: Laptop) -> None:
    """Both customers are renewed, under the same issuer, by the same key."""
    for customer in ("acme", "globex"):
        said = laptop.types(RENEW.format(customer))
        assert "main (" in said
        assert " → polygent-operator" not in said
    laptop.types("polygent-issue journal verify")


def test_a_lost_laptop_with_a_backup(new: Laptop) -> None:
    """What was issued after the backup comes from the mail; renewals go on."""
    said = new.types(LOST_LAPTOP)
    assert "restored the registry" in said
    assert "imported 1 license" in said
    assert "journal and registry are intact" in said
    goes_on(new)


def test_a_lost_laptop_without_a_backup(new: Laptop) -> None:
    """Key and files are enough."""
    said = new.types(NO_BACKUP)
    assert "imported 2 licenses" in said
    goes_on(new)


def test_a_lost_registry(old: Laptop) -> None:
    """The home and the key are there; the registry alone is gone."""
    (old.sticks / "sent").rename(old.home / "sent")
    path = old.types("polygent-issue config path").strip()
    (Path(path).parent / "registry.db").unlink()
    assert "polygent-issue registry import" in old.types("polygent-issue init", code=7)
    assert "imported 2 licenses" in old.types(LOST_REGISTRY)
    goes_on(old)
