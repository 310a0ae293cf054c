"""A real PKCS#11 token for one test: SoftHSM with its own configuration and folder.

SoftHSM reads its configuration at each initialisation, and the key store finalises a module after
use, so each test in one process has its own tokens.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pkcs11
import pytest

from polygent_issuer.store_uri.token import TokenUri
from support.tools import require_tool

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "4711-only-for-tests"
SO_PIN = "87654321-only-for-tests"
LABEL = "vault"

COUNT_LOW, FINAL_TRY, LOCKED = 0x10000, 0x20000, 0x40000
WRITE_PROTECTED = 0x2
_FRESH = 0x42D  # the flags of a newly initialised token


class SoftHsm:
    """A folder of tokens, with one of the label `vault`.

    Attributes:
        environ: the variables that a process needs to reach it.
        pin_file: a file with the user PIN.
    """

    def __init__(self, folder: Path) -> None:
        """Write the configuration and initialise the token."""
        self._tokens = folder / "tokens"
        self._tokens.mkdir()
        self._configuration = folder / "softhsm2.conf"
        self._configuration.write_text(
            f"directories.tokendir = {self._tokens}\nobjectstore.backend = file\n"
            "log.level = ERROR\nslots.removable = false\n"
        )
        self.environ = {"SOFTHSM2_CONF": str(self._configuration)}
        self.pin_file = folder / "pin"
        self.pin_file.write_text(f"{PIN}\n")
        self.initialise(LABEL)

    def initialise(self, label: str) -> None:
        """Initialise another token."""
        self._run(
            *(require_tool("softhsm2-util", "softhsm2"), "--init-token", "--free"),
            *("--label", label, "--so-pin", SO_PIN, "--pin", PIN),
        )

    def initialise_without_pin(self, label: str) -> None:
        """Initialise a token without a user PIN."""
        self._run(
            *(require_tool("pkcs11-tool", "opensc"), "--module", str(MODULE), "--init-token"),
            *("--slot-index", "1", "--label", label, "--so-pin", SO_PIN),
        )

    @property
    def place(self) -> TokenUri:
        """The token `vault`."""
        return TokenUri(module=MODULE, token=LABEL)

    @property
    def uri(self) -> str:
        """The store URI of the token `vault`."""
        return self.place.uri

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make these tokens visible to this process."""
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def tool(self, *arguments: str) -> str:
        """Run OpenSC's pkcs11-tool on the token, logged in; return its output."""
        program = require_tool("pkcs11-tool", "opensc")
        return self._run(
            *(program, "--module", str(MODULE), "--token-label", LABEL),
            *("--login", "--pin", PIN, *arguments),
        )

    def ceremony(self, label: str, key_id: str, *more: str, kind: str = "EC:prime256v1") -> None:
        """Generate a key pair with another tool, as in a key ceremony."""
        self.tool("--keypairgen", "--key-type", kind, "--label", label, "--id", key_id, *more)

    def objects(self) -> list[tuple[str, str]]:
        """Return the kinds and labels of the token's objects, as another program lists them."""
        listed = self.tool("--list-objects")
        return sorted(
            re.findall(r"^(\w+ Key) Object.*?\n  label: +(\S+)", listed, re.DOTALL | re.MULTILINE)
        )

    def set_flags(self, added: int) -> None:
        """Set flags of the (one, fresh) token in its file.

        SoftHSM neither counts wrong PINs nor locks; hardware sets these flags.
        """
        (state,) = self._tokens.glob("*/token.object")
        data = state.read_bytes()
        flags = _FRESH.to_bytes(8, "big")
        assert data.count(flags) == 1
        state.write_bytes(data.replace(flags, (_FRESH | added).to_bytes(8, "big")))

    def noted_a_wrong_pin(self) -> bool:
        """Return whether the token reports a wrong PIN since the last right one."""
        program = require_tool("pkcs11-tool", "opensc")
        slots = self._run(program, "--module", str(MODULE), "--list-token-slots")
        return "PIN count low" in slots

    def offer_only(self, mechanism: str) -> None:
        """Make the module offer only this mechanism."""
        with self._configuration.open("a") as configuration:
            configuration.write(f"slots.mechanisms = {mechanism}\n")

    def remove(self) -> None:
        """Remove the token, as from a USB port."""
        for token in self._tokens.iterdir():
            shutil.rmtree(token)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Block all calls of the token: another process locks its file during the block."""
        (state,) = self._tokens.glob("*/token.object")
        holding = (
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); "
            "print('locked', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", holding, str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"locked\n"
            try:
                yield
            finally:
                holder.kill()

    def spied(self, monkeypatch: pytest.MonkeyPatch, log: Path) -> TokenUri:
        """Return the same token through OpenSC's pkcs11-spy, which logs every call.

        The spy opens its log when it is loaded, so that of an earlier test is unloaded.
        """
        spies = sorted(Path("/usr/lib").glob("*/pkcs11-spy.so"))
        if not spies:
            require_tool("pkcs11-spy.so", "opensc-pkcs11")
        pkcs11.unload(str(spies[0]))
        monkeypatch.setenv("PKCS11SPY", str(MODULE))
        monkeypatch.setenv("PKCS11SPY_OUTPUT", str(log))
        return TokenUri(module=spies[0], token=LABEL)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        return done.stdout


def calls(log: Path, name: str) -> int:
    """Return the number of calls of a module's function in the spy's log."""
    return len(re.findall(rf"^\d+: {name}$", log.read_text(errors="replace"), re.MULTILINE))


def still_initialised() -> list[str]:
    """Return the loaded modules that are not finalised."""
    return [path for path, library in pkcs11._loaded.items() if library.initialized]


def softhsm(folder: Path) -> SoftHsm:
    """Return a new token; without SoftHSM the test skips and names the package."""
    require_tool("softhsm2-util", "softhsm2")
    folder.mkdir()
    return SoftHsm(folder)
