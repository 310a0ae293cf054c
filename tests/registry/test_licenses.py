"""Licenses: store them permanently, replace, retire, find and list them."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from support.lic_files import license_id
from support.registries import ACTOR, NOW, YEAR, add_license, add_machine, new_key, writing

from polygent_issuer.errors import Ambiguous, ExitCode, NotFound, RegistryChanged
from polygent_issuer.registry import (
    Customer,
    LicenseStatus,
    Registry,
    Writing,
    customers,
    journal,
    keys,
    licenses,
)
from polygent_issuer.registry.errors import RegistryMisuse, Taken

FIRST, SECOND, THIRD = (license_id(number) for number in (1, 2, 3))


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction with a key and two customers."""
    with writing(registry) as opened:
        keys.add(opened, key=new_key(), label="main")
        customers.add(opened, slug="acme", name="Acme")
        customers.add(opened, slug="globex", name="Globex")
        yield opened


@pytest.fixture
def acme(db: Writing) -> Customer:
    """One of the customers."""
    return customers.get(db, "acme")


@pytest.fixture
def kid(db: Writing) -> str:
    """The key."""
    return keys.find(db, "main").kid


def ids(found: Any) -> list[str]:
    """Return the ids of licenses, in their order."""
    return [record.id for record in found]


def test_a_license_comes_back_as_it_was_added(db: Writing, acme: Customer, kid: str) -> None:
    """A stored license has its exact bytes, its times in seconds, customer and machine."""
    machine = add_machine(db, acme, "prod", "a" * 64)
    record = add_license(db, 1, acme, kid, machine=machine)
    assert record == licenses.get(db, FIRST)
    assert record.file == b"license.1.signature\n"
    assert record.sha256 == sha256(record.file).hexdigest()
    assert (record.customer_id, record.customer_slug) == (acme.id, "acme")
    assert (record.machine_id, record.machine_label) == (machine.id, "prod")
    assert (record.kid, record.tier, record.document_id) == (kid, "standard", machine.document_id)
    assert (record.term, record.plan) == ("1y", "standard-annual")
    assert record.issued_at == NOW.replace(microsecond=0)
    assert record.expires_at == (NOW + YEAR).replace(microsecond=0)
    assert (record.status, record.is_current, record.sent_at) == ("current", True, None)


def test_an_enterprise_license_has_no_machine(db: Writing, acme: Customer, kid: str) -> None:
    """A license without a machine has neither a machine's row nor a label."""
    record = add_license(db, 1, acme, kid)
    assert (record.machine_id, record.machine_label, record.tier) == (None, None, "enterprise")


def test_an_id_is_used_once(db: Writing, acme: Customer, kid: str) -> None:
    """A second license with the same id is refused."""
    add_license(db, 1, acme, kid)
    db.record("test")
    with pytest.raises(Taken, match=r"licenses\.id"), db.part():
        add_license(db, 1, acme, kid)


def test_a_license_needs_a_pinned_key(db: Writing, acme: Customer) -> None:
    """A license of an unknown key is refused."""
    with pytest.raises(RegistryMisuse), db.part():
        add_license(db, 1, acme, "unknown")


def test_a_license_is_replaced_only_once(db: Writing, acme: Customer, kid: str) -> None:
    """A second replacement is `registry_changed`."""
    for number in (1, 2, 3):
        add_license(db, number, acme, kid)
    licenses.replace(db, FIRST, SECOND)
    old = licenses.get(db, FIRST)
    assert (old.status, old.is_current, old.replaced_by) == ("replaced", False, SECOND)
    with pytest.raises(RegistryChanged, match="replaced by another command") as caught:
        licenses.replace(db, FIRST, THIRD)
    assert caught.value.exit_code is ExitCode.REGISTRY
    with pytest.raises(RegistryChanged):
        licenses.retire(db, FIRST, "late")
    assert licenses.get(db, FIRST) == old


def test_a_license_can_be_replaced_before_the_next_is_added(
    db: Writing, acme: Customer, kid: str
) -> None:
    """The reference to the new license is checked at the COMMIT."""
    add_license(db, 1, acme, kid)
    licenses.replace(db, FIRST, SECOND)
    add_license(db, 2, acme, kid)


