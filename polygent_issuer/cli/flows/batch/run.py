"""Run a batch: preview it, ask, unlock the keys, issue in groups, report each outcome."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.batch.outcomes import Job, Outcome
from polygent_issuer.batch.preview import Preview, PreviewItem, preview
from polygent_issuer.batch.run import BatchRunner
from polygent_issuer.cli import prompts
from polygent_issuer.cli.consent import obtain_for_many
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.reporter import (
    BatchReporter,
    ReportFile,
    preview_blocks,
    preview_json,
)
from polygent_issuer.cli.flows.batch.result import BatchResult, PreviewResult, total_blocks
from polygent_issuer.cli.flows.issue import warn_of_default_issuer
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions
from polygent_issuer.cli.output import result as streams
from polygent_issuer.cli.output.result import Result, write_result
from polygent_issuer.errors import InputRefused, IssuerError, OutputProblem, UsageProblem
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.signing import Destination, choose_destination, choose_key
from polygent_issuer.keys.signer import Signer
from polygent_issuer.text import escape, for_shell

_MOST_SHOWN: Final = 20
"""The maximum number of items that a preview shows at a terminal."""


class DecisionsChanged(InputRefused):
    """The decisions differ from those of the preview."""

    code = "decisions_changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The items of a batch, and the means to issue their licenses.

    Attributes:
        activity: the label of the progress bar: `renewing`.
        jobs: returns the items for one pass with a consent.
        unlock: returns the signer of each key that may be needed; it may prompt.
        total: the number of items.
        expect: the digest that the preview must have.
        takes_digest: whether the command has `--expect`.
        default_key: whether an item may need the common key.
        missing_customers: returns the slugs of customers without an item.
    """

    activity: str
    jobs: Callable[[Consent], Iterable[Job]]
    unlock: Callable[[], Mapping[str, Signer]]
    total: int
    expect: str | None = None
    takes_digest: bool = False
    default_key: bool = True
    missing_customers: Callable[[], tuple[str, ...]] = tuple


