"""Sign, verify, record and deliver, or do nothing at all."""

import errno
import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.office import Office

from polygent_issuer.errors import KeyUnavailable, OutputExists, OutputProblem, RegistryChanged
from polygent_issuer.files import publication
from polygent_issuer.findings import Consent, ConsentNeeded
from polygent_issuer.issuing import outbox_delivery, signing
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.keys.signer import Signer, SoftwareSigner, generate_private_key
from polygent_issuer.registry import change, customers, licenses

pytestmark = pytest.mark.both

if TYPE_CHECKING:
    from collections.abc import Callable


def registered(office: Office) -> list[str]:
    """Return the license IDs in the registry."""
    with office.registry.reading() as db:
        return [record.id for record in licenses.select(db)]


def files(office: Office) -> list[str]:
    """Return the file names in the output folder, including hidden ones."""
    return sorted(path.name for path in (office.folder / "out").iterdir())


def test_a_shown_proposal_is_issued(office: Office) -> None:
    """An issue writes the file and the row, and empties the outbox."""
    [issued] = office.publish(office.first)
    assert issued.path is not None
    assert issued.path.read_bytes() == issued.file
    assert files(office) == ["acme-prod-1-2027-11-30-00000001.lic"]
    with office.registry.reading() as db:
        record = licenses.get(db, issued.proposal.license.jti)
        assert (record.file, change.pending(db)) == (issued.file, ())


def test_a_license_renewed_after_the_preview_is_not_renewed_twice(office: Office) -> None:
    """Another operator's renewal after the preview is `registry_changed`."""
    office.publish(office.first)
    shown = office.decide(office.next)
    office.publish(lambda db: office.next(db, number=7))

    with pytest.raises(RegistryChanged, match="nothing was issued"):
        office.publish_shown(shown)
    assert len(registered(office)) == 2
    assert len(files(office)) == 2


def test_a_customer_renamed_after_the_preview_gets_no_license(office: Office) -> None:
    """The license would have another name than in the preview."""
    office.publish(office.first)
    shown = office.decide(office.next)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        customers.edit(db, customers.find(db, "acme"), name="Acme AG")
        db.record("customer-edited", customer="acme")
    with pytest.raises(RegistryChanged):
        office.publish_shown(shown)


def test_nothing_is_issued_without_consent(office: Office) -> None:
    """`publish` itself refuses a finding that was not accepted."""
    office.publish(office.first)
    with pytest.raises(ConsentNeeded):
        office.publish(office.next, consent=Consent())
    assert len(registered(office)) == 1


class Flipping(Signer):
    """A signer that flips a bit, as a glitch or a fault attack would."""

    def __init__(self, inner: SoftwareSigner) -> None:
        self.calls = 0
        self.public_key = inner.public_key
        self._inner = inner

    def sign(self, data: bytes) -> bytes:
        self.calls += 1
        signature = self._inner.sign(data)
        return bytes([signature[0] ^ 1]) + signature[1:]


def test_a_failed_signature_is_discarded_and_not_retried(office: Office) -> None:
    """A failed signature leaves no file and no row, and is not in the error (FORMAT §1)."""
    faulty = Flipping(office.signer)
    with pytest.raises(KeyUnavailable) as caught:
        office.publish(office.first, signers={faulty.kid: faulty})
    assert (faulty.calls, registered(office), files(office)) == (1, [], [])
    assert caught.value.code == "signature_refused"
    assert caught.value.__cause__ is None


def test_a_signature_of_another_key_is_discarded(office: Office) -> None:
    """The signature is verified with the registry's public key, not the signer's."""
    other = SoftwareSigner(generate_private_key())
    with pytest.raises(KeyUnavailable) as caught:
        office.publish(office.first, signers={office.signer.kid: other})
    assert caught.value.code == "signature_refused"
    assert registered(office) == []


def test_an_existing_output_file_is_refused_before_signing(office: Office) -> None:
    """A dangling link counts as an existing file."""
    target = office.folder / "out" / "x.lic"
    target.symlink_to(office.folder / "nowhere")
    destination = Destination(folder=target.parent, name=target.name)
    with pytest.raises(OutputExists):
        office.publish(office.first, destination=destination)
    assert registered(office) == []


