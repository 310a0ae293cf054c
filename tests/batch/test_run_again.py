"""An item that may rest on what another of its group writes is decided again."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from support.batches import Batches, words
from support.many_customers import fingerprint

from polygent_issuer.batch import run
from polygent_issuer.batch.outcomes import Decision, Job
from polygent_issuer.registry import Reading


@pytest.fixture(autouse=True)
def one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one transaction."""
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", 16)


def counted(jobs: Iterable[Job], times: Counter[str]) -> Iterator[Job]:
    """The same jobs; how often each was decided."""
    for job in jobs:

        def decide(db: Reading, job: Job = job) -> Decision:
            times[job.place] += 1
            return job.decide(db)

        yield replace(job, decide=decide)


def test_a_customer_twice_is_renewed_once(batches: Batches) -> None:
    """The second item sees what the first has written, though both are of one group."""
    batches.crowd(3)
    names = ["c1", "c2", "c1", "c2", "c3"]
    outcomes = batches.done(batches.renewals().of_customers(names))
    assert words(outcomes) == ["renew", "renew", "keep", "keep", "renew"]
    assert len(batches.files()) == 3
    assert batches.sound()


def test_what_writes_nothing_is_decided_on_what_was_written(batches: Batches) -> None:
    """An outcome without a license stands only where nothing was written before it."""
    batches.crowd(3)
    times = Counter[str]()
    names = ["c1", "nobody", "c2", "c3"]
    outcomes = batches.done(counted(batches.renewals().of_customers(names), times))
    assert words(outcomes) == ["renew", "not_found", "renew", "renew"]
    assert times == {"c1": 1, "nobody": 2, "c2": 1, "c3": 1}


def test_many_are_decided_once(batches: Batches) -> None:
    """Customers who have nothing to do with each other are decided together."""
    batches.crowd(9)
    times = Counter[str]()
    names = [f"c{number}" for number in range(1, 10)]
    batches.done(counted(batches.renewals().of_customers(names), times))
    assert times == dict.fromkeys(names, 1)


def test_a_machine_that_an_earlier_row_brings_is_known(batches: Batches) -> None:
    """Of two new customers with one machine, the second needs consent, within one group, too."""
    batches.crowd(1)
    made = {"fingerprint": fingerprint(50), "generatedAt": "2026-11-30T08:00:00Z", "hostname": "a"}
    (batches.office.folder / "a.json").write_text(json.dumps(made))
    names = ("Globex", "Initech")
    text = "".join(f'[[license]]\ncustomer = "{name}"\nmachine_info = "a.json"\n' for name in names)
    text += '[[license]]\ncustomer = "c1"\nmachine = "prod-1"\n'
    assert words(batches.done(batches.rows(text))) == ["sign", "consent_needed", "renew"]
