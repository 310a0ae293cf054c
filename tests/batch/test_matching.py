"""Matching of rows with licenses, duplicate rows, and customers without a row."""

from datetime import timedelta

import pytest
from support.batches import Batches
from support.many_customers import fingerprint
from support.office import NOW
from support.registries import ACTOR

from polygent_issuer.batch.matching import customers_missing_from, match_row, require_sound
from polygent_issuer.batch.row_files import RowFile
from polygent_issuer.batch.rows import DuplicateRow, RefusedRow, Row
from polygent_issuer.errors import Ambiguous, InputRefused, SeveralProblems
from polygent_issuer.registry import Writing, customers, licenses, machines
from polygent_issuer.verifier import AllowedDomain


def wish(customer: str, machine: str | None = None, place: str = "row", **more: object) -> Row:
    """A row."""
    return Row(place=place, customer=customer, machine=machine, **more)  # type: ignore[arg-type]


def match(batches: Batches, row: Row) -> str | None:
    """Return the ID of the license that matches the row."""
    with batches.office.registry.reading() as db:
        record = match_row(db, row, None).record
    return None if record is None else record.id


def places(batches: Batches, *rows: Row) -> None:
    """Check that each row has a license of its own."""
    with batches.office.registry.reading() as db:
        require_sound(db, RowFile(folder=batches.office.folder, rows=rows))


def second_machine(db: Writing, slug: str, label: str, file_of: str) -> None:
    """Give a customer another license; the content of its file does not matter here."""
    customer = customers.find(db, slug)
    machine = machines.add(
        db,
        customer,
        label=label,
        fingerprint="sha256:" + "ef" * 32,
        hostname=label,
        components={},
        document_id=None,
    )
    old = licenses.find(db, file_of)
    licenses.add(
        db,
        license_id="ffff0002-0000-4000-8000-000000000000",
        customer_id=customer.id,
        machine_id=machine.id,
        kid=old.kid,
        file=old.file + b"\n",
        tier="standard",
        issued_at=NOW,
        expires_at=NOW + timedelta(days=300),
        term=None,
        plan=None,
        document_id=None,
    )
    db.record("license-signed", customer=slug)


def test_a_row_matches_by_whole_slug_name_and_label(batches: Batches) -> None:
    """A customer matches by the whole slug or name in any Unicode form, never by a part of it."""
    batches.crowd(2)
    assert match(batches, wish("c1")) == match(batches, wish("Customer 1", "prod-1"))
    assert match(batches, wish("c1", "prod-2")) is None
    assert match(batches, wish("CUSTOMER-1 GmbH")) == match(batches, wish("c1"))
    assert match(batches, wish("c")) is None
    assert match(batches, wish("Customer")) is None


def test_the_label_selects_one_of_several_machines(batches: Batches) -> None:
    """Without a label the row is ambiguous; the hint names the labels.

    A new document is a new machine.
    """
    batches.crowd(1)
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        second_machine(db, "c1", "prod-2", "00000001")
    assert match(batches, wish("c1", "prod-2")) == "ffff0002-0000-4000-8000-000000000000"
    with pytest.raises(Ambiguous) as caught:
        match(batches, wish("c1"))
    assert caught.value.hint == "give a machine: prod-1, prod-2"
    assert match(batches, wish("c1", machine_info="m.json")) is None


def test_an_archived_customer_is_refused(batches: Batches) -> None:
    """A row of an archived customer is refused."""
    batches.crowd(1)
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        customers.archive(db, customers.find(db, "c1"))
        db.record("customer-archived", customer="c1")
    with pytest.raises(InputRefused) as caught:
        match(batches, wish("c1"))
    assert caught.value.code == "customer_archived"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (wish("c1", place="a"), wish("Customer 1", "prod-1", place="b")),
        (wish("c1", "prod-2", place="a"), wish("Customer 1", "prod-2", place="b")),
        (wish("Globex", "x", place="a"), wish("Globex", "x", place="b")),
        (wish("Caf\u00e9", place="a"), wish("Cafe\u0301", place="b")),
        (wish("Initech", place="a"), wish("INITECH", place="b")),
        (wish("M\u00fcller AG", place="a"), wish("Mueller", place="b")),
    ],
)
def test_two_rows_for_one_license_are_refused(batches: Batches, one: Row, other: Row) -> None:
    """Two spellings of one customer are detected, and the error has both places."""
    batches.crowd(1)
    with pytest.raises(DuplicateRow, match="a and b"):
        places(batches, one, other)


