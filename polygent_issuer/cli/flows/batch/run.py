"""Run a batch: preview it, ask, unlock the keys, issue in groups, report each outcome."""

import signal
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from types import FrameType
from typing import Any, Self

from polygent_issuer.batch.outcomes import Outcome
from polygent_issuer.batch.run import BatchRunner
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch import destinations
from polygent_issuer.cli.flows.batch.batch import Batch
from polygent_issuer.cli.flows.batch.confirm import confirm_preview
from polygent_issuer.cli.flows.batch.preview import dry_run
from polygent_issuer.cli.flows.batch.progress import progress
from polygent_issuer.cli.flows.batch.report_file import ReportFile
from polygent_issuer.cli.flows.batch.reporter import BatchReporter
from polygent_issuer.cli.flows.batch.result import BatchResult
from polygent_issuer.cli.flows.issue import tell_default_issuer
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions
from polygent_issuer.cli.output import result as output
from polygent_issuer.errors import IssuerError, OutputProblem
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys.signer import Signer


class Interruption:
    """While it is entered, the first Ctrl-C is noted, and the second interrupts at once.

    Attributes:
        came: whether there was one.
    """

    def __init__(self) -> None:
        """Begin without one."""
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Begin to note it; only the main thread receives signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the handler that was there before."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            signal.default_int_handler(number, frame)
        self.came = True


def run_batch(
    invocation: Invocation,
    batch: Batch,
    how: IssueOptions,
    options: BatchOptions,
    consent: Consent,
) -> output.Result:
    """Issue what each item needs; one that fails leaves the others alone.

    Raises:
        IssuerError: what stands in the way of all, after the result of what was done; what was
            acknowledged is kept.
    """
    tell_default_issuer(invocation)
    mail_drafts = drafter(invocation, how.eml)
    bundle = destinations.archive(invocation, options.bundle, how.output)
    folder = destinations.folder(invocation, how.output) if bundle is None else bundle.destination
    if how.key is not None or batch.default_key:
        with invocation.registry.reading() as db:
            choose_key(db, how.key)
    report = None if options.report is None else ReportFile(options.report)
    if how.dry_run:
        return dry_run(invocation, batch, consent, report)
    if bundle is not None:
        bundle.recover(invocation.registry, now=invocation.now, actor=invocation.actor)

    @cache
    def unlock() -> Mapping[str, Signer]:
        if bundle is not None:
            bundle.require_free()
        return batch.unlock()

    preview = None
    if batch.expect is not None or invocation.interactive:
        preview, consent = confirm_preview(invocation, batch, how, consent)
        if preview.ready:
            unlock()  # a bar would stand in the way of the question for a passphrase
    interruption = Interruption()
    run = BatchRunner(
        invocation.registry,
        unlock=unlock,
        destination=folder,
        now=invocation.now,
        actor=invocation.actor,
        stopped=lambda: interruption.came,
        with_reason=not invocation.interactive,
        review=batch.expect,
    )
    outcomes = run.outcomes(batch.jobs(consent), None if preview is None else preview.shown)
    reporter = BatchReporter(invocation, mail_drafts, report, bundle)
    return _finish(invocation, batch, outcomes, reporter, interruption)


def _finish(
    invocation: Invocation,
    batch: Batch,
    outcomes: Iterable[Outcome],
    reporter: BatchReporter,
    interruption: Interruption,
) -> BatchResult:
    """Report each outcome when it is durable, then the result."""
    problem, report_path = None, None
    with interruption:
        try:
            with progress(invocation, batch.activity, batch.total) as advance:
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
        output.write_result(result, as_json=invocation.as_json, quiet=invocation.quiet)
        raise problem
    return result
