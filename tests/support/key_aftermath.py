"""Checks of a desk after a fault in `key generate` or `key passphrase`.

After `key generate`, the private key of a pinned key is in a complete file. The settings are either
the old or the new ones. The same command again reports what exists, with a hint that works. After
`key passphrase`, the old or the new passphrase opens each key file. No private key is stored
unencrypted.
"""

import re
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from polygent_issuer.errors import ExitCode
from polygent_issuer.home import settings, settings_editing
from polygent_issuer.keys import backups
from polygent_issuer.verifier.keys import Key
from support.aftermath import Aftermath
from support.cli import PASSPHRASE, Outcome
from support.desk_state import read_state, tree
from support.keys import kid_of, opened
from support.secret_search import forms_of, forms_of_key, places

KEYS, BACKUPS = "keys", "backups"
NEW_PASSPHRASE = "another horse, and long"
_COMMAND = re.compile(r"(?m)^hint: .*?polygent-issue (.+)$")
_TEMPORARY = ".polygent-"


class KeyAftermath(Aftermath):
    """The checks of one desk after `key generate` into the folders KEYS and BACKUPS."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """Repeat the command, follow the hint if it is refused, and sign with the key."""
        self.judge_keys()
        pinned, outcome = self._pinned(), self.desk.run(*argv)
        for _ in range(2):
            if outcome.code in (ExitCode.OUTPUT, ExitCode.INPUT):
                outcome = self._as_hinted(outcome)
        self.expect(outcome.code == 0, f"again: {outcome}")
        self.after = read_state(self.desk)
        self.expect(len(self._pinned()) == 1, f"again: {len(self._pinned())} keys")
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
            self.expect(len(self._pinned()) == 1, "exit 0, but no key is pinned")

    def judge_keys(self) -> None:
        """Check that each pinned key has its private key, complete and encrypted."""
        private_keys = {path: self._opened(path) for path in self._files()}
        kids = {path: _kid(key) for path, key in private_keys.items() if key is not None}
        present = settings.load(self.desk.home, {}).settings
        stores = present.stores if self.after.settings else {}
        for pinned in self._pinned():
            place = Path(stores.get(pinned, "").removeprefix("file:"))
            self.expect(kids.get(place) == pinned, f"{pinned} has no private key at {place}")
        everything = tree(self.desk.folder)
        secret = places(everything, forms_of(PASSPHRASE.encode()))
        self.expect(secret == {"passphrase"}, f"the passphrase is in {secret}")
        for key in private_keys.values():
            plain = places(everything, forms_of_key(key)) if key else set()
            self.expect(not plain, f"a private key is unencrypted in {plain}")
        self._judge_settings(stores, present.backups)

    def _files(self) -> list[Path]:
        """Return the files that contain a private key or a part of one."""
        folders = [self.desk.folder / name for name in (KEYS, BACKUPS)]
        return [path for folder in folders for path in sorted(folder.iterdir())]

    def _opened(self, path: Path) -> ec.EllipticCurvePrivateKey | None:
        self.expect(path.stat().st_mode & 0o077 == 0, f"others may read {path}")
        try:
            return opened(path)
        except ValueError as error:
            self.expect(path.name.startswith(_TEMPORARY), f"half a key in {path}: {error}")
            return None

    def _judge_settings(
        self, stores: Mapping[str, str], places: Mapping[str, tuple[Path, ...]]
    ) -> None:
        """Check that the file is as before, with the places of new keys, to the last byte."""
        if not self.before.settings:
            return
        with tempfile.TemporaryDirectory() as folder:
            settings.settings_path(Path(folder)).write_bytes(self.before.settings)
            known = settings.load(Path(folder), {}).settings.stores
            for kid, place in stores.items():
                if kid not in known:
                    settings_editing.set_value(Path(folder), f"stores.{kid}", place)
            for kid, paths in places.items():
                backups.replace(Path(folder), kid, paths)
            whole = settings.settings_path(Path(folder)).read_bytes()
        self.expect(self.after.settings == whole, f"settings: {self.after.settings!a}")

    def _pinned(self) -> frozenset[str]:
        return self.after.keys - self.before.keys


class PassphraseAftermath(Aftermath):
    """The checks of one desk after `key passphrase` for a key with a backup."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """Continue with the passphrase that opens the key; change it, if it is the old one."""
        opening = self._judge_files_of_key()
        self.desk.passphrase_file.write_text(opening)
        if opening == PASSPHRASE:
            again = self.desk.run(*argv)
            self.expect(again.code == 0, f"again: {again}")
            opening = self._judge_files_of_key()
            self.expect(opening == NEW_PASSPHRASE, "exit 0, but the old passphrase opens the key")
            self.desk.passphrase_file.write_text(opening)
        self.sign_for_another(number)

    def _judge_success(self, *, succeeded: bool) -> None:
        super()._judge_success(succeeded=succeeded)
        if not succeeded:
            return
        key_file, backup = self._files_of_key()
        self.expect(
            self._passphrase_of(key_file) == NEW_PASSPHRASE, "exit 0, but it is the old one"
        )
        named = f"the backup {backup} keeps its passphrase" in self.outcome.text
        changed = self._passphrase_of(backup) == NEW_PASSPHRASE
        self.expect(changed is not named, f"exit 0, but the backup: {self.outcome}")

    def _files_of_key(self) -> tuple[Path, Path]:
        return self.desk.folder / "main.key", self.desk.folder / BACKUPS / "main.key"

    def _judge_files_of_key(self) -> str:
        """Check the key file and its backup; return the passphrase of the key file."""
        key_file, backup = self._files_of_key()
        first = self._passphrase_of(key_file)
        key = opened(key_file, first)
        self.expect(kid_of(backup, self._passphrase_of(backup)) == _kid(key), "another backup")
        everything = tree(self.desk.folder)
        plain = places(everything, forms_of_key(key))
        self.expect(not plain, f"a private key is unencrypted in {plain}")
        secret = places(everything, forms_of(NEW_PASSPHRASE.encode()))
        self.expect(secret <= {"passphrase", "new"}, f"the passphrase is in {secret}")
        return first

    def _passphrase_of(self, path: Path) -> str:
        for passphrase in (PASSPHRASE, NEW_PASSPHRASE):
            with suppress(ValueError):
                opened(path, passphrase)
                return passphrase
        raise AssertionError(f"neither passphrase opens {path}")


def _kid(key: ec.EllipticCurvePrivateKey) -> str:
    return Key.from_public_key(key.public_key()).kid
