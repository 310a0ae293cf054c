"""The guide topic *backup*, line by line: a lost laptop with and without a backup.

A real shell runs each block with the installed command. Each machine has its own home directory;
only the paths of the USB sticks are replaced.
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

(KEEP,) = blocks("Making them", "backup")
LOST_LAPTOP, NO_BACKUP, LOST_REGISTRY = blocks("A lost laptop")


@dataclass
class Laptop:
    """A machine with a home directory, a keyring and USB sticks."""

    home: Path
    sticks: Path
    environ: dict[str, str]

    def types(self, block: str, code: int = 0) -> str:
        """Run a block of the guide; return the output."""
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
    """The USB sticks, which are not lost with the laptop."""
    for name in ("safe", "notes", "sent"):
        (tmp_path / "media" / name).mkdir(parents=True)
    (tmp_path / "media" / "passphrase").write_text(f"{PASSPHRASE}\n")
    return tmp_path / "media"


@pytest.fixture
def old(tmp_path: Path, sticks: Path) -> Iterator[Laptop]:
    """Return the laptop that is lost: a key and two licenses, the second after the backup."""
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
    """The new laptop, with the sent licenses from the mail program."""
    with secret_service() as service:
        laptop = Laptop(tmp_path / "new", sticks, dict(service.environ))
        laptop.home.mkdir()
        (old.sticks / "sent").rename(laptop.home / "sent")
        yield laptop


RENEW = (
    "polygent-issue renew {} --term 1y --accept not-due --accept long-term --reason 'a test' -o ."
)


def renewals_work(laptop: Laptop) -> None:
    """Check that both customers are renewed with the same issuer and key."""
    for customer in ("acme", "globex"):
        output = laptop.types(RENEW.format(customer))
        assert "main (" in output
        assert " → polygent-operator" not in output
    laptop.types("polygent-issue journal verify")


def test_a_lost_laptop_with_a_backup(new: Laptop) -> None:
    """Licenses issued after the backup are imported from the mail; renewals work."""
    output = new.types(LOST_LAPTOP)
    assert "restored the registry" in output
    assert "imported 1 license" in output
    assert "journal and registry are intact" in output
    renewals_work(new)


def test_a_lost_laptop_without_a_backup(new: Laptop) -> None:
    """The key backup and the license files are sufficient."""
    output = new.types(NO_BACKUP)
    assert "imported 2 licenses" in output
    renewals_work(new)


def test_a_lost_registry(old: Laptop) -> None:
    """The home and the key exist, and only the registry is missing."""
    (old.sticks / "sent").rename(old.home / "sent")
    path = old.types("polygent-issue config path").strip()
    (Path(path).parent / "registry.db").unlink()
    assert "polygent-issue registry import" in old.types("polygent-issue init", code=7)
    assert "imported 2 licenses" in old.types(LOST_REGISTRY)
    renewals_work(old)