def test_a_replacement_by_a_missing_license_is_refused(registry: Registry) -> None:
    """A COMMIT with a reference to a missing license is refused."""

    def write() -> None:
        with writing(registry) as db:
            acme = customers.add(db, slug="acme", name="Acme")
            add_license(db, 1, acme, keys.add(db, key=new_key(), label="main").kid)
            licenses.replace(db, FIRST, SECOND)

    with pytest.raises(RegistryMisuse):
        write()
    with registry.reading() as read, pytest.raises(NotFound):
        licenses.get(read, FIRST)


def test_a_retired_license_has_its_reason(db: Writing, acme: Customer, kid: str) -> None:
    """A license is retired only once, and cannot be replaced afterwards."""
    add_license(db, 1, acme, kid)
    add_license(db, 2, acme, kid)
    retired = licenses.retire(db, FIRST, "contract ended")
    assert (retired.status, retired.is_current) == ("retired", False)
    assert (retired.retired_at, retired.retired_reason) == (NOW, "contract ended")
    with pytest.raises(RegistryChanged, match="retired by another command"):
        licenses.retire(db, FIRST, "again")
    with pytest.raises(RegistryChanged):
        licenses.replace(db, FIRST, SECOND)


def test_the_latest_sending_is_stored(db: Writing, acme: Customer, kid: str) -> None:
    """A license can be marked as sent again."""
    add_license(db, 1, acme, kid)
    assert licenses.mark_sent(db, FIRST).sent_at == NOW
    db.now = NOW + timedelta(days=1)
    assert licenses.mark_sent(db, FIRST).sent_at == db.now


ASKING: list[Callable[[Writing], object]] = [
    lambda db: licenses.get(db, FIRST),
    lambda db: licenses.find(db, FIRST),
    lambda db: licenses.replace(db, FIRST, SECOND),
    lambda db: licenses.retire(db, FIRST, "why"),
    lambda db: licenses.mark_sent(db, FIRST),
]


@pytest.mark.parametrize("ask", ASKING)
def test_an_unknown_license_is_not_found(db: Writing, ask: Callable[[Writing], object]) -> None:
    """Each function raises `not_found` for an unknown license."""
    with pytest.raises(NotFound) as caught:
        ask(db)
    assert caught.value.hint == "list all licenses with polygent-issue license list"


def test_a_beginning_of_an_id_is_enough(db: Writing, acme: Customer, kid: str) -> None:
    """At least four characters of an id, in any case, find a license if they are unambiguous."""
    add_license(db, 0x1F3A9C2E, acme, kid)
    add_license(db, 0x1F3A0000, acme, kid)
    assert licenses.find(db, "1f3a9").id == license_id(0x1F3A9C2E)
    assert licenses.find(db, " 1F3A9C2E ").id == license_id(0x1F3A9C2E)
    with pytest.raises(Ambiguous) as caught:
        licenses.find(db, "1f3a")
    assert caught.value.hint == (
        f"give one of {license_id(0x1F3A0000)} (acme), {license_id(0x1F3A9C2E)} (acme)"
    )
    with pytest.raises(NotFound, match="too short"):
        licenses.find(db, "1f3")
    with pytest.raises(NotFound):
        licenses.find(db, "1f3b")


def test_the_hint_for_many_candidates_names_five(db: Writing, acme: Customer, kid: str) -> None:
    """The hint names at most five licenses."""
    for number in range(7):
        add_license(db, number, acme, kid)
    with pytest.raises(Ambiguous) as caught:
        licenses.find(db, "0000")
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"{license_id(4)} (acme), …")


@pytest.fixture
def many(db: Writing, acme: Customer, kid: str) -> str:
    """Five licenses: current, replaced, retired, sent, another customer's; return another kid."""
    other = keys.add(db, key=new_key(), label="other").kid
    globex = customers.get(db, "globex")
    machine = add_machine(db, acme, "prod", "a" * 64)
    add_license(db, 5, acme, kid, expires_at=NOW + 5 * YEAR)
    add_license(db, 2, acme, kid, machine=machine, expires_at=NOW + 2 * YEAR)
    add_license(db, 3, acme, kid, expires_at=NOW + 3 * YEAR)
    add_license(db, 4, acme, other, expires_at=NOW + 4 * YEAR)
    add_license(db, 1, globex, kid, expires_at=NOW + YEAR)
    licenses.replace(db, license_id(3), license_id(5))
    licenses.retire(db, license_id(4), "why")
    licenses.mark_sent(db, license_id(5))
    return other


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"tier": "standard"}, [2]),
        ({"tier": "enterprise"}, [1, 3, 4, 5]),
        ({"status": LicenseStatus.CURRENT}, [1, 2, 5]),
        ({"status": LicenseStatus.REPLACED}, [3]),
        ({"status": LicenseStatus.RETIRED}, [4]),
        ({"unsent": True}, [1, 2, 3, 4]),
        ({"unsent": False}, [5]),
        ({"expires_before": NOW.replace(microsecond=0) + 2 * YEAR}, [1]),
        ({"expires_before": NOW.replace(microsecond=0) + 2 * YEAR + timedelta(seconds=1)}, [1, 2]),
        ({"status": LicenseStatus.CURRENT, "unsent": True, "tier": "enterprise"}, [1]),
    ],
)
def test_the_filters_of_the_list(
    db: Writing, many: str, filters: dict[str, Any], numbers: list[int]
) -> None:
    """The list has the licenses that match all filters, by expiry."""
    assert many
    assert ids(licenses.select(db, **filters)) == [license_id(number) for number in numbers]


