"""`polygent-issue license show`."""

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from support.licenses import FINGERPRINT, Books
from support.registries import tampering

from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import LicenseRecord, keys

ID = "1f3a9c2e-0000-4000-8000-000000000000"
DOCUMENT = b'{"fingerprint": "..."}'


def _license(books: Books) -> LicenseRecord:
    acme = books.customer(time_zone="Asia/Tokyo")
    end = datetime(2027, 12, 1, tzinfo=UTC)
    return books.license(
        acme, books.machine(acme), license_id=ID, expires_at=end, document=DOCUMENT
    )


def test_a_license_is_shown_from_its_file(books: Books) -> None:
    """Claims, local expiry, upload deadline, key, digests and history are shown."""
    record = _license(books)
    text = books.desk.ok("license", "show", "1f3a").text
    assert text.startswith("license 1f3a9c2e is current\n")
    for message in (
        "customer       Acme GmbH (acme)",
        f"fingerprint    {FINGERPRINT}",
        "features       insights, planner",
        "session hosts  2",
        "expires        2027-12-01T00:00:00Z, last full day 2027-11-30; in Asia/Tokyo 2027-12-01",
        "upload before  2026-12-07T09:30:00Z",
        f"key            main ({books.signer.kid})",
        f"file sha256    {record.sha256}",
        "machine-info   of 2026-11-30T08:30:00Z",
        f"info sha256    {hashlib.sha256(DOCUMENT).hexdigest()}",
        "plan           standard-annual",
        "term           1y",
    ):
        assert message in text
    assert "license-signed" in text
    assert "sent" not in text


def test_json_has_claims_and_registry(books: Books) -> None:
    """JSON has the claims of the file and the data of the registry."""
    record = _license(books)
    shown = books.desk.ok("license", "show", ID, "--json").json
    license_ = shown["license"]
    assert license_["claims"]["machineFingerprint"] == FINGERPRINT
    assert license_["claims"]["jti"] == license_["id"] == ID
    assert license_["sha256"] == hashlib.sha256(record.file).hexdigest()
    assert license_["key_label"] == "main"
    assert (license_["term"], license_["plan"]) == ("1y", "standard-annual")
    assert license_["upload_before"] == "2026-12-07T09:30:00Z"
    assert license_["machine_info"]["generated_at"] == "2026-11-30T08:30:00Z"
    assert (license_["sent_at"], license_["retired_at"]) == (None, None)
    assert [row["event"] for row in shown["journal"]] == ["license-signed"]


def test_the_window_is_that_of_the_settings(books: Books) -> None:
    """The upload window of the settings sets the deadline."""
    _license(books)
    books.desk.ok("config", "set", "upload_window", "36h")
    shown = books.desk.ok("license", "show", ID, "--json").json["license"]
    assert shown["upload_before"] == "2026-12-01T21:30:00Z"


def test_the_state_comes_first(books: Books) -> None:
    """Replaced, retired or expired is the first line, with time, reason or successor."""
    acme = books.customer()
    old = books.license(acme, license_id=ID)
    new = books.license(acme, replaces=old)
    text = books.desk.ok("license", "show", ID).text
    assert text.startswith(f"license 1f3a9c2e is replaced by {new.id}\n")
    assert "license-renewed" in text
    assert f"replaces       {ID}" in books.desk.ok("license", "show", new.id).text
    books.desk.ok("license", "retire", new.id, "--reason", "left us")
    result = f"license {new.id[:8]} is retired since 2026-11-30T09:30:00Z: left us\n"
    assert books.desk.ok("license", "show", new.id).text.startswith(result)
    other = books.license(acme, expires_at=books.desk.now + timedelta(days=1))
    books.desk.now += timedelta(days=1)
    text = books.desk.ok("license", "show", other.id).text
    assert text.startswith(f"license {other.id[:8]} is current but expired\n")


def test_an_enterprise_license_has_no_machine(books: Books) -> None:
    """An enterprise license has neither machine nor document."""
    books.license(books.customer(), license_id=ID)
    text = books.desk.ok("license", "show", ID).text
    assert "fingerprint" not in text
    assert "machine" not in text
    shown = books.desk.ok("license", "show", ID, "--json").json["license"]
    assert (shown["machine"], shown["machine_info"]) == (None, None)


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("UPDATE licenses SET file = CAST(replace(CAST(file AS TEXT), 'a', 'b') AS BLOB)", ()),
        ("UPDATE licenses SET id = ?", ("99999999-0000-4000-8000-000000000000",)),
        ("UPDATE licenses SET kid = (SELECT kid FROM keys WHERE label = 'spare')", ()),
    ],
)
def test_a_file_that_does_not_verify_is_not_shown(
    books: Books, sql: str, values: tuple[str, ...]
) -> None:
    """Edited bytes, another file or another key are exit 7 with a hint."""
    books.key("spare", SoftwareSigner(generate_private_key()))
    books.license(books.customer(), license_id=ID)
    with tampering(books.desk.registry) as raw:
        raw.execute(sql, values)
        [(license_id,)] = raw.execute("SELECT id FROM licenses")
    outcome = books.desk.run("license", "show", license_id, "--json")
    assert outcome.code == 7
    assert outcome.json["error"]["code"] == "registry_damaged"
    assert outcome.json["error"]["hint"].startswith("polygent-issue journal verify")


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [
        ("1f3", "not_found", "at least 4 characters"),
        ("ffffffff", "not_found", "polygent-issue license list"),
        ("1f3a", "ambiguous", "1f3a9c2e-0000-4000-8000-000000000001 (acme)"),
    ],
)
def test_an_ambiguous_id_is_refused(books: Books, typed: str, code: str, message: str) -> None:
    """An ambiguous ID is exit 5 with the candidates."""
    acme = books.customer()
    books.license(acme, license_id=ID)
    books.license(acme, license_id=ID[:-1] + "1")
    outcome = books.desk.run("license", "show", typed, "--json")
    assert outcome.code == 5
    assert outcome.json["error"]["code"] == code
    assert message in outcome.json["error"]["hint"]


def test_a_retired_keys_license_is_still_shown(books: Books) -> None:
    """A license signed with a retired key can still be shown."""
    spare = SoftwareSigner(generate_private_key())
    books.key("spare", spare)
    books.license(books.customer(), license_id=ID)
    with books.writing() as db:
        keys.activate(db, spare.kid)
        db.record("key-activated", kid=spare.kid)
    assert books.desk.ok("license", "show", ID, "--json").json["license"]["key_label"] == "main"


@pytest.mark.parametrize(
    ("typed", "near"), [("1f3a9c2f", "1f3a9c2e"), ("1f3a9ce2", "1f3a9c2e"), ("1f3b9c2e", None)]
)
def test_a_mistyped_id_gets_a_suggestion(books: Books, typed: str, near: str | None) -> None:
    """The hint has the nearest ID, shortened to the typed length."""
    books.license(books.customer(), license_id="1f3a9c2e-0000-4000-8000-000000000000")
    outcome = books.desk.run("license", "show", typed, "--json")
    assert outcome.code == 5
    assert (f"did you mean {near}?" in outcome.json["error"]["hint"]) == bool(near)
    assert "polygent-issue license list" in outcome.json["error"]["hint"]
    if near:
        books.desk.ok("license", "show", near)


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
