"""Sign license files, and the journal's head, by the protocol of `registry.change`.

License files are signed, verified, recorded and delivered, all or nothing. A signature of the
journal's head is a seal (FORMAT §7).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from polygent_issuer.errors import KeyUnavailable, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.findings import Consent, require
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.proposal import NewCustomer, Proposal, verifier_of
from polygent_issuer.keys.rotation import label_words, signing_command
from polygent_issuer.keys.signer import Signer
from polygent_issuer.keys.stores import require_usable
from polygent_issuer.registry import (
    Actor,
    Customer,
    Document,
    KeyRecord,
    Machine,
    Reading,
    Registry,
    Writing,
    change,
    customers,
    keys,
    licenses,
    machines,
    seals,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.registry.seals import Due, Seal
from polygent_issuer.terms import dates
from polygent_issuer.text import Hint, join, run
from polygent_issuer.verifier import jws
from polygent_issuer.verifier.errors import LicenseError


def choose_key(db: Reading, name: str | None) -> KeyRecord:
    """Return the key with this label or kid; by default the active key.

    Raises:
        NotFound, Ambiguous: (`not_found`, `ambiguous`) no such key, or several.
        KeyUnavailable: (`no_key`, `key_retired`, `key_compromised`) the key may not sign.
    """
    key = keys.active(db) if name is None else keys.find(db, name)
    if key is None:
        known = keys.every(db)
        message = "no key is active" if known else "the registry has no signing key yet"
        raise KeyUnavailable(message, hint=signing_command(known), code="no_key")
    require_usable(key)
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A signed license: the bytes of its file, and its path (`None`: stdout)."""

    proposal: Proposal
    file: bytes
    path: Path | None


def sign(
    several: Iterable[tuple[Proposal, Path | None]], signers: Mapping[str, Signer]
) -> tuple[Issued, ...]:
    """Sign, and verify the bytes of each file with the pinned public key (FORMAT §1).

    A service is called once for as many licenses as it signs at once.

    Args:
        several: the licenses, each with the path of its file (None: stdout).
        signers: by kid; one for each key of the licenses.

    Raises:
        KeyUnavailable: (`signature_refused`) the bytes do not verify, and are discarded.
    """
    unsigned, of_key = list[tuple[Proposal, Path | None, bytes]](), dict[str, list[bytes]]()
    for proposal, path in several:
        kid = proposal.key.kid
        data = jws.signing_input(kid, proposal.license.to_payload())
        unsigned.append((proposal, path, data))
        of_key.setdefault(kid, []).append(data)
    signatures = dict[bytes, bytes]()
    for kid, items in of_key.items():
        signatures.update(zip(items, signers[kid].sign_many(items), strict=True))
    return tuple(
        _verified(proposal, path, jws.assemble(data, signatures[data]))
        for proposal, path, data in unsigned
    )


def proposals_of(decided: Decided[tuple[Proposal, ...]]) -> tuple[Proposal, ...]:
    """Return the proposals with all findings; `clock-behind` applies to each of them."""
    return tuple(each.with_findings(*decided.behind) for each in decided.decision)


def publish(
    decided: Decided[tuple[Proposal, ...]],
    *,
    signers: Mapping[str, Signer],
    consent: Consent,
    destination: Destination,
) -> tuple[Issued, ...]:
    """Issue the decided proposals, all or nothing.

    Args:
        signers: by kid; one for each key of the proposals.

    Raises:
        ConsentNeeded: (`consent_needed`) a finding was not accepted; nothing was issued.
        RegistryChanged: (`registry_changed`) the decision would be different now; nothing was
            issued.
        KeyUnavailable: (`signature_refused`) nothing was issued.
        OutputProblem: (`output_failed`, `output_exists`) nothing was issued if the error came
            before the COMMIT; else the licenses are in the registry, and the hint exports them.
    """
    proposals = proposals_of(decided)
    for proposal in proposals:
        require(proposal.findings, consent)
    destination.check(proposals)
    issued = sign(((each, destination.target(each)) for each in proposals), signers)
    prefix = outbox_delivery.temp_prefix(decided.registry.id)
    temps: dict[str, publication.Prepared] = {}
    with ExitStack() as undo:
        ids = [each.proposal.license.jti for each in issued]

        def write(db: Writing) -> None:
            licenses.read_ahead_new(db, ids)
            outbox_delivery.deliver_pending(db, prefix)
            if destination.folder is not None:
                outbox_delivery.sweep(db, destination.folder, prefix)
                for each in issued:
                    license_id = each.proposal.license.jti
                    name = f"{prefix}{license_id}.tmp"
                    temp = publication.prepare(each.file, destination.folder, temp_name=name)
                    undo.callback(temp.discard)
                    temps[license_id] = temp
            for each in issued:
                record_issue(db, each, consent)

        def deliver(_: None) -> Iterator[str]:
            undo.pop_all()
            return _deliver_all(issued, temps, destination, prefix)

        change.carry_out(
            decided,
            write,
            undone="nothing was issued",
            deliver=deliver,
            ahead=licenses.new_queries(ids),
        )
    return issued


