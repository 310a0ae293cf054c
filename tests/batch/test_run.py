"""A run: items in order, each independent, durable before they are reported, none issued twice."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from support.batches import Batches, accepting, errors, words
from support.many_customers import old_id
from support.office import NOW
from support.registries import ACTOR, tampering

from polygent_issuer.batch import run
from polygent_issuer.batch.items import Decision, Done, Job, Outcome
from polygent_issuer.errors import KeyUnavailable, OutputProblem
from polygent_issuer.files import publication
from polygent_issuer.findings import Consent, FindingCode
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import (
    REGISTRY_FILE,
    Reading,
    Registry,
    customers,
    journal,
    keys,
    licenses,
)
from polygent_issuer.registry.errors import RegistryLocked


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four items in a group, so that a few items make several groups."""
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", 4)


def archive(batches: Batches, slug: str) -> None:
    """Archive a customer."""
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        customers.archive(db, customers.find(db, slug))
        db.record("customer-archived", customer=slug)


def test_outcomes_come_in_the_order_of_the_items(batches: Batches) -> None:
    """Over several groups each license has its file, and the outbox is empty."""
    batches.crowd(11)
    names = [f"c{number}" for number in (7, 3, 11, 1, 2, 4, 5, 6, 8, 9, 10)]
    outcomes = batches.done(batches.renewals().of_customers(names))
    assert [outcome.job.place for outcome in outcomes] == names
    assert words(outcomes) == ["renew"] * 11
    assert len(batches.files()) == 11
    assert batches.pending() == []
    assert batches.sound()
    for outcome in outcomes:
        assert isinstance(outcome, Done)
        [issued] = outcome.issued
        assert issued.path is not None
        assert issued.path.read_bytes() == issued.file


@pytest.mark.sqlite("edits rows of the file")
def test_a_failed_item_does_not_affect_the_others(batches: Batches) -> None:
    """An unknown or archived customer, a changed stored file, or missing consent."""
    batches.crowd(8)
    archive(batches, "c2")
    path = batches.office.folder / REGISTRY_FILE
    with tampering(path) as database:
        sql = "UPDATE licenses SET file = CAST(replace(file, 'a', 'b') AS BLOB) WHERE id = ?"
        database.execute(sql, (old_id(3),))
    names = ["c1", "nobody", "c2", "c3", "c4", "c5", "c6"]
    outcomes = batches.done(batches.renewals().of_customers(names))
    assert errors(outcomes) == {
        "nobody": "not_found",
        "c2": "customer_archived",
        "c3": "registry_damaged",
    }
    assert words(outcomes).count("renew") == 4
    assert len(batches.files()) == 4
    assert batches.pending() == []


@pytest.mark.sqlite("edits rows of the file")
def test_a_journal_row_that_cannot_be_read_fails_one_item(batches: Batches) -> None:
    """The rows of a group are read together; those of the other customers are as recorded."""
    batches.crowd(4)
    with tampering(batches.office.registry.place) as database:
        body = "CAST(replace(bytes, 'rows', 'rose') AS BLOB)"
        database.execute(f"UPDATE journal SET bytes = {body} WHERE customer = 'c3'")  # noqa: S608
    expected = ["renew", "renew", "registry_damaged", "renew"]
    assert [item.error is None for item in batches.preview(batches.due())[1]] == [
        word == "renew" for word in expected
    ]
    assert words(batches.done(batches.due())) == expected


def test_missing_consent_fails_one_item(batches: Batches) -> None:
    """A license over three years is issued if the finding is accepted with a reason."""
    batches.crowd(3)
    rows = "".join(
        f'[[license]]\ncustomer = "c{number}"\nmachine = "prod-1"\nterm = "{term}"\n'
        for number, term in ((1, "1y"), (2, "5y"), (3, "1y"))
    )
    outcomes = batches.done(batches.rows(rows))
    assert words(outcomes) == ["renew", "consent_needed", "renew"]
    consent = accepting(FindingCode.LONG_TERM, reason=None)
    assert words(batches.done(batches.rows(rows, consent=consent))) == [
        "keep",
        "consent_needed",
        "keep",
    ]
    outcomes = batches.done(batches.rows(rows, consent=accepting(FindingCode.LONG_TERM)))
    assert words(outcomes) == ["keep", "renew", "keep"]


