"""`polygent-issue vectors`."""

import re
from pathlib import Path

import pytest
from support.cli import Desk

import polygent_issuer

VECTORS = Path(__file__).parents[2] / "vectors"
PACKAGE = Path(polygent_issuer.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_is_written(desk: Desk, tmp_path: Path) -> None:
    """The formats, the rules and every vector of the source tree are written, and no Python."""
    folder = tmp_path / "new"
    result = desk.ok("vectors", str(folder), "--json").json
    vectors = {
        f"vectors/{name}": data
        for name, data in contents(VECTORS).items()
        if not name.endswith((".py", ".pyc"))
    }
    assert {Path(name).suffix for name in vectors} == {".json", ".lic", ".md"}
    assert contents(folder) == {
        "FORMAT.md": (PACKAGE / "verifier" / "FORMAT.md").read_bytes(),
        "ENFORCEMENT.md": (PACKAGE / "enforcement" / "ENFORCEMENT.md").read_bytes(),
        **vectors,
    }
    assert result["folder"] == str(folder)
    assert set(result["files"]) == set(contents(folder))


def test_the_readme_names_each_file_and_the_text_names_the_readme(
    desk: Desk, tmp_path: Path
) -> None:
    """The text names README, which names each JSON file."""
    text = desk.ok("vectors", str(tmp_path / "new")).text
    readme = tmp_path / "new" / "vectors" / "README.md"
    assert f"read first: {readme}" in text
    named = set(re.findall(r"`([a-z/]+\.json)`", readme.read_text(encoding="utf-8")))
    written = {name for name in contents(readme.parent) if name.endswith(".json")}
    assert written - {"golden/golden.json"} <= named


def test_an_interrupted_command_is_completed(desk: Desk, folder: Path) -> None:
    """Missing files are written; files with the same content count as written."""
    desk.ok("vectors", str(folder))
    complete = contents(folder)
    (folder / "vectors" / "clocks.json").unlink()
    desk.ok("vectors", str(folder))
    assert contents(folder) == complete


@pytest.mark.parametrize("name", ["FORMAT.md", "vectors", "vectors/names.json"])
def test_an_existing_file_stops_it_before_anything_is_written(
    desk: Desk, folder: Path, name: str
) -> None:
    """Exit 8: no file is overwritten, and no other file is written."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    outcome = desk.run("vectors", str(folder), "--json")
    assert (outcome.code, name in outcome.json["error"]["message"]) == (8, True)
    assert outcome.json["error"]["hint"]
    assert contents(folder) == {name: b"mine"}


@pytest.mark.parametrize("name", ["file", "missing/new"])
def test_a_folder_that_cannot_be_made(desk: Desk, folder: Path, name: str) -> None:
    """Exit 8: the name is that of a file, or the parent folder does not exist."""
    (folder / "file").write_text("mine")
    outcome = desk.run("vectors", str(folder / name))
    assert outcome.code == 8
    assert "hint:" in outcome.err
    assert contents(folder) == {"file": b"mine"}
