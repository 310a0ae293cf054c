"""Items that may depend on another item of the group are decided again."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from support.batches import Batches, words
from support.many_customers import fingerprint

from polygent_issuer.batch import run
from polygent_issuer.batch.items import Decision, Job
from polygent_issuer.registry import Reading


@pytest.fixture(autouse=True)
def one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """All items in one transaction."""
    monkeypatch.setattr(run, "MAX_GROUP_SIZE", 16)


def counted(jobs: Iterable[Job], times: Counter[str]) -> Iterator[Job]:
    """Return the same jobs, and the number of decisions of each."""
    for job in jobs:

        def decide(db: Reading, job: Job = job) -> Decision:
            times[job.place] += 1
            return job.decide(db)

        yield replace(job, decide=decide)


def test_a_customer_twice_is_renewed_once(batches: Batches) -> None:
    """The second item depends on the rows of the first, though both are in one group."""
    batches.crowd(3)
    names = ["c1", "c2", "c1", "c2", "c3"]
    outcomes = batches.done(batches.renewals().of_customers(names))
    assert words(outcomes) == ["renew", "renew", "keep", "keep", "renew"]
    assert len(batches.files()) == 3
    assert batches.sound()


def test_items_without_licenses_are_decided_after_earlier_writes(batches: Batches) -> None:
    """Their decision is reused only if nothing was written before."""
    batches.crowd(3)
    times = Counter[str]()
    names = ["c1", "nobody", "c2", "c3"]
    outcomes = batches.done(counted(batches.renewals().of_customers(names), times))
    assert words(outcomes) == ["renew", "not_found", "renew", "renew"]
    assert times == {"c1": 1, "nobody": 2, "c2": 1, "c3": 1}


def test_independent_items_are_decided_once(batches: Batches) -> None:
    """Items of different customers are not decided again."""
    batches.crowd(9)
    times = Counter[str]()
    names = [f"c{number}" for number in range(1, 10)]
    batches.done(counted(batches.renewals().of_customers(names), times))
    assert times == dict.fromkeys(names, 1)


def test_a_machine_of_an_earlier_row_is_known(batches: Batches) -> None:
    """Of two new customers with one machine, the second needs consent, within one group, too."""
    batches.crowd(1)
    made = {"fingerprint": fingerprint(50), "generatedAt": "2026-11-30T08:00:00Z", "hostname": "a"}
    (batches.office.folder / "a.json").write_text(json.dumps(made))
    names = ("Globex", "Initech")
    text = "".join(f'[[license]]\ncustomer = "{name}"\nmachine_info = "a.json"\n' for name in names)
    text += '[[license]]\ncustomer = "c1"\nmachine = "prod-1"\n'
    assert words(batches.done(batches.rows(text))) == ["sign", "consent_needed", "renew"]
