"""What a desk looks like after a command met a fault, and whether that keeps the promise.

The promise of issuing: nothing happened, or the license is in the registry and its file is
delivered or named by the next command; never half a file, never two licenses for one command.
"""

from dataclasses import dataclass
from pathlib import Path

from polygent_issuer.registry import REGISTRY_FILE, Registry, journal, licenses
from support.cli import Desk, Outcome

NAMED = "was issued, but its file may not have reached"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a registry holds.

    Attributes:
        files: every license's stored bytes, by ID.
        current: the IDs of those that are neither replaced nor retired.
        problems: what `journal verify` complains of.
    """

    files: dict[str, bytes]
    current: frozenset[str]
    problems: tuple[str, ...]


def held(desk: Desk) -> Held:
    """Read a registry."""
    with Registry.open(desk.home / REGISTRY_FILE) as registry, registry.reading() as db:
        records = tuple(licenses.select(db))
        return Held(
            files={record.id: record.file for record in records},
            current=frozenset(record.id for record in records if record.is_current),
            problems=journal.verify(db).problems,
        )


class Aftermath:
    """The judgement of one desk; `problems` grows with each promise that is broken."""

    def __init__(
        self, desk: Desk, before: Held, outcome: Outcome, *, held_name: bool = False
    ) -> None:
        """Look at a desk after a command.

        Args:
            desk: where it ran.
            before: what the registry held then.
            outcome: how the command ended.
            held_name: whether an empty file may hold a name, as where there are no hard links.
        """
        self.desk = desk
        self.problems: list[str] = []
        # The next command, whichever it is, comes before anything else looks at the registry.
        self._next = desk.run("customer", "list")
        self.before = before
        self.after = held(desk)
        self.new = sorted(self.after.files.keys() - before.files.keys())
        self._expect(self._next.code == 0, f"the next command failed: {self._next}")
        self._expect(not self.after.problems, f"journal verify: {self.after.problems}")
        self._expect(len(self.new) <= 1, f"{len(self.new)} licenses of one command")
        self._expect(before.files.keys() <= self.after.files.keys(), "a license is lost")
        self._judge_outcome(outcome)
        self._judge_delivery()
        self._judge_files({b""} if held_name else set())

    def lies_in_place(self, license_id: str) -> bool:
        """Whether a license's whole file lies in the output folder under its own name."""
        found = tuple(self.desk.output.glob(f"*-{license_id[:8]}.lic"))
        return len(found) == 1 and found[0].read_bytes() == self.after.files[license_id]

    def repeat(self, *argv: str) -> None:
        """When nothing was issued: the same command again issues exactly one."""
        outcome = self.desk.run(*argv)
        self.after = held(self.desk)
        self.new = sorted(self.after.files.keys() - self.before.files.keys())
        self._expect(outcome.code == 0, f"again: {outcome}")
        self._expect(len(self.new) == 1, f"again: {len(self.new)} new licenses")

    def settle(self, *argv: str) -> None:
        """The next issue into that folder: it delivers what is pending and leaves no litter."""
        outcome = self.desk.run(*argv)
        self._expect(outcome.code == 0, f"the next issue: {outcome}")
        self.after = held(self.desk)
        self._expect(not self.after.problems, f"journal verify: {self.after.problems}")
        for license_id in self.after.files:
            self._expect(self.lies_in_place(license_id), f"{license_id[:8]} never delivered")
        litter = litter_in(self.desk.output)
        self._expect(not litter, f"left in the output folder: {litter}")
        told = self.desk.run("customer", "list").err
        self._expect(NAMED not in told, f"still named: {told}")

    def export(self) -> None:
        """Whatever was issued can be had with `license export`, delivered already or not."""
        for license_id in self.new:
            outcome = self.desk.run("license", "export", license_id[:8])
            self._expect(outcome.code == 0, f"export: {outcome}")
            where = sorted(self.desk.output.iterdir())
            self._expect(self.lies_in_place(license_id), f"exported elsewhere: {outcome}, {where}")

    def _judge_outcome(self, outcome: Outcome) -> None:
        self._expect("Traceback" not in outcome.err, f"traceback: {outcome.err}")
        self._expect(outcome.code != 1, f"a bug: {outcome}")
        if outcome.code == 0:
            delivered = len(self.new) == 1 and self.lies_in_place(self.new[0])
            self._expect(delivered, "exit 0, and no license was delivered")
        if outcome.code > 0:
            self._expect(outcome.err.startswith(("error: ", "warning: ")), f"says {outcome.err!a}")

    def _judge_delivery(self) -> None:
        for license_id in self.after.files:
            named = f"license {license_id[:8]} {NAMED}" in self._next.err
            known = named or self.lies_in_place(license_id)
            self._expect(known, f"{license_id[:8]} is neither delivered nor named")

    def _judge_files(self, besides: set[bytes]) -> None:
        whole = {*self.after.files.values(), *besides}
        for path in self.desk.output.glob("*.lic"):
            self._expect(path.read_bytes() in whole, f"half a file: {path.name}")

    def _expect(self, kept: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion
        if not kept:
            self.problems.append(otherwise)


def litter_in(folder: Path) -> list[str]:
    """Temporary files in a folder."""
    return sorted(path.name for path in folder.glob(".polygent-*"))
