"""What a desk looks like after a command met a fault, and whether that keeps the promise.

The promise of every command: nothing happened, or all of it; the registry is whole, and the next
command is fine. Of issuing beside that: a license that is in the registry is delivered, or named
by the next command; never half a file, never two licenses for one command.
"""

import re

from polygent_issuer.errors import ExitCode
from support.cli import Desk, Outcome
from support.held import Held, held, litter_in

_SAID = re.compile(r"((note|warning): .+\n)*error: .+\n(hint: .+\n)?")
_SOME_REFUSED = 20  # what DESIGN calls a batch of which some items failed
NAMED = "was issued, but its file may not have reached"


class Aftermath:
    """The judgement of one desk; `problems` grows with each promise that is broken."""

    def __init__(
        self,
        desk: Desk,
        before: Held,
        outcome: Outcome,
        *,
        done: Held | None = None,
        held_name: bool = False,
    ) -> None:
        """Look at a desk after a command.

        Args:
            desk: where it ran.
            before: what the desk held then.
            outcome: how the command ended.
            done: what the desk holds when no fault comes upon the command, if that is known.
            held_name: whether an empty file may hold a name, as where there are no hard links.
        """
        self.desk = desk
        self.problems: list[str] = []
        self.acknowledged = 0  # licenses, by a batch
        # The next command, whichever it is, comes before anything else looks at the registry.
        self._next = desk.run("customer", "list")
        self.before, self.outcome, self.done = before, outcome, done
        self.after = held(desk)
        self.new = sorted(self.after.files.keys() - before.files.keys())
        self.expect(self._next.code == 0 or self._is_blank(), f"the next command: {self._next}")
        self.expect(not self.after.problems, f"journal verify: {self.after.problems}")
        self.expect(before.files.keys() <= self.after.files.keys(), "a license is lost")
        self._judge_outcome()
        self._judge_delivery()
        self._judge_files({b""} if held_name else set())
        if done is not None:
            self._judge_wholeness(done)

    def lies_in_place(self, license_id: str) -> bool:
        """Whether a license's whole file lies in the output folder under its own name."""
        found = tuple(self.desk.output.glob(f"*-{license_id[:8]}.lic"))
        return len(found) == 1 and found[0].read_bytes() == self.after.files[license_id]

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """What an operator may do next: here, type the same again.

        Args:
            argv: the command line that met the fault.
            number: tells one turn from the other.
        """
        again = self.desk.run(*argv)
        if self.after.rows == self.before.rows and self.after.settings == self.before.settings:
            self.expect(again.code == 0, f"again: {again}")
        else:
            self.expect(again.code in (0, ExitCode.INPUT), f"again: {again}")
            self.expect(again.code == 0 or "already" in again.err, f"again: {again}")
        if self.done is not None and again.code:
            self.expect(held(self.desk).rows == self.done.rows, "done again, and not as before")
        self.sign_for_another(number)

    def sign_for_another(self, number: int, *options: str) -> None:
        """Settle with one of the two customers whose documents lie there."""
        other = "globex" if number % 2 else "initech"
        document = str(self.desk.folder / f"{other}.json")
        output = ("--output", str(self.desk.output))  # named in no settings if there were none
        self.settle("sign", "--machine-info", document, *output, *options)

    def settle(self, *argv: str) -> None:
        """The next issue into that folder: it delivers what is pending and leaves no litter."""
        outcome = self.desk.run(*argv)
        self.expect(outcome.code == 0, f"the next issue: {outcome}")
        self.after = held(self.desk)
        self.expect(not self.after.problems, f"journal verify: {self.after.problems}")
        for license_id in self.after.files:
            self.expect(self.lies_in_place(license_id), f"{license_id[:8]} never delivered")
        litter = litter_in(self.desk.output)
        self.expect(not litter, f"left in the output folder: {litter}")
        told = self.desk.run("customer", "list").err
        self.expect(NAMED not in told, f"still named: {told}")

    def expect(self, kept: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion
        """Note a promise that is not kept."""
        if not kept:
            self.problems.append(otherwise)

    def _is_blank(self) -> bool:
        """Whether there is no registry, as before the command, so that no command can be fine."""
        return self._next.code == ExitCode.REGISTRY and not self.before.rows and not self.after.rows

    def _judge_outcome(self) -> None:
        code, err = self.outcome.code, self.outcome.err
        self.expect("Traceback" not in err, f"traceback: {err}")
        self.expect(code != ExitCode.BUG, f"a bug: {self.outcome}")
        if code > 0:
            self.expect(_SAID.fullmatch(err) is not None, f"says {err!a}")
        self._judge_success(succeeded=code == 0)

    def _judge_success(self, *, succeeded: bool) -> None:
        """What must be there when the command said that it is done."""
        if succeeded and self.done is not None:
            self.expect(self.after.rows == self.done.rows, "exit 0, and it is not done")

    def _judge_wholeness(self, done: Held) -> None:
        rows, settings = self.after.rows, self.after.settings
        self.expect(rows in (self.before.rows, done.rows), "half of it is in the registry")
        self.expect(settings in (self.before.settings, done.settings), f"settings: {settings!a}")

    def _judge_delivery(self) -> None:
        for license_id in self.after.files:
            named = f"license {license_id[:8]} {NAMED}" in self._next.err
            known = named or self.lies_in_place(license_id)
            self.expect(known, f"{license_id[:8]} is neither delivered nor named")

    def _judge_files(self, besides: set[bytes]) -> None:
        whole = {*self.after.files.values(), *besides}
        for path in self.desk.output.glob("*.lic"):
            self.expect(path.read_bytes() in whole, f"half a file: {path.name}")


class IssueAftermath(Aftermath):
    """The judgement of one desk after `sign`, `renew` or `reissue`."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """The same again when nothing was issued, else have it exported; then the next customer."""
        if not self.new:
            self.repeat(*argv)
        elif number % 3 == 0:
            self.export()
        if argv[0] != "sign" and len(self.after.current) != 1:
            self.problems.append(f"{len(self.after.current)} current licenses of one machine")
        self.sign_for_another(number)

    def repeat(self, *argv: str) -> None:
        """When nothing was issued: the same command again issues exactly one."""
        outcome = self.desk.run(*argv)
        self.after = held(self.desk)
        self.new = sorted(self.after.files.keys() - self.before.files.keys())
        self.expect(outcome.code == 0, f"again: {outcome}")
        self.expect(len(self.new) == 1, f"again: {len(self.new)} new licenses")

    def export(self) -> None:
        """Whatever was issued can be had with `license export`, delivered already or not."""
        for license_id in self.new:
            outcome = self.desk.run("license", "export", license_id[:8])
            self.expect(outcome.code == 0, f"export: {outcome}")
            where = sorted(self.desk.output.iterdir())
            self.expect(self.lies_in_place(license_id), f"exported elsewhere: {outcome}, {where}")

    def _judge_success(self, *, succeeded: bool) -> None:
        self.expect(len(self.new) <= 1, f"{len(self.new)} licenses of one command")
        if succeeded:
            delivered = len(self.new) == 1 and self.lies_in_place(self.new[0])
            self.expect(delivered, "exit 0, and no license was delivered")


class ImportAftermath(Aftermath):
    """The judgement of one desk after `registry import`: the files are there before the rows."""

    def sign_for_another(self, number: int, *options: str) -> None:
        """Settle, with the private key that no registry and no license file gives back."""
        store = f"file:{self.desk.folder / 'again.key'}"
        outcome = self.desk.run(
            "key", "import", str(self.desk.folder / "main.key"), "--store", store
        )
        self.expect(outcome.code == 0, f"key import: {outcome}")
        super().sign_for_another(number, *options)

    def _judge_outcome(self) -> None:
        if self.outcome.code != _SOME_REFUSED:  # said on stdout, file by file
            super()._judge_outcome()

    def _judge_wholeness(self, done: Held) -> None:
        begun = not self.before.rows and not self.after.files
        # A home that is empty hinders nobody from doing it again; nor does what was taken in.
        if not begun and self.outcome.code != _SOME_REFUSED:
            super()._judge_wholeness(done)

    def _judge_files(self, besides: set[bytes]) -> None:
        known = set() if self.done is None else {*self.done.files.values()}
        super()._judge_files(besides | known)
