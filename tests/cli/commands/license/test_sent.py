"""`polygent-issue license sent`: licenses marked as sent."""

import zipfile
from datetime import timedelta

import pytest
from support.cli import Desk
from support.licenses import Books

from polygent_issuer.batch import bundle
from polygent_issuer.cli import prompts
from polygent_issuer.findings import Consent
from polygent_issuer.registry import licenses

FIRST = "0000000a-0000-4000-8000-000000000000"
SECOND = "0000000b-0000-4000-8000-000000000000"


@pytest.fixture
def two(books: Books) -> Books:
    """Register two current licenses of two customers."""
    books.license(books.customer(), license_id=FIRST)
    books.license(books.customer("Globex", "globex"), license_id=SECOND)
    return books


def unsent(books: Books) -> list[str]:
    """Return the licenses that are not marked as sent."""
    found = books.desk.ok("license", "list", "--unsent", "--json").json["licenses"]
    return [each["id"] for each in found]


def test_the_time_is_recorded(two: Books) -> None:
    """The license leaves the unsent list, and the journal has the actor."""
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
    """The last line of sign, renew and reissue is a command that marks their licenses."""
    message = []
    for command in (("sign", "--machine-info", desk.machine_info()), ("reissue", "acme-gmbh")):
        last = desk.ok(*command).text.splitlines()[-1]
        before, pasted = last.split(": polygent-issue ")
        assert before == "after sending it"
        [sent] = desk.ok(*pasted.split(), "--json").json["licenses"]
        message.append(sent["id"])
    issued = desk.ok("license", "list", "--json").json["licenses"]
    assert sorted(message) == sorted(each["id"] for each in issued)


def test_all_licenses_are_marked_or_none(two: Books) -> None:
    """A repeated ID counts once; an unknown one stops the command."""
    refused = two.desk.run("license", "sent", FIRST, "ffffffff")
    assert refused.code == 5
    assert unsent(two) == [FIRST, SECOND]
    sent = two.desk.ok("license", "sent", FIRST, SECOND[:8], FIRST[:8], "--json").json["licenses"]
    assert [each["id"] for each in sent] == [FIRST, SECOND]
    assert unsent(two) == []


def test_the_mark_can_be_renewed_and_cleared(two: Books) -> None:
    """The latest time is kept and the earlier one printed; `--undo` clears it."""
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
    ("after", "expected"),
    [
        (timedelta(days=8), "the upload deadline of license 0000000a was 2026-12-07T09:30:00Z"),
        (timedelta(days=800), "license 0000000a expired at"),
    ],
)
def test_a_late_license_is_marked_with_a_warning(
    two: Books, after: timedelta, expected: str
) -> None:
    """After the upload deadline the warning has the command for a new file."""
    two.desk.now += after
    outcome = two.desk.ok("license", "sent", FIRST)
    assert expected in outcome.err
    assert "acme --license 0000000a\n" in outcome.err
    assert two.desk.ok("license", "sent", FIRST, "--undo").err == ""


def test_a_retired_license_is_warned_of(two: Books) -> None:
    """A retired license is not in the unsent list, and marking it is warned of."""
    two.desk.ok("license", "retire", FIRST, "--reason", "closed")
    assert unsent(two) == [SECOND]
    assert "0000000a was retired: do not send it" in two.desk.ok("license", "sent", FIRST).err
    clash = two.desk.run("license", "list", "--unsent", "--status", "retired")
    assert (clash.code, "--unsent lists only current licenses" in clash.err) == (2, True)


def test_a_license_of_a_compromised_key_is_warned_of(two: Books) -> None:
    """Servers refuse it, so sending and exporting warn with the command to reissue."""
    two.desk.ok("key", "retire", "main", "--compromised", "--reason", "leak", "--yes")
    result = (
        "license 0000000a was signed with main, which is compromised: servers must refuse it; "
        "for a new license: polygent-issue reissue acme --license 0000000a\n"
    )
    assert result in two.desk.ok("license", "sent", FIRST).err
    exported = two.desk.ok("license", "export", FIRST, "--json")
    assert result in exported.err
    assert exported.json["compromised_key"] == "main"
    warning, *others = two.desk.ok("license", "sent", FIRST, SECOND).err.splitlines()
    assert "2 of these licenses were signed with main, which is compromised" in warning
    assert warning.endswith("for new licenses: polygent-issue reissue --signed-with main")
    assert others == []
    two.desk.now += timedelta(days=800)  # an expired one cannot be reissued
    outcome = two.desk.ok("license", "sent", FIRST)
    assert "polygent-issue renew acme --license 0000000a\n" in outcome.err
    assert "reissue" not in outcome.err


