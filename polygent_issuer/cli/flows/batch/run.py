"""Run a batch: preview it, ask, unlock the keys, issue in groups, report each outcome."""

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from types import FrameType
from typing import Final

from polygent_issuer.batch.items import Job, Outcome, Preview, PreviewItem, preview
from polygent_issuer.batch.run import BatchRunner
from polygent_issuer.cli import prompts
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.outputs import (
    BatchReporter,
    Outputs,
    Problems,
    check_outputs,
    check_signing,
)
from polygent_issuer.cli.flows.batch.preview_text import PreviewText
from polygent_issuer.cli.flows.batch.result import (
    batch_report,
    preview_json,
    preview_report,
    repeated,
    total_blocks,
)
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions
from polygent_issuer.cli.output import result as streams
from polygent_issuer.cli.output.result import Report, write_result
from polygent_issuer.cli.prompts import obtain_consent_for_many
from polygent_issuer.errors import InputRefused, IssuerError, OutputProblem
from polygent_issuer.findings import Consent
from polygent_issuer.keys.signer import Signer
from polygent_issuer.text import Hint

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
        default_key: whether an item may need the common key.
        missing_customers: returns the slugs of customers without an item.
    """

    activity: str
    jobs: Callable[[Consent], Iterable[Job]]
    unlock: Callable[[], Mapping[str, Signer]]
    total: int
    default_key: bool = True
    missing_customers: Callable[[], tuple[str, ...]] = tuple


class Interruption:
    """Ctrl-C during a batch: the first is noted, and the second one interrupts immediately.

    Attributes:
        came: whether Ctrl-C was pressed.
    """

    came = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note Ctrl-C, if this is the main thread, which receives signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)

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
) -> Report:
    """Issue the licenses of each item; a failed item does not affect the others.

    Raises:
        IssuerError: an error that affects all items. It comes after the result, and acknowledged
            licenses are kept.
    """
    invocation.warn_of_default_issuer()
    outputs = check_outputs(invocation, issue_options, batch_options, default_key=batch.default_key)
    bundle = outputs.bundle
    if issue_options.dry_run:
        return _dry_run(invocation, batch, consent, outputs, batch_options.expect)
    if bundle is not None:
        bundle.recover(invocation.registry, now=invocation.now, actor=invocation.actor)

    @cache
    def unlock() -> Mapping[str, Signer]:
        if bundle is not None:
            bundle.require_free()
        return batch.unlock()

    total, expect = None, batch_options.expect
    if expect is not None or invocation.interactive:
        total, consent = _confirm(
            invocation, batch, consent, expect, unlock=unlock, yes=issue_options.yes
        )
        if total.ready:
            unlock()  # a bar would hide the prompt for a passphrase
    interruption = Interruption()
    runner = BatchRunner(
        invocation.registry,
        unlock=unlock,
        destination=outputs.destination,
        now=invocation.now,
        actor=invocation.actor,
        stopped=lambda: interruption.came,
        with_reason=not invocation.interactive,
        review=expect,
    )
    outcomes = runner.outcomes(batch.jobs(consent), None if total is None else total.shown)
    reporter = BatchReporter(invocation, outputs)
    try:
        return _report(invocation, batch, outcomes, reporter, outputs, interruption=interruption)
    finally:
        if reporter.counts.issued:
            invocation.seal_at_end(unlock())


def _report(
    invocation: Invocation,
    batch: Batch,
    outcomes: Iterable[Outcome],
    reporter: BatchReporter,
    outputs: Outputs,
    *,
    interruption: Interruption,
) -> Report:
    """Report each outcome when it is durable, then return the result."""
    problem, report_path = None, None
    with interruption.noted():
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
        report_path = None if outputs.report is None else outputs.report.finish()
    except OutputProblem as error:
        problem = problem or error
    result = batch_report(
        reporter.counts,
        invocation.settings,
        file=report_path,
        bundle=outputs.bundle,
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
    invocation: Invocation, batch: Batch, consent: Consent, outputs: Outputs, expect: str | None
) -> Report:
    """Show the decision on each item and what would stop the run; issue nothing."""
    text, report = PreviewText(), outputs.report

    def show(item: PreviewItem) -> None:
        if report is not None:
            report.add(preview_json(item, invocation.settings))
        if invocation.as_json:
            invocation.in_lines = True
            streams.write_json_now(preview_json(item, invocation.settings))
        elif not invocation.quiet or item.decision.proposals or item.error:
            text.add(item)

    total = _preview(invocation, batch, consent, expect, show)
    streams.write_blocks_now(text.blocks())
    result = preview_report(
        total,
        invocation.argv,
        file=None if report is None else report.finish(),
        missing_customers=batch.missing_customers(),
    )
    problems = Problems()
    if total.issues:
        check_signing(invocation, problems, total.keys.values(), outputs.bundle)
    if problems.found:
        invocation.in_lines = True
        write_result(result, as_json=invocation.as_json, quiet=invocation.quiet)
        problems.require_none()
    return result


def _preview(
    invocation: Invocation,
    batch: Batch,
    consent: Consent,
    expect: str | None,
    show: Callable[[PreviewItem], None],
) -> Preview:
    total = Preview()
    with _progress(invocation, "reviewing", batch.total) as advance:
        for item in preview(invocation.registry, batch.jobs(consent), resumed=expect):
            total.add(item)
            show(item)
            advance()
    return total


def _confirm(
    invocation: Invocation,
    batch: Batch,
    consent: Consent,
    expect: str | None,
    *,
    unlock: Callable[[], object],
    yes: bool,
) -> tuple[Preview, Consent]:
    """Preview the batch, compare it with the digest that was expected, and on a terminal ask."""
    text = PreviewText(most=_MOST_SHOWN)
    total = _preview(invocation, batch, consent, expect, text.add)
    if expect not in (None, total.digest):
        raise DecisionsChanged(
            f"the preview has changed since you looked at it: its digest is now {total.digest}; "
            "nothing was issued",
            hint=Hint("check the new preview: ", repeated(invocation.argv, "--dry-run")),
        )
    if not invocation.interactive or not (total.ready or total.missing):
        return total, consent  # without a prompt the result reports the rest
    streams.write_blocks([*text.blocks(), *total_blocks(total)], sys.stderr)
    if total.missing:  # a wrong passphrase would lose the reason
        unlock()
    agreed = obtain_consent_for_many(total.missing, consent)
    if agreed != consent:
        # The items on the screen count, though other commands may have written since.
        again = _preview(invocation, batch, agreed, expect, lambda _: None)
        total = replace(again, shown=total.shown)
    if total.ready and not yes:
        prompts.require_yes(f"go ahead with {total.ready:,}?", default=True)
    return total, agreed


def _progress(
    invocation: Invocation, activity: str, total: int
) -> AbstractContextManager[Callable[[], None]]:
    """Show a bar at a terminal; the context yields the function that advances it."""
    if invocation.quiet or not invocation.interactive or not total or streams.is_plain(sys.stderr):
        return nullcontext(lambda: None)
    from polygent_issuer.cli.flows.batch.bar import bar

    return bar(activity, total)
