"""Problems that would stop a batch, found before the first license is signed, and all at once."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from polygent_issuer.batch.bundle import Bundle
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.reporter import Outputs, ReportFile
from polygent_issuer.cli.flows.mail_drafts import drafter
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions
from polygent_issuer.cli.output import result as streams
from polygent_issuer.errors import IssuerError, OutputProblem, SeveralProblems, UsageProblem
from polygent_issuer.issuing.outbox_delivery import Destination, choose_destination
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.keys.signing import require_present
from polygent_issuer.registry import KeyRecord
from polygent_issuer.text import escape, for_shell

_T = TypeVar("_T")


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
    destination = choose_destination(option, invocation.settings.output, streams.write_bytes)
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
