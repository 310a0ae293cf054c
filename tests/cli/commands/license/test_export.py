"""`polygent-issue license export`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.licenses import Books
from support.registries import tampering

from polygent_issuer.registry import LicenseRecord

ID = "1f3a9c2e-0000-4000-8000-000000000000"
NAME = "acme-prod-1-2027-11-30-1f3a9c2e.lic"


def _license(books: Books, pending: tuple[str, str] | None = None) -> LicenseRecord:
    acme = books.customer()
    end = datetime(2027, 12, 1, tzinfo=UTC)
    machine = books.machine(acme)
    return books.license(acme, machine, license_id=ID, expires_at=end, pending=pending)


def test_the_stored_bytes_are_written_again(books: Books) -> None:
    """Into the settings' folder, under the name that the license was issued with."""
    record = _license(books)
    outcome = books.desk.ok("license", "export", "1f3a")
    target = books.desk.output / NAME
    assert target.read_bytes() == record.file
    assert list(books.desk.output.iterdir()) == [target]
    assert outcome.text.startswith(f"exported license {ID}\n")
    assert f"file           {target}" in outcome.text
    assert "upload before  2026-12-07T09:30:00Z (assumed; " in outcome.text
    assert "last full day 2027-11-30" in outcome.text
    assert outcome.err == ""
    row = books.last_row()
    assert (row.event, row.license, row.customer) == ("license-exported", ID, "acme")
    assert row.details == {"to": str(target), "sha256": record.sha256}


def test_an_enterprise_file_is_named_without_a_machine(books: Books) -> None:
    """Customer, last full day, ID."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    books.license(books.customer(), license_id=ID, expires_at=end)
    books.desk.ok("license", "export", ID)
    assert [path.name for path in books.desk.output.iterdir()] == ["acme-2027-11-30-1f3a9c2e.lic"]


@pytest.mark.parametrize("trailing", ["", "/"])
def test_a_folder_or_a_file_may_be_named(books: Books, trailing: str) -> None:
    """A folder takes the usual name; anything else is the file's."""
    record = _license(books)
    folder = books.desk.folder / "mail"
    folder.mkdir()
    told = books.desk.ok("license", "export", ID, "-o", f"{folder}{trailing}", "--json").json
    assert told["file"] == str(folder / NAME)
    assert (folder / NAME).read_bytes() == record.file
    books.desk.ok("license", "export", ID, "--output", str(folder / "x.lic"))
    assert (folder / "x.lic").read_bytes() == record.file
    assert list(books.desk.output.iterdir()) == []