def record_issue(
    db: Writing,
    signed: Issued,
    consent: Consent,
    *,
    extra_details: Mapping[str, object] | None = None,
) -> None:
    """Write the rows of one issue into the open transaction; the journal gets the extra details."""
    proposal = signed.proposal
    customer = proposal.customer
    if isinstance(customer, NewCustomer):
        customer = customers.add(
            db, slug=customer.slug, name=customer.name, contacts=customer.contacts
        )
    document = None
    if (received := proposal.document) is not None:
        info = received.info
        document = machines.add_document(
            db, received.content, fingerprint=info.fingerprint, generated_at=info.generated_at
        )
    machine = _record_machine(db, customer, proposal, document)
    issued = proposal.license
    licenses.add(
        db,
        license_id=issued.jti,
        customer_id=customer.id,
        machine_id=machine.id if machine else None,
        kid=proposal.key.kid,
        file=signed.file,
        tier=str(issued.tier),
        issued_at=issued.issued_at,
        expires_at=issued.expires_at,
        term=proposal.term,
        plan=proposal.plan,
        order_id=proposal.order_id,
        note=proposal.note,
        document_id=document.id if document else None,
    )
    for record in proposal.replaced:
        licenses.replace(db, record.id, issued.jti)
    place = "stdout" if signed.path is None else str(signed.path)
    folder, name = os.path.split(signed.path) if signed.path else (None, None)
    change.add_pending(db, license_id=issued.jti, folder=folder, name=name)
    db.record(
        f"license-{proposal.action.done}",
        customer=customer.slug,
        license=issued.jti,
        kid=proposal.key.kid,
        accepted=consent.used(proposal.findings),
        reason=consent.reason,
        details={**_details(proposal), **(extra_details or {}), "to": place},
    )