def test_the_list_filters_by_key_and_customer(db: Writing, acme: Customer, many: str) -> None:
    """The list can be limited to a key or a customer."""
    assert ids(licenses.select(db, kid=many)) == [license_id(4)]
    assert ids(licenses.of(db, acme)) == [license_id(number) for number in (2, 3, 4, 5)]
    assert ids(licenses.current(db, acme)) == [license_id(2), license_id(5)]


def test_the_list_continues_after_a_license(db: Writing, acme: Customer, kid: str) -> None:
    """The parts of a list are the whole list, also if several licenses expire at one instant."""
    for number in (3, 1, 2):
        add_license(db, number, acme, kid)
    add_license(db, 4, acme, kid, expires_at=NOW + 2 * YEAR)
    whole = list(licenses.select(db))
    for number, last in enumerate(whole, 1):
        assert list(licenses.select(db, after=last)) == whole[number:]


def test_archived_customers_can_be_left_out(db: Writing, acme: Customer, many: str) -> None:
    """Licenses of archived customers can be left out or selected; due ones never include them."""
    assert many
    customers.archive(db, acme)
    assert ids(licenses.select(db, archived=False)) == [license_id(1)]
    assert ids(licenses.select(db, archived=True)) == [license_id(n) for n in (2, 3, 4, 5)]
    assert licenses.count_current(db, expires_before=NOW + 6 * YEAR) == 1
    assert licenses.count_current(db, expires_before=NOW.replace(microsecond=0) + YEAR) == 0


def test_licenses_of_one_expiry_are_sorted_by_id(db: Writing, acme: Customer, kid: str) -> None:
    """The order of a list is unambiguous."""
    for number in (3, 1, 2):
        add_license(db, number, acme, kid)
    assert ids(licenses.of(db, acme)) == [FIRST, SECOND, THIRD]


def test_licenses_are_recorded_in_the_journal(registry: Registry) -> None:
    """Each change is recorded with the digests of the row and of the `.lic`."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        acme = customers.add(db, slug="acme", name="Acme")
        kid = keys.add(db, key=new_key(), label="main").kid
        add_license(db, 1, acme, kid)
        db.record("first")
        licenses.mark_sent(db, FIRST)
        db.record("second")
        add_license(db, 2, acme, kid)
        db.record("third")
        licenses.replace(db, FIRST, SECOND)
        db.record("fourth")
        licenses.retire(db, SECOND, "why")
        db.record("fifth")
    with registry.reading() as read:
        rows = list(journal.rows(read))[1:]
        files = {one.id: one.sha256 for one in licenses.select(read)}
    digests = [row.body["rows"].get(f"licenses/{FIRST}") for row in rows]
    assert len({*digests} - {None}) == 3
    assert [digest is None for digest in digests] == [False, False, True, False, True]
    assert [set(row.body["files"].items()) for row in rows] == [
        {(FIRST, files[FIRST])},
        {(FIRST, files[FIRST])},
        {(SECOND, files[SECOND])},
        {(FIRST, files[FIRST])},
        {(SECOND, files[SECOND])},
    ]


def test_a_status_is_one_of_three(db: Writing, acme: Customer, kid: str) -> None:
    """A record is current, replaced or retired."""
    record = add_license(db, 1, acme, kid)
    moment: datetime = NOW
    assert record._replace(replaced_by=SECOND).status is LicenseStatus.REPLACED
    assert record._replace(retired_at=moment).status is LicenseStatus.RETIRED
