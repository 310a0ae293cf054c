"""`polygent-issue verify` of a folder or several files: a line for each, and a summary."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.cli import Desk
from support.lic_files import Issuer, license_id
from support.licenses import Books
from support.pty import SECONDS
from support.screen import at_terminal, finish

from polygent_issuer.cli.flows import verify_many
from polygent_issuer.verifier.license import MAX_EXP

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[3] / "keys.example"
KEY = ("--public-key", str(EXAMPLES / "public.pem"))
# Enough for other processes, and for more text than two pipes can buffer.
MANY = 4_000


@pytest.fixture
def folder(books: Books) -> Path:
    """Five files: accepted, expired, forged, not a license, and a folder."""
    customer = books.customer()
    good = books.license(customer, books.machine(customer))
    late = books.license(customer, expires_at=books.desk.now.replace(hour=10, minute=0))
    made = books.desk.folder / "files"
    made.mkdir()
    (made / "a.lic").write_bytes(good.file)
    (made / "b.lic").write_bytes(late.file)
    (made / "c.lic").write_bytes(late.file[:-20] + b"A" * 19 + b"\n")
    (made / "d.LIC").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    (made / "e.lic").mkdir()
    (made / "f.txt").write_bytes(b"not looked at")
    return made


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of the example license under very many names."""
    made = tmp_path / "many"
    made.mkdir()
    (made / "0000.lic").write_bytes((EXAMPLES / "example.lic").read_bytes())
    for number in range(1, MANY):
        os.link(made / "0000.lic", made / f"{number:04}.lic")
    return made


def test_a_folder_is_each_license_file_in_it(books: Books, folder: Path) -> None:
    """Each file has a line with verdict, code and reason, by name, then come the counts."""
    outcome = books.desk.run("verify", str(folder), "--at", "2026-11-30T10:00:00Z")
    *lines, summary = outcome.text.splitlines()
    assert (outcome.code, outcome.err) == (10, "")
    assert lines[0] == f"{folder}/a.lic: accepted"
    assert lines[1] == (
        f"{folder}/b.lic: authentic, but not accepted: expired: expired at 2026-11-30T10:00:00Z"
    )
    assert lines[2] == (
        f"{folder}/c.lic: not authentic: bad_signature: invalid signature: the file was "
        "modified or forged (use the file as it was received)"
    )
    assert lines[3].startswith(f"{folder}/d.LIC: not authentic: malformed: ")
    assert " (this is a private key, not a license: keep it secret" in lines[3]
    assert lines[4] == f"{folder}/e.lic: cannot be read: it is a folder"
    assert lines[5:] == [
        "skipped: 1",
        f"  {folder}/f.txt: not a license",
    ]
    assert summary == "5 files: 1 accepted, 1 not accepted, 2 not authentic, 1 unreadable"


def test_json_is_a_line_for_each_file_and_a_summary(books: Books, folder: Path) -> None:
    """Each line has the members of a file that is verified alone."""
    argv = ("--at", "2026-11-30T10:00:00Z", "--json")
    *files, last = books.desk.run("verify", str(folder), *argv).json_lines
    assert [Path(each["file"]).name for each in files] == [
        *("a.lic", "b.lic", "c.lic", "d.LIC", "e.lic")
    ]
    assert [each["accepted"] for each in files] == [True, False, False, False, None]
    assert [each["failure"] for each in files] == [
        *(None, "expired", "bad_signature", "malformed", None)
    ]
    assert files[4]["error"]["code"] == "unreadable_input"
    assert last["summary"] == {
        "at": "2026-11-30T10:00:00Z",
        "files": 5,
        "accepted": 1,
        "not_accepted": 1,
        "not_authentic": 2,
        "unreadable": 1,
        "skipped": [
            {
                "file": f"{folder}/f.txt",
                "reason": "not_a_license",
                "message": "not a license",
            }
        ],
    }
    alone = books.desk.ok("verify", f"{folder}/a.lic", *argv).json["files"]
    assert [{"schema": "polygent-issue/1", **alone[0]}] == files[:1]
    assert files[0].keys() == files[4].keys()


