"""`polygent-issue license export` of many licenses."""

import csv
import io
import zipfile
from datetime import timedelta

import pytest
from support.cli import Desk
from support.desk_state import litter_in, read_state
from support.many_customers import add_customers_at, old_id


def test_all_current_files_go_into_a_folder(desk: Desk) -> None:
    """The bytes are those of the registry, each export is journalled, and it can be repeated."""
    add_customers_at(desk, range(1, 301))
    add_customers_at(desk, range(301, 303), ends_in=200)
    desk.ok("customer", "archive", "c1", "--yes", "--reason", "left")
    folder = desk.folder / "all"
    folder.mkdir()
    outcome = desk.ok("license", "export", "--all", "--output", str(folder))
    assert f"exported 301 licenses into {folder}\n" in outcome.text
    state = read_state(desk)
    assert {path.read_bytes() for path in folder.iterdir()} == {
        file for id_, file in state.files.items() if id_ != old_id(1)
    }
    assert litter_in(folder) == []
    rows = desk.ok("journal", "show", "--json").json["rows"]
    exported = [row for row in rows if row["event"] == "license-exported"]
    assert len(exported) == 301
    assert exported[0]["details"]["to"].startswith(f"{folder}/c")
    assert state.problems == ()
    again = desk.ok("license", "export", "--all", "--output", str(folder), "--json").json
    assert (len(again["licenses"]), again["archive"]) == (301, None)


def test_a_customer_and_several_ids(desk: Desk) -> None:
    """`--customer` selects the current licenses; an ID that is repeated counts once."""
    add_customers_at(desk, range(1, 4), ends_in=200)
    result = desk.ok("license", "export", "--customer", "Customer 2", "--json").json
    assert [each["customer"] for each in result["licenses"]] == ["c2"]
    ids = [old_id(number)[:8] for number in (3, 1, 3)]
    result = desk.ok("license", "export", *ids, "--json").json
    assert [each["id"] for each in result["licenses"]] == [old_id(3), old_id(1)]
    assert result["licenses"][0]["file"] == str(desk.output / f"c3-prod-1-2027-06-17-{ids[0]}.lic")
    assert len(list(desk.output.iterdir())) == 3


def test_an_archive_has_a_manifest(desk: Desk) -> None:
    """Archive and drafts are as those of a batch; an existing archive is not overwritten."""
    add_customers_at(desk, range(1, 3))
    archive, drafts = desk.folder / "all.zip", desk.folder / "drafts"
    drafts.mkdir()
    argv = ("license", "export", "--all", "--bundle", str(archive), "--eml", str(drafts))
    result = desk.ok(*argv, "--json").json
    assert result["archive"] == {"file": str(archive), "licenses": 2}
    assert result["licenses"][0]["archive"] == str(archive)
    assert len(list(drafts.iterdir())) == 2
    with zipfile.ZipFile(archive) as opened:
        manifest = opened.read("manifest.csv").decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(manifest)):
            assert opened.read(row["file"]) == read_state(desk).files[row["license"]]
    before = archive.read_bytes()
    assert desk.run(*argv).code == 8
    assert archive.read_bytes() == before
    one = desk.ok(
        "license", "export", old_id(1), "--bundle", str(desk.folder / "one.zip"), "--json"
    )
    assert one.json["archive"]["licenses"] == 1


def test_nothing_is_overwritten_and_nothing_half_written(desk: Desk) -> None:
    """Other files with these names stop the export before the first file, with all problems."""
    add_customers_at(desk, range(1, 4))
    taken = desk.output / f"c2-prod-1-2026-12-19-{old_id(2)[:8]}.lic"
    taken.write_bytes(b"mine")
    outcome = desk.run("license", "export", "--all")
    assert outcome.code == 8
    assert f"{desk.output} has other files with these names: {taken.name}\n" in outcome.err
    assert list(desk.output.iterdir()) == [taken]
    missing = str(desk.folder / "missing")
    outcome = desk.run("license", "export", "--all", "-o", f"{missing}/", "--eml", missing)
    assert outcome.code == 8
    assert outcome.err.startswith("error: 2 problems, and nothing was done\n")
    events = [row["event"] for row in desk.ok("journal", "show", "--json").json["rows"]]
    assert "license-exported" not in events


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ((), 2),
        (("--all", "00000001"), 2),
        (("--all", "--customer", "c1"), 2),
        (("--all", "-o", "-"), 2),
        (("--all", "-o", "one.lic"), 2),
        (("--all", "--bundle", "a.zip", "-o", "out"), 2),
        (("--customer", "unknown"), 5),
        (("00000001", "99999999"), 5),
    ],
)
def test_wrong_input_writes_nothing(desk: Desk, argv: tuple[str, ...], code: int) -> None:
    """Each error has a hint, and no file is written."""
    add_customers_at(desk, range(1, 3))
    outcome = desk.run("license", "export", *argv)
    assert outcome.code == code
    assert "hint: " in outcome.err
    assert list(desk.output.iterdir()) == []


def test_a_customer_without_a_current_license_is_named(desk: Desk) -> None:
    """It is exit 5 with the command that signs one; --all of nothing is exit 0."""
    desk.ok("customer", "add", "Acme GmbH")
    assert desk.ok("license", "export", "--all").text == "no current licenses to export\n"
    outcome = desk.run("license", "export", "--customer", "acme-gmbh")
    assert outcome.code == 5
    assert "Acme GmbH has no current license" in outcome.err


def test_the_next_upload_deadline_is_named(desk: Desk) -> None:
    """Deadlines that have passed are warnings, up to a number that can be read."""
    add_customers_at(desk, range(1, 24), ends_in=200)
    desk.ok("reissue", "c1")
    desk.now += timedelta(days=1)
    desk.ok("reissue", "c2", "--users", "30")
    outcome = desk.ok("license", "export", "--all")
    assert "\nupload the first one before 2026-12-07T09:30:00Z (assumed); " in outcome.text
    assert outcome.err.count("warning: the upload deadline of license ") == 20
    assert outcome.err.endswith("warning: 1 more like these\n")
    desk.now += timedelta(days=30)
    assert "upload the first" not in desk.ok("license", "export", "--all").text
