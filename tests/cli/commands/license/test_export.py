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
    """The file goes to the output folder under the name of its issue."""
    record = _license(books)
    outcome = books.desk.ok("license", "export", "1f3a")
    target = books.desk.output / NAME
    assert target.read_bytes() == record.file
    assert list(books.desk.output.iterdir()) == [target]
    assert outcome.text.startswith(f"exported license {ID}\n")
    assert f"file           {target}" in outcome.text
    assert "upload before  2026-12-07T09:30:00Z (assumed); " in outcome.text
    assert "last full day 2027-11-30" in outcome.text
    assert outcome.err == ""
    row = books.last_row()
    assert (row.event, row.license, row.customer) == ("license-exported", ID, "acme")
    assert row.details == {"to": str(target), "sha256": record.sha256}


def test_an_enterprise_file_is_named_without_a_machine(books: Books) -> None:
    """The name has customer, last full day and ID."""
    end = datetime(2027, 12, 1, tzinfo=UTC)
    books.license(books.customer(), license_id=ID, expires_at=end)
    books.desk.ok("license", "export", ID)
    assert [path.name for path in books.desk.output.iterdir()] == ["acme-2027-11-30-1f3a9c2e.lic"]


@pytest.mark.parametrize("trailing", ["", "/"])
def test_a_folder_or_a_file_may_be_named(books: Books, trailing: str) -> None:
    """A folder gets the default name; any other path is the file."""
    record = _license(books)
    folder = books.desk.folder / "mail"
    folder.mkdir()
    result = books.desk.ok("license", "export", ID, "-o", f"{folder}{trailing}", "--json").json
    assert result["file"] == str(folder / NAME)
    assert (folder / NAME).read_bytes() == record.file
    books.desk.ok("license", "export", ID, "--output", str(folder / "x.lic"))
    assert (folder / "x.lic").read_bytes() == record.file
    assert list(books.desk.output.iterdir()) == []


def test_without_a_setting_it_is_the_current_folder(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting the file goes to the current folder; a deleted one is reported."""
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
    """Another file of that name is exit 8; the same bytes are accepted."""
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
    """A missing folder is not created, and nothing is journalled."""
    _license(books)
    before = books.last_row()
    outcome = books.desk.run("license", "export", ID, "-o", str(books.desk.folder / "no" / "x"))
    assert outcome.code == 8
    assert books.last_row() == before


def test_stdout_carries_the_file_and_nothing_else(books: Books) -> None:
    """Messages go to stderr, and --quiet suppresses them."""
    record = _license(books)
    outcome = books.desk.ok("license", "export", ID, "-o", "-")
    assert outcome.out == record.file
    assert "exported license" in outcome.err
    assert "file           stdout" in outcome.err
    assert books.last_row().details["to"] == "stdout"
    quiet = books.desk.ok("license", "export", ID, "-o", "-", "--quiet")
    assert (quiet.out, quiet.err) == (record.file, "")


def test_stdout_cannot_have_json_and_the_file(books: Books) -> None:
    """`-o -` with --json is exit 2, with the error as JSON."""
    _license(books)
    outcome = books.desk.run("license", "export", ID, "-o", "-", "--json")
    assert outcome.code == 2
    assert outcome.json["error"]["code"] == "usage"


def test_an_export_delivers_a_pending_license(books: Books) -> None:
    """The warning of an undelivered license names this command, which ends it."""
    _license(books, pending=(str(books.desk.output), NAME))
    assert books.pending() == (ID,)
    warned = books.desk.ok("license", "list").err
    assert f"polygent-issue license export {ID[:8]}" in warned
    books.desk.ok("license", "export", ID, "-o", str(books.desk.folder / "x.lic"))
    assert books.pending() == ()
    assert books.desk.ok("license", "list").err == ""


def test_other_pending_licenses_stay_pending(books: Books) -> None:
    """Only the exported license is marked as delivered."""
    acme = books.customer()
    books.license(acme, license_id=ID)
    other = books.license(acme, pending=(None, None))
    books.desk.ok("license", "export", ID)
    assert books.pending() == (other.id,)


@pytest.mark.parametrize(
    "after", [timedelta(days=7), timedelta(days=7, seconds=1), timedelta(days=30)]
)
def test_past_the_upload_deadline_it_warns(books: Books, after: timedelta) -> None:
    """After the deadline the file is written with a warning that names `reissue`."""
    _license(books)
    late = after > timedelta(days=7)
    outcome = books.desk.ok("license", "export", ID, after=after)
    hint = "polygent-issue reissue acme --license 1f3a9c2e"
    assert (hint in outcome.err) is late
    assert ("which has passed" in outcome.text) is late
    result = books.desk.ok("license", "export", ID, "--json").json
    assert result["upload_window_passed"] is late
    assert result["upload_before"] == "2026-12-07T09:30:00Z"
    assert (books.desk.output / NAME).exists()


def test_a_set_window_is_not_called_assumed(books: Books) -> None:
    """With an upload window in the settings the deadline is not assumed."""
    _license(books)
    books.desk.ok("config", "set", "upload_window", "2d")
    outcome = books.desk.ok("license", "export", ID)
    assert "upload before  2026-12-02T09:30:00Z\n" in outcome.text
    result = books.desk.ok("license", "export", ID, "--json").json
    assert result["upload_window_assumed"] is False


def test_a_license_that_should_not_be_sent_is_warned_of(books: Books) -> None:
    """A replaced, retired or expired license is written with a warning."""
    acme = books.customer()
    old = books.license(acme)
    new = books.license(acme, replaces=old, expires_at=books.desk.now + timedelta(days=1))
    assert f"replaced by {new.id[:8]}" in books.desk.ok("license", "export", old.id).err
    books.desk.now += timedelta(days=1)
    expired = books.desk.ok("license", "export", new.id).err
    assert "polygent-issue renew acme" in expired
    books.desk.ok("license", "retire", new.id, "--reason", "left us")
    assert (
        f"license {new.id[:8]} was retired: do not send it"
        in books.desk.ok("license", "export", new.id).err
    )


def test_damaged_bytes_are_not_exported(books: Books) -> None:
    """A stored file that fails verification is exit 7 and not written."""
    _license(books)
    with tampering(books.desk.registry) as raw:
        raw.execute(
            "UPDATE licenses SET file = CAST(replace(CAST(file AS TEXT), 'a', 'b') AS BLOB)"
        )
    outcome = books.desk.run("license", "export", ID)
    assert outcome.code == 7
    assert list(books.desk.output.iterdir()) == []


def test_an_export_equals_the_issued_file(desk: Desk) -> None:
    """With a real key, name and bytes are those of the issued file."""
    [issued] = desk.ok("sign", "--machine-info", desk.machine_info(), "--json").json["licenses"]
    there = Path(issued["file"])
    mail = desk.folder / "mail"
    mail.mkdir()
    desk.ok("license", "export", issued["id"], "-o", str(mail))
    assert (mail / there.name).read_bytes() == there.read_bytes()