def test_a_license_of_the_last_minute_of_9999(books: Books, folder: Path) -> None:
    """Its upload deadline is the end of the calendar, and it does not end the run."""
    far = Issuer(books.signer).file(1, iat=MAX_EXP - 60, exp=MAX_EXP)
    (folder / "aa.lic").write_bytes(far)
    *files, last = books.desk.run("verify", str(folder), "--json").json_lines
    assert [each["failure"] for each in files[:3]] == [None, "not_yet_valid", None]
    assert files[1]["timeline"]["upload_before"] == "9999-12-31T23:59:59Z"
    assert last["summary"]["files"] == 6
    alone = books.desk.run("verify", f"{folder}/aa.lic")
    assert alone.code == 11
    assert "9999-12-31T23:59:59Z" in alone.text
    books.desk.ok("registry", "import", f"{folder}/aa.lic")
    books.desk.ok("license", "export", license_id(1), "--output", f"{folder}/exported.lic")
    assert (folder / "exported.lic").read_bytes() == far


def test_the_worst_verdict_is_the_exit_code(books: Books, folder: Path) -> None:
    """A file that is not authentic is 10, else an unreadable one 3, else one not accepted 11."""
    at = ("--at", "2026-11-30T10:00:00Z")
    for names, code in (("aa", 0), ("ab", 11), ("abe", 3), ("ea", 3), ("eabc", 10)):
        named = [f"{folder}/{name}.lic" for name in names]
        for options in (at, (*at, "--json")):
            assert books.desk.run("verify", *named, *options).code == code, names


def test_files_folders_and_stdin_come_as_they_were_named(books: Books, folder: Path) -> None:
    """Files, folders and `-` are verified in the order of the command line."""
    for name in ("b.lic", "c.lic", "d.LIC", "f.txt"):
        (folder / name).unlink()
    good = (folder / "a.lic").read_bytes()
    outcome = books.desk.run("verify", "-", str(folder), f"{folder}/a.lic", stdin=good)
    assert [line.partition(":")[0] for line in outcome.text.splitlines()] == [
        *("-", f"{folder}/a.lic", f"{folder}/e.lic", f"{folder}/a.lic", "4 files")
    ]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_folder_with_one_license_or_without(desk: Desk, options: tuple[str, ...]) -> None:
    """A folder with one license prints lines, and a folder without one an error."""
    made = desk.folder / "files"
    made.mkdir()
    empty = desk.run("verify", str(made), *options)
    assert empty.code == 3
    assert f"the folder {made} contains no license file" in empty.text
    (made / "x.lic").write_bytes((EXAMPLES / "example.lic").read_bytes())
    outcome = desk.ok("verify", str(made), *KEY, *options)
    assert len(outcome.text.splitlines()) == 2


def test_nothing_is_left_out_silently(books: Books, folder: Path) -> None:
    """A license is found by its content, even mangled; the first five other files are listed."""
    good = (folder / "a.lic").read_bytes()
    (folder / "Globex.lic.txt").write_bytes(good)
    (folder / "g.eml").write_bytes(b"Subject: license\n\n" + good)
    for number in range(6):
        (folder / f"old-{number}.zip").write_bytes(b"PK\x03\x04")
    at = ("--at", "2026-11-30T10:00:00Z")
    lines = books.desk.run("verify", str(folder), *at).text.splitlines()
    assert lines[0] == f"{folder}/Globex.lic.txt: accepted"
    assert "malformed" in lines[6]
    assert lines[6].startswith(f"{folder}/g.eml: not authentic: ")
    assert "this is a saved mail: open it" in lines[6]
    assert lines[7] == "skipped: 7"
    zipped = "this is a ZIP archive: unpack it and use the .lic file in it"
    assert lines[9] == f"  {folder}/old-0.zip: {zipped}"
    assert lines[13] == "  and 2 more (--json lists all)"
    *_, last = books.desk.run("verify", str(folder), *at, "--json").json_lines
    assert len(last["summary"]["skipped"]) == 7