def test_without_a_setting_it_is_the_current_folder(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the operator stands; if that was deleted, it is said."""
    _license(books)
    books.desk.ok("config", "set", "output", "")
    here = books.desk.folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    books.desk.ok("license", "export", ID)
    assert [path.name for path in here.iterdir()] == [NAME]
    (here / NAME).unlink()
    here.rmdir()
    outcome = books.desk.run("license", "export", ID)
    assert outcome.code == 8
    assert "the current folder no longer exists" in outcome.err


def test_nothing_is_overwritten(books: Books) -> None:
    """Another file of that name stops it with exit 8; the same bytes are no trouble."""
    _license(books)
    target = books.desk.output / NAME
    target.write_bytes(b"mine\n")
    before = books.last_row()
    outcome = books.desk.run("license", "export", ID, "--json")
    assert outcome.code == 8
    assert outcome.json["error"]["code"] == "output_exists"
    assert target.read_bytes() == b"mine\n"
    assert books.last_row() == before
    target.unlink()
    books.desk.ok("license", "export", ID)
    books.desk.ok("license", "export", ID)


def test_a_missing_folder_is_exit_8(books: Books) -> None:
    """No folder is made by the way, and nothing is journalled."""
    _license(books)
    before = books.last_row()
    outcome = books.desk.run("license", "export", ID, "-o", str(books.desk.folder / "no" / "x"))
    assert outcome.code == 8
    assert books.last_row() == before


def test_stdout_carries_the_file_and_nothing_else(books: Books) -> None:
    """What is said about it goes to stderr; --quiet leaves that out."""
    record = _license(books)
    outcome = books.desk.ok("license", "export", ID, "-o", "-")
    assert outcome.out == record.file
    assert "exported license" in outcome.err
    assert "file           stdout" in outcome.err
    assert books.last_row().details["to"] == "stdout"
    quiet = books.desk.ok("license", "export", ID, "-o", "-", "--quiet")
    assert (quiet.out, quiet.err) == (record.file, "")


def test_stdout_cannot_carry_two_things(books: Books) -> None:
    """`-o -` with --json is wrong usage; the error is JSON all the same."""
    _license(books)
    outcome = books.desk.run("license", "export", ID, "-o", "-", "--json")
    assert outcome.code == 2
    assert outcome.json["error"]["code"] == "usage"


def test_what_was_pending_is_cleared(books: Books) -> None:
    """The warning of an undelivered license names this command, and ends with it."""
    _license(books, pending=(str(books.desk.output), NAME))
    assert books.pending() == (ID,)
    warned = books.desk.ok("license", "list").err
    assert f"polygent-issue license export {ID[:8]}" in warned
    books.desk.ok("license", "export", ID, "-o", str(books.desk.folder / "x.lic"))
    assert books.pending() == ()
    assert books.desk.ok("license", "list").err == ""


def test_what_is_pending_of_another_stays(books: Books) -> None:
    """Only the exported license is known to have arrived."""
    acme = books.customer()
    books.license(acme, license_id=ID)
    other = books.license(acme, pending=(None, None))
    books.desk.ok("license", "export", ID)
    assert books.pending() == (other.id,)


@pytest.mark.parametrize(
    "after", [timedelta(days=7), timedelta(days=7, seconds=1), timedelta(days=30)]
)
def test_past_the_upload_deadline_it_warns(books: Books, after: timedelta) -> None:
    """It is written all the same, and the warning has the command for a new one."""
    _license(books)
    late = after > timedelta(days=7)
    outcome = books.desk.ok("license", "export", ID, after=after)
    hint = "polygent-issue reissue acme --license 1f3a9c2e"
    assert (hint in outcome.err) is late
    assert ("which has passed" in outcome.text) is late
    told = books.desk.ok("license", "export", ID, "--json").json
    assert told["upload_window_passed"] is late
    assert told["upload_before"] == "2026-12-07T09:30:00Z"
    assert (books.desk.output / NAME).exists()


def test_a_told_window_is_not_called_assumed(books: Books) -> None:
    """The deadline is that of the settings."""
    _license(books)
    books.desk.ok("config", "set", "upload_window", "2d")
    outcome = books.desk.ok("license", "export", ID)
    assert "upload before  2026-12-02T09:30:00Z\n" in outcome.text
    told = books.desk.ok("license", "export", ID, "--json").json
    assert told["upload_window_assumed"] is False


def test_what_is_not_the_one_to_send_is_said(books: Books) -> None:
    """Replaced, retired, expired: written, with a warning."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old, expires_at=books.desk.now + timedelta(days=1))
    assert f"replaced by {new.id[:8]}" in books.desk.ok("license", "export", old.id).err
    books.desk.now += timedelta(days=1)
    expired = books.desk.ok("license", "export", new.id).err
    assert "polygent-issue renew acme" in expired
    books.desk.ok("license", "retire", new.id, "--reason", "left us")
    assert (
        f"license {new.id[:8]} is retired; it is not"
        in books.desk.ok("license", "export", new.id).err
    )


def test_damaged_bytes_are_not_exported(books: Books) -> None:
    """Exit 7 and no file: the customer must never get what would be refused."""
    _license(books)
    with tampering(books.path) as raw:
        raw.execute(
            "UPDATE licenses SET file = CAST(replace(CAST(file AS TEXT), 'a', 'b') AS BLOB)"
        )
    outcome = books.desk.run("license", "export", ID)
    assert outcome.code == 7
    assert list(books.desk.output.iterdir()) == []


def test_what_sign_issued_has_the_same_name_and_bytes(desk: Desk) -> None:
    """End to end, with a real key: the exported file is the issued one."""
    [issued] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    there = Path(issued["file"])
    mail = desk.folder / "mail"
    mail.mkdir()
    desk.ok("license", "export", issued["id"], "-o", str(mail))
    assert (mail / there.name).read_bytes() == there.read_bytes()