def test_an_existing_file_fails_one_item(batches: Batches) -> None:
    """The file is kept, the item reports it, and its license is not issued."""
    batches.crowd(3)
    out = batches.office.folder / "out"
    there = [out / f"c2-prod-1-2027-12-20-{number:08x}.lic" for number in range(1, 9)]
    for path in there:
        path.write_bytes(b"mine")
    outcomes = batches.done(batches.renewals().of_customers(["c1", "c2", "c3"]))
    assert words(outcomes) == ["renew", "output_exists", "renew"]
    assert {path.read_bytes() for path in there} == {b"mine"}
    assert [record.id for record in batches.current("c2")] == [old_id(2)]


def test_refused_rows_fail_one_item(batches: Batches) -> None:
    """If two of its licenses replace the same one, none of its rows is kept."""
    batches.crowd(3)
    first, second, third = batches.due()

    def twice(db: Reading) -> Decision:
        return Decision(proposals=(*second.decide(db).proposals, *second.decide(db).proposals))

    outcomes = batches.done([first, replace(second, decide=twice), third])
    assert words(outcomes) == ["renew", "registry_changed", "renew"]
    assert [record.id for record in batches.current("c2")] == [old_id(2)]
    assert len(batches.files()) == 2
    assert batches.pending() == []
    assert batches.sound()


def test_an_outcome_is_durable_when_it_is_reported(batches: Batches) -> None:
    """When an outcome comes, another process sees the row and the file."""
    batches.crowd(9)
    place = batches.office.registry.place
    for outcome in batches.run().outcomes(batches.due()):
        assert isinstance(outcome, Done)
        [issued] = outcome.issued
        with Registry.open(place) as other, other.reading() as db:
            assert licenses.get(db, issued.proposal.license.jti).file == issued.file
        assert issued.path is not None
        assert issued.path.read_bytes() == issued.file


def test_keys_are_unlocked_only_if_something_is_signed(batches: Batches) -> None:
    """They are unlocked once for all groups, never for kept or refused items."""
    batches.crowd(9)
    assert words(batches.done(batches.renewals().of_customers(["nobody"]))) == ["not_found"]
    assert batches.unlocked == 0
    batches.done(batches.due())
    assert batches.unlocked == 1
    names = [f"c{number}" for number in range(1, 10)]
    assert set(words(batches.done(batches.renewals().of_customers(names)))) == {"keep"}
    assert batches.unlocked == 1


def test_a_stop_finishes_the_present_item(batches: Batches) -> None:
    """Signed items are issued and reported; the same batch again does the rest."""
    batches.crowd(9)
    told: list[Outcome] = []
    told += batches.run(stopped=lambda: len(batches.files()) >= 4).outcomes(batches.due())
    assert words(told) == ["renew"] * 4
    assert batches.pending() == []
    assert words(batches.done(batches.due())) == ["renew"] * 5
    assert batches.sound()
    assert len(batches.files()) == 9


def test_a_stop_within_a_group_writes_its_signed_items(batches: Batches) -> None:
    """The group is closed with the items that are signed."""
    batches.crowd(9)
    asked = iter(range(100))
    outcomes = batches.done(batches.due(), stopped=lambda: next(asked) >= 2)
    assert words(outcomes) == ["renew"] * 2
    assert len(batches.files()) == 2


def test_a_stop_at_the_beginning_issues_nothing(batches: Batches) -> None:
    """The key is not unlocked."""
    batches.crowd(3)
    assert batches.done(batches.due(), stopped=lambda: True) == []
    assert batches.unlocked == 0


def test_a_key_that_became_active_meanwhile_does_not_sign(batches: Batches) -> None:
    """Only keys that the operator has unlocked sign."""
    batches.crowd(6)
    told = []
    other = SoftwareSigner(generate_private_key())
    for outcome in batches.run().outcomes(batches.due()):
        told.append(outcome)
        if len(told) == 4:
            with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
                keys.add(db, key=other.public_key, label="other")
                keys.activate(db, other.kid)
                db.record("key-used", kid=other.kid)
    assert words(told) == ["renew"] * 4 + ["registry_changed"] * 2
    assert len(batches.files()) == 4
    assert batches.sound()