def test_the_replaced_time_is_read_in_the_transaction(
    two: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier time is the one that was replaced, not one read before a prompt."""

    def while_asking(_invocation: object, _findings: object, given: Consent) -> Consent:
        with two.writing() as db:
            licenses.mark_sent(db, FIRST)
            db.record("license-sent", customer="acme", license=FIRST)
        return given

    monkeypatch.setattr(prompts, "obtain_consent", while_asking)
    result = two.desk.ok("license", "sent", FIRST, "--json").json["licenses"][0]
    assert result["sent_before"] == "2026-11-30T09:30:00Z"


def test_all_unsent_licenses_are_marked(two: Books) -> None:
    """The list of unsent licenses is marked at once; then there is nothing to do."""
    two.desk.ok("license", "sent", FIRST)
    two.desk.now += timedelta(hours=1)
    outcome = two.desk.ok("license", "sent", "--all")
    assert outcome.text == "license 0000000b of globex: sent at 2026-11-30T10:30:00Z\n"
    assert unsent(two) == []
    before = two.last_row()
    assert two.desk.ok("license", "sent", "--all").text == "no unsent licenses\n"
    assert two.desk.ok("license", "sent", "--all", "--json").json["licenses"] == []
    assert two.last_row() == before


def test_the_licenses_of_an_archive_are_marked(two: Books) -> None:
    """An archive of `--bundle` names its licenses; the mark can be cleared the same way."""
    archive = two.desk.folder / "all.zip"
    two.desk.ok("license", "export", "--all", "--bundle", str(archive))
    two.license(two.customer("Wayne", "wayne"), license_id="0000000c-0000-4000-8000-000000000000")
    two.desk.ok("license", "sent", "--bundle", str(archive))
    assert unsent(two) == ["0000000c-0000-4000-8000-000000000000"]
    two.desk.ok("license", "sent", "--bundle", str(archive), "--undo")
    assert len(unsent(two)) == 3


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"a,b\n1,2\n", b"a,license\n1\n"])
def test_a_file_without_a_manifest_is_refused(two: Books, content: bytes | None) -> None:
    """A missing file, or one that is not an archive of a batch, is exit 3."""
    archive = two.desk.folder / "x.zip"
    if content is not None and content.startswith(b"a,"):
        with zipfile.ZipFile(archive, "w") as other:
            other.writestr("manifest.csv", content)
    elif content is not None:
        archive.write_bytes(content)
    outcome = two.desk.run("license", "sent", "--bundle", str(archive))
    assert outcome.code == 3
    assert f"cannot read the archive {archive}: " in outcome.err
    assert len(unsent(two)) == 2


def test_the_hint_of_undo_without_licenses_marks_none(two: Books) -> None:
    """It suggests commands that clear marks; `license sent --all` would set all of them."""
    outcome = two.desk.run("license", "sent", "--undo")
    sent = "polygent-issue license sent --undo"
    assert outcome.err.endswith(f"hint: {sent} LICENSE..., or {sent} --bundle FILE\n")


def test_a_large_manifest_is_refused(two: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest above the limit is not read into memory."""
    archive = two.desk.folder / "all.zip"
    two.desk.ok("license", "export", "--all", "--bundle", str(archive))
    monkeypatch.setattr(bundle, "_MANIFEST_LIMIT", 10)
    outcome = two.desk.run("license", "sent", "--bundle", str(archive))
    assert outcome.code == 3
    assert f"cannot read the archive {archive}: its manifest is too large\n" in outcome.err


@pytest.mark.parametrize(
    "argv", [(), ("--all", FIRST), ("--all", "--undo"), ("--bundle", "x", FIRST)]
)
def test_contradicting_options_mark_nothing(two: Books, argv: tuple[str, ...]) -> None:
    """Exactly one of IDs, archive and --all selects; --undo of all is refused."""
    outcome = two.desk.run("license", "sent", *argv)
    assert outcome.code == 2
    assert "hint: polygent-issue license sent " in outcome.err
    assert len(unsent(two)) == 2