def delivery_failed(problems: Mapping[str, OutputProblem]) -> OutputProblem:
    """Return one error for the problems with files of committed licenses, by license ID."""
    ids = ", ".join(license_id[:8] for license_id in problems)
    issued = f"license {ids} was issued, but its file"
    if len(problems) > 1:
        issued = f"licenses {ids} were issued, but their files"
    reasons = "; ".join(dict.fromkeys(problem.message for problem in problems.values()))
    exports = join("; ", map(outbox_delivery.export_hint, problems))
    return type(next(iter(problems.values())))(
        f"{issued} could not be delivered: {reasons}",
        hint=Hint("export it: " if len(problems) == 1 else "export them: ", exports),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedSeal:
    """A new seal; `is_late` as in `seals.Due`."""

    seal: Seal
    token: str
    is_late: bool


def seal_journal(
    registry: Registry,
    kid: str,
    signer: Callable[[], Signer],
    *,
    now: datetime,
    actor: Actor,
    judge: Callable[[Reading], None] = lambda _: None,
) -> SignedSeal | None:
    """Seal the journal with a key; None if the whole journal is sealed.

    Args:
        registry: with a pinned key `kid`.
        kid: the key.
        signer: returns its signer; called outside any transaction, only if there is something to
            seal.
        now, actor: of the command.
        judge: raises an error if the journal must not be sealed.

    Raises:
        RegistryDamaged: (`registry_damaged`) a present seal fails a check.
        RegistryChanged: (`registry_changed`) the registry was replaced meanwhile.
        KeyUnavailable: (`signature_refused`) the signature does not verify, and is discarded.
    """

    def decide(db: Reading) -> Due | None:
        judge(db)
        return seals.due(db, kid, now=now)

    ahead = seals.QUERIES
    decided = change.decide(registry, decide, now=now, actor=actor, ahead=ahead)
    due = decided.decision
    if due is None:
        return None
    token = sign_seal(due.seal, signer())
    # Rows that other commands wrote meanwhile do not matter: `keep` looks for the sealed one.
    change.carry_out_items(
        decided, lambda db, _: seals.keep(db, due.seal, token), ahead=seals.queries_of(kid)
    )
    return SignedSeal(seal=due.seal, token=token, is_late=due.is_late)


def sign_seal(seal: Seal, signer: Signer) -> str:
    """Return the token of a seal, verified with the signer's pinned public key.

    Raises:
        KeyUnavailable: (`signature_refused`) it does not verify, and is discarded.
    """
    signing_input = jws.signing_input(seal.kid, seal.to_payload(), typ=seals.TYPE)
    token = jws.assemble(signing_input, signer.sign(signing_input)).decode().rstrip("\n")
    try:
        is_ours = seals.read(token, signer.public_key, registry=seal.registry) == seal
    except ValueError:
        is_ours = False
    if not is_ours:
        raise KeyUnavailable(
            f"the signature of the key {seal.kid} does not verify with its pinned public key; it "
            "was discarded and the journal was not sealed",
            hint=Hint("check the key: ", run("key", "show", seal.kid)),
            code="signature_refused",
        )
    return token


def _verified(proposal: Proposal, path: Path | None, file: bytes) -> Issued:
    expected = proposal.license
    try:
        read = verifier_of(proposal.key).verify(
            file, now=expected.issued_at, fingerprint=expected.machine_fingerprint
        )
    except LicenseError:
        read = None
    if read != expected:
        raise KeyUnavailable(
            f"the signature of the key {proposal.key.label!a} does not verify with its pinned "
            "public key; it was discarded and nothing was issued",
            hint=Hint("check the key: ", run("key", "show", *label_words(proposal.key.label))),
            code="signature_refused",
        )
    return Issued(proposal=proposal, file=file, path=path)


def _record_machine(
    db: Writing, customer: Customer, proposal: Proposal, document: Document | None
) -> Machine | None:
    choice = proposal.machine
    if choice is None:
        return None
    if choice.known is not None and not choice.changed:
        return choice.known
    info = proposal.document.info if proposal.document else None
    identity: dict[str, Any] = {
        "fingerprint": choice.fingerprint,
        "hostname": info.hostname if info else None,
        "components": dict(info.components) if info else {},
        "document_id": document.id if document else None,
    }
    if choice.known is not None:
        return machines.change_identity(db, choice.known, **identity)
    return machines.add(db, customer, label=choice.label, **identity)


def _details(proposal: Proposal) -> dict[str, Any]:
    issued = proposal.license
    details: dict[str, Any] = {
        "expires_at": dates.instant(issued.expires_at),
        "tier": str(issued.tier),
        "changes": {change.key: [change.old, change.new] for change in proposal.differences},
    }
    if proposal.replaced:
        ids = [old.id for old in proposal.replaced]
        details["replaces"] = ids[0] if len(ids) == 1 else ids
        details["expired_at"] = dates.instant(max(old.expires_at for old in proposal.replaced))
    details |= {
        name: text
        for name, text in (("order_id", proposal.order_id), ("note", proposal.note))
        if text is not None
    }
    if proposal.document is not None:
        details["machine_info"] = proposal.document.sha256
    return details


def _deliver_all(
    issued: Iterable[Issued],
    temps: Mapping[str, publication.Prepared],
    destination: Destination,
    prefix: str,
) -> Iterator[str]:
    """Yield the IDs of the licenses whose files are delivered; raise an error for the others."""
    problems: dict[str, OutputProblem] = {}
    for each in issued:
        license_id = each.proposal.license.jti
        try:
            if each.path is not None:
                _publish(each, temps[license_id], each.path, prefix)
            elif destination.write is not None:
                destination.write(each.file)
        except OutputProblem as problem:
            problems[license_id] = problem
        else:
            yield license_id
    if problems:
        raise delivery_failed(problems)


def _publish(issued: Issued, temp: publication.Prepared, path: Path, prefix: str) -> None:
    """Publish one file after the COMMIT, which is not undone by a failure."""
    try:
        temp.publish(path.name)
    except OutputProblem:
        # Another command may have delivered it and removed the temporary file.
        outbox_delivery.write(issued.file, path, issued.proposal.license.jti, prefix)