def test_a_license_whose_file_failed_is_delivered_by_the_next_issue(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the folder vanishes after the COMMIT, warnings name the license until its delivery."""
    folder = office.folder / "out"

    _spoil_after_prepare(folder, monkeypatch)
    with pytest.raises(OutputProblem, match="was issued, but its file") as caught:
        office.publish(office.first)
    assert "polygent-issue license export 00000001" in (caught.value.hint or "")
    assert registered(office) == ["00000001-0000-4000-8000-000000000000"]
    [warning] = outbox_delivery.undelivered_warnings(office.registry)
    assert "license 00000001 was issued, but its file may not have reached" in warning
    monkeypatch.undo()
    folder.mkdir()
    in_its_place = folder / "acme-prod-1-2027-11-30-00000001.lic"
    os.mkfifo(in_its_place)  # is not waited for
    assert outbox_delivery.undelivered_warnings(office.registry) == (warning,)
    in_its_place.unlink()
    office.publish(office.next)
    assert outbox_delivery.undelivered_warnings(office.registry) == ()
    assert "acme-prod-1-2027-11-30-00000001.lic" in files(office)


def test_an_error_names_each_license_that_was_not_delivered() -> None:
    """The error for several files names each license, each reason once, and the exports."""
    full = OutputProblem("the disk is full")
    error = signing.delivery_failed(
        {"00000001-0000": full, "00000002-0000": full, "00000003-0000": full}
    )

    assert error.message == (
        "licenses 00000001, 00000002, 00000003 were issued, but their files could not be "
        "delivered: the disk is full"
    )
    assert all(f"license export 0000000{n}" in (error.hint or "") for n in (1, 2, 3))


def _spoil_after_prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the folder after the temporary file is written."""
    genuine: Callable[..., None] = signing.record_issue

    def record_and_remove(*args: Any) -> None:
        genuine(*args)
        shutil.rmtree(folder)

    monkeypatch.setattr(signing, "record_issue", record_and_remove)


def test_after_a_failed_file_the_others_are_delivered(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the failed one only, and the next issue delivers it, and it alone."""
    for number in (1, 2, 3):
        document = office.document(f"sha256:{number:064x}")
        label = f"prod-{number}"
        office.publish(partial(office.first, number=number, document=document, label=label))
    before = files(office)
    link = publication._link

    def refuse(path: Path, name: Path) -> None:
        if "prod-2" in name.name:
            raise OSError(errno.EIO, "I/O error")
        link(path, name)

    monkeypatch.setattr(publication, "_link", refuse)
    with pytest.raises(OutputProblem) as caught:
        office.publish(lambda db: office.next(db, number=11, all_machines=True))
    second = "0000000c"
    assert caught.value.message.startswith(f"license {second} was issued, but its file could not")
    assert f"license export {second} " in (caught.value.hint or "")
    new = sorted(set(files(office)) - set(before))
    assert [name[:11] for name in new] == ["acme-prod-1", "acme-prod-3"]
    [warning] = outbox_delivery.undelivered_warnings(office.registry)
    assert second in warning
    monkeypatch.setattr(publication, "_link", link)

    office.publish(lambda db: office.next(db, number=21, license_ids=("0000000b",)))
    assert [name for name in files(office) if second in name]
    assert outbox_delivery.undelivered_warnings(office.registry) == ()
    with office.registry.reading() as db:
        assert change.pending(db) == ()


def test_the_next_issue_removes_temporary_files_of_a_crash(office: Office) -> None:
    """Only temporary files of this registry are removed."""
    out = office.folder / "out"
    (out / ".polygent-5a5a5a5a-dead.tmp").write_bytes(b"half")
    (out / ".polygent-77777777-other.tmp").write_bytes(b"another registry's")
    office.publish(office.first)
    assert files(office) == [".polygent-77777777-other.tmp", "acme-prod-1-2027-11-30-00000001.lic"]


def test_a_temporary_file_of_an_undelivered_license_is_not_removed(office: Office) -> None:
    """Another command may be about to link it."""
    [issued] = office.publish(office.first)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        change.add_pending(db, issued.proposal.license.jti, folder=None, name=None)
    temp = f".polygent-5a5a5a5a-{issued.proposal.license.jti}.tmp"
    (office.folder / "out" / temp).write_bytes(issued.file)
    office.publish(office.next)
    assert temp in files(office)


def test_a_license_that_stdout_did_not_accept_is_reported(office: Office) -> None:
    """A license is written to stdout; if that fails, a warning names it until it is exported."""
    chunks: list[bytes] = []
    [issued] = office.publish(
        office.first, destination=Destination(folder=None, write=chunks.append)
    )
    assert (chunks, issued.path) == ([issued.file], None)
    assert outbox_delivery.undelivered_warnings(office.registry) == ()

    def full(_data: bytes) -> None:
        raise OutputProblem("stdout cannot be written")

    with pytest.raises(OutputProblem):
        office.publish(office.next, destination=Destination(folder=None, write=full))
    [warning] = outbox_delivery.undelivered_warnings(office.registry)
    assert "stdout" in warning
