"""From proposals to license files.

For N proposals at once; a single `sign` is a group of one (DESIGN, "An issue"):

1. `BEGIN IMMEDIATE`, and decide again: stop if the decision is no longer what was shown.
2. Sign, and verify our own bytes with the pinned key.
3. Temporary files, complete and synced, beside their targets.
4. License, outbox and journal rows in one `COMMIT`.
5. Link each file to its name, sync the folder, clear the outbox.

A crash before 4 leaves nothing but a temporary file, which the next issue into that folder sweeps
away. A crash after 4 leaves a row in the outbox, which `recover` delivers or names.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from polygent_issuer import files
from polygent_issuer.errors import HomeProblem, OutputProblem, RegistryChanged
from polygent_issuer.findings import Consent, require
from polygent_issuer.issuing import keep, recover
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.issuing.signing import Issued, sign
from polygent_issuer.registry import Actor, Reading, Registry, outbox
from polygent_issuer.signer import Signer

Decide = Callable[[Reading], tuple[Proposal, ...]]


def publish(
    registry: Registry,
    shown: tuple[Proposal, ...],
    *,
    decide: Decide,
    signers: Mapping[str, Signer],
    consent: Consent,
    destination: Destination,
    now: datetime,
    actor: Actor,
) -> tuple[Issued, ...]:
    """Issue what was shown, all or nothing.

    Args:
        shown: the proposals that the operator saw and agreed to.
        decide: makes the same proposals again, inside the transaction.
        signers: by kid; one for each key that the proposals name.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding was not accepted; nothing happened.
        RegistryChanged: (`registry_changed`) someone wrote in between; nothing happened.
        SignatureRefused: (`signature_refused`) nothing happened.
        OutputProblem: (`output_failed`, `output_exists`) before the COMMIT nothing happened; after
            it the licenses are kept, and the hint says how to get their files.
    """
    for proposal in shown:
        require(proposal.findings, consent)
    destination.check(shown)
    prefix = recover.temp_prefix(registry.id)
    with ExitStack() as undo:
        with registry.writing(now=now, actor=actor) as db:
            recover.deliver(db, prefix)
            if decide(db) != shown:
                raise RegistryChanged.since_shown("nothing was issued")
            issued = tuple(
                sign(each, signers[each.key.kid], destination.target(each)) for each in shown
            )
            temps = _prepare_all(issued, destination, prefix, undo)
            for each in issued:
                keep.keep(db, each, consent)
        undo.pop_all()
    for each in issued:
        _deliver(each, temps.get(each.proposal.license.jti), destination, prefix)
    with suppress(HomeProblem), registry.writing(now=now, actor=actor) as db:
        for each in issued:
            outbox.clear(db, each.proposal.license.jti)
    return issued


def _prepare_all(
    issued: tuple[Issued, ...], destination: Destination, prefix: str, undo: ExitStack
) -> dict[str, files.Prepared]:
    """A temporary file for each license, by its ID; none for stdout. `undo` removes them."""
    if destination.folder is None:
        return {}
    files.sweep(destination.folder, prefix)
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
        hint=recover.export_hint(license_id),
    )


def _place(issued: Issued, path: Path, temp: files.Prepared, prefix: str) -> None:
    try:
        temp.publish(path.name)
    except OutputProblem:
        # Another command may have delivered it and swept the temporary file meanwhile.
        recover.write(issued.file, path, issued.proposal.license.jti, prefix)