def test_our_own_drafts_are_skipped(desk: Desk) -> None:
    """License files and mail drafts may be written to one folder, and read from there."""
    desk.ok("customer", "add", "Acme", "--contact", "ops@acme.example")
    argv = ("sign", "--customer", "acme", "--tier", "enterprise", "--eml", str(desk.output))
    desk.ok(*argv)
    *_, last = desk.ok("verify", str(desk.output), "--json").json_lines
    [draft] = last["summary"]["skipped"]
    assert (draft["reason"], draft["message"]) == ("not_a_license", "an unsent mail draft")
    assert desk.run("registry", "import", str(desk.output)).code == 0


@pytest.mark.parametrize("option", ["-r", "--recursive"])
def test_folders_in_a_folder(books: Books, folder: Path, option: str) -> None:
    """Sub-folders are read with the option; otherwise each is listed with it."""
    (folder / "deeper").mkdir()
    (folder / "a.lic").rename(folder / "deeper" / "a.lic")
    for name in ("b.lic", "c.lic", "d.LIC", "f.txt"):
        (folder / name).unlink()
    (folder / "e.lic").rmdir()
    plain = books.desk.run("verify", str(folder))
    assert plain.code == 3
    assert f"  {folder}/deeper: a folder; add --recursive to read it\n" in plain.text
    deep = books.desk.ok("verify", str(folder), option)
    assert deep.text.splitlines()[0] == f"{folder}/deeper/a.lic: accepted"


@pytest.mark.sqlite("about the file")
def test_the_home_as_a_folder(books: Books) -> None:
    """The open registry is skipped if it is below the folder."""
    (books.desk.folder / "x.lic").write_bytes(books.license(books.customer()).file)
    *_, last = books.desk.ok("verify", str(books.desk.folder), "-r", "--json").json_lines
    others = {each["file"]: each["message"] for each in last["summary"]["skipped"]}
    assert others[str(books.desk.home / "registry.db")] == "the registry"
    imported = books.desk.ok("registry", "import", str(books.desk.folder), "-r", "--json").json
    assert others == {each["file"]: each["message"] for each in imported["skipped"]}


def test_the_state_in_the_registry_is_printed(books: Books) -> None:
    """The line names a replaced or retired license, and the registry's machine is compared."""
    customer = books.customer()
    machine = books.machine(customer)
    old = books.license(customer, machine)
    new = books.license(customer, machine, replaces=old)
    made = books.desk.folder / "files"
    made.mkdir()
    (made / "old.lic").write_bytes(old.file)
    (made / "new.lic").write_bytes(new.file)
    books.desk.ok("license", "retire", new.id, "--reason", "x", "--yes")
    first, second, _ = books.desk.ok("verify", str(made)).text.splitlines()
    assert first == f"{made}/new.lic: accepted (in the registry: retired)"
    assert second == f"{made}/old.lic: accepted (in the registry: replaced by {new.id[:8]})"
    for options in (("--fingerprint", "sha256:" + "cd" * 32), ()):
        outcome = books.desk.run("verify", str(made), "--host", "a.test", *options)
        assert outcome.code == (11 if options else 0)
    assert books.desk.run("verify", str(made), "--at", "2026-12-08", "--install").code == 11


def test_the_example_key_is_loud(empty_desk: Desk, many: Path) -> None:
    """Each line names the example key."""
    text = empty_desk.ok("verify", str(many), *KEY).text
    assert "accepted (signed with the EXAMPLE key, whose private key is published" in text


def test_names_are_escaped_and_coloured(books: Books, folder: Path) -> None:
    """On a terminal a verdict has its colour, and control characters are escaped."""
    (folder / "\x1b[2Ja.lic").write_bytes(b"")
    code, screen = finish(at_terminal(books.desk.home, "verify", str(folder)))
    assert code == 10
    assert "\x1b[1;31m" in screen
    assert "\x1b[2J" not in screen
    assert "\\x1b[2Ja.lic: not authentic" in screen


