"""The outputs of a batch: checked before the first license, written as outcomes are durable."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.items import Done, Failed, Kept, Outcome
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.result import BatchCounts, outcome_blocks, outcome_json
from polygent_issuer.cli.flows.mail_drafts import Drafter, drafter
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions
from polygent_issuer.cli.output import result
from polygent_issuer.cli.output.files import write_csv_file
from polygent_issuer.cli.output.result import json_line
from polygent_issuer.errors import IssuerError, OutputProblem, SeveralProblems, UsageProblem
from polygent_issuer.files import publication
from polygent_issuer.issuing.outbox_delivery import Destination, choose_destination
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys.stores import require_present
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape, for_shell

COLUMNS: Final = (
    *("item", "outcome", "action", "customer", "machine", "license", "last_full_day"),
    *("upload_before", "file", "code", "why", "hint", "order_id", "note"),
)
"""The columns of a report as CSV."""

_ELSEWHERE: Final = "choose another file with --report"
_T = TypeVar("_T")


class ReportFile:
    """`--report FILE.csv|.json`: the outcome of each item, for a spreadsheet or a program.

    It is written at the end of the batch, also after an error, so it is never incomplete.
    """

    def __init__(self, target: Path) -> None:
        """Check the name and the place of the file.

        Raises:
            UsageProblem: (`usage`) the name ends in neither `.csv` nor `.json`.
            OutputExists: (`output_exists`) the file exists.
            OutputProblem: (`output_failed`) the folder does not exist or is not writable.
        """
        if target.suffix not in (".csv", ".json"):
            raise UsageProblem(
                f"--report FILE must end in .csv or .json: {escape(target.name)}",
                hint="--report FILE.csv or --report FILE.json",
            )
        publication.require_folder(target.parent, _ELSEWHERE)
        publication.require_free(target, _ELSEWHERE)
        self._target = target
        self._items: list[str] = []

    def add(self, item: Mapping[str, Any]) -> None:
        """Add an item in its JSON form."""
        self._items.append(json.dumps(item))

    def finish(self) -> Path:
        """Write the file.

        Raises:
            OutputExists, OutputProblem: as `publication.publish`.
        """
        fill = self._as_csv if self._target.suffix == ".csv" else self._as_json
        return publication.prepare_with(fill, self._target).publish(self._target.name)

    def _as_json(self, path: Path) -> None:
        with path.open("w", encoding="ascii") as stream:
            stream.write("[" + ",".join(f"\n{item}" for item in self._items) + "\n]\n")

    def _as_csv(self, path: Path) -> None:
        rows = (row for item in map(json.loads, self._items) for row in _rows(item))
        write_csv_file(path, COLUMNS, rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """The checked places of a batch: an archive or a folder, mail drafts, the report."""

    destination: Destination
    bundle: Bundle | None
    mail: Drafter | None
    report: ReportFile | None


class BatchReporter:
    """Reports the outcomes of a batch, each when it is durable; `counts` has them so far."""

    def __init__(self, invocation: Invocation, outputs: Outputs) -> None:
        """Prepare the report; outcomes of an archive are printed by `finish_bundle`."""
        self.counts = BatchCounts()
        self._invocation = invocation
        self._outputs = outputs
        self._waiting: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Write the mail drafts of an outcome, then report it.

        Raises:
            OutputProblem: (`output_failed`) stdout cannot be written.
        """
        bundle, mail, report = self._outputs.bundle, self._outputs.mail, self._outputs.report
        settings, as_json = self._invocation.settings, self._invocation.as_json
        if bundle is not None:
            bundle.note(outcome)
        drafts: dict[str, tuple[Path, ...]] = {}
        if mail is not None and isinstance(outcome, Done):
            try:
                drafts = mail.write(each.proposal.license.jti for each in outcome.issued)
            except IssuerError as problem:  # the license is issued and reported
                outcome = Failed(job=outcome.job, error=problem, issued=outcome.issued)
        self.counts.add(outcome)
        self._invocation.in_lines |= as_json
        archive = None if bundle is None else bundle.target
        members: Mapping[str, Any] = {}
        if as_json or report is not None:
            members = outcome_json(outcome, settings, drafts, archive)
        if report is not None:
            report.add(members)
        if self._invocation.quiet and isinstance(outcome, Kept) and not as_json:
            return
        if bundle is not None:
            blocks, width = outcome_blocks(outcome, drafts, archive), result.width_of(sys.stdout)
            lines = [json_line(members)] if as_json else result.plain_lines(blocks, width)
            self._waiting += (f"{line}\n" for line in lines)
        elif as_json:
            result.write_json_now(members)
        else:
            result.write_blocks_now(outcome_blocks(outcome, drafts))

    def finish_bundle(self) -> None:
        """Complete the archive, if there is one, and report its licenses."""
        if self._outputs.bundle is not None:
            invocation = self._invocation
            self._outputs.bundle.finish(
                invocation.registry, now=invocation.now, actor=invocation.actor
            )
            result.write_lines(self._waiting)


