"""Machines: label, current and earlier identities, documents."""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import pytest
from support.registries import ACTOR, NOW, add_machine, writing

from polygent_issuer.errors import InputRefused, NotFound
from polygent_issuer.registry import Customer, Registry, Writing, customers, machines
from polygent_issuer.registry.errors import RegistryDamaged, Taken
from polygent_issuer.registry.records import as_int

ONE, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def db(registry: Registry) -> Iterator[Writing]:
    """An open write transaction with two customers."""
    with writing(registry) as opened:
        customers.add(opened, slug="acme", name="Acme")
        customers.add(opened, slug="globex", name="Globex")
        yield opened


@pytest.fixture
def acme(db: Writing) -> Customer:
    """One of the customers."""
    return customers.get(db, "acme")


@pytest.fixture
def globex(db: Writing) -> Customer:
    """The other customer."""
    return customers.get(db, "globex")


def test_a_machine_comes_back_as_it_was_added(db: Writing, acme: Customer) -> None:
    """A machine is found by label, by row id and among those of its customer."""
    machine = add_machine(db, acme, "prod", ONE)
    assert (machine.label, machine.fingerprint, machine.hostname) == ("prod", ONE, "prod")
    assert machine.components == {"board": "b1", "machineId": "m1"}
    assert (machine.customer_id, machine.since) == (acme.id, NOW)
    assert machines.by_label(db, acme, "prod") == machine
    assert machines.by_id(db, machine.id) == machine
    assert machines.of(db, acme) == (machine,)


def test_machines_are_listed_by_label(db: Writing, acme: Customer, globex: Customer) -> None:
    """The list has only the customer's machines, by label."""
    add_machine(db, acme, "prod", ONE)
    add_machine(db, acme, "dr-site", OTHER)
    add_machine(db, globex, "alpha", THIRD)
    assert [machine.label for machine in machines.of(db, acme)] == ["dr-site", "prod"]


def test_a_label_and_a_fingerprint_are_unique_within_a_customer(
    db: Writing, acme: Customer, globex: Customer
) -> None:
    """A duplicate is refused, and the error names the machine that has it."""
    add_machine(db, acme, "prod", ONE)
    with pytest.raises(Taken, match="prod already has this label") as caught:
        add_machine(db, acme, "prod", OTHER)
    assert caught.value.hint == "select that machine: --machine prod"
    with pytest.raises(Taken, match="prod already has this fingerprint"):
        add_machine(db, acme, "second", ONE)
    assert add_machine(db, globex, "prod", ONE).customer_id == globex.id


def test_the_database_refuses_a_duplicate(db: Writing, acme: Customer) -> None:
    """A constraint refuses a duplicate that was not checked before."""
    add_machine(db, acme, "prod", ONE)
    db.record("test")
    row = {"hostname": None, "components": "{}", "since": db.at, "document_id": None}
    with pytest.raises(Taken, match="fingerprint"), db.part():
        db.insert("machines", customer_id=acme.id, label="x", fingerprint=ONE, **row)
    with pytest.raises(Taken, match="label"), db.part():
        db.insert("machines", customer_id=acme.id, label="prod", fingerprint=OTHER, **row)


def test_a_label_is_a_display_name(db: Writing, acme: Customer) -> None:
    """A label is stored in NFC, and control characters are refused."""
    with pytest.raises(InputRefused):
        add_machine(db, acme, "\x1b[2J", ONE)
    machine = add_machine(db, acme, "caf\u00e9", ONE)
    assert machines.by_label(db, acme, "cafe\u0301") == machine
    with pytest.raises(InputRefused):
        machines.rename(db, machine, "")


def test_a_mistyped_label_gets_a_suggestion(db: Writing, acme: Customer) -> None:
    """The hint names a similar machine of this customer, or the command that lists them."""
    add_machine(db, acme, "production", ONE)
    with pytest.raises(NotFound) as caught:
        machines.by_label(db, acme, "prodution")
    assert caught.value.hint == ("did you mean production? or polygent-issue customer show acme")
    with pytest.raises(NotFound) as caught:
        machines.by_label(db, acme, "zzz")
    assert caught.value.hint == "polygent-issue customer show acme"
    with pytest.raises(RegistryDamaged, match="lacks the machine 99"):
        machines.by_id(db, 99)


def test_a_new_identity_keeps_the_old_one(db: Writing, acme: Customer) -> None:
    """The machine keeps its row and its label, and the old identity is in its history."""
    first = add_machine(db, acme, "prod", ONE)
    db.now = NOW + timedelta(days=30)
    document = machines.add_document(db, b"{}", OTHER, NOW)
    second = machines.change_identity(
        db, first, fingerprint=OTHER, hostname="new", components={"x": "y"}, document_id=document.id
    )
    assert (second.id, second.label) == (first.id, "prod")
    assert (second.fingerprint, second.hostname, second.components) == (OTHER, "new", {"x": "y"})
    assert (second.since, second.document_id) == (db.now, document.id)
    present, past = machines.history(db, second)
    assert (present.fingerprint, present.since, present.until) == (OTHER, db.now, None)
    assert (past.fingerprint, past.since, past.until) == (ONE, NOW, db.now)
    assert (past.hostname, past.components) == ("prod", first.components)
    assert past.document_id == first.document_id