@contextmanager
def started(*argv: str, **more: Any) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the command in its own process group, as a shell does."""
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    command = [sys.executable, "-m", "polygent_issuer", "verify", *argv]
    with subprocess.Popen(command, start_new_session=True, **keywords) as process:
        yield process
    assert not group(process.pid)


def group(leader: int) -> list[int]:
    """Return the processes of a group other than its leader."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, check=True)
    rows = [line.split() for line in listed.stdout.decode().splitlines()]
    return [int(pid) for pid, pgid, _ in rows if int(pgid) == leader and int(pid) != leader]


def await_idleness(leader: int) -> None:
    """Wait until every thread of a group sleeps: its pipe is full, and no work is left."""
    end = time.monotonic() + SECONDS
    while True:
        listed = subprocess.run(["ps", "-eLo", "pgid=,stat="], capture_output=True, check=True)
        rows = [line.split() for line in listed.stdout.decode().splitlines()]
        if all(stat.startswith("S") for pgid, stat in rows if int(pgid) == leader):
            return
        assert time.monotonic() < end, "the processes are still at work"
        time.sleep(0.02)


@pytest.mark.slow
def test_very_many_by_several_processes(empty_desk: Desk, many: Path) -> None:
    """Several processes print the same lines in the same order as one, also after an error."""
    assert verify_many.MANY["fork"] < MANY
    (many / "0555.lic").unlink()
    (many / "0555.lic").write_bytes(b"x")
    alone = empty_desk.run("verify", *map(str, sorted(many.iterdir())[:900]), *KEY)
    assert alone.code == 10
    with started(str(many), *KEY) as process:
        out, _ = process.communicate()
    assert process.returncode == 10
    *lines, summary = out.decode().splitlines()
    assert lines[:900] == alone.text.splitlines()[:900]
    assert [line.partition(": ")[0] for line in lines] == sorted(map(str, many.iterdir()))
    assert summary == (
        f"{MANY:,} files: {MANY - 1:,} accepted, 0 not accepted, 1 not authentic, 0 unreadable"
    )


def test_very_many_of_the_registry(books: Books, folder: Path) -> None:
    """Each process reads machines and replacements from the registry."""
    customer = books.customer("Other", "other")
    old = books.license(customer)
    new = books.license(customer, replaces=old)
    (folder / "b.lic").write_bytes(old.file)
    for number in range(1_000):
        os.link(folder / "b.lic", folder / f"b{number}.lic")
    home = ("--home", str(books.desk.home), "--at", "2026-11-30T10:00:00Z")
    with started(str(folder), *home) as process:
        out, err = process.communicate()
    assert out.decode().count(f": accepted (in the registry: replaced by {new.id[:8]})\n") == 1_001
    assert (process.returncode, err) == (10, b"")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_ctrl_c_ends_all_processes(many: Path, options: tuple[str, ...]) -> None:
    """Ctrl-C is exit 130, prints nothing from the other processes, and leaves none."""
    with started(str(many), *KEY, "--quiet", *options) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first
        assert group(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    last = (first + out).decode().splitlines()[-1]
    if options:
        assert json.loads(last)["error"]["code"] == "interrupted"
        assert err == b""
    else:
        assert err == b"error: interrupted; results that were already reported are kept\n"


def test_a_killed_process_is_one_error(many: Path) -> None:
    """The results so far are printed, and the command does not wait for missing ones.

    The process is killed while it writes no result, since a reader of half a result waits for the
    rest.
    """
    with started(str(many), *KEY, "--quiet") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        await_idleness(process.pid)
        os.kill(group(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err == (
        b"error: a worker process was killed\n"
        b"hint: check that there is enough memory, and run the command again\n"
    )


def test_a_reader_that_leaves(many: Path) -> None:
    """`| head -1` is exit 8 without a message, and every process ends."""
    with started(str(many), *KEY, "--quiet") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 8
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_full_stdout(many: Path) -> None:
    """A full stdout is reported once, on stderr."""
    with (
        Path("/dev/full").open("wb") as full,
        started(str(many), *KEY, "--quiet", stdout=full) as process,
    ):
        _, err = process.communicate()
    assert process.returncode == 8
    assert err.startswith(b"error: stdout cannot be written: no space left on device\n")
