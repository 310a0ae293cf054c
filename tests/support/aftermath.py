"""Checks of a desk after a fault in a command.

Every command has either no effect or its whole effect, leaves an intact registry, and lets the next
command succeed. For a license in the registry, the file is delivered, or the next command reports
it. There is never a partial file, and never two licenses of one command.
"""

import re

from polygent_issuer.errors import ExitCode
from support.cli import Desk, Outcome
from support.desk_state import DeskState, litter_in, read_state

_REPORT = re.compile(r"((note|warning): .+\n)*error: .+\n(hint: .+\n)?")
_SOME_REFUSED = 20  # a batch finished, and some items failed
NAMED = "was issued, but its file may not have reached"


class Aftermath:
    """The checks of one desk; `problems` lists each failed check."""

    def __init__(
        self,
        desk: Desk,
        before: DeskState,
        outcome: Outcome,
        *,
        done: DeskState | None = None,
        reserved_name: bool = False,
    ) -> None:
        """Check a desk after a command.

        Args:
            desk: where it ran.
            before: the state of the desk before it.
            outcome: how the command ended.
            done: the state of the desk after the command without a fault, if known.
            reserved_name: whether an empty file may reserve a name, as without hard links.
        """
        self.desk = desk
        self.problems: list[str] = []
        self.acknowledged = 0  # licenses, by a batch
        # The next command must be the first to open the registry after the fault.
        self._next = desk.run("customer", "list")
        self.before, self.outcome, self.done = before, outcome, done
        self.after = read_state(desk)
        self.new = sorted(self.after.files.keys() - before.files.keys())
        self.expect(self._next.code == 0 or self._is_blank(), f"the next command: {self._next}")
        self.expect(not self.after.problems, f"journal verify: {self.after.problems}")
        self.expect(before.files.keys() <= self.after.files.keys(), "a license is lost")
        self._judge_outcome()
        self._judge_delivery()
        self._judge_files({b""} if reserved_name else set())
        if done is not None:
            self._judge_wholeness(done)

    def is_in_place(self, license_id: str) -> bool:
        """Return whether a license's complete file is in the output folder under its name."""
        paths = tuple(self.desk.output.glob(f"*-{license_id[:8]}.lic"))
        return len(paths) == 1 and paths[0].read_bytes() == self.after.files[license_id]

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """Continue as an operator would: repeat the command.

        Args:
            argv: the command line of the fault.
            number: the number of the point.
        """
        again = self.desk.run(*argv)
        if self.after.rows == self.before.rows and self.after.settings == self.before.settings:
            self.expect(again.code == 0, f"again: {again}")
        else:
            self.expect(again.code in (0, ExitCode.INPUT), f"again: {again}")
            self.expect(again.code == 0 or "already" in again.err, f"again: {again}")
        if self.done is not None and again.code:
            same = read_state(self.desk).rows == self.done.rows
            self.expect(same, "repeated, but the result differs")
        self.sign_for_another(number)

    def sign_for_another(self, number: int, *options: str) -> None:
        """Sign for one of the two customers whose documents are at the desk."""
        other = "globex" if number % 2 else "initech"
        document = str(self.desk.folder / f"{other}.json")
        output = ("--output", str(self.desk.output))  # there may be no settings
        self.settle("sign", "--machine-info", document, *output, *options)

    def settle(self, *argv: str) -> None:
        """Issue again; pending files must be delivered, and no temporary file left."""
        outcome = self.desk.run(*argv)
        self.expect(outcome.code == 0, f"the next issue: {outcome}")
        self.after = read_state(self.desk)
        self.expect(not self.after.problems, f"journal verify: {self.after.problems}")
        for license_id in self.after.files:
            self.expect(self.is_in_place(license_id), f"{license_id[:8]} never delivered")
        litter = litter_in(self.desk.output)
        self.expect(not litter, f"left in the output folder: {litter}")
        warnings = self.desk.run("customer", "list").err
        self.expect(NAMED not in warnings, f"still reported: {warnings}")

    def expect(self, passed: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion
        """Add a problem unless the check passed."""
        if not passed:
            self.problems.append(otherwise)

    def _is_blank(self) -> bool:
        """Return whether the registry was missing both before and after the command."""
        return self._next.code == ExitCode.REGISTRY and not self.before.rows and not self.after.rows

    def _judge_outcome(self) -> None:
        code, err = self.outcome.code, self.outcome.err
        self.expect("Traceback" not in err, f"traceback: {err}")
        self.expect(code != ExitCode.BUG, f"a bug: {self.outcome}")
        if code > 0:
            self.expect(_REPORT.fullmatch(err) is not None, f"stderr is {err!a}")
        self._judge_success(succeeded=code == 0)

    def _judge_success(self, *, succeeded: bool) -> None:
        """Check the result of a successful command."""
        if succeeded and self.done is not None:
            self.expect(self.after.rows == self.done.rows, "exit 0, but it is not done")

    def _judge_wholeness(self, done: DeskState) -> None:
        rows, settings = self.after.rows, self.after.settings
        self.expect(rows in (self.before.rows, done.rows), "half of it is in the registry")
        self.expect(settings in (self.before.settings, done.settings), f"settings: {settings!a}")

    def _judge_delivery(self) -> None:
        for license_id in self.after.files:
            named = f"license {license_id[:8]} {NAMED}" in self._next.err
            known = named or self.is_in_place(license_id)
            self.expect(known, f"{license_id[:8]} is neither delivered nor reported")

    def _judge_files(self, besides: set[bytes]) -> None:
        whole = {*self.after.files.values(), *besides}
        for path in self.desk.output.glob("*.lic"):
            self.expect(path.read_bytes() in whole, f"half a file: {path.name}")


class IssueAftermath(Aftermath):
    """The checks of one desk after `sign`, `renew` or `reissue`."""

    def go_on(self, argv: tuple[str, ...], number: int) -> None:
        """Repeat the command if nothing was issued, or else export; then sign for the next one."""
        if not self.new:
            self.repeat(*argv)
        elif number % 3 == 0:
            self.export()
        if argv[0] != "sign" and len(self.after.current) != 1:
            self.problems.append(f"{len(self.after.current)} current licenses of one machine")
        self.sign_for_another(number)

    def repeat(self, *argv: str) -> None:
        """Repeat the command, which must issue exactly one license."""
        outcome = self.desk.run(*argv)
        self.after = read_state(self.desk)
        self.new = sorted(self.after.files.keys() - self.before.files.keys())
        self.expect(outcome.code == 0, f"again: {outcome}")
        self.expect(len(self.new) == 1, f"again: {len(self.new)} new licenses")

    def export(self) -> None:
        """Export each issued license, delivered or not."""
        for license_id in self.new:
            outcome = self.desk.run("license", "export", license_id[:8])
            self.expect(outcome.code == 0, f"export: {outcome}")
            files = sorted(self.desk.output.iterdir())
            self.expect(self.is_in_place(license_id), f"exported elsewhere: {outcome}, {files}")

    def _judge_success(self, *, succeeded: bool) -> None:
        self.expect(len(self.new) <= 1, f"{len(self.new)} licenses of one command")
        if succeeded:
            delivered = len(self.new) == 1 and self.is_in_place(self.new[0])
            self.expect(delivered, "exit 0, but no license was delivered")


class SealAftermath(Aftermath):
    """The checks of one desk after `journal seal`."""

    def _judge_success(self, *, succeeded: bool) -> None:
        self.expect(not succeeded or not self.after.unsealed, "exit 0, but rows are not sealed")


class ImportAftermath(Aftermath):
    """The checks of one desk after `registry import`, where the files exist before the rows."""

    def sign_for_another(self, number: int, *options: str) -> None:
        """Sign again, after an import of the private key, which is not in a license file."""
        store = f"file:{self.desk.folder / 'again.key'}"
        outcome = self.desk.run(
            "key", "import", str(self.desk.folder / "main.key"), "--store", store
        )
        self.expect(outcome.code == 0, f"key import: {outcome}")
        super().sign_for_another(number, *options)

    def _judge_outcome(self) -> None:
        if self.outcome.code != _SOME_REFUSED:  # reported on stdout, file by file
            super()._judge_outcome()

    def _judge_wholeness(self, done: DeskState) -> None:
        begun = not self.before.rows and not self.after.files
        # Neither an empty home nor imported licenses prevent another import.
        if not begun and self.outcome.code != _SOME_REFUSED:
            super()._judge_wholeness(done)

    def _judge_files(self, besides: set[bytes]) -> None:
        known = set() if self.done is None else {*self.done.files.values()}
        super()._judge_files(besides | known)
