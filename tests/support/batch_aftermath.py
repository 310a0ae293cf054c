"""Checks of a desk after a fault in a batch.

An acknowledged license has its row, its journal row and its complete file. The same command again
does the rest. Then every item is issued exactly once, the outbox is empty, and no temporary file is
left.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polygent_issuer.errors import ExitCode
from support.aftermath import Aftermath
from support.batch_items import BUNDLE, ITEMS
from support.desk_state import litter_in, read_state

_ENDS = {
    *(ExitCode.DONE, ExitCode.REGISTRY, ExitCode.OUTPUT, ExitCode.BATCH, ExitCode.INTERRUPTED),
    *(ExitCode.INPUT, ExitCode.KEY),  # the fault hit an input file or the key file
}


def json_objects(out: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of stdout, up to one that a fault truncated."""
    text, at = out.decode(), 0
    while at < len(text):
        try:
            members, at = json.JSONDecoder().raw_decode(text, at)
        except json.JSONDecodeError:
            return
        at += len(text[at:]) - len(text[at:].lstrip())
        yield members


def acknowledged(out: bytes) -> Iterator[dict[str, Any]]:
    """Yield the licenses that a batch reported as done."""
    for members in json_objects(out):
        if members.get("outcome") == "done":
            yield from members["licenses"]


def kind(problem: str) -> str:
    """Return the kind of a problem: `lost`, `twice`, `torn`, else `repair`."""
    kinds = (("lost", "lost|acknowledged"), ("twice", "licenses|issues"), ("torn", "half a file"))
    return next((name for name, words in kinds if re.search(words, problem)), "repair")


class BatchAftermath(Aftermath):
    """The checks of one desk after a batch of twenty items into its output folder."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """Repeat the batch, which does the rest, and again, which does nothing; then sign."""
        again = self.desk.run(*argv)
        self.expect(again.code == 0, f"again: {again}")
        self.after = read_state(self.desk)
        self._judge_end()
        more = self.desk.run(*argv)
        self.expect(more.code == 0, f"once more: {more}")
        self.expect(not list(acknowledged(more.out)), "once more issues something")
        self.expect(read_state(self.desk).rows == self.after.rows, "once more writes something")
        self.sign_for_another(number)

    def _judge_end(self) -> None:
        """Check that every item is issued exactly once, and that nothing needs a repair."""
        after, new = self.after, self.after.files.keys() - self.before.files.keys()
        self.expect(len(new) == ITEMS, f"{len(new)} licenses of {ITEMS} items")
        self.expect(after.current == new, f"{len(after.current)} current licenses")
        self.expect(not after.problems, f"journal verify: {after.problems}")
        self.expect(not after.pending, f"{len(after.pending)} in the outbox")
        for license_id in after.files:
            self.expect(self.is_in_place(license_id), f"{license_id[:8]} never delivered")
        self._judge_files(set())

    def _judge_outcome(self) -> None:
        code = self.outcome.code
        self.expect("Traceback" not in self.outcome.err, f"traceback: {self.outcome.err}")
        self.expect(code < 0 or code in _ENDS, f"exit {code}: {self.outcome}")
        if code == 0:
            self.expect(len(self.new) == ITEMS, "exit 0, but it is not done")
        self._judge_acknowledged()

    def _judge_acknowledged(self) -> None:
        journal = b"".join(row for rows in self.after.rows["journal"] for row in _bodies(rows))
        for each in acknowledged(self.outcome.out):
            self.acknowledged += 1
            license_id = each["id"]
            stored = self.after.files.get(license_id)
            self.expect(stored is not None, f"acknowledged and lost: {license_id}")
            self.expect(f'"license":"{license_id}"'.encode() in journal, f"no row: {license_id}")
            self.expect(self._has_file(each, stored), f"acknowledged without file: {license_id}")

    def _has_file(self, license_: dict[str, Any], stored: bytes | None) -> bool:
        path = Path(license_["file"])
        return path.is_file() and path.read_bytes() == stored


class BundleAftermath(BatchAftermath):
    """The checks of one desk after a batch of twenty items into one archive."""

    def is_in_place(self, license_id: str) -> bool:
        """Return whether the file is in the archive, or in the output folder."""
        name, file = f"-{license_id[:8]}.lic", self.after.files[license_id]
        entries = [data for entry, data in self._entries() if entry.endswith(name)]
        return entries == [file] if entries else super().is_in_place(license_id)

    def sign_for_another(self, number: int, *options: str) -> None:
        """Sign; then write another archive next to this one, which leaves no temporary file."""
        super().sign_for_another(number, *options)
        names = ("customer-6b86b273ff34", "customer-d4735e3a265e")
        consent = ("--accept", "not-due", "--reason", "asked for")
        other = str(self.desk.folder / "other.zip")
        outcome = self.desk.run("renew", *names, "--bundle", other, *consent)
        self.expect(outcome.code == 0, f"the next archive: {outcome}")
        litter = litter_in(self.desk.folder)
        self.expect(not litter, f"left next to the archive: {litter}")

    def _entries(self) -> list[tuple[str, bytes]]:
        path = self.desk.folder / BUNDLE
        if not path.exists():
            return []
        with zipfile.ZipFile(path) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]

    def _judge_delivery(self) -> None:
        waiting = len(self.after.files.keys() & self.after.pending)
        named = f"{waiting:,} license" in self._next.err
        for license_id in self.after.files:
            self.expect(
                self.is_in_place(license_id) or (license_id in self.after.pending and named),
                f"{license_id[:8]} is neither delivered nor reported",
            )

    def _has_file(self, license_: dict[str, Any], stored: bytes | None) -> bool:  # noqa: ARG002
        """Return whether it is pending in the registry or in the archive."""
        return license_["id"] in self.after.pending or self.is_in_place(license_["id"])


def _bodies(row: tuple[object, ...]) -> Iterator[bytes]:
    return (value for value in row if isinstance(value, bytes))
