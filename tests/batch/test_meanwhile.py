"""Writes of other commands while a group is signed: each item is compared again."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from support.batches import Batches, words
from support.office import NOW
from support.registries import ACTOR

from polygent_issuer.batch import run
from polygent_issuer.batch.items import Done
from polygent_issuer.keys.signer import Signer, SoftwareSigner
from polygent_issuer.registry import Registry, customers, journal

NAMES = ["c1", "c2", "c3"]


class Slow(SoftwareSigner):
    """A signer during which others write.

    Attributes:
        calls: how often it signed.
    """

    def __init__(self, inner: SoftwareSigner, others: Callable[[int], None]) -> None:
        super().__init__(inner.private_key)
        self.calls = 0
        self._others = others

    def sign(self, message: bytes) -> bytes:
        """Let the others write, and sign."""
        self.calls += 1
        self._others(self.calls)
        return super().sign(message)


def rename(batches: Batches, slug: str, name: str) -> None:
    """Write from another process, which does not have to wait."""
    path = batches.office.registry.place
    with (
        Registry.open(path, busy_timeout=timedelta(0)) as registry,
        registry.writing(now=NOW + timedelta(minutes=2), actor=ACTOR) as db,
    ):
        customers.edit(db, customers.find(db, slug), name=name)
        db.record("customer-edited", customer=slug)


def slowly(batches: Batches, others: Callable[[int], None]) -> tuple[Slow, dict[str, Any]]:
    """A slow signer, and the function that passes it to a run."""
    signer = Slow(batches.office.signer, others)
    signers: Mapping[str, Signer] = {signer.kid: signer}
    return signer, {"unlock": lambda: signers}


def test_an_item_with_a_changed_decision_is_signed_again(batches: Batches) -> None:
    """Only that item is signed again, and no journal row is older than the one before it."""
    batches.crowd(3)
    signer, more = slowly(batches, lambda n: rename(batches, "c2", "Two") if n == 3 else None)
    outcomes = batches.done(batches.renewals().of_customers(NAMES), **more)
    assert words(outcomes) == ["renew"] * 3
    assert signer.calls == 4
    named = [
        each.issued[0].proposal.license.customer for each in outcomes if isinstance(each, Done)
    ]
    assert named[1] == "Two"
    assert batches.pending() == []
    assert batches.sound()
    with batches.office.registry.reading() as db:
        at = [row.at for row in journal.rows(db)]
    assert at[-4:] == sorted(at[-4:])


def test_a_license_that_another_command_issued_is_kept(batches: Batches) -> None:
    """If another command renews a license meanwhile, the item is kept and not renewed twice."""
    batches.crowd(3)

    def others(number: int) -> None:
        if number == 3:
            batches.done(batches.renewals().of_customers(["c2"]))

    _, more = slowly(batches, others)
    outcomes = batches.done(batches.renewals().of_customers(NAMES), **more)
    assert words(outcomes) == ["renew", "keep", "renew"]
    assert len(batches.licenses()) == 6
    assert batches.sound()


def test_a_changed_item_fails_after_a_preview(batches: Batches) -> None:
    """An item with another decision than its preview fails, and the other items are issued."""
    batches.crowd(3)
    review, _ = batches.preview(batches.due())
    signer, more = slowly(batches, lambda n: rename(batches, "c2", "Two") if n == 3 else None)
    outcomes = list(batches.run(**more).outcomes(batches.due(), review.shown))
    assert words(outcomes) == ["renew", "registry_changed", "renew"]
    assert signer.calls == 3
    assert batches.sound()


def test_an_item_that_changes_each_time_fails(batches: Batches) -> None:
    """It is signed again three times at most; the items after it are issued."""
    batches.crowd(3)
    names = (f"Two {number}" for number in count())
    signer, more = slowly(batches, lambda n: rename(batches, "c2", next(names)) if n > 2 else None)
    outcomes = batches.done(batches.renewals().of_customers(NAMES), **more)
    assert words(outcomes) == ["renew", "registry_changed", "renew"]
    assert signer.calls == 3 + 3
    assert batches.pending() == []
    assert batches.sound()


def test_a_group_is_written_in_several_transactions(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time under the lock is over, the rest waits, signed, for the next COMMIT."""
    batches.crowd(4)
    monkeypatch.setattr(run, "_WRITING", -1.0)
    signer, more = slowly(batches, lambda _: None)
    kept = set()
    for _ in batches.run(**more).outcomes(batches.due()):
        kept.add(len(batches.licenses()))
    assert kept == {5, 6, 7, 8}
    assert signer.calls == 4
    assert batches.sound()


def test_new_customers_are_signed_once(batches: Batches) -> None:
    """The second item is decided again after the first is written, and its signature is used."""
    rows = "".join(
        f'[[license]]\ncustomer = "{name}"\ntier = "enterprise"\nusers = 5\nterm = "1y"\n'
        for name in ("Globex", "Initech", "Umbrella")
    )
    signer, more = slowly(batches, lambda _: None)
    assert words(batches.done(batches.rows(rows), **more)) == ["sign"] * 3
    assert signer.calls == 3
    assert batches.sound()