def test_a_decision_that_was_not_shown_is_not_issued(batches: Batches) -> None:
    """An item with another decision than its preview fails with that reason."""
    batches.crowd(3)
    review, _ = batches.preview(batches.due())
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        customers.edit(db, customers.find(db, "c2"), name="Customer Two")
        db.record("customer-edited", customer="c2")
    outcomes = list(batches.run().outcomes(batches.due(), review.shown))
    assert words(outcomes) == ["renew", "registry_changed", "renew"]
    assert [record.id for record in batches.current("c2")] == [old_id(2)]


def test_an_item_that_another_command_did_is_kept(batches: Batches) -> None:
    """If nothing is left to do since the preview, the item does not fail."""
    batches.crowd(3)
    review, _ = batches.preview(batches.renewals().of_customers(["c1", "c2", "c3"]))
    batches.done(batches.renewals().of_customers(["c2"]))
    jobs = batches.renewals().of_customers(["c1", "c2", "c3"])
    outcomes = list(batches.run().outcomes(jobs, review.shown))
    assert words(outcomes) == ["renew", "keep", "renew"]


class _Wrong(SoftwareSigner):
    """Signs right for some time, then something else."""

    left = 5

    def sign(self, message: bytes) -> bytes:
        """The signature; from the sixth on of other bytes."""
        self.left -= 1
        return super().sign(message if self.left >= 0 else message + b"!")


class _Gone(_Wrong):
    """Signs for some time, then cannot."""

    def sign(self, message: bytes) -> bytes:
        """The signature; from the sixth on an error, as from a token that was pulled out."""
        if self.left == 0:
            raise KeyUnavailable("the token is gone")
        return super().sign(message)


@pytest.mark.parametrize(
    ("kind", "code"), [(_Wrong, "signature_refused"), (_Gone, "key_unavailable")]
)
def test_a_failing_key_ends_the_batch(batches: Batches, kind: type[_Wrong], code: str) -> None:
    """A signature does not verify or is missing: nothing of the group is kept."""
    private = generate_private_key()
    signer = kind(private)
    batches.office.signer = signer
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        keys.add(db, key=signer.public_key, label="second")
        keys.activate(db, signer.kid)
        db.record("key-used", kid=signer.kid)
    batches.office.signer = SoftwareSigner(private)
    batches.crowd(9)
    batches.office.signer = signer
    told: list[Outcome] = []
    with pytest.raises(KeyUnavailable) as caught:
        told.extend(batches.run().outcomes(batches.due()))
    assert caught.value.code == code
    assert words(told) == ["renew"] * 4
    assert len(batches.licenses()) == 9 + 4
    assert len(batches.files()) == 4
    assert batches.sound()


class _Service(SoftwareSigner):
    """Signs up to three items in one call, as a service does; `sizes` has the size of each."""

    at_once = 3

    def __init__(self, private_key: EllipticCurvePrivateKey) -> None:
        """Count no call yet."""
        super().__init__(private_key)
        self.sizes: list[int] = []

    def sign_many(self, items: Sequence[bytes]) -> list[bytes]:
        """The signatures, by one call."""
        self.sizes.append(len(items))
        return [*map(self.sign, items)]


def test_a_service_signs_several_items_in_one_call(batches: Batches) -> None:
    """Each call has as many items as the service allows, and none of another group."""
    batches.crowd(9)
    service = _Service(batches.office.signer.private_key)
    batches.office.signer = service
    outcomes = batches.done([*batches.due()])
    assert words(outcomes) == ["renew"] * 9
    assert service.sizes == [3, 1, 3, 1, 1]
    assert batches.sound()


def test_a_registry_failure_ends_the_batch(batches: Batches) -> None:
    """It is not the fault of an item, and no item after it is issued."""
    batches.crowd(6)

    def fails(_: object) -> Decision:
        raise RegistryLocked("locked")

    bad = Job(place="bad", subject="bad", decide=fails, consent=Consent())
    jobs = [*batches.renewals().of_customers(["c1"]), bad]
    with pytest.raises(RegistryLocked):
        batches.done(jobs)
    assert len(batches.licenses()) == 6
    assert batches.files() == []


