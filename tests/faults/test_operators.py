"""Several operators at one registry at the same time: each command is complete, none is lost."""

from collections import Counter
from datetime import timedelta
from hashlib import sha256
from itertools import chain

import pytest
from support.aftermath import NAMED
from support.batch_aftermath import json_objects
from support.batch_items import apply, row
from support.cli import Desk
from support.desk_state import litter_in, read_state
from support.fault_sweep import FULL
from support.forks import Forks
from support.strace import Fault

from polygent_issuer.errors import ExitCode

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True),
]

OPERATORS = 8
ISSUES = 100 if FULL else 4
ROUNDS = 8 if FULL else 2
ROWS = 100 if FULL else 20


def judge(desk: Desk, *, licenses: int, current: int) -> None:
    """Check the number of licenses, that all are delivered, and the journal."""
    state = read_state(desk)
    assert (state.problems, state.unsealed) == ((), 0)
    assert (len(state.files), len(state.current)) == (licenses, current)
    assert sorted(path.read_bytes() for path in desk.output.iterdir()) == sorted(
        state.files.values()
    )
    assert litter_in(desk.output) == []
    assert NAMED not in desk.run("customer", "list").err


def test_different_customers_at_once(desk: Desk, forks: Forks) -> None:
    """Eight commands issue eight licenses; they wait for each other, and none is refused."""
    documents = [
        desk.machine_info(
            f"{number}.json", customer=f"Customer {number * 111}", fingerprint=f"{number + 1:064x}"
        )
        for number in range(OPERATORS)
    ]
    ended = forks.together([(desk, ("sign", "--machine-info", path)) for path in documents])
    assert [outcome.err for outcome in ended if outcome.code] == []
    judge(desk, licenses=OPERATORS, current=OPERATORS)


