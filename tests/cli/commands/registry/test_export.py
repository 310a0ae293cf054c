"""`polygent-issue registry export`."""

import stat
import tomllib
from datetime import timedelta
from pathlib import Path

from support.desk_state import tree
from support.licenses import Books
from support.registries import tampering


def test_stdout_carries_toml_and_nothing_else(books: Books) -> None:
    """Messages go to stderr."""
    acme = books.customer()
    books.license(acme, books.machine(acme))
    outcome = books.desk.ok("registry", "export")
    (row,) = tomllib.loads(outcome.text)["license"]
    assert row == {
        "customer": "acme",
        "machine": "prod-1",
        "tier": "standard",
        "expires": "2027-11-30T09:30:00Z",
        "users": 25,
        "session_hosts": 2,
        "deploy_hosts": 1,
        "features": ["insights", "planner"],
    }
    assert outcome.err == "exported 1 current license to stdout\n"
    assert books.desk.ok("registry", "export", "-o", "-").out == outcome.out
    assert books.desk.ok("registry", "export", "--quiet").err == ""


def test_json_has_the_same_rows(books: Books) -> None:
    """JSON has the rows for programs that do not read TOML."""
    books.license(books.customer())
    rows = tomllib.loads(books.desk.ok("registry", "export").text)["license"]
    assert books.desk.ok("registry", "export", "--json").json == {
        "schema": "polygent-issue/1",
        "licenses": rows,
        "count": 1,
    }


def test_a_file_is_private_and_never_overwritten(books: Books) -> None:
    """The file names customers and machines."""
    books.license(books.customer())
    text = books.desk.ok("registry", "export").text
    folder = books.desk.folder / "plans"
    folder.mkdir()
    outcome = books.desk.ok("registry", "export", "-o", str(folder), "--json")
    path = folder / "licenses.toml"
    assert outcome.json == {"schema": "polygent-issue/1", "file": str(path), "count": 1}
    assert path.read_text() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = books.desk.run("registry", "export", "-o", str(path))
    assert again.code == 8
    assert "choose another file with --output" in again.err
    assert list(folder.iterdir()) == [path]
    text = books.desk.ok("registry", "export", "-o", str(folder / "x.toml")).text
    assert text == f"exported 1 current license to {folder / 'x.toml'}\n"


def test_a_registry_without_licenses(books: Books) -> None:
    """The result is valid TOML without rows."""
    outcome = books.desk.ok("registry", "export")
    assert tomllib.loads(outcome.text) == {}
    assert "exported 0 current licenses" in outcome.err


def test_two_licenses_of_one_key_are_warned_of(books: Books) -> None:
    """Unchanged rows match their license; a changed row would be ambiguous."""
    acme = books.customer()
    books.license(acme)
    books.license(acme, expires_at=books.desk.now + timedelta(days=90))
    for options in ((), ("--json",)):
        outcome = books.desk.ok("registry", "export", *options)
        assert (
            "warning: acme has 2 current licenses without a machine, so apply will refuse a "
            "changed row for it; to see them: polygent-issue customer show acme" in outcome.err
        )
    plan = books.desk.folder / "plan.toml"
    books.desk.ok("registry", "export", "-o", str(plan))
    assert "keep 2" in books.desk.ok("apply", str(plan), "--dry-run").text
    plan.write_text(plan.read_text().replace("users = 25", "users = 26"))
    assert books.desk.run("apply", str(plan), "--dry-run").code == 20


def test_a_forged_license_leaves_nothing(books: Books) -> None:
    """A forged license is exit 7 without a partial file."""
    books.license(books.customer())
    books.license(books.customer("Globex", "globex"))
    with tampering(books.desk.registry) as raw:
        raw.execute("UPDATE licenses SET file = x'61' WHERE customer_id = 2")
    before = tree(books.desk.folder)
    for options in ((), ("-o", str(books.desk.folder / "x.toml"))):
        outcome = books.desk.run("registry", "export", *options)
        assert outcome.code == 7
        assert outcome.out == b""
        assert "journal verify" in outcome.err
    assert tree(books.desk.folder) == before


def test_json_and_stdout_are_mutually_exclusive(books: Books) -> None:
    """`--json` and `--output -` are exit 2."""
    assert books.desk.run("registry", "export", "-o", "-", "--json").code == 2


def test_a_missing_folder_is_reported(books: Books, tmp_path: Path) -> None:
    """A missing folder is exit 8 with a hint."""
    outcome = books.desk.run("registry", "export", "-o", str(tmp_path / "no" / "x.toml"))
    assert outcome.code == 8
    assert "create the folder first" in outcome.err
