"""`polygent-issue license show`."""

import hashlib
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
