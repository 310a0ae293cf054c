"""From proposals to files: signed, verified, recorded, delivered, or nothing at all."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.office import Office

from polygent_issuer.errors import KeyUnavailable, OutputExists, OutputProblem, RegistryChanged
from polygent_issuer.findings import Consent, ConsentNeeded
from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing import signing as keep
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import customers, licenses, outbox
from polygent_issuer.verifier.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable


def kept(office: Office) -> list[str]:
    """The IDs in the registry."""
    with office.registry.reading() as db:
        return [record.id for record in licenses.select(db)]


def files(office: Office) -> list[str]:
    """The names in the output folder, hidden ones too."""
    return sorted(path.name for path in (office.folder / "out").iterdir())


def test_what_was_shown_is_issued(office: Office) -> None:
    """File, row, and an outbox that is empty again."""
    [issued] = office.publish(office.first)
    assert issued.path is not None
    assert issued.path.read_bytes() == issued.file
    assert files(office) == ["acme-prod-1-2027-11-30-00000001.lic"]
    with office.registry.reading() as db:
        record = licenses.get(db, issued.proposal.license.jti)
        assert (record.file, outbox.pending(db)) == (issued.file, ())


def test_a_decision_that_changed_meanwhile_is_not_carried_out(office: Office) -> None:
    """Someone else renewed after it was shown: nothing is issued twice."""
    office.publish(office.first)
    shown = office.decide(office.next)
    office.publish(lambda db: office.next(db, number=7))

    with pytest.raises(RegistryChanged, match="nothing was issued"):
        office.publish_shown(shown)
    assert len(kept(office)) == 2
    assert len(files(office)) == 2


def test_a_rename_meanwhile_is_a_change_too(office: Office) -> None:
    """The license would say another name than the one that was shown."""
    office.publish(office.first)
    shown = office.decide(office.next)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        customers.edit(db, customers.find(db, "acme"), name="Acme AG")
        db.record("customer-edited", customer="acme")
    with pytest.raises(RegistryChanged):
        office.publish_shown(shown)


def test_without_consent_nothing_happens(office: Office) -> None:
    """The core itself refuses, whoever calls it."""
    office.publish(office.first)
    with pytest.raises(ConsentNeeded):
        office.publish(office.next, consent=Consent())
    assert len(kept(office)) == 1


class Flipping:
    """A signer whose hardware flips a bit: what a glitch or a fault attack gives."""

    def __init__(self, inner: SoftwareSigner) -> None:
        self.calls = 0
        self._inner = inner

    @property
    def kid(self) -> str:
        return self._inner.kid

    @property
    def public_key(self) -> Key:
        return self._inner.public_key

    def sign(self, data: bytes) -> bytes:
        self.calls += 1
        signature = self._inner.sign(data)
        return bytes([signature[0] ^ 1]) + signature[1:]


def test_a_signature_that_fails_is_dropped_and_not_retried(office: Office) -> None:
    """No file, no row, one call; the bytes appear nowhere in the error (FORMAT §1)."""
    faulty = Flipping(office.signer)
    with pytest.raises(KeyUnavailable) as caught:
        office.publish(office.first, signers={faulty.kid: faulty})
    assert (faulty.calls, kept(office), files(office)) == (1, [], [])
    assert caught.value.code == "signature_refused"
    assert caught.value.__cause__ is None


def test_another_key_under_the_pinned_name_is_found_out(office: Office) -> None:
    """Self-verification uses the registry's public key, not the signer's."""
    other = SoftwareSigner(generate_private_key())
    with pytest.raises(KeyUnavailable) as caught:
        office.publish(office.first, signers={office.signer.kid: other})
    assert caught.value.code == "signature_refused"
    assert kept(office) == []


def test_a_name_that_is_taken_stops_before_anything_is_signed(office: Office) -> None:
    """A dangling link counts as taken."""
    target = office.folder / "out" / "x.lic"
    target.symlink_to(office.folder / "nowhere")
    destination = Destination(folder=target.parent, name=target.name)
    with pytest.raises(OutputExists):
        office.publish(office.first, destination=destination)
    assert kept(office) == []


def test_a_failure_after_the_commit_says_what_is_kept(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder vanished: the license is kept, named, and delivered by the next issue."""
    folder = office.folder / "out"

    _spoil_after_prepare(folder, monkeypatch)
    with pytest.raises(OutputProblem, match="was issued, but its file") as caught:
        office.publish(office.first)
    assert "polygent-issue license export 00000001" in (caught.value.hint or "")
    assert kept(office) == ["00000001-0000-4000-8000-000000000000"]
    [told] = outbox_delivery.undelivered(office.registry)
    assert "license 00000001 was issued, but its file may not have reached" in told
    monkeypatch.undo()
    folder.mkdir()
    in_its_place = folder / "acme-prod-1-2027-11-30-00000001.lic"
    os.mkfifo(in_its_place)  # is not waited for
    assert outbox_delivery.undelivered(office.registry) == (told,)
    in_its_place.unlink()
    office.publish(office.next)
    assert outbox_delivery.undelivered(office.registry) == ()
    assert "acme-prod-1-2027-11-30-00000001.lic" in files(office)


def _spoil_after_prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the folder as soon as the temporary file has been written into it."""
    genuine: Callable[..., None] = keep.record_issue

    def keep_and_remove(*args: Any) -> None:
        genuine(*args)
        shutil.rmtree(folder)

    monkeypatch.setattr(keep, "record_issue", keep_and_remove)


def test_orphans_of_a_crash_are_swept_by_the_next_issue(office: Office) -> None:
    """Only this registry's own temporary files."""
    out = office.folder / "out"
    (out / ".polygent-5a5a5a5a-dead.tmp").write_bytes(b"half")
    (out / ".polygent-77777777-other.tmp").write_bytes(b"another registry's")
    office.publish(office.first)
    assert files(office) == [".polygent-77777777-other.tmp", "acme-prod-1-2027-11-30-00000001.lic"]


def test_a_temporary_file_of_what_is_not_delivered_yet_is_spared(office: Office) -> None:
    """Whoever committed it may be about to link it."""
    [issued] = office.publish(office.first)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        outbox.add(db, issued.proposal.license.jti, folder=None, name=None)
    temp = f".polygent-5a5a5a5a-{issued.proposal.license.jti}.tmp"
    (office.folder / "out" / temp).write_bytes(issued.file)
    office.publish(office.next)
    assert temp in files(office)


def test_stdout_gets_the_bytes_and_a_failure_is_named(office: Office) -> None:
    """A full stdout: the license is kept and named until it is exported."""
    got: list[bytes] = []
    [issued] = office.publish(office.first, destination=Destination(folder=None, write=got.append))
    assert (got, issued.path) == ([issued.file], None)
    assert outbox_delivery.undelivered(office.registry) == ()

    def full(_data: bytes) -> None:
        raise OutputProblem("stdout cannot be written")

    with pytest.raises(OutputProblem):
        office.publish(office.next, destination=Destination(folder=None, write=full))
    [told] = outbox_delivery.undelivered(office.registry)
    assert "stdout" in told
