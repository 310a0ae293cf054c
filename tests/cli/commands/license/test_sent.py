"""`polygent-issue license sent`: what went to the customer, and what is still to go."""

from datetime import timedelta

import pytest
from support.cli import NOW, Desk
from support.licenses import Books

from polygent_issuer.cli import consent
from polygent_issuer.findings import Consent
from polygent_issuer.registry import licenses

FIRST = "0000000a-0000-4000-8000-000000000000"
SECOND = "0000000b-0000-4000-8000-000000000000"


@pytest.fixture
def two(books: Books) -> Books:
    """Two current licenses of two customers."""
    books.license(books.customer(), license_id=FIRST)
    books.license(books.customer("Globex", "globex"), license_id=SECOND)
    return books


def unsent(books: Books) -> list[str]:
    """The licenses that are still to be sent."""
    found = books.desk.ok("license", "list", "--unsent", "--json").json["licenses"]
    return [each["id"] for each in found]


def test_it_is_noted_when(two: Books) -> None:
    """The list of what is to be sent gets shorter, and the journal says who sent what."""
    assert unsent(two) == [FIRST, SECOND]
    outcome = two.desk.ok("license", "sent", FIRST[:8])
    assert outcome.text == "license 0000000a of acme: sent at 2026-11-30T09:30:00Z\n"
    assert outcome.err == ""
    assert unsent(two) == [SECOND]
    row = two.desk.ok("journal", "show", "--json").json["rows"][-1]
    assert (row["event"], row["license"], row["customer"]) == ("license-sent", FIRST, "acme")
    shown = two.desk.ok("license", "show", FIRST, "--json").json["license"]
    assert shown["sent_at"] == "2026-11-30T09:30:00Z"
    assert " 2026-11-30  " in two.desk.ok("license", "list").text
    assert two.desk.ok("journal", "verify").code == 0


def test_issuing_ends_with_the_command_for_it(desk: Desk) -> None:
    """The last line of sign, renew and reissue, pasted, marks just what they issued."""
    said = []
    for command in (("sign", "--machine-info", desk.machine_info()), ("reissue", "acme-gmbh")):
        last = desk.ok(*command).text.splitlines()[-1]
        before, pasted = last.split(": polygent-issue ")
        assert before == "once mailed"
        [sent] = desk.ok(*pasted.split(), "--json").json["licenses"]
        said.append(sent["id"])
    issued = desk.ok("license", "list", "--json").json["licenses"]
    assert sorted(said) == sorted(each["id"] for each in issued)


def test_several_at_once(two: Books) -> None:
    """One that is named twice counts once; one that does not exist stops them all."""
    refused = two.desk.run("license", "sent", FIRST, "ffffffff")
    assert refused.code == 5
    assert unsent(two) == [FIRST, SECOND]
    sent = two.desk.ok("license", "sent", FIRST, SECOND[:8], FIRST[:8], "--json").json["licenses"]
    assert [each["id"] for each in sent] == [FIRST, SECOND]
    assert unsent(two) == []


def test_sent_again_and_not_after_all(two: Books) -> None:
    """The latest time is kept and the one before is told; a slip is taken back."""
    two.desk.ok("license", "sent", FIRST)
    two.desk.now += timedelta(days=1)
    again = two.desk.ok("license", "sent", FIRST).text
    assert again.endswith("sent at 2026-12-01T09:30:00Z (before: 2026-11-30T09:30:00Z)\n")
    undone = two.desk.ok("license", "sent", FIRST, "--undo", "--json").json["licenses"][0]
    assert (undone["sent_at"], undone["sent_before"]) == (None, "2026-12-01T09:30:00Z")
    assert unsent(two) == [FIRST, SECOND]
    row = two.last_row()
    assert (row.event, row.license) == ("license-not-sent", FIRST)
    assert two.desk.ok("license", "sent", FIRST, "--undo").text.endswith("acme: not sent\n")
    assert two.last_row() == row  # nothing to do, so nothing is journalled


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (timedelta(days=8), "a server took the file of 0000000a until 2026-12-07T09:30:00Z"),
        (timedelta(days=800), "license 0000000a expired at"),
    ],
)
def test_what_comes_too_late(two: Books, after: timedelta, says: str) -> None:
    """It is noted all the same, since it went; and the command that makes a new one is told."""
    two.desk.now += after
    outcome = two.desk.ok("license", "sent", FIRST)
    assert says in outcome.err
    assert "acme --license 0000000a\n" in outcome.err
    assert two.desk.ok("license", "sent", FIRST, "--undo").err == ""


def test_what_is_no_longer_current(two: Books) -> None:
    """A retired license is not the one to send, and is not among those that are to be sent."""
    two.desk.ok("license", "retire", FIRST, "--reason", "closed")
    assert unsent(two) == [SECOND]
    assert "0000000a is retired; it is not the one" in two.desk.ok("license", "sent", FIRST).err
    clash = two.desk.run("license", "list", "--unsent", "--status", "retired")
    assert (clash.code, "--unsent lists only current licenses" in clash.err) == (2, True)


def test_what_is_signed_with_a_leaked_key(two: Books) -> None:
    """Servers must refuse it: said where it is mailed and where it is written, with the way out."""
    two.desk.ok("key", "retire", "main", "--compromised", "--reason", "leak", "--yes")
    told = (
        "license 0000000a was signed with main, which is compromised: servers must refuse it; "
        "for a new one: polygent-issue reissue acme --license 0000000a\n"
    )
    assert told in two.desk.ok("license", "sent", FIRST).err
    exported = two.desk.ok("license", "export", FIRST, "--json")
    assert told in exported.err
    assert exported.json["compromised_key"] == "main"
    two.desk.now += timedelta(days=800)  # an expired one cannot be reissued
    outcome = two.desk.ok("license", "sent", FIRST)
    assert "polygent-issue renew acme --license 0000000a\n" in outcome.err
    assert "reissue" not in outcome.err


def test_what_was_noted_while_a_person_thought(two: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time before is the one that is replaced, not the one that was read earlier."""

    def while_asking(_invocation: object, _findings: object, given: Consent) -> Consent:
        with two.writing() as db:
            licenses.mark_sent(db, FIRST)
            db.record("license-sent", customer="acme", license=FIRST)
        return given

    monkeypatch.setattr(consent, "obtain", while_asking)
    told = two.desk.ok("license", "sent", FIRST, "--json").json["licenses"][0]
    assert told["sent_before"] == "2026-11-30T09:30:00Z"


def test_a_clock_that_is_behind(two: Books) -> None:
    """The time that is noted would be wrong, so it is asked about first."""
    two.desk.now = NOW - timedelta(days=1)
    refused = two.desk.run("license", "sent", FIRST)
    assert (refused.code, "clock-behind" in refused.err) == (4, True)
    two.desk.ok("license", "sent", FIRST, "--accept", "clock-behind", "--reason", "known")
    assert two.desk.ok("journal", "show", "--json").json["rows"][-1]["accepted"] == ["clock-behind"]
