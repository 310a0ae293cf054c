"""Two and three commands on one registry, in every order of their steps, one killed at any point.

Each order runs on its own real SQLite file. Afterwards one more command runs. Then each scope has
one current license, no acknowledged license is lost, none is issued twice, every file is delivered,
and the journal is intact.
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations_with_replacement, count
from pathlib import Path
from typing import Any

import pytest
from support import stepping
from support.batches import MONTH
from support.lic_files import license_id
from support.office import NOW, Office, open_office
from support.registries import ACTOR
from support.stepping import Choice, Crashed, Walk, stop

from polygent_issuer.batch.items import Done, Failed, Kept
from polygent_issuer.batch.renewals import Renewals
from polygent_issuer.batch.run import BatchRunner
from polygent_issuer.cli.commands.license.edit import retire
from polygent_issuer.cli.context import Invocation
from polygent_issuer.cli.options.common import ConsentOptions
from polygent_issuer.errors import IssuerError, RegistryChanged
from polygent_issuer.findings import Consent
from polygent_issuer.issuing.next_license import RenewalRequest, propose_renewals
from polygent_issuer.issuing.proposal import Action, Proposal
from polygent_issuer.keys.signer import SoftwareSigner
from polygent_issuer.registry import (
    REGISTRY_FILE,
    Reading,
    Registry,
    change,
    journal,
    journal_check,
    licenses,
)
from polygent_issuer.terms.parsing import Changes

pytestmark = pytest.mark.slow

COMMANDS = ("sign", "renew", "reissue", "retire", "batch")
FIRST = license_id(1)
"""Acme's license for its machine, which every command except `sign` uses."""
SEEDS = 12
HASTE = 0.7
LATER = NOW + timedelta(days=350)
# The allowed errors of a command that decides after the other has committed.
REFUSALS = {
    "sign": {"invalid_terms"},
    "renew": {"consent_needed", "not_found", "input_refused"},
    "reissue": {"not_found", "input_refused"},
    "retire": {"input_refused"},
    "batch": {"not_found", "input_refused"},
}


class Stepping(SoftwareSigner):
    """A signer that stops before each signature."""

    def sign(self, data: bytes) -> bytes:
        stop("sign")
        return super().sign(data)


@dataclass
class Place:
    """A registry for one order, and the outcomes of its commands."""

    office: Office
    names: tuple[str, ...]

    def command(self, number: int) -> Callable[[], Any]:
        """Return the command with this number, with its own connection and ids."""
        work = getattr(self, f"_{self.names[number]}")

        def run() -> Any:
            with Registry.open(self.office.registry.place) as registry:
                stop("decide")
                return work(replace(self.office, registry=registry), 0x100 * (number + 1))

        return run

    def _issue(self, office: Office, decide: Callable[[Reading], tuple[Proposal, ...]]) -> Any:
        signers = {office.signer.kid: Stepping(office.signer.private_key)}
        return office.publish(decide, signers=signers, consent=Consent())

    def _sign(self, office: Office, number: int) -> Any:
        plan, nothing = office.settings.plans["enterprise-annual"], None
        changes = Changes(users=5)
        return self._issue(
            office,
            lambda db: office.first(
                db, number=number, document=nothing, plan=plan, changes=changes
            ),
        )

    def _renew(self, office: Office, number: int, action: Action = Action.RENEW) -> Any:
        return self._issue(
            office,
            lambda db: propose_renewals(
                db,
                RenewalRequest(action=action, customer="acme", machine="prod-1", changes=Changes()),
                settings=office.settings,
                now=office.now,
                id_after=lambda _: license_id(number),
            ),
        )

    def _reissue(self, office: Office, number: int) -> Any:
        return self._renew(office, number, Action.REISSUE)

    def _retire(self, office: Office, _number: int) -> Any:
        invocation = Invocation(now=office.now, environ={})
        invocation.options = {"no_input": True}
        vars(invocation).update(registry=office.registry, actor=ACTOR)
        retire(invocation, FIRST, consents=ConsentOptions(reason="left us"), yes=True)
        return ()

    def _batch(self, office: Office, number: int) -> Any:
        numbers = count(number)
        renewals = Renewals(
            settings=office.settings,
            now=office.now,
            within=MONTH,
            changes=Changes(),
            key=None,
            consent=Consent(),
            new_id=lambda: license_id(next(numbers)),
        )
        run = BatchRunner(
            office.registry,
            unlock=lambda: {office.signer.kid: Stepping(office.signer.private_key)},
            destination=office.output,
            now=office.now,
            actor=ACTOR,
        )
        return list(run.outcomes(renewals.of_customers(["acme", "beta"])))


@pytest.fixture(scope="module")
def template() -> Iterator[Office]:
    """Acme and Beta, each with a license for a machine that expires in 15 days."""
    folder = Path("/dev/shm")  # noqa: S108 - memory: 10,000 registries are made and thrown away
    with (
        tempfile.TemporaryDirectory(dir=folder if folder.is_dir() else None) as name,
        open_office(Path(name)) as office,
    ):
        office.publish(office.first)
        theirs = office.document("sha256:" + "cd" * 32)
        office.publish(lambda db: office.first(db, number=2, customer="Beta", document=theirs))
        office.now = LATER
        with stepping.stepping():
            yield office