@dataclass(kw_only=True, slots=True)
class Problems:
    """The errors of several independent checks."""

    found: list[IssuerError] = field(default_factory=list)

    def attempt(self, check: Callable[[], _T]) -> _T | None:
        """Return the result of a check; note its error."""
        try:
            return check()
        except IssuerError as problem:
            self.found.append(problem)
            return None

    def require_none(self) -> None:
        """Raise the error, or `SeveralProblems` for several errors."""
        if self.found:
            SeveralProblems.raise_for(self.found)


def check_outputs(
    invocation: Invocation,
    issue_options: IssueOptions,
    batch_options: BatchOptions,
    *,
    default_key: bool,
) -> Outputs:
    """Check the places of a batch, and that the common key may sign.

    A key or an archive matters only if there is something to sign, so a missing key or an archive
    that exists is named here only together with other problems.

    Args:
        default_key: whether an item may need the common key.

    Raises:
        IssuerError: the only problem, or `SeveralProblems`.
    """
    problems = Problems()
    option, report_path = issue_options.eml, batch_options.report
    bundle, destination = check_place(
        invocation, problems, batch_options.bundle, issue_options.output
    )
    report = None if report_path is None else problems.attempt(lambda: ReportFile(report_path))
    mail = None if option is None else problems.attempt(lambda: drafter(invocation, option))
    key = None
    if issue_options.key is not None or default_key:
        key = problems.attempt(lambda: _key(invocation, issue_options.key))
    if problems.found:
        check_signing(invocation, problems, [] if key is None else [key], bundle)
    problems.require_none()
    if destination is None:
        raise AssertionError("a destination that could not be made is a problem")
    return Outputs(destination=destination, bundle=bundle, mail=mail, report=report)


def check_place(
    invocation: Invocation, problems: Problems, bundle: Path | None, output: str | None
) -> tuple[Bundle | None, Destination | None]:
    """Return the archive of `--bundle` if it is given, and where files go; None after a problem."""
    if bundle is None:
        return None, problems.attempt(lambda: _folder(invocation, output))
    archive = problems.attempt(lambda: _archive(invocation, bundle, output))
    return archive, None if archive is None else archive.destination


def check_signing(
    invocation: Invocation, problems: Problems, keys: Iterable[KeyRecord], bundle: Bundle | None
) -> None:
    """Check what only matters if licenses are signed: the keys, and the name of the archive."""
    for key in keys:
        problems.attempt(partial(require_present, invocation.settings, key))
    if bundle is not None:
        problems.attempt(bundle.require_free)


def _archive(invocation: Invocation, path: Path, output: str | None) -> Bundle:
    """Return the archive of `--bundle`, after checking that it can be written."""
    if output is not None:
        raise UsageProblem("--bundle and --output are mutually exclusive", hint="give one of them")
    window = invocation.settings.upload_window_or_assumed
    try:
        target = path.expanduser().absolute()
    except (RuntimeError, OSError):
        raise OutputProblem(
            f"the home folder for ~ is unknown: {escape(str(path))}",
            hint="give an absolute path to --bundle",
        ) from None
    bundle = Bundle(target, window=window)
    bundle.check()
    return bundle


def _folder(invocation: Invocation, option: str | None) -> Destination:
    """Return the folder of many files; a file or stdout is refused."""
    destination = choose_destination(option, invocation.settings.output, result.write_bytes)
    if destination.folder is None:
        raise UsageProblem(
            "a batch cannot be written to stdout", hint="--output FOLDER, or --bundle FILE.zip"
        )
    if destination.name is not None:
        place = str(destination.folder / destination.name)
        if not os.path.lexists(place):
            missing = f"the folder {escape(place)} does not exist"
            raise UsageProblem(missing, hint=f"mkdir -p {for_shell(place)}")
        raise UsageProblem(
            f"a batch writes many files, and {escape(place)} is not a folder",
            hint="--output FOLDER",
        )
    destination.check(())
    return destination


def _key(invocation: Invocation, name: str | None) -> KeyRecord:
    with invocation.registry.reading() as db:
        return choose_key(db, name)


def _rows(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each license of an item, or one row for an item without licenses.

    A dry run has decisions in place of outcomes, and its licenses have no ID.
    """
    error, missing = item.get("error") or {}, ", ".join(item.get("missing", ()))
    stopped = f"without consent: {missing}" if missing else None
    for license_ in item["licenses"] or [{}]:
        yield {
            "item": item["item"],
            "outcome": item.get("outcome") or item["decision"],
            "action": license_.get("action"),
            "customer": license_.get("customer"),
            "machine": license_.get("machine"),
            "license": license_.get("id") if "outcome" in item else None,
            "last_full_day": license_.get("last_full_day"),
            "upload_before": license_.get("upload_before"),
            "file": license_.get("file"),
            "code": error.get("code"),
            "why": error.get("message") or stopped or item.get("note"),
            "hint": error.get("hint"),
            "order_id": license_.get("order_id"),
            "note": license_.get("note"),
        }
