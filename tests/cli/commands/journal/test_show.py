"""`polygent-issue journal show`."""

import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from support.cli import Desk
from support.licenses import Books

from polygent_issuer.registry import journal

ID = "1f3a9c2e-0000-4000-8000-000000000000"


@pytest.fixture
def filled(books: Books) -> Books:
    """Write rows of three days about two customers."""
    books.license(books.customer(), license_id=ID)
    books.desk.now = datetime(2026, 12, 1, tzinfo=UTC)
    books.customer("Globex", "globex")
    books.desk.now = datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    argv = ("customer", "add", "Globax", "--accept", "similar-customer", "--reason", "a sister")
    books.desk.ok(*argv)
    books.desk.now = datetime(2026, 12, 2, tzinfo=UTC)
    books.desk.ok("license", "retire", ID, "--reason", "left us")
    return books


def _events(books: Books, *argv: str) -> list[str]:
    rows = books.desk.ok("journal", "show", *argv, "--json").json["rows"]
    return [f"{row['event']} {row['customer']}" for row in rows]


@pytest.mark.sqlite("a database also has the user of its server")
def test_the_newest_row_is_last(filled: Books) -> None:
    """Each row has actor, event, time, customer, reason and accepted findings."""
    lines = [" ".join(line.split()) for line in filled.desk.ok("journal", "show").text.splitlines()]
    assert lines == [
        "# at event customer license by why",
        "1 2026-11-30T09:30:00Z registry-created Ada",
        "2 2026-11-30T09:30:00Z key-generated Ada",
        "3 2026-11-30T09:30:00Z customer-added acme Ada",
        "4 2026-11-30T09:30:00Z license-signed acme 1f3a9c2e Ada",
        "5 2026-12-01T00:00:00Z customer-added globex Ada",
        "6 2026-12-01T23:59:59Z customer-added globax Ada accepted similar-customer: a sister",
        "7 2026-12-02T00:00:00Z license-retired acme 1f3a9c2e Ada left us",
    ]


ALL = [
    "registry-created None",
    "key-generated None",
    "customer-added acme",
    "license-signed acme",
    "customer-added globex",
    "customer-added globax",
    "license-retired acme",
]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), ALL),
        (("--customer", "acme"), [ALL[2], ALL[3], ALL[6]]),
        (("--since", "2026-12-01"), ALL[4:]),
        (("--since", "2026-12-01T00:00:01Z"), ALL[5:]),
        (("--until", "2026-11-30"), ALL[:4]),
        (("--until", "2026-12-01"), ALL[:6]),
        (("--until", "2026-12-01T23:59:59Z"), ALL[:5]),
        (("--until", "9999-12-31"), ALL),
        (("--since", "2026-12-01", "--until", "2026-12-01"), ALL[4:6]),
        (("--customer", "acme", "--since", "2026-12-01"), [ALL[6]]),
    ],
)
def test_rows_are_filtered(filled: Books, argv: tuple[str, ...], expected: list[str]) -> None:
    """Rows are filtered by customer and by date; `--until` includes the whole day."""
    assert _events(filled, *argv) == expected


def test_json_has_the_hash_chain(filled: Books) -> None:
    """Each row has its hash, the previous hash, the actor and the details."""
    rows = filled.desk.ok("journal", "show", "--json").json["rows"]
    with filled.reading() as db:
        assert f"{rows[-1]['seq']}:{rows[-1]['hash']}" == ":".join(map(str, journal.head(db)))
    assert [row["previous"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]
    row = rows[5]
    assert (row["operator"], row["accepted"]) == ("Ada", ["similar-customer"])
    assert (row["reason"], row["details"]) == ("a sister", {"name": "Globax"})
    assert row["os_user"]
    assert row["host"]
    assert isinstance(row["uid"], int)
    assert (rows[6]["license"], rows[6]["kid"]) == (ID, filled.signer.kid)


def test_an_issue_names_the_path_of_its_file(desk: Desk) -> None:
    """The details name a path, an archive with a name, or stdout."""
    single, archive = desk.output / "acme.lic", desk.output / "all.zip"
    document = desk.machine_info()
    desk.ok("sign", "--machine-info", document, "--expires", "2026-12-10", "-o", str(single))
    desk.ok("renew", "--due-within", "30d", "--bundle", str(archive))
    desk.ok("reissue", "acme-gmbh", "-o", "-")
    rows = desk.ok("journal", "show", "--customer", "acme-gmbh", "--json").json["rows"]
    [member] = zipfile.ZipFile(archive).namelist()[:1]
    places = [row["details"]["to"] for row in rows]
    assert places == [str(single), f"{archive}/{member}", "stdout"]


def test_an_empty_list_is_exit_0(filled: Books) -> None:
    """Without a match the command is exit 0 and reports that."""
    argv = ("journal", "show", "--since", "2030-01-01")
    assert filled.desk.ok(*argv).text == "no journal rows match\n"
    assert _events(filled, "--since", "2030-01-01") == []


@pytest.mark.parametrize(
    ("argv", "code", "kind"),
    [
        (("--since", "yesterday"), 3, "invalid_terms"),
        (("--until", "2026-02-30"), 3, "invalid_terms"),
        (("--customer", "unknown"), 5, "not_found"),
    ],
)
def test_a_mistyped_filter_is_an_error(
    filled: Books, argv: tuple[str, ...], code: int, kind: str
) -> None:
    """A mistyped filter is an error, not an empty list."""
    outcome = filled.desk.run("journal", "show", *argv, "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (code, kind)


def test_the_actor_is_the_setting_or_the_variable(books: Books) -> None:
    """The environment variable overrides the setting."""
    books.desk.environ["POLYGENT_ISSUER_OPERATOR"] = "Grace"
    books.desk.ok("customer", "add", "Initech", after=timedelta(hours=1))
    assert books.last_row().operator == "Grace"


def test_a_log_shipper_gets_each_row_once(filled: Books) -> None:
    """Each row is an object on a line, oldest first; `--after` leaves out the rows before it."""
    lines = filled.desk.ok("journal", "show", "--ndjson").json_lines
    rows = filled.desk.ok("journal", "show", "--json").json["rows"]
    assert lines == [{"schema": "polygent-issue/1", **row} for row in rows]
    assert [row["seq"] for row in rows] == [*range(1, len(rows) + 1)]
    argv = ("journal", "show", "--ndjson", "--after", "5")
    assert filled.desk.ok(*argv).json_lines == lines[5:]
    assert filled.desk.ok("journal", "show", "--after", "5", "--json").json["rows"] == rows[5:]
    assert filled.desk.ok("journal", "show", "--ndjson", "--after", str(len(rows))).out == b""
    shorter = filled.desk.run("journal", "show", "--ndjson", "--after", str(len(rows) + 1))
    assert shorter.code == 5
    assert f"and no row {len(rows) + 1}; a restored" in shorter.err
    for other in ("--json", "--csv"):
        assert filled.desk.run("journal", "show", "--ndjson", other).code == 2
