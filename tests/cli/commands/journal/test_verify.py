"""`polygent-issue journal verify`."""

import shutil
from datetime import timedelta

import pytest
from support.licenses import Books
from support.registries import tampering

ID = "1f3a9c2e-0000-4000-8000-000000000000"


@pytest.fixture
def filled(books: Books) -> Books:
    """Register a license."""
    books.license(books.customer(), license_id=ID)
    return books


def _head(books: Books) -> str:
    head: str = books.desk.ok("journal", "verify", "--json").json["head"]
    return head


def test_an_intact_journal_prints_its_size_and_head(filled: Books) -> None:
    """An intact journal is exit 0; its head is valid for `--against`."""
    outcome = filled.desk.ok("journal", "verify")
    head = f"4:{filled.last_row().hash}"
    assert outcome.text.startswith("journal and registry are intact\n")
    assert "  rows        4\n" in outcome.text
    assert f"  head        {head}\n" in outcome.text
    assert "  not sealed  4 rows since 2026-11-30T09:30:00Z\n" in outcome.text
    assert "journal verify --note FILE" in outcome.text
    assert filled.desk.ok("journal", "verify", "--json").json == {
        "schema": "polygent-issue/1",
        "intact": True,
        "size": 4,
        "head": head,
        "against": None,
        "heads_checked": 0,
        "noted": None,
        "seals": [],
        "unsealed": 4,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE journal SET bytes = x'7b7d' WHERE seq = 2", "journal row 2 was edited"),
        ("DELETE FROM journal WHERE seq = 3", "journal rows are missing between 2 and 4"),
        ("UPDATE customers SET name = 'Evil'", "customers/1 was changed outside the journal"),
        ("DELETE FROM outbox; DELETE FROM licenses", "was deleted outside the journal"),
        (
            "UPDATE licenses SET file = CAST('a' AS BLOB)",
            "the stored license file is not the issued one",
        ),
    ],
)
def test_edits_are_found(filled: Books, sql: str, problem: str) -> None:
    """An edit is exit 7 and reported as text and in JSON."""
    with tampering(filled.desk.registry) as raw:
        for statement in sql.split("; "):
            raw.execute(statement)
    outcome = filled.desk.run("journal", "verify", "--json")
    assert outcome.code == 7
    assert outcome.json["intact"] is False
    assert any(problem in result for result in outcome.json["problems"])
    text = filled.desk.run("journal", "verify")
    assert text.code == 7
    assert text.text.startswith("the journal or registry was changed from outside this tool\n")
    assert problem in text.text
    assert "restore the last good backup:\npolygent-issue registry restore BACKUP\n" in text.text


def test_every_problem_is_shown(filled: Books) -> None:
    """All problems are shown, not only the first."""
    with tampering(filled.desk.registry) as raw:
        raw.execute("UPDATE customers SET name = 'Evil'")
        raw.execute("UPDATE licenses SET plan = 'gold'")
    problems = filled.desk.run("journal", "verify", "--json").json["problems"]
    assert len(problems) == 3
    assert problems[2].startswith("customer_names has wrong or missing rows for customers/")
    text = filled.desk.run("journal", "verify").text
    assert all(problem in text for problem in problems)


def test_an_older_head_matches_a_grown_journal(filled: Books) -> None:
    """The size may be left out, and the advice to save a head is gone."""
    head = _head(filled)
    filled.customer("Globex", "globex")
    for against in (head, head.partition(":")[2]):
        outcome = filled.desk.ok("journal", "verify", "--against", against)
        assert "intact" in outcome.text
        assert "--note" not in outcome.text
        assert "  saved heads matched  1\n" in outcome.text


@pytest.mark.sqlite("about the file")
def test_a_restored_copy_is_found_against_a_newer_head(filled: Books) -> None:
    """Truncation is found only with a head that was saved elsewhere."""
    copy = filled.desk.folder / "copy.db"
    shutil.copy(filled.path, copy)
    filled.customer("Globex", "globex")
    head = _head(filled)
    shutil.copy(copy, filled.path)
    assert filled.desk.run("journal", "verify").code == 0
    outcome = filled.desk.run("journal", "verify", "--against", head, "--json")
    assert outcome.code == 7
    assert outcome.json["against"] == head
    assert "an older copy was restored" in outcome.json["problems"][0]


def test_an_invalid_head_is_refused(filled: Books) -> None:
    """An invalid head is exit 3 with a hint."""
    outcome = filled.desk.run("journal", "verify", "--against", "7:beef", "--json")
    assert outcome.code == 3
    assert "journal verify" in outcome.json["error"]["hint"]


