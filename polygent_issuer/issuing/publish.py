"""From proposals to license files, all or nothing, in the order that `registry.change` gives."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from polygent_issuer import files
from polygent_issuer.errors import OutputProblem
from polygent_issuer.findings import Consent, require
from polygent_issuer.issuing import outbox_delivery, record
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued, sign
from polygent_issuer.keys.signer import Signer
from polygent_issuer.registry import Reading, Writing, change, outbox
from polygent_issuer.registry.change import Decided


def proposals_of(decided: Decided[tuple[Proposal, ...]]) -> tuple[Proposal, ...]:
    """The proposals with all findings: a clock that is behind concerns each of them."""
    return tuple(each.with_findings(*decided.behind) for each in decided.decision)


def publish(
    decided: Decided[tuple[Proposal, ...]],
    *,
    signers: Mapping[str, Signer],
    consent: Consent,
    destination: Destination,
) -> tuple[Issued, ...]:
    """Issue what was decided and shown, all or nothing.

    Args:
        signers: by kid; one for each key that the proposals name.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding was not accepted; nothing happened.
        RegistryChanged: (`registry_changed`) it would now be decided otherwise; nothing happened.
        SignatureRefused: (`signature_refused`) nothing happened.
        OutputProblem: (`output_failed`, `output_exists`) before the COMMIT nothing happened; after
            it the licenses are kept, and the hint says how to get their files.
    """
    proposals = proposals_of(decided)
    for proposal in proposals:
        require(proposal.findings, consent)
    destination.check(proposals)
    issued = tuple(
        sign(each, signers[each.key.kid], destination.target(each)) for each in proposals
    )
    prefix = outbox_delivery.temp_prefix(decided.registry.id)
    with ExitStack() as undo:

        def write(db: Writing) -> dict[str, files.Prepared]:
            outbox_delivery.deliver_pending(db, prefix)
            temps = _prepare_all(db, issued, destination, prefix, undo)
            for each in issued:
                record.record_issue(db, each, consent)
            return temps

        def deliver(temps: Mapping[str, files.Prepared]) -> Iterator[str]:
            undo.pop_all()
            for each in issued:
                license_id = each.proposal.license.jti
                _deliver(each, temps.get(license_id), destination, prefix)
                yield license_id

        change.carry_out(decided, write, undone="nothing was issued", deliver=deliver)
    return issued


def _prepare_all(
    db: Reading, issued: tuple[Issued, ...], destination: Destination, prefix: str, undo: ExitStack
) -> dict[str, files.Prepared]:
    """A temporary file for each license, by its ID; none for stdout. `undo` removes them.

    Those of a license in the outbox are spared by the sweep: whoever committed it may be about to
    link one of them.
    """
    if destination.folder is None:
        return {}
    spare = tuple(f"{prefix}{row.license_id}" for row in outbox.pending(db))
    files.sweep(destination.folder, prefix, spare)
    temps = {}
    for each in issued:
        license_id = each.proposal.license.jti
        temp_name = f"{prefix}{license_id}.tmp"
        temps[license_id] = files.prepare(each.file, destination.folder, temp_name=temp_name)
        undo.callback(temps[license_id].discard)
    return temps


def _deliver(
    issued: Issued, temp: files.Prepared | None, destination: Destination, prefix: str
) -> None:
    """Step 5; a failure here no longer undoes anything, so the error says what is kept."""
    license_id = issued.proposal.license.jti
    try:
        if temp is not None and issued.path is not None:
            _place(issued, issued.path, temp, prefix)
        elif destination.write is not None:
            destination.write(issued.file)
    except OutputProblem as problem:
        raise undelivered(license_id, problem) from None


def undelivered(license_id: str, problem: OutputProblem) -> OutputProblem:
    """The same problem, said of a license that is committed."""
    return type(problem)(
        f"license {license_id[:8]} is issued and kept, "
        f"but its file is not delivered: {problem.message}",
        hint=outbox_delivery.export_hint(license_id),
    )


def _place(issued: Issued, path: Path, temp: files.Prepared, prefix: str) -> None:
    try:
        temp.publish(path.name)
    except OutputProblem:
        # Another command may have delivered it and swept the temporary file meanwhile.
        outbox_delivery.write(issued.file, path, issued.proposal.license.jti, prefix)