def test_a_label_and_a_document_of_one_machine_are_one_license(batches: Batches) -> None:
    """Two rows for one license are refused, though only one of them has the label."""
    batches.crowd(1)
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        second_machine(db, "c1", "prod-2", "00000001")
    of_prod_1 = batches.office.document(fingerprint(1))
    (batches.office.folder / "m.json").write_bytes(of_prod_1.content)
    by_document = wish("c1", place="b", machine_info="m.json")
    places(batches, wish("c1", "prod-2", place="a"), by_document)
    with pytest.raises(DuplicateRow, match="a and b"):
        places(batches, wish("c1", "prod-1", place="a"), by_document)


def test_rows_of_different_licenses_are_accepted(batches: Batches) -> None:
    """Rows may differ in the customer or the machine, and a row that fails is ignored."""
    batches.crowd(2)
    places(
        batches,
        wish("c1"),
        wish("c2"),
        wish("c1", "prod-2"),
        wish("Globex"),
        wish("Globex", "x"),
        wish("Globex", "y"),
        wish("Initech AG"),
        wish("Initech Inc"),
    )


def test_the_domain_selects_one_of_several_enterprise_licenses(batches: Batches) -> None:
    """Of two enterprise licenses of one customer the one with the row's domain matches."""
    text = "".join(
        f'[[license]]\ncustomer = "Globex"\nallowed_domain = "*.{name}.internal"\n'
        'tier = "enterprise"\n'
        for name in ("one",)
    )
    batches.done(batches.rows(text))
    domain = AllowedDomain.parse("*.one.internal")
    [record] = batches.current("globex")
    assert match(batches, wish("Globex", allowed_domain=domain)) == record.id
    assert match(batches, wish("Globex")) == record.id


def test_every_duplicate_is_named(batches: Batches) -> None:
    """The error names each row that has a license of an earlier row, with that row."""
    batches.crowd(3)
    rows = [wish(f"c{number}", place=f"line {n}") for n, number in enumerate((1, 2, 1, 1, 2, 3), 1)]
    rows += [wish(f"c{number}", place=f"line {n}") for n, number in enumerate((3, 2, 1), 7)]
    with pytest.raises(SeveralProblems) as caught:
        places(batches, *rows)
    pairs = ((1, 3), (1, 4), (2, 5), (6, 7), (2, 8), (1, 9))
    assert [problem.message for problem in caught.value.problems] == [
        f"two rows for one license: line {first} and line {second}" for first, second in pairs
    ]
    assert (caught.value.code, caught.value.exit_code) == ("duplicate_row", 3)


def test_customers_with_a_license_and_without_a_row_are_listed(batches: Batches) -> None:
    """A refused row counts as a row; archived customers and those without licenses are left out."""
    batches.crowd(5)
    with batches.office.registry.writing(now=NOW, actor=ACTOR) as db:
        customers.add(db, slug="fresh", name="Fresh")
        customers.archive(db, customers.find(db, "c4"))
        db.record("test")
    rows = (
        Row(place="1", customer="c1"),
        Row(place="2", customer="Customer 2"),
        Row(place="3", customer="Nobody"),
        RefusedRow(place="4", customer="c3", problems=(InputRefused("users: wrong"),)),
        RefusedRow(place="5", customer=None, problems=(InputRefused("wrong"),)),
    )
    assert customers_missing_from(batches.office.registry, rows) == ("c5",)