def test_the_same_renewal_at_once(desk: Desk, forks: Forks) -> None:
    """One succeeds; the others report a changed registry or that it is not due."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    desk.now += timedelta(days=350)
    ended = forks.together([(desk, ("renew", "acme-gmbh"))] * OPERATORS)
    codes = Counter(outcome.code for outcome in ended)
    assert codes[0] == 1, ended
    assert set(codes) <= {0, ExitCode.CONSENT, ExitCode.REGISTRY}
    for outcome in ended:
        if outcome.code == ExitCode.REGISTRY:
            assert "the registry changed after the preview" in outcome.err
        if outcome.code == ExitCode.CONSENT:
            assert "not-due" in outcome.err
    judge(desk, licenses=2, current=1)


def test_the_same_first_license_at_once(desk: Desk, forks: Forks) -> None:
    """Eight commands with one document make one customer and one license."""
    path = desk.machine_info()
    ended = forks.together([(desk, ("sign", "--machine-info", path))] * OPERATORS)
    codes = Counter(outcome.code for outcome in ended)
    assert codes[0] == 1, ended
    assert set(codes) <= {0, ExitCode.INPUT, ExitCode.REGISTRY}
    judge(desk, licenses=1, current=1)
    assert len(desk.ok("customer", "list", "--json").json["customers"]) == 1


def test_a_command_that_is_overtaken_after_its_commit(desk: Desk, forks: Forks) -> None:
    """Another command delivers its license and removes its temporary file."""
    mine = desk.machine_info()
    theirs = desk.machine_info("globex.json", customer="Globex", fingerprint="1e" * 32)
    overtaken = forks.run_around(
        desk,
        *("sign", "--machine-info", mine),
        stop=Fault(calls="fchmod", what="signal=STOP", number=1),
        meanwhile=lambda: desk.ok("sign", "--machine-info", theirs),
    )
    assert overtaken.code == 0, overtaken
    judge(desk, licenses=2, current=2)


def document(desk: Desk, number: int) -> str:
    """Write a document for a customer with a unique name; return its path."""
    name = sha256(str(number).encode()).hexdigest()[:12]
    return desk.machine_info(
        f"{number}.json", customer=f"Customer {name}", fingerprint=f"sha256:{number + 1:064x}"
    )


def events(desk: Desk) -> Counter[str]:
    """Return the number of journal rows by event."""
    return Counter(row["event"] for row in desk.ok("journal", "show", "--json").json["rows"])


def test_many_issues_of_each(desk: Desk, forks: Forks) -> None:
    """Eight operators issue several licenses each: none is lost or duplicated."""
    people = [
        (desk, [("sign", "--machine-info", document(desk, at * ISSUES + n)) for n in range(ISSUES)])
        for at in range(OPERATORS)
    ]
    ended = forks.shifts(people)
    assert [outcome.err for outcome in ended if outcome.code] == []
    judge(desk, licenses=OPERATORS * ISSUES, current=OPERATORS * ISSUES)
    assert events(desk)["license-signed"] == OPERATORS * ISSUES


@pytest.mark.parametrize("group", [7, None])
def test_the_same_file_at_once(desk: Desk, forks: Forks, group: int | None) -> None:
    """Eight commands apply one file: one issues each row, the others report *keep*."""
    argv = apply(desk, [row(desk, number) for number in range(ROWS)])
    ended = forks.together([(desk, argv)] * OPERATORS, group)
    assert [outcome.err for outcome in ended if outcome.code] == []
    done, unchanged = Counter[str](), Counter[str]()
    for members in chain.from_iterable(json_objects(outcome.out) for outcome in ended):
        if "outcome" in members:
            (done if members["outcome"] == "done" else unchanged)[members["item"]] += 1
    assert sorted(done.values()) == [1] * ROWS
    assert sorted(unchanged.values()) == [OPERATORS - 1] * ROWS
    judge(desk, licenses=ROWS, current=ROWS)
    assert events(desk)["license-signed"] == ROWS


def test_different_commands_at_once(desk: Desk, forks: Forks) -> None:
    """An overtaken command reports it and can be repeated; none hangs, nothing is lost."""
    desk.ok("key", "generate", "second", "--store", f"file:{desk.folder}/second", "--no-backup")
    known = [
        desk.ok("sign", "--machine-info", document(desk, number), "--json").json["licenses"][0]
        for number in range(3 * ROUNDS)
    ]
    consent = ("--accept", "not-due", "--accept", "key-rollout", "--reason", "asked for")
    todo: list[tuple[str, ...]] = []
    for at in range(ROUNDS):
        renewed, retired, edited = known[3 * at : 3 * at + 3]
        todo += [
            ("sign", "--machine-info", document(desk, 100 + at)),
            ("renew", renewed["customer"], *consent),
            ("license", "retire", retired["id"], "--reason", "the contract has ended"),
            ("customer", "edit", edited["customer"], "--crm", f"{at}"),
            ("reissue", edited["customer"]),
            ("key", "use", ("second", "main")[at % 2], *consent),
            ("config", "set", "upload_window", f"{at + 1}d"),
            ("journal", "verify"),
        ]
    before = events(desk)
    again = list(todo)
    for _ in todo:
        ended = forks.together([(desk, argv) for argv in again])
        for argv, outcome in zip(again, ended, strict=True):
            overtaken = outcome.code == ExitCode.REGISTRY and "again" in outcome.err
            assert outcome.code == 0 or overtaken, (argv, outcome)
            assert "locked" not in outcome.err
        again = [a for a, outcome in zip(again, ended, strict=True) if outcome.code]
        if not again:
            break
    assert again == []
    desk.ok("journal", "seal")  # the last row may be of a command that signs nothing
    judge(desk, licenses=6 * ROUNDS, current=3 * ROUNDS)
    written = events(desk) - before
    assert 1 <= written.pop("key-activated") <= ROUNDS  # no row if the key is active already
    assert written.pop("settings-changed", 0) <= ROUNDS  # only a team's are in the registry
    one_each = ("signed", "renewed", "reissued", "retired")
    assert written == {"customer-edited": ROUNDS} | {f"license-{e}": ROUNDS for e in one_each}
    assert desk.ok("config", "show").code == 0
