"""Whether a batch that met a fault keeps its promise.

What it acknowledged is there: license row, journal row, and the whole file. The same command again
does the rest, and then every item is issued exactly once, nothing waits, and nothing is left over.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polygent_issuer.errors import ExitCode
from support.aftermath import Aftermath
from support.held import held, litter_in
from support.twenty import BUNDLE, ITEMS

_ENDS = {
    *(ExitCode.DONE, ExitCode.REGISTRY, ExitCode.OUTPUT, ExitCode.BATCH, ExitCode.INTERRUPTED),
    *(ExitCode.INPUT, ExitCode.KEY),  # the fault came upon what it reads, or upon the key's file
}


def said(out: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stdout, up to one that a fault cut short."""
    text, at = out.decode(), 0
    while at < len(text):
        try:
            members, at = json.JSONDecoder().raw_decode(text, at)
        except json.JSONDecodeError:
            return
        at += len(text[at:]) - len(text[at:].lstrip())
        yield members


def acknowledged(out: bytes) -> Iterator[dict[str, Any]]:
    """The licenses that a batch said are done."""
    for members in said(out):
        if members.get("outcome") == "done":
            yield from members["licenses"]


def kind(problem: str) -> str:
    """Which of the promises a problem breaks: `lost`, `twice`, `torn`, else `repair`."""
    told = (("lost", "lost|acknowledged"), ("twice", "licenses|issues"), ("torn", "half a file"))
    return next((name for name, words in told if re.search(words, problem)), "repair")


class BatchAftermath(Aftermath):
    """The judgement of one desk after a batch of twenty items into its output folder."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """The same again does the rest, once more does nothing; then the next customer."""
        again = self.desk.run(*argv)
        self.expect(again.code == 0, f"again: {again}")
        self.after = held(self.desk)
        self._judge_end()
        more = self.desk.run(*argv)
        self.expect(more.code == 0, f"once more: {more}")
        self.expect(not list(acknowledged(more.out)), "once more issues something")
        self.expect(held(self.desk).rows == self.after.rows, "once more writes something")
        self.sign_for_another(number)

    def _judge_end(self) -> None:
        """Every item exactly once, and nothing that anybody has to mend."""
        after, new = self.after, self.after.files.keys() - self.before.files.keys()
        self.expect(len(new) == ITEMS, f"{len(new)} licenses of {ITEMS} items")
        self.expect(after.current == new, f"{len(after.current)} current licenses")
        self.expect(not after.problems, f"journal verify: {after.problems}")
        self.expect(not after.pending, f"{len(after.pending)} in the outbox")
        for license_id in after.files:
            self.expect(self.lies_in_place(license_id), f"{license_id[:8]} never delivered")
        self._judge_files(set())

    def _judge_outcome(self) -> None:
        code = self.outcome.code
        self.expect("Traceback" not in self.outcome.err, f"traceback: {self.outcome.err}")
        self.expect(code < 0 or code in _ENDS, f"exit {code}: {self.outcome}")
        if code == 0:
            self.expect(len(self.new) == ITEMS, "exit 0, and it is not done")
        self._judge_acknowledged()

    def _judge_acknowledged(self) -> None:
        journal = b"".join(row for rows in self.after.rows["journal"] for row in _bodies(rows))
        for each in acknowledged(self.outcome.out):
            self.acknowledged += 1
            license_id = each["id"]
            kept = self.after.files.get(license_id)
            self.expect(kept is not None, f"acknowledged and lost: {license_id}")
            self.expect(f'"license":"{license_id}"'.encode() in journal, f"no row: {license_id}")
            self.expect(self._has_file(each, kept), f"acknowledged without file: {license_id}")

    def _has_file(self, license_: dict[str, Any], kept: bytes | None) -> bool:
        path = Path(license_["file"])
        return path.is_file() and path.read_bytes() == kept


class BundleAftermath(BatchAftermath):
    """The judgement of one desk after a batch of twenty items into one archive."""

    def lies_in_place(self, license_id: str) -> bool:
        """Whether it is in the archive, or in the output folder as those of other commands."""
        name, file = f"-{license_id[:8]}.lic", self.after.files[license_id]
        found = [data for entry, data in self._entries() if entry.endswith(name)]
        return found == [file] if found else super().lies_in_place(license_id)

    def sign_for_another(self, number: int, *options: str) -> None:
        """Settle; the next archive beside this one leaves no litter there either."""
        super().sign_for_another(number, *options)
        names = ("customer-6b86b273ff34", "customer-d4735e3a265e")
        consent = ("--accept", "not-due", "--reason", "asked for")
        other = str(self.desk.folder / "other.zip")
        outcome = self.desk.run("renew", *names, "--bundle", other, *consent)
        self.expect(outcome.code == 0, f"the next archive: {outcome}")
        litter = litter_in(self.desk.folder)
        self.expect(not litter, f"left beside the archive: {litter}")

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
                self.lies_in_place(license_id) or (license_id in self.after.pending and named),
                f"{license_id[:8]} is neither delivered nor named",
            )

    def _has_file(self, license_: dict[str, Any], kept: bytes | None) -> bool:  # noqa: ARG002
        """What an archive will hold is durable in the registry, and waits there."""
        return license_["id"] in self.after.pending or self.lies_in_place(license_["id"])


def _bodies(row: tuple[object, ...]) -> Iterator[bytes]:
    return (value for value in row if isinstance(value, bytes))
