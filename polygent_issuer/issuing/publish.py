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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from polygent_issuer import files
from polygent_issuer.errors import HomeProblem, KeyUnavailable, OutputProblem, RegistryChanged
from polygent_issuer.findings import Consent, require
from polygent_issuer.issuing import keep, recover
from polygent_issuer.issuing.destination import Destination
from polygent_issuer.issuing.proposal import Proposal
from polygent_issuer.registry import Actor, Reading, Registry, outbox
from polygent_issuer.signer import Signer
from polygent_issuer.verifier import KeySet, Verifier, jws
from polygent_issuer.verifier.errors import LicenseError

Decide = Callable[[Reading], tuple[Proposal, ...]]


class SignatureRefused(KeyUnavailable):
    """A signature that we made does not verify with the pinned key; it was dropped."""

    code = "signature_refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A license that is signed, kept and delivered.

    Attributes:
        path: its file; `None` when it went to stdout.
    """

    proposal: Proposal
    file: bytes
    path: Path | None


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
    prepared: list[files.Prepared] = []
    with ExitStack() as undo:
        with registry.writing(now=now, actor=actor) as db:
            recover.deliver(db, prefix)
            if decide(db) != shown:
                raise RegistryChanged(
                    "someone else changed the registry after this was shown; nothing was issued",
                    hint="run the command again and look at what it shows now",
                )
            signed = [sign_and_check(proposal, signers[proposal.key.kid]) for proposal in shown]
            if destination.folder is not None:
                files.sweep(destination.folder, prefix)
            for proposal, file in zip(shown, signed, strict=True):
                for temp in _prepare(prefix, destination, proposal, file):
                    undo.callback(temp.discard)
                    prepared.append(temp)
                keep.keep(db, proposal, file, destination, consent)
        undo.pop_all()
    issued = tuple(
        Issued(proposal=proposal, file=file, path=destination.target(proposal))
        for proposal, file in zip(shown, signed, strict=True)
    )
    _deliver(issued, prepared, destination, prefix)
    with suppress(HomeProblem), registry.writing(now=now, actor=actor) as db:
        for each in issued:
            outbox.clear(db, each.proposal.license.jti)
    return issued


def sign_and_check(proposal: Proposal, signer: Signer) -> bytes:
    """The license file's bytes, proven good with the pinned key before anyone sees them.

    Raises:
        SignatureRefused: (`signature_refused`) when they are not; they are dropped.
    """
    expected = proposal.license
    signing_input = jws.signing_input(proposal.key.kid, expected.to_payload())
    file = jws.assemble(signing_input, signer.sign(signing_input))
    pinned = KeySet.of(proposal.key.public_key, allow_example=True)
    try:
        read = Verifier(pinned).verify(
            file, now=expected.issued_at, fingerprint=expected.machine_fingerprint
        )
    except LicenseError:
        read = None
    if read != expected:
        raise SignatureRefused(
            f"what the key {proposal.key.label!a} signed does not verify with its pinned public "
            "half; the signature was dropped and nothing was issued",
            hint=f"polygent-issue key show {proposal.key.kid[:8]}",
        )
    return file


def _prepare(
    prefix: str, destination: Destination, proposal: Proposal, file: bytes
) -> tuple[files.Prepared, ...]:
    if destination.folder is None:
        return ()
    temp_name = f"{prefix}{proposal.license.jti}.tmp"
    return (files.prepare(file, destination.folder, temp_name=temp_name),)


def _deliver(
    issued: tuple[Issued, ...],
    prepared: list[files.Prepared],
    destination: Destination,
    prefix: str,
) -> None:
    """Step 5; a failure here no longer undoes anything, so the error says what is kept."""
    if destination.write is not None:
        destination.write(issued[0].file)
        return
    for each, temp in zip(issued, prepared, strict=True):
        name, license_id = destination.name_for(each.proposal), each.proposal.license.jti
        try:
            try:
                temp.publish(name)
            except OutputProblem:
                # Another command may have delivered it and swept the temporary file meanwhile.
                recover.write(each.file, temp.folder / name, license_id, prefix)
        except OutputProblem as problem:
            raise type(problem)(
                f"license {license_id[:8]} is issued and kept, "
                f"but its file is not delivered: {problem.message}",
                hint=recover.export_hint(license_id),
            ) from None