def test_a_failing_sync_issues_nothing_of_the_group(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither rows nor temporary files are left."""
    batches.crowd(6)
    _without_syncfs(monkeypatch)
    monkeypatch.setattr(os, "fsync", _fails_at(6))
    told: list[Outcome] = []
    with pytest.raises(OutputProblem, match="no space left"):
        told.extend(batches.run().outcomes(batches.due()))
    monkeypatch.undo()
    assert words(told) == ["renew"] * 4
    assert len(batches.files()) == 4
    assert len(batches.licenses()) == 6 + 4
    assert words(batches.done(batches.due())) == ["renew"] * 2
    assert batches.sound()


def test_a_failing_link_keeps_the_licenses(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the COMMIT the licenses are kept, and the next batch delivers their files."""
    batches.crowd(3)
    _without_syncfs(monkeypatch)
    monkeypatch.setattr(os, "fsync", _fails_at(4))
    with pytest.raises(OutputProblem):
        batches.done(batches.due())
    monkeypatch.undo()
    assert len(batches.licenses()) == 6
    assert len(batches.pending()) == 3
    for path in batches.files():
        path.unlink()  # as if power had failed before the names lasted
    assert batches.done(batches.due()) == []
    batches.crowd(1, first=9)
    assert words(batches.done(batches.due())) == ["renew"]
    assert len(batches.files()) == 4
    assert batches.pending() == []


def _without_syncfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "_syncfs", lambda: None)


def _fails_at(number: int) -> Any:
    genuine, left = os.fsync, [number]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "no space left on device")
        genuine(descriptor)

    return fsync


def test_undelivered_files_of_a_crash_are_delivered(batches: Batches) -> None:
    """A group that was committed but not linked is not signed again."""
    batches.crowd(4)
    batches.done(batches.due())
    with tampering(batches.office.registry.place) as database:
        for path in batches.files():
            [row] = [each for each in batches.licenses() if path.read_bytes() == each.file]
            sql = "INSERT INTO outbox (license_id, folder, name, at) VALUES (?, ?, ?, ?)"
            at = "2026-11-30T09:30:00.000000Z"
            database.execute(sql, (row.id, str(path.parent), path.name, at))
            path.unlink()
    orphan = batches.office.folder / "out" / ".polygent-5a5a5a5a-0-1.tmp"
    orphan.write_bytes(b"half")
    batches.crowd(1, first=9)
    assert words(batches.done(batches.due())) == ["renew"]
    assert len(batches.files()) == 5
    assert batches.pending() == []
    assert batches.sound()


def test_a_reader_that_stops_loses_nothing(batches: Batches) -> None:
    """After one outcome the group is complete, and a later batch does the rest."""
    batches.crowd(9)
    with closing(batches.run().outcomes(batches.due())) as outcomes:  # type: ignore[type-var]
        next(outcomes)
    assert len(batches.files()) == 4
    assert words(batches.done(batches.due())) == ["renew"] * 5
    assert batches.pending() == []
    assert batches.sound()


def test_a_slow_key_closes_groups_early(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other commands wait for the registry, so a group ends when its time is over."""
    batches.crowd(3)
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(run, "monotonic", lambda: next(ticks))
    seqs = set()
    for _ in batches.run().outcomes(batches.due()):
        seqs.add(len(batches.licenses()))
    assert seqs == {4, 5, 6}


def test_a_batch_needs_a_folder(batches: Batches) -> None:
    """A batch is not written to a single file."""
    batches.crowd(1)
    with pytest.raises(ValueError, match="folder"):
        batches.done(batches.due(), destination=Destination(folder=None))


def test_the_journal_has_a_row_for_each_license(batches: Batches) -> None:
    """Each row has the consents that its license needed, and no others."""
    batches.crowd(1)
    batches.crowd(1, first=2, expires_at=NOW + timedelta(days=100))
    consent = accepting(FindingCode.NOT_DUE)
    batches.done(batches.renewals(consent=consent).of_customers(["c1", "c2"]))
    with batches.office.registry.reading() as db:
        rows = [row for row in journal.rows(db) if row.event == "license-renewed"]
    assert [(row.customer, row.accepted) for row in rows] == [("c1", ()), ("c2", ("not-due",))]
