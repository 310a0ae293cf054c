"""`polygent-issue apply`: issue, renew and reissue licenses from a file."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from polygent_issuer.batch.items import Job, preview
from polygent_issuer.batch.matching import customers_missing_from, require_sound
from polygent_issuer.batch.row_decisions import RowDecider
from polygent_issuer.batch.row_files import RowFile
from polygent_issuer.batch.rows import Row, fields_with
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.flows.batch.run import Batch, run_batch
from polygent_issuer.cli.options.common import (
    ConsentOptions,
    PassphraseOptions,
    argument,
    flag,
    option,
)
from polygent_issuer.cli.options.issue import BatchOptions, IssueOptions
from polygent_issuer.cli.output.result import Result
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.signing import choose_key
from polygent_issuer.registry import KeyRecord, Registry
from polygent_issuer.registry.change import clock_behind_finding
from polygent_issuer.terms import dates
from polygent_issuer.terms.parsing import parse_date_format, parse_term


def apply(
    invocation: Invocation,
    file: str = argument("FILE", "Read rows from a TOML or CSV file (- for stdin)."),
    accept_from_file: bool = flag(
        "--accept-from-file", "Honour the accept and reason fields in the file."
    ),
    due_within: str = option(
        "--due-within", "TERM", "Renew licenses that expire within this term.", default="30d"
    ),
    *,
    date_format: str | None = option(
        "--date-format", "FORMAT", "Read dates in this form, such as %d.%m.%Y."
    ),
    issue_options: IssueOptions,
    batch_options: BatchOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Bring licenses in line with a TOML or CSV file.

    Each row describes one license: the customer, the machine and the terms. An empty field keeps
    the current value. Licenses are issued, renewed or reissued as needed. If a row fails, the
    others are still processed (exit 20). Applying the same file again does only what is missing.

    The accept and reason fields of a row count only with --accept-from-file or --expect.
    Customers that are missing from the file are listed but not changed.
    Dates are ISO dates (2027-11-30), or in the form of --date-format: %d, %m, %Y with -, . or /.
    """
    dated = None if date_format is None else parse_date_format(date_format)
    row_file = RowFile.read(file, fields=fields_with(dated))
    rows, now, registry = row_file.rows, invocation.now, invocation.registry
    with registry.reading() as db:
        behind = clock_behind_finding(db, now)
        require_sound(db, row_file)
    decider = RowDecider(
        settings=invocation.settings,
        now=now,
        folder=row_file.folder,
        within=dates.term_end(now, parse_term(due_within)) - now,
        consent=Consent(),
        trusted=accept_from_file or batch_options.expect is not None,
        key=issue_options.key,
        new_id=invocation.new_id,
        behind=behind,
    )
    secret = passphrases.source(invocation)
    key_names = {row.key or issue_options.key for row in rows if isinstance(row, Row)}
    batch = Batch(
        activity="applying",
        jobs=lambda consent: replace(decider, consent=consent).jobs(rows),
        unlock=lambda: invocation.signers_of(
            _signing_keys(registry, decider.jobs(rows), key_names), secret
        ),
        total=len(rows),
        default_key=None in key_names,
        missing_customers=lambda: customers_missing_from(registry, rows),
    )
    return run_batch(invocation, batch, issue_options, batch_options, consents.parse())


def _signing_keys(
    registry: Registry, jobs: Iterable[Job], names: Collection[str | None]
) -> Iterable[KeyRecord]:
    """Return the signing keys; if there are several, only those that have something to sign."""
    if len(names) == 1:
        with registry.reading() as db:
            return [choose_key(db, name) for name in names]
    proposals = (each for item in preview(registry, jobs) for each in item.decision.proposals)
    return {each.key.kid: each.key for each in proposals}.values()
