"""What a desk looks like after `key generate` met a fault, and whether that keeps the promise.

The promise: a pinned key has its private half in a file that is whole; the settings are the old
ones or the new ones; whoever comes back is told what is there, with a command that works; and no
private key is anywhere but sealed.
"""

import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import ExitCode
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.verifier.keys import Key
from support.aftermath import Aftermath
from support.cli import PASSPHRASE, Outcome
from support.held import held
from support.keys import opened, tree
from support.searching import forms_of, forms_of_key, places

KEYS, BACKUPS = "keys", "backups"
_COMMAND = re.compile(r"(?m)^hint: .*?polygent-issue (.+)$")
_TEMPORARY = ".polygent-"


class KeyAftermath(Aftermath):
    """The judgement of one desk after `key generate` into the folders KEYS and BACKUPS."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """The same again, then as the hint of a refusal says; the key that is there signs."""
        self.judge_keys()
        pinned, outcome = self._pinned(), self.desk.run(*argv)
        for _ in range(2):
            if outcome.code in (ExitCode.OUTPUT, ExitCode.INPUT):
                outcome = self._as_hinted(outcome)
        self.expect(outcome.code == 0, f"again: {outcome}")
        self.after = held(self.desk)
        self.expect(len(self._pinned()) == 1, f"again, and there are {len(self._pinned())} keys")
        self.expect(pinned <= self._pinned(), "a pinned key is lost")
        self.judge_keys()
        for kid in self._pinned():
            self.sign_for_another(number, "--key", kid)

    def _as_hinted(self, refused: Outcome) -> Outcome:
        command = _COMMAND.search(refused.err)
        self.expect(command is not None, f"no command in the hint: {refused}")
        return refused if command is None else self.desk.run(*shlex.split(command[1]))

    def _judge_success(self, *, succeeded: bool) -> None:
        self.expect(len(self._pinned()) <= 1, f"{len(self._pinned())} keys of one command")
        if succeeded:
            self.expect(len(self._pinned()) == 1, "exit 0, and no key is pinned")

    def judge_keys(self) -> None:
        """Each pinned key has its private half, and each private half is whole and sealed."""
        found = {path: self._opened(path) for path in self._files()}
        kids = {path: _kid(key) for path, key in found.items() if key is not None}
        stores = settings.load(self.desk.home, {}).settings.stores if self.after.settings else {}
        for pinned in self._pinned():
            place = Path(stores.get(pinned, "").removeprefix("file:"))
            self.expect(kids.get(place) == pinned, f"{pinned} has no private half at {place}")
        everything = tree(self.desk.folder)
        secret = places(everything, forms_of(PASSPHRASE.encode()))
        self.expect(secret == {"passphrase"}, f"the passphrase is in {secret}")
        for key in found.values():
            plain = places(everything, forms_of_key(key)) if key else set()
            self.expect(not plain, f"a private key lies open in {plain}")
        self._judge_settings(stores)

    def _files(self) -> list[Path]:
        """The files that hold a private half or a part of one."""
        folders = [self.desk.folder / name for name in (KEYS, BACKUPS)]
        return [path for folder in folders for path in sorted(folder.iterdir())]

    def _opened(self, path: Path) -> ec.EllipticCurvePrivateKey | None:
        self.expect(path.stat().st_mode & 0o077 == 0, f"others may read {path}")
        try:
            return opened(path)
        except ValueError as error:
            self.expect(path.name.startswith(_TEMPORARY), f"half a key in {path}: {error}")
            return None

    def _judge_settings(self, stores: Mapping[str, str]) -> None:
        """The file is what it was, with the places of new keys if any, to the last byte."""
        if not self.before.settings:
            return
        with tempfile.TemporaryDirectory() as folder:
            settings.settings_path(Path(folder)).write_bytes(self.before.settings)
            known = settings.load(Path(folder), {}).settings.stores
            for kid, place in stores.items():
                if kid not in known:
                    settings_editing.set_value(Path(folder), f"stores.{kid}", place)
            whole = settings.settings_path(Path(folder)).read_bytes()
        self.expect(self.after.settings == whole, f"settings: {self.after.settings!a}")

    def _pinned(self) -> frozenset[str]:
        return self.after.keys - self.before.keys


def _kid(key: ec.EllipticCurvePrivateKey) -> str:
    return Key.from_public_key(key.public_key()).kid
