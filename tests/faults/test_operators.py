"""Several operators at one registry at the same moment: each command is whole, and none is lost."""

from collections import Counter
from datetime import timedelta

import pytest
from support.aftermath import NAMED, held, litter_in
from support.cli import Desk
from support.forks import Forks
from support.strace import Fault

from polygent_issuer.errors import ExitCode

pytestmark = pytest.mark.faults

OPERATORS = 8


def judge(desk: Desk, *, licenses: int, current: int) -> None:
    """As many licenses as should be, all of them delivered, and an unbroken journal."""
    found = held(desk)
    assert found.problems == ()
    assert (len(found.files), len(found.current)) == (licenses, current)
    assert sorted(path.read_bytes() for path in desk.output.iterdir()) == sorted(
        found.files.values()
    )
    assert litter_in(desk.output) == []
    assert NAMED not in desk.run("customer", "list").err


def test_different_customers_at_once(desk: Desk, forks: Forks) -> None:
    """Eight signed at once are eight licenses; each waits for the others, none is refused."""
    documents = [
        desk.machine_info(
            f"{number}.json", customer=f"Customer {number * 111}", fingerprint=f"{number:064x}"
        )
        for number in range(OPERATORS)
    ]
    ended = forks.together([(desk, ("sign", "--machine-info", path)) for path in documents])
    assert [outcome.code for outcome in ended] == [0] * OPERATORS, ended
    judge(desk, licenses=OPERATORS, current=OPERATORS)


def test_the_same_renewal_at_once(desk: Desk, forks: Forks) -> None:
    """One wins; for the others the registry has changed, or the renewal is no longer due."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.now += timedelta(days=350)
    ended = forks.together([(desk, ("renew", "acme-gmbh"))] * OPERATORS)
    codes = Counter(outcome.code for outcome in ended)
    assert codes[0] == 1, ended
    assert set(codes) <= {0, ExitCode.CONSENT, ExitCode.REGISTRY}
    for outcome in ended:
        if outcome.code == ExitCode.REGISTRY:
            assert "changed the registry after this was shown" in outcome.err
        if outcome.code == ExitCode.CONSENT:
            assert "not-due" in outcome.err
    judge(desk, licenses=2, current=1)


def test_the_same_first_license_at_once(desk: Desk, forks: Forks) -> None:
    """A new customer's document in eight hands becomes one customer and one license."""
    path = desk.machine_info()
    ended = forks.together([(desk, ("sign", "--machine-info", path))] * OPERATORS)
    codes = Counter(outcome.code for outcome in ended)
    assert codes[0] == 1, ended
    assert set(codes) <= {0, ExitCode.INPUT, ExitCode.REGISTRY}
    judge(desk, licenses=1, current=1)
    assert len(desk.ok("customer", "list", "--json").json["customers"]) == 1


def test_a_command_that_is_overtaken_after_its_commit(desk: Desk, forks: Forks) -> None:
    """The other delivers its license and sweeps its temporary file: fine with both."""
    mine = desk.machine_info()
    theirs = desk.machine_info("globex.json", customer="Globex", fingerprint="1" * 64)
    overtaken = forks.run_around(
        desk,
        *("sign", "--machine-info", mine),
        stop=Fault(calls="fchmod", what="signal=STOP", number=1),
        meanwhile=lambda: desk.ok("sign", "--machine-info", theirs),
    )
    assert overtaken.code == 0, overtaken
    judge(desk, licenses=2, current=2)
