"""`polygent-issue registry import`."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import Desk
from support.desk_state import tree
from support.licenses import Books
from support.terminal import terminal

from polygent_issuer.cli import prompts
from polygent_issuer.home import settings
from polygent_issuer.registry import customers, licenses


@pytest.fixture
def files(books: Books) -> Path:
    """Write the files of three licenses of two customers, one of them replaced."""
    acme = books.customer()
    first = books.license(acme, books.machine(acme))
    second = books.license(acme, books.machine(acme, "prod-2", "f" * 64), replaces=first)
    third = books.license(books.customer("Globex", "globex"))
    folder = books.desk.folder / "mailed"
    folder.mkdir()
    for record in (first, second, third):
        (folder / f"{record.id}.lic").write_bytes(record.file)
    books.desk.ok("key", "export-public", "-o", str(books.desk.folder / "public.pem"))
    return folder


@pytest.fixture
def new(books: Books, files: Path) -> Desk:
    """Create a machine without a home, with only the public key and the files."""
    desk = Desk(books.desk.folder / "new")
    desk.folder.mkdir()
    shutil.copy(books.desk.folder / "public.pem", desk.folder)
    shutil.copytree(files, desk.folder / "mailed")
    return desk


def begin(desk: Desk, *more: str) -> tuple[str, ...]:
    """Run the command that creates the registry."""
    key = str(desk.folder / "public.pem")
    return ("registry", "import", str(desk.folder / "mailed"), "--public-key", key, *more)


def test_a_registry_is_rebuilt_from_files_and_the_public_key(new: Desk) -> None:
    """The home gets the issuer of the licenses, and lost data is listed."""
    outcome = new.ok(*begin(new))
    assert outcome.text.startswith("imported 3 licenses\n")
    assert "new customers    Acme GmbH (acme), Globex (globex)\n" in outcome.text
    assert "new machines     2\n" in outcome.text
    assert "replaced         1\n" in outcome.text
    assert "not in any file, so restore by hand: machine labels and host names" in outcome.text
    assert "retirements and reasons, order ids and notes, holds" in outcome.text
    assert "polygent-issue key import FILE" in outcome.text
    assert settings.load(new.home, {}).settings.issuer == "Polygent Ltd"
    listed = new.ok("license", "list", "--json").json["licenses"]
    assert [one["status"] for one in listed].count("current") == 2
    new.ok("journal", "verify")
    again = new.ok("registry", "import", str(new.folder / "mailed"))
    assert again.text == "nothing to import; 3 files already in the registry\n"
    license_file = min((new.folder / "mailed").iterdir())
    again = new.ok("registry", "import", str(license_file))
    assert again.text == "nothing to import; 1 file already in the registry\n"
    (new.folder / "rubbish").mkdir()
    (new.folder / "rubbish" / "0.lic").write_text("rubbish")
    refused = new.run("registry", "import", str(new.folder / "rubbish"))
    assert refused.text.startswith("nothing to import\nrefused: 1\n")


def test_nothing_is_left_out_silently(new: Desk) -> None:
    """A license is known by its content; a damaged one is refused, other files are listed."""
    folder = new.folder / "mailed"
    first, second, third = sorted(folder.iterdir())
    first.rename(folder / "Globex.lic.txt")
    (folder / "2025").mkdir()
    second.rename(folder / "2025" / second.name)
    (folder / "copied.txt").write_bytes(b"> " + third.read_bytes()[:90])
    (folder / "old.zip").write_bytes(b"PK\x03\x04")
    outcome = new.run(*begin(new))
    assert outcome.code == 20
    assert outcome.text.startswith("imported 2 licenses\n")
    assert f"hint for {folder}/copied.txt: the license was copied from" in outcome.text
    assert "skipped: 2\n" in outcome.text
    assert f"  {folder}/2025: a folder; add --recursive to read it\n" in outcome.text
    assert f"  {folder}/old.zip: this is a ZIP archive: unpack it" in outcome.text
    (folder / "copied.txt").unlink()
    deeper = new.ok("registry", "import", str(folder), "--recursive", "--json").json
    assert deeper["imported"] == 1
    assert [each["reason"] for each in deeper["skipped"]] == ["not_a_license"]


def test_json_has_each_file(new: Desk) -> None:
    """JSON has each file with its outcome, and what was added."""
    (new.folder / "mailed" / "0.lic").write_text("rubbish")
    outcome = new.run(*begin(new, "--json"))
    assert outcome.code == 20
    result = outcome.json
    assert result["done"] is True
    assert result["files"][0] == {
        "file": str(new.folder / "mailed" / "0.lic"),
        "outcome": "refused",
        "code": "malformed",
        "message": "the file is not three base64url texts separated by dots",
        "hint": None,
    }
    assert [one["outcome"] for one in result["files"][1:]] == ["imported"] * 3
    assert (result["imported"], result["refused"], result["machines"]) == (3, 1, 2)
    assert result["customers"] == {"acme": "Acme GmbH", "globex": "Globex"}
    assert len(result["replaced"]) == 1
    assert len(result["keys"]) == 1
    assert result["missing"] == []


def test_a_refused_file_does_not_stop_the_others(new: Desk) -> None:
    """It is exit 20 with each reason; the other files are imported."""
    (new.folder / "mailed" / "0.lic").write_text("rubbish")
    outcome = new.run(*begin(new), str(new.folder / "no.lic"))
    assert outcome.code == 20
    assert "imported 3 licenses" in outcome.text
    assert "refused: 2\n" in outcome.text
    assert "unreadable_input" in outcome.text
    assert f"hint for {new.folder}/no.lic: check the path and its permissions" in outcome.text


def test_a_hint_names_its_files(new: Desk) -> None:
    """Each hint is printed once with its files."""
    folder = new.folder / "mailed"
    for name in ("1.lic", "2.lic"):
        (folder / name).write_bytes(b"PK\x03\x04")
    (folder / "3.lic").touch()
    text = new.run(*begin(new)).text
    assert [line for line in text.splitlines() if line.startswith("hint")] == [
        f"hint for {folder}/{files}: {hint}"
        for files, hint in (
            (
                f"1.lic, {folder}/2.lic",
                "this is a ZIP archive: unpack it and use the .lic file in it",
            ),
            (
                "3.lic",
                (
                    "the file was not saved completely: use the .lic file as it was received, or "
                    "ask for it again"
                ),
            ),
        )
    ]


def test_a_dry_run_writes_nothing(new: Desk) -> None:
    """A dry run does not even create a home."""
    outcome = new.ok(*begin(new, "--dry-run"))
    assert outcome.text.startswith("would import 3 licenses; nothing was written\n")
    assert not new.home.exists()
    assert new.ok(*begin(new, "--dry-run", "--json")).json["done"] is False


def test_without_a_public_key_nothing_is_imported(new: Desk) -> None:
    """It is exit 7 with the option; a wrong key creates no home either."""
    outcome = new.run("registry", "import", str(new.folder / "mailed"))
    assert outcome.code == 7
    assert "hint: add --public-key FILE" in outcome.err
    other = Books(Desk(new.folder / "other"))
    other.desk.folder.mkdir()
    other.open()
    key = str(new.folder / "other.pem")
    other.desk.ok("key", "export-public", "-o", key)
    outcome = new.run("registry", "import", str(new.folder / "mailed"), "--public-key", key)
    assert outcome.code == 20
    assert "unknown_key" in outcome.text
    assert not new.home.exists()


@pytest.mark.sqlite("about the file")
def test_a_lost_registry_is_rebuilt_where_it_was(desk: Desk) -> None:
    """Settings and private key stay, and the next license is signed."""
    desk.ok("sign", "--machine-info", desk.machine_info())
    key = str(desk.folder / "public.pem")
    desk.ok("key", "export-public", "-o", key)
    (desk.home / "registry.db").unlink()
    before = (desk.home / "settings.toml").read_bytes()
    outcome = desk.run("key", "generate", "--no-backup")
    assert outcome.code == 7
    assert "polygent-issue registry import FOLDER --public-key FILE" in outcome.err
    desk.ok("registry", "import", str(desk.output), "--public-key", key)
    assert (desk.home / "settings.toml").read_bytes() == before
    desk.now += timedelta(days=340)
    refused = desk.run("renew", "acme-gmbh")
    assert refused.code == 3
    assert "--term" in refused.err
    desk.ok("renew", "acme-gmbh", "--term", "1y")
    (machine,) = desk.ok("customer", "show", "acme-gmbh", "--json").json["machines"]
    assert machine["label"] == "machine"


@pytest.mark.sqlite("restores the file")
def test_files_newer_than_a_backup_are_imported(books: Books, files: Path) -> None:
    """An older backup and the newer files restore everything."""
    backup = books.desk.folder / "b.db"
    books.desk.ok("registry", "backup", str(backup))
    with books.reading() as db:
        globex = customers.get(db, "globex")
        (old,) = licenses.current(db, globex)
    late = books.license(globex, replaces=old)
    (files / "late.lic").write_bytes(late.file)
    accept = ("--accept", "registry-rollback", "--reason", "x")
    books.desk.ok("registry", "restore", str(backup), *accept)
    outcome = books.desk.ok("registry", "import", str(files), "--json")
    assert (outcome.json["imported"], outcome.json["replaced"]) == (1, {old.id: late.id})
    assert books.record(old.id).replaced_by == late.id


def test_the_same_id_with_other_bytes(books: Books, files: Path) -> None:
    """It is refused with the ID, and the registry keeps its file."""
    (path, *_) = sorted(files.iterdir())
    data = path.read_bytes()
    with books.writing() as db:
        db.update("licenses", path.stem, file=data.replace(data[-9:-5], b"AAAA"))
        db.record("test")
    outcome = books.desk.run("registry", "import", str(path))
    assert outcome.code == 20
    assert f"the registry contains license {path.stem} with different content" in outcome.text


@pytest.mark.usefixtures("files")
def test_missing_predecessors_are_listed(books: Books) -> None:
    """Each missing license is listed with the license that replaced it."""
    acme = books.customer("Late", "late")
    gone = books.license(acme)
    heir = books.license(acme, replaces=gone)
    desk = Desk(books.desk.folder / "new")
    desk.folder.mkdir()
    (desk.folder / "mailed").mkdir()
    (desk.folder / "mailed" / "x.lic").write_bytes(heir.file)
    shutil.copy(books.desk.folder / "public.pem", desk.folder)
    text = desk.ok(*begin(desk)).text
    assert f"file missing: license {gone.id}, replaced by {heir.id[:8]}\n" in text


def test_stdin_has_a_license_on_each_line(new: Desk) -> None:
    """`cat *.lic` can be piped into the command."""
    data = b"".join(path.read_bytes() for path in (new.folder / "mailed").iterdir())
    key = ("--public-key", str(new.folder / "public.pem"))
    outcome = new.ok("registry", "import", "-", *key, stdin=data)
    assert outcome.text.startswith("imported 3 licenses\n")


def test_a_clock_that_is_behind_needs_consent(books: Books, files: Path) -> None:
    """Every row has the actor and the reason."""
    other = Books(Desk(books.desk.folder / "other"), signer=books.signer)
    other.desk.folder.mkdir()
    other.open()
    other.desk.now -= timedelta(days=1)
    outcome = other.desk.run("registry", "import", str(files))
    assert outcome.code == 4
    assert "clock-behind" in outcome.err
    accept = ("--accept", "clock-behind", "--reason", "no network")
    other.desk.ok("registry", "import", str(files), *accept)
    row = other.last_row()
    assert (row.event, row.accepted, row.reason) == (
        "registry-imported",
        ("clock-behind",),
        "no network",
    )


def test_a_terminal_asks_for_confirmation(empty_desk: Desk) -> None:
    """The preview comes first, and a no creates no home."""
    empty_desk.now = datetime.now(UTC)
    made = Books(empty_desk).open()
    record = made.license(made.customer())
    desk = Desk(empty_desk.folder / "new")
    (desk.folder / "mailed").mkdir(parents=True)
    (desk.folder / "mailed" / "x.lic").write_bytes(record.file)
    made.desk.ok("key", "export-public", "-o", str(desk.folder / "public.pem"))
    with terminal(desk, *begin(desk)) as person:
        person.sees("to import: 1 license")
        person.sees("import these? [Y/n]: ")
        person.types("n")
        assert person.ends() == 130
    assert not desk.home.exists()
    with terminal(desk, *begin(desk)) as person:
        person.sees("import these? [Y/n]: ")
        person.types("")
        person.sees("imported 1 license")
        assert person.ends() == 0
    with terminal(desk, *begin(desk)) as person:
        person.sees("nothing to import")
        assert person.ends() == 0


def test_a_change_meanwhile_imports_nothing(
    books: Books, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is repeated in the transaction: exit 7."""
    other = Books(Desk(books.desk.folder / "other"), signer=books.signer)
    other.desk.folder.mkdir()
    other.open()
    obtain = prompts.obtain_consent

    def late(*arguments: object) -> object:
        other.customer()
        return obtain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prompts, "obtain_consent", late)
    outcome = other.desk.run("registry", "import", str(files))
    assert outcome.code == 7
    assert "after the preview; nothing was imported" in outcome.err
    assert other.last_row().event == "customer-added"
    assert "registry.db" in tree(other.desk.home)