def test_saved_heads_are_compared(filled: Books) -> None:
    """Each run appends a line; later all lines are compared, and truncation is found."""
    notes = filled.desk.folder / "stick" / "heads"
    notes.parent.mkdir()
    for _ in range(2):
        outcome = filled.desk.ok("journal", "verify", "--note", str(notes))
        assert f"  head saved to  {notes}\n" in outcome.text
    first, second = notes.read_text().splitlines()
    assert first.startswith("2026-11-30T09:30:00Z 4:")
    assert second.split()[1].startswith("5:")
    row = filled.last_row()
    assert row.event == "head-noted"
    assert row.details == {"size": 5, "head": second.split()[1], "file": str(notes)}
    outcome = filled.desk.ok("journal", "verify", "--against", str(notes), "--json")
    assert (outcome.json["heads_checked"], outcome.json["size"]) == (2, 6)
    stdin = notes.read_bytes()
    filled.desk.ok("journal", "verify", "--against", "-", stdin=stdin)
    with tampering(filled.desk.registry) as raw:
        raw.execute("DELETE FROM journal WHERE seq > 4")
    filled.desk.ok("journal", "verify")
    outcome = filled.desk.run("journal", "verify", "--against", str(notes), "--json")
    assert outcome.code == 7
    (problem,) = outcome.json["problems"]
    assert problem.startswith("the journal ends at row 4, but the head saved in line 2 of ")


def test_a_head_of_another_registry_is_a_problem(filled: Books) -> None:
    """A new registry does not pass because its own heads are new, too."""
    notes = filled.desk.folder / "heads"
    filled.desk.ok("journal", "verify", "--note", str(notes))
    notes.write_text(f"{notes.read_text()}2026-01-01T00:00:00Z 2:{'ab' * 32} {ID}\n")
    outcome = filled.desk.run("journal", "verify", "--against", str(notes))
    assert outcome.code == 7
    assert "line 2" in outcome.text


def test_no_head_is_saved_of_a_journal_with_problems(filled: Books) -> None:
    """Only the head of an intact journal is saved."""
    with tampering(filled.desk.registry) as raw:
        raw.execute("UPDATE customers SET name = 'Evil'")
    notes = filled.desk.folder / "heads"
    outcome = filled.desk.run("journal", "verify", "--note", str(notes), "--json")
    assert (outcome.code, outcome.json["noted"]) == (7, None)
    assert not notes.exists()


@pytest.mark.sqlite("about the file")
def test_a_head_is_not_saved_in_the_home(filled: Books) -> None:
    """A file in the home, also by a link, could be edited with the registry."""
    link = filled.desk.folder / "link"
    link.symlink_to(filled.desk.home)
    before = filled.path.read_bytes()
    for place in (filled.desk.home / "heads", link / "heads"):
        outcome = filled.desk.run("journal", "verify", "--note", str(place))
        assert outcome.code == 8
        assert "cannot be saved in the home" in outcome.err
        assert not place.exists()
    assert filled.path.read_bytes() == before


def test_a_loop_of_links_is_reported(filled: Books) -> None:
    """Every version of Python reports the system's reason."""
    loop = filled.desk.folder / "loop"
    loop.symlink_to(loop)
    outcome = filled.desk.run("journal", "verify", "--note", str(loop))
    assert outcome.code == 8
    assert "symbolic links" in outcome.err


@pytest.mark.sqlite("about the file")
def test_a_head_that_cannot_be_saved_is_not_journalled(filled: Books) -> None:
    """A failed write is exit 8, and the registry is unchanged."""
    before = filled.path.read_bytes()
    outcome = filled.desk.run("journal", "verify", "--note", str(filled.desk.folder / "no" / "f"))
    assert outcome.code == 8
    assert "create the folder first" in outcome.err
    assert filled.path.read_bytes() == before


def test_a_clock_that_is_behind_is_a_warning(filled: Books) -> None:
    """The head is saved all the same, since it does not depend on the time."""
    notes = filled.desk.folder / "heads"
    filled.desk.now -= timedelta(hours=1)
    outcome = filled.desk.ok("journal", "verify", "--note", str(notes))
    assert "2026-11-30T08:30:00Z" in outcome.err
    assert notes.exists()


@pytest.mark.parametrize("text", ["", "nothing of the kind\n"])
def test_a_file_without_heads_is_refused(filled: Books, text: str) -> None:
    """A file without heads is exit 3."""
    notes = filled.desk.folder / "heads"
    notes.write_text(text)
    outcome = filled.desk.run("journal", "verify", "--against", str(notes))
    assert outcome.code == 3
    assert "contains no head" in outcome.err


@pytest.mark.sqlite("about the file")
@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (b"\x00" * 100, "registry_damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "registry_damaged"),
        (b"", "registry_missing"),
    ],
)
def test_another_file_than_a_registry_is_exit_7(books: Books, damage: bytes, code: str) -> None:
    """A file that is not a registry has an error of its own."""
    books.path.write_bytes(damage)
    outcome = books.desk.run("journal", "verify", "--json")
    assert outcome.code == 7
    assert outcome.json["error"]["code"] == code
    assert "Traceback" not in outcome.err


@pytest.mark.sqlite("about the file")
def test_pages_that_cannot_be_read_are_exit_7(filled: Books) -> None:
    """A registry that opens but has damaged pages is exit 7."""
    data = bytearray(filled.path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    filled.path.write_bytes(data)
    outcome = filled.desk.run("journal", "verify", "--json")
    assert outcome.code == 7
    assert outcome.json["error"]["code"] == "registry_damaged"