def test_a_stale_record_does_not_falsify_the_history(db: Writing, acme: Customer) -> None:
    """The history gets the current row, not the values of an older record."""
    first = add_machine(db, acme, "prod", ONE)
    for fingerprint in (OTHER, THIRD):
        machines.change_identity(
            db, first, fingerprint=fingerprint, hostname=None, components={}, document_id=None
        )
    latest = machines.by_id(db, first.id)
    assert [one.fingerprint for one in machines.history(db, latest)] == [THIRD, OTHER, ONE]


def test_a_new_identity_is_not_another_machine_of_the_customer(db: Writing, acme: Customer) -> None:
    """A fingerprint of another machine of the customer is refused."""
    add_machine(db, acme, "prod", ONE)
    second = add_machine(db, acme, "dr-site", OTHER)
    with pytest.raises(Taken, match="prod already has this fingerprint"):
        machines.change_identity(
            db, second, fingerprint=ONE, hostname=None, components={}, document_id=None
        )


def test_a_fingerprint_is_known_for_present_and_past_machines(
    db: Writing, acme: Customer, globex: Customer
) -> None:
    """Present machines are first, with instant and document."""
    was = add_machine(db, acme, "prod", ONE)
    db.now = NOW + timedelta(days=1)
    machines.change_identity(
        db, was, fingerprint=OTHER, hostname=None, components={}, document_id=None
    )
    add_machine(db, globex, "main", ONE)
    present, past = machines.with_fingerprint(db, ONE)
    assert (present.customer.slug, present.machine.label) == ("globex", "main")
    assert (present.since, present.until) == (db.now, None)
    assert (past.customer.slug, past.machine.fingerprint) == ("acme", OTHER)
    assert (past.since, past.until) == (NOW, db.now)
    assert past.document_sha256 == machines.get_document(db, was.document_id or 0).sha256
    (known,) = machines.with_fingerprint(db, OTHER)
    assert known.document_sha256 is None
    assert machines.with_fingerprint(db, THIRD) == ()


def test_a_machine_can_be_renamed(db: Writing, acme: Customer) -> None:
    """A machine can get an unused label, or its own again."""
    machine = add_machine(db, acme, "prod", ONE)
    add_machine(db, acme, "dr-site", OTHER)
    assert machines.rename(db, machine, "production").label == "production"
    assert machines.rename(db, machine, "production").label == "production"
    with pytest.raises(Taken):
        machines.rename(db, machine, "dr-site")


def test_a_free_label_is_the_hostname(db: Writing, acme: Customer, globex: Customer) -> None:
    """It is numbered if the customer has it, and `machine` without a usable hostname."""
    add_machine(db, acme, "prod", ONE)
    add_machine(db, globex, "x" * 200, ONE)
    assert machines.free_label(db, None, "prod") == "prod"
    assert machines.free_label(db, acme, "new") == "new"
    assert machines.free_label(db, acme, "prod") == "prod-2"
    assert machines.free_label(db, acme, None) == "machine"
    assert machines.free_label(db, acme, "\x1b[2J") == "machine"
    assert machines.free_label(db, acme, "cafe\u0301") == "caf\u00e9"
    assert machines.free_label(db, globex, "x" * 200) == "x" * 198 + "-2"
    add_machine(db, acme, "prod-2", OTHER)
    assert machines.free_label(db, acme, "prod") == "prod-3"


def test_machines_are_recorded_in_the_journal(registry: Registry) -> None:
    """Each change of a machine is recorded."""
    with registry.writing(now=NOW, actor=ACTOR) as db:
        acme = customers.add(db, slug="acme", name="Acme")
        machine = add_machine(db, acme, "prod", ONE)
        machines.change_identity(
            db, machine, fingerprint=OTHER, hostname=None, components={}, document_id=None
        )
        machines.rename(db, machine, "production")
        db.record("test")
        row = next(iter(db.execute("SELECT bytes FROM journal ORDER BY seq DESC LIMIT 1")))
    assert isinstance(row[0], bytes)
    for name in (b'"machines/1"', b'"machine_identities/1"', b'"documents/1"', b'"customers/1"'):
        assert row[0].count(name) == 1


def test_a_document_comes_back_byte_for_byte(registry: Registry) -> None:
    """A document has its exact bytes, also if they are not UTF-8."""
    content = "\ufeff{}".encode("utf-16")
    with writing(registry) as db:
        document = machines.add_document(db, content, "f" * 64, NOW - timedelta(days=1))
        assert machines.get_document(db, document.id) == document
    assert (document.content, document.sha256) == (content, sha256(content).hexdigest())
    assert (document.fingerprint, document.received_at) == ("f" * 64, NOW)
    assert document.generated_at == NOW - timedelta(days=1)


def test_the_same_bytes_are_one_row(registry: Registry) -> None:
    """The same document is stored once, with the instant of its first receipt."""
    with writing(registry) as db:
        first = machines.add_document(db, b"{}", "f" * 64, NOW)
    with registry.reading() as read:
        before = read.value(as_int, "SELECT max(seq) FROM journal")
    with writing(registry, now=NOW + timedelta(days=9)) as db:
        assert machines.add_document(db, b"{}", "f" * 64, NOW) == first
        assert machines.add_document(db, b"{ }", "f" * 64, NOW).id != first.id
    assert before == 2


def test_a_missing_document_is_damage(registry: Registry) -> None:
    """Only rows refer to documents, so a missing one is damage."""
    with registry.reading() as db, pytest.raises(RegistryDamaged, match="lacks the document 7"):
        machines.get_document(db, 7)