def walk(
    template: Office, names: tuple[str, ...], choose: Callable[[list[Choice]], Choice]
) -> None:
    """Run one order and check the result."""
    with tempfile.TemporaryDirectory(dir=template.folder) as folder:
        path = Path(folder) / REGISTRY_FILE
        shutil.copy(template.registry.place, path)
        (path.parent / "out").mkdir()
        with Registry.open(path) as registry:
            place = Place(replace(template, folder=path.parent, registry=registry), names)
            walking, crashed = Walk(), False
            walking.start([place.command(number) for number in range(len(names))])
            while choices := walking.choices(crash=not crashed):
                choice = choose(choices)
                crashed = crashed or choice[0] == "crash"
                walking.take(choice)
            judge(place.office, names, [each.ended for each in walking.walkers])


def judge(office: Office, names: tuple[str, ...], ended: list[Any]) -> None:
    """Check the invariants of every order."""
    acknowledged = {}
    for name, end in zip(names, ended, strict=True):
        for each in _outcomes(name, end):
            acknowledged[each.proposal.license.jti] = each
    with office.registry.reading() as db:
        assert not acknowledged.keys() & {row.license_id for row in change.pending(db)}
    for each in acknowledged.values():
        assert each.path.read_bytes() == each.file
    _deliver(office)
    out = {path.name: path.read_bytes() for path in (office.folder / "out").iterdir()}
    with office.registry.reading() as db:
        assert journal_check.verify(db).problems == ()
        assert change.pending(db) == ()
        every = {each.id: each for each in licenses.select(db)}
        issues = Counter(
            row.license for row in journal.rows(db) if row.license and row.body["files"]
        )
    assert all(every[each].file == acknowledged[each].file for each in acknowledged)
    assert set(issues) == set(every)
    new = {each.id: each for each in every.values() if each.id not in (FIRST, license_id(2))}
    assert all(name.endswith(".lic") for name in out), out.keys()
    assert set(out.values()) <= {each.file for each in new.values()}
    assert {each.file for each in new.values() if each.is_current} <= set(out.values())
    scopes = Counter((e.customer_slug, e.machine_label) for e in every.values() if e.is_current)
    assert set(scopes.values()) == {1}, scopes
    replaced = Counter(each.replaced_by for each in every.values() if each.replaced_by)
    assert set(replaced.values()) <= {1}
    first = {"sign": 1, "batch": 2}
    committed = len(new) - 1  # except that of `_deliver`
    assert committed <= sum(first.get(name, 1) for name in names if name != "retire")
    assert committed >= len(acknowledged)
    if not any(isinstance(end, Crashed) for end in ended):
        assert committed == len(acknowledged)
        assert any(not isinstance(end, BaseException) for end in ended), ended
    if names in [("sign", "renew"), ("sign", "reissue"), ("sign", "batch")]:  # in two scopes
        assert not any(isinstance(end, IssuerError) for end in ended), ended


def _outcomes(name: str, end: Any) -> Iterator[Any]:
    """Return the acknowledged results; a command succeeds or stops for an allowed reason."""
    if isinstance(end, Crashed):
        return
    if isinstance(end, BaseException):
        assert isinstance(end, IssuerError), repr(end)
        assert end.code in {RegistryChanged.code, *REFUSALS[name]}, repr(end)
        return
    for each in end:
        if isinstance(each, Failed):
            assert each.error.code in {RegistryChanged.code, *REFUSALS[name]}, repr(each.error)
        elif isinstance(each, Done):
            yield from each.issued
        elif not isinstance(each, Kept):
            yield each


def _deliver(office: Office) -> None:
    """Run the next command: a license for a third customer."""
    theirs = office.document("sha256:" + "ef" * 32)
    office.publish(lambda db: office.first(db, number=0xFF, customer="Gamma", document=theirs))


@pytest.mark.parametrize("names", [*combinations_with_replacement(COMMANDS, 2)], ids="-".join)
def test_every_order_of_two(template: Office, names: tuple[str, str]) -> None:
    """All orders of the steps of two commands, with either one killed at any point."""
    walked = stepping.every_order(lambda choose: walk(template, names, choose))
    assert walked >= 10


@pytest.mark.parametrize("names", [*combinations_with_replacement(COMMANDS, 3)], ids="-".join)
def test_some_orders_of_three(template: Office, names: tuple[str, ...]) -> None:
    """Orders from fixed seeds; in most of them one command is late, and may be killed."""
    for seed in range(SEEDS):
        chance = random.Random(f"{names} {seed}")  # noqa: S311 - no secret

        slow = chance.choice([None, *range(3)])  # overtaken by the others, then killed

        def choose(
            choices: list[Choice], chance: random.Random = chance, slow: int | None = slow
        ) -> Choice:
            if slow is None:
                return chance.choice([choice for choice in choices if choice[0] == "run"])
            others = [choice for choice in choices if choice[1] != slow]
            return chance.choice(others if others and chance.random() < HASTE else choices)

        walk(template, names, choose)