class Interruption:
    """A context in which the first Ctrl-C is noted, and the second one interrupts immediately.

    Attributes:
        came: whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        """Begin without Ctrl-C."""
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Install the handler, if this is the main thread, which receives signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handler."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            signal.default_int_handler(number, frame)
        self.came = True


def run_batch(
    invocation: Invocation,
    batch: Batch,
    issue_options: IssueOptions,
    batch_options: BatchOptions,
    consent: Consent,
) -> Result:
    """Issue the licenses of each item; a failed item does not affect the others.

    Raises:
        IssuerError: an error that affects all items. It comes after the result, and acknowledged
            licenses are kept.
    """
    warn_of_default_issuer(invocation)
    mail = None if issue_options.eml is None else drafter(invocation, issue_options.eml)
    bundle = _bundle(invocation, batch_options.bundle, issue_options.output)
    folder = _folder(invocation, issue_options.output) if bundle is None else bundle.destination
    if issue_options.key is not None or batch.default_key:
        with invocation.registry.reading() as db:
            choose_key(db, issue_options.key)
    report = None if batch_options.report is None else ReportFile(batch_options.report)
    if issue_options.dry_run:
        return _dry_run(invocation, batch, consent, report)
    if bundle is not None:
        bundle.recover(invocation.registry, now=invocation.now, actor=invocation.actor)

    @cache
    def unlock() -> Mapping[str, Signer]:
        if bundle is not None:
            bundle.require_free()
        return batch.unlock()

    total = None
    if batch.expect is not None or invocation.interactive:
        total, consent = _confirm(invocation, batch, issue_options, consent)
        if total.ready:
            unlock()  # a bar would hide the prompt for a passphrase
    interruption = Interruption()
    runner = BatchRunner(
        invocation.registry,
        unlock=unlock,
        destination=folder,
        now=invocation.now,
        actor=invocation.actor,
        stopped=lambda: interruption.came,
        with_reason=not invocation.interactive,
        review=batch.expect,
    )
    outcomes = runner.outcomes(batch.jobs(consent), None if total is None else total.shown)
    reporter = BatchReporter(invocation, mail, report, bundle)
    return _report(invocation, batch, outcomes, reporter, interruption)


def _report(
    invocation: Invocation,
    batch: Batch,
    outcomes: Iterable[Outcome],
    reporter: BatchReporter,
    interruption: Interruption,
) -> BatchResult:
    """Report each outcome when it is durable, then return the result."""
    problem, report_path = None, None
    with interruption:
        try:
            with _progress(invocation, batch.activity, batch.total) as advance:
                for outcome in outcomes:
                    reporter.add(outcome)
                    advance()
            if not interruption.came:
                reporter.finish_bundle()
        except IssuerError as error:
            problem = error
    try:
        report_path = reporter.finish_report()
    except OutputProblem as error:
        problem = problem or error
    result = BatchResult(
        counts=reporter.counts,
        settings=invocation.settings,
        report=report_path,
        bundle=reporter.bundle,
        interrupted=interruption.came,
        stopped=problem is not None,
        missing_customers=batch.missing_customers() if problem is None else (),
    )
    if problem is not None:
        invocation.in_lines = True
        write_result(result, as_json=invocation.as_json, quiet=invocation.quiet)
        raise problem
    return result


def _dry_run(
    invocation: Invocation, batch: Batch, consent: Consent, report: ReportFile | None
) -> PreviewResult:
    """Show the decision on each item, and issue nothing."""

    def show(item: PreviewItem) -> None:
        if report is not None:
            report.add(preview_json(item, invocation.settings))
        if invocation.as_json:
            invocation.in_lines = True
            streams.write_json_now(preview_json(item, invocation.settings))
        else:
            streams.write_blocks_now(preview_blocks(item))

    total = _preview(invocation, batch, consent, show)
    return PreviewResult(
        preview=total,
        takes_digest=batch.takes_digest,
        report=None if report is None else report.finish(),
        missing_customers=batch.missing_customers(),
    )


def _preview(
    invocation: Invocation, batch: Batch, consent: Consent, show: Callable[[PreviewItem], None]
) -> Preview:
    """Decide every item, and show each as it is decided."""
    total = Preview()
    with _progress(invocation, "reviewing", batch.total) as advance:
        for item in preview(invocation.registry, batch.jobs(consent), resumed=batch.expect):
            total.add(item)
            show(item)
            advance()
    return total


def _confirm(
    invocation: Invocation, batch: Batch, issue_options: IssueOptions, consent: Consent
) -> tuple[Preview, Consent]:
    """Preview the batch, compare it with the digest that was expected, and on a terminal ask."""
    first: list[PreviewItem] = []

    def collect(item: PreviewItem) -> None:
        visible = item.decision.proposals or item.error or item.decision.note
        if len(first) < _MOST_SHOWN and visible:
            first.append(item)

    total = _preview(invocation, batch, consent, collect)
    if batch.expect not in (None, total.digest):
        raise DecisionsChanged(
            f"the preview has changed since you looked at it: its digest is now {total.digest}; "
            "nothing was issued",
            hint="check the new preview with --dry-run, and use the digest that it prints",
        )
    if not invocation.interactive or not (total.ready or total.missing):
        return total, consent  # without a prompt the result reports the rest
    blocks = [block for item in first for block in preview_blocks(item)]
    streams.write_blocks([*blocks, *total_blocks(total)], sys.stderr)
    agreed = obtain_for_many(total.missing, consent)
    if agreed != consent:
        # The items on the screen count, though other commands may have written since.
        again = _preview(invocation, batch, agreed, lambda _: None)
        total = replace(again, shown=total.shown)
    if total.ready and not issue_options.yes:
        prompts.require_yes(f"go ahead with {total.ready:,}?", default=True)
    return total, agreed


def _bundle(invocation: Invocation, option: Path | None, output: str | None) -> Bundle | None:
    """Return the archive of `--bundle`, after checking that it can be written."""
    if option is None:
        return None
    if output is not None:
        raise UsageProblem("--bundle and --output are mutually exclusive", hint="give one of them")
    window = invocation.settings.upload_window_or_assumed
    try:
        path = option.expanduser().absolute()
    except (RuntimeError, OSError):
        raise OutputProblem(
            f"the home folder for ~ is unknown: {escape(str(option))}",
            hint="give an absolute path to --bundle",
        ) from None
    bundle = Bundle(path, window=window)
    bundle.check()
    return bundle


def _folder(invocation: Invocation, option: str | None) -> Destination:
    """Return the folder of a batch; a file or stdout is refused."""
    destination = choose_destination(option, invocation.settings.output, streams.write_bytes)
    if destination.folder is None:
        raise UsageProblem(
            "a batch cannot be written to stdout",
            hint="--output FOLDER, or --bundle FILE.zip",
        )
    if destination.name is not None:
        place = str(destination.folder / destination.name)
        raise UsageProblem(
            f"a batch writes many files, and {escape(place)} is not a folder",
            hint="--output FOLDER" if os.path.lexists(place) else f"mkdir -p {for_shell(place)}",
        )
    destination.check(())
    return destination


def _progress(
    invocation: Invocation, activity: str, total: int
) -> AbstractContextManager[Callable[[], None]]:
    """Show a bar at a terminal; the context yields the function that advances it."""
    if invocation.quiet or not invocation.interactive or not total or streams.is_plain(sys.stderr):
        return nullcontext(lambda: None)
    from polygent_issuer.cli.flows.batch.bar import bar

    return bar(activity, total)
