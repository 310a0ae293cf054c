"""`polygent-issue apply`: the licenses that a file wishes for."""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

import typer

from polygent_issuer import dates
from polygent_issuer.batch.changes import Desired
from polygent_issuer.batch.named import unnamed
from polygent_issuer.batch.outcomes import Job
from polygent_issuer.batch.place import keys
from polygent_issuer.batch.review import look
from polygent_issuer.batch.row_files import RowFile
from polygent_issuer.batch.rows import Row
from polygent_issuer.batch.unique_rows import require_unique
from polygent_issuer.cli.consent import ConsentOptions, given
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.issue_flow import IssueOptions
from polygent_issuer.cli.many.batch import Batch
from polygent_issuer.cli.many.flow import BatchOptions, carry_out_many
from polygent_issuer.cli.output import Result
from polygent_issuer.cli.passphrase import PassphraseOptions, source
from polygent_issuer.cli.signers import signers_of
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.signing_key import choose_key
from polygent_issuer.registry import KeyRecord, Registry
from polygent_issuer.signer import Signer


def apply(
    invocation: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Rows in TOML or CSV; - is stdin.")],
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DIGEST", help="Only what --dry-run showed."),
    ] = None,
    accept_from_file: Annotated[
        bool, typer.Option("--accept-from-file", help="Let accept and reason of a row count.")
    ] = False,
    due_within: Annotated[
        str, typer.Option("--due-within", metavar="TERM", help="When a term's renewal is due.")
    ] = "30d",
    *,
    how: IssueOptions,
    told: BatchOptions,
    consents: ConsentOptions,
    passphrases: PassphraseOptions,
) -> Result:
    """Issue, renew and reissue until the licenses are as a file says.

    Each row is one license: customer and machine, and what shall be; an empty field is as now.
    One that fails leaves the others alone (exit 20), and the same file again does only what is
    missing. What a row's own accept says counts with --expect or --accept-from-file alone.
    Customers who are not in the file are named, never touched.
    """
    rows = RowFile.read(file)
    now = invocation.now
    within = dates.term_end(now, dates.Term.parse(due_within)) - now
    with invocation.registry.reading() as db:
        require_unique(lambda: keys(db, rows.rows(), rows.folder))
    secret = source(invocation, passphrases)

    def jobs(consent: Consent) -> Iterable[Job]:
        desired = Desired(
            settings=invocation.settings,
            now=now,
            folder=rows.folder,
            within=within,
            consent=consent,
            trusted=accept_from_file or expect is not None,
            key=how.key,
            new_id=invocation.new_id,
        )
        return desired.jobs(rows.rows())

    named = {row.key or how.key for row in rows.rows() if isinstance(row, Row)}

    def unlock() -> Mapping[str, Signer]:
        found = _needed(invocation.registry, jobs(Consent()), named)
        return signers_of(invocation, found, secret)

    batch = Batch(
        what="applying",
        jobs=jobs,
        unlock=unlock,
        total=sum(1 for _ in rows.rows()),
        expect=expect,
        expectable=True,
        default_key=None in named,
        unnamed=lambda: unnamed(invocation.registry, rows.rows()),
    )
    return carry_out_many(invocation, batch, how, told, given(consents))


def _needed(
    registry: Registry, jobs: Iterable[Job], named: Collection[str | None]
) -> Iterable[KeyRecord]:
    """The keys that sign; of several, those of rows for which there is something to sign."""
    if len(named) == 1:
        with registry.reading() as db:
            return [choose_key(db, each) for each in named]
    every = (proposal.key for seen in look(registry, jobs) for proposal in seen.decision.proposals)
    return {key.kid: key for key in every}.values()
