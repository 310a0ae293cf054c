"""Sign, verify, record and deliver license files, all or nothing, as `registry.change` does."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from polygent_issuer import files
from polygent_issuer.errors import KeyUnavailable, OutputProblem, UsageProblem
from polygent_issuer.files import disk
from polygent_issuer.findings import Consent, require
from polygent_issuer.hints import Hint, join, run
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.proposal import NewCustomer, Proposal, verifier_of
from polygent_issuer.keys.rotation import label_words, signing_command
from polygent_issuer.keys.signer import Signer, sign_many
from polygent_issuer.keys.signing import require_usable
from polygent_issuer.registry import (
    Customer,
    Document,
    KeyRecord,
    Machine,
    Reading,
    Writing,
    change,
    customers,
    keys,
    licenses,
    machines,
    outbox,
)
from polygent_issuer.registry.change import Decided
from polygent_issuer.terms import dates
from polygent_issuer.text import escape
from polygent_issuer.verifier import jws
from polygent_issuer.verifier.errors import LicenseError

_ELSEWHERE: Final = "choose another place with --output"


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A place for license files: a folder, or stdout by `write`.

    `name` is the name of a single file; by default each license has its own.
    """

    folder: Path | None
    name: str | None = None
    write: Callable[[bytes], None] | None = None

    def target(self, proposal: Proposal) -> Path | None:
        """Return the path for a license's file; `None` for stdout."""
        return None if self.folder is None else self.folder / (self.name or proposal.file_name)

    def check(self, proposals: tuple[Proposal, ...]) -> None:
        """Check before signing that the files can be delivered.

        Raises:
            UsageProblem: (`usage`) one name for several licenses.
            OutputExists, OutputProblem: as `files.require_folder` and `files.require_free`.
        """
        if len(proposals) > 1 and (self.name is not None or self.folder is None):
            raise UsageProblem(
                f"{len(proposals)} licenses cannot be written to one file",
                hint="give a folder with --output FOLDER",
            )
        if self.folder is None:
            return
        files.require_folder(self.folder, _ELSEWHERE)
        for proposal in proposals:
            self.free_target(proposal)

    def free_target(self, proposal: Proposal) -> Path | None:
        """Return `target` after a check with `files.require_free`."""
        target = self.target(proposal)
        if target is not None:
            files.require_free(target, _ELSEWHERE)
        return target


def choose_destination(
    option: str | None, default: Path | None, write: Callable[[bytes], None]
) -> Destination:
    """Return the destination of `--output`, else of the settings, else the current folder.

    `-` is stdout. An existing folder, or a path with a trailing slash, is a folder; any other path
    is a file. A path that cannot be a file is `output_failed`.
    """
    if option == "-":
        return Destination(folder=None, write=write)
    if option is None and default is not None:
        return Destination(folder=default)
    if option == "":
        raise OutputProblem("--output is empty", hint="give a path, or leave out --output")
    try:
        path = Path(option or ".").expanduser().absolute()
        str(path).encode()  # the registry keeps it as text
    except FileNotFoundError:
        raise OutputProblem(
            "the current folder no longer exists",
            hint="change to another folder, or name one with --output",
        ) from None
    except (RuntimeError, UnicodeEncodeError):
        raise OutputProblem(
            f"not a valid path for a file: {escape(ascii(option))}", hint=_ELSEWHERE
        ) from None
    if option is None or disk.is_folder(path) or option.endswith(("/", os.sep)):
        return Destination(folder=path)
    return Destination(folder=path.parent, name=path.name)


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
        signatures.update(zip(items, sign_many(signers[kid], items), strict=True))
    return tuple(
        _verified(proposal, path, jws.assemble(data, signatures[data]))
        for proposal, path, data in unsigned
    )


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
    outbox.add(db, license_id=issued.jti, folder=folder, name=name)
    db.record(
        f"license-{proposal.action.done}",
        customer=customer.slug,
        license=issued.jti,
        kid=proposal.key.kid,
        accepted=consent.used(proposal.findings),
        reason=consent.reason,
        details={**_details(proposal), **(extra_details or {}), "to": place},
    )


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
    temps: dict[str, files.Prepared] = {}
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
                    temp = files.prepare(each.file, destination.folder, temp_name=name)
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


def _deliver_all(
    issued: Iterable[Issued],
    temps: Mapping[str, files.Prepared],
    destination: Destination,
    prefix: str,
) -> Iterator[str]:
    """Yield the IDs of the licenses whose files are delivered; raise an error for the others."""
    problems: dict[str, OutputProblem] = {}
    for each in issued:
        license_id = each.proposal.license.jti
        try:
            _deliver(each, temps.get(license_id), destination, prefix)
        except OutputProblem as problem:
            problems[license_id] = problem
        else:
            yield license_id
    if problems:
        raise delivery_failed(problems)


def _deliver(
    issued: Issued, temp: files.Prepared | None, destination: Destination, prefix: str
) -> None:
    """Publish one file after the COMMIT, which is not undone by a failure."""
    if temp is not None and issued.path is not None:
        try:
            temp.publish(issued.path.name)
        except OutputProblem:
            # Another command may have delivered it and removed the temporary file.
            license_id = issued.proposal.license.jti
            outbox_delivery.write(issued.file, issued.path, license_id, prefix)
    elif destination.write is not None:
        destination.write(issued.file)


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
