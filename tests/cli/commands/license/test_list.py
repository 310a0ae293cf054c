"""`polygent-issue license list`."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from support.licenses import Books

from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key

IDS = tuple(f"{number:08d}-0000-4000-8000-000000000000" for number in range(1, 6))


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.fixture
def filled(books: Books) -> Books:
    """Register five licenses of two customers and keys: replaced, retired, expired, current."""
    acme, globex = books.customer(), books.customer("Globex", "globex")
    machine = books.machine(acme)
    spare = SoftwareSigner(generate_private_key())
    books.key("spare", spare)
    old = books.license(acme, machine, license_id=IDS[0], expires_at=_day(2027, 1, 1))
    books.license(acme, machine, license_id=IDS[1], expires_at=_day(2028, 1, 1), replaces=old)
    books.license(globex, license_id=IDS[2], expires_at=_day(2027, 3, 1))
    books.desk.ok("license", "retire", IDS[2], "--reason", "closed")
    books.license(globex, license_id=IDS[3], expires_at=_day(2026, 12, 1), signer=spare)
    books.license(globex, license_id=IDS[4], expires_at=_day(2029, 1, 1))
    books.desk.now = _day(2026, 12, 24)
    return books


def _listed(books: Books, *argv: str) -> list[str]:
    found = books.desk.ok("license", "list", *argv, "--json").json["licenses"]
    return [each["id"] for each in found]


def test_every_license_is_listed_by_expiry(filled: Books) -> None:
    """The table has status and expiry, and marks expired current licenses."""
    lines = filled.desk.ok("license", "list").text.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "license customer machine tier status sent last full day",
        "00000004 globex any enterprise current, expired 2026-11-30",
        "00000001 acme prod-1 standard replaced 2026-12-31",
        "00000003 globex any enterprise retired 2027-02-28",
        "00000002 acme prod-1 standard current 2027-12-31",
        "00000005 globex any enterprise current 2028-12-31",
    ]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), (3, 0, 2, 1, 4)),
        (("--customer", "acme"), (0, 1)),
        (("--customer", "GLOBEX"), (3, 2, 4)),
        (("--tier", "standard"), (0, 1)),
        (("--tier", "enterprise"), (3, 2, 4)),
        (("--status", "current"), (3, 1, 4)),
        (("--status", "replaced"), (0,)),
        (("--status", "retired"), (2,)),
        (("--key", "spare"), (3,)),
        (("--expires-before", "2027-03-01"), (3, 0)),
        (("--expires-before", "2027-03-01T00:00:01Z"), (3, 0, 2)),
        (("--customer", "globex", "--status", "current", "--expires-before", "2027-01-01"), (3,)),
    ],
)
def test_filters_are_joined(
    filled: Books, argv: tuple[str, ...], expected: tuple[int, ...]
) -> None:
    """Several filters apply together."""
    assert _listed(filled, *argv) == [IDS[number] for number in expected]


def test_a_key_is_also_found_by_its_kid(filled: Books) -> None:
    """A key is found by label, kid or the beginning of its kid."""
    kid = filled.signer.kid
    assert _listed(filled, "--key", kid[:12]) == [IDS[number] for number in (0, 2, 1, 4)]


def test_json_carries_every_member(filled: Books) -> None:
    """JSON has stable names."""
    found = filled.desk.ok("license", "list", "--status", "replaced", "--json").json["licenses"]
    assert found == [
        {
            "id": IDS[0],
            "customer": "acme",
            "machine": "prod-1",
            "tier": "standard",
            "status": "replaced",
            "expired": False,
            "issued_at": "2026-11-30T09:30:00Z",
            "expires_at": "2027-01-01T00:00:00Z",
            "last_full_day": "2026-12-31",
            "kid": filled.signer.kid,
            "replaced_by": IDS[1],
            "sent_at": None,
            "name": "Acme GmbH",
            "plan": "standard-annual",
            "users": 25,
            "session_hosts": 2,
            "deploy_hosts": 1,
            "allowed_domain": None,
            "order_id": None,
            "note": None,
            "on_hold": False,
            "held_until": None,
            "held_reason": None,
        }
    ]


@pytest.mark.sqlite("edits rows of the file")
def test_a_damaged_file_does_not_stop_the_list(filled: Books) -> None:
    """Its terms are null; the others have theirs."""
    with closing(sqlite3.connect(filled.desk.home / "registry.db")) as raw:
        raw.execute("UPDATE licenses SET file = x'2e2e' WHERE id = ?", (IDS[0],))
        raw.commit()
    listed = filled.desk.ok("license", "list", "--json").json["licenses"]
    users = {each["id"]: each["users"] for each in listed}
    assert users.pop(IDS[0]) is None
    assert len(users) == len(IDS) - 1
    assert None not in users.values()


def test_the_very_second_of_the_expiry_counts_as_expired(books: Books) -> None:
    """A license is expired when now ≥ exp (FORMAT §1)."""
    books.license(books.customer(), expires_at=_day(2027, 1, 1))
    for now, expired in ((_day(2026, 12, 31), False), (_day(2027, 1, 1), True)):
        books.desk.now = now
        [listed] = books.desk.ok("license", "list", "--json").json["licenses"]
        assert listed["expired"] is expired


def test_an_empty_list_is_exit_0(books: Books) -> None:
    """Without a match the command is exit 0 with an empty list."""
    assert books.desk.ok("license", "list").text == "no licenses match\n"
    assert _listed(books, "--tier", "enterprise") == []


@pytest.mark.parametrize(
    ("argv", "code", "kind"),
    [
        (("--tier", "gold"), 2, "usage"),
        (("--status", "sent"), 2, "usage"),
        (("--customer", "unknown"), 5, "not_found"),
        (("--key", "nokey"), 5, "not_found"),
        (("--expires-before", "tomorrow"), 3, "invalid_terms"),
    ],
)
def test_a_mistyped_filter_is_an_error(
    filled: Books, argv: tuple[str, ...], code: int, kind: str
) -> None:
    """A mistyped filter is an error, not an empty list."""
    outcome = filled.desk.run("license", "list", *argv, "--json")
    assert outcome.code == code
    assert outcome.json["error"]["code"] == kind
