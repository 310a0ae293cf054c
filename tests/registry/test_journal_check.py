"""`journal verify` finds each kind of tampering that the chain or an older head can show."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.lic_files import license_id
from support.registries import NOW, REGISTRY_ID, Tampering, fill, tampering, writing

from polygent_issuer import processes
from polygent_issuer.errors import InputRefused
from polygent_issuer.registry import Registry, customers, journal, journal_check
from polygent_issuer.registry.errors import RegistryDamaged, RegistryLocked
from polygent_issuer.registry.journal_check import head_text, noted_line, parse_head, parse_noted
from polygent_issuer.registry.row_check import row_digests

Tamper = Callable[[Tampering], object]
ONE, TWO = license_id(1), license_id(2)


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start another process for a journal of any length, on any machine."""
    monkeypatch.setattr(journal_check, "MANY", {"fork": 0, "spawn": 0})
    monkeypatch.setattr(journal_check, "_PART", 3)
    monkeypatch.setattr(processes, "cores", lambda: 2)


def check(path: Path, *against: str) -> journal_check.JournalCheck:
    """Check a registry in one process and in two, which find the same."""
    heads = tuple(head for text in against if (head := parse_head(text)))
    assert len(heads) == len(against)
    with Registry.open(path) as opened:
        with opened.reading(checked=False) as db:
            alone = journal_check.verify(db, against=heads)
        assert journal_check.verify_registry(opened, against=heads) == alone
    return alone


def ask_with(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[processes.Ask], processes.Ask | None]
) -> None:
    """Change the function that asks the other process."""
    another = processes.another

    @contextmanager
    def changed(work: processes.Work, *, start: processes.Method) -> Iterator[processes.Ask | None]:
        with another(work, start=start) as ask:
            assert ask is not None
            yield change(ask)

    monkeypatch.setattr(processes, "another", changed)


@pytest.fixture
def filled(registry: Registry, path: Path) -> Path:
    """A closed registry with four journal rows."""
    fill(registry)
    with writing(registry) as db:
        customers.edit(db, customers.get(db, "globex"), crm="42")
    registry.close()
    return path


def rehash(raw: Tampering, first: int) -> None:
    """Chain the rows from `first` on again, as a careful forger does."""
    rows = raw.execute("SELECT seq, bytes FROM journal WHERE seq >= ? ORDER BY seq", (first,))
    sql = "SELECT hash FROM journal WHERE seq = ?"
    (previous,) = raw.execute(sql, (first - 1,)).fetchone() or (bytes(32),)
    for seq, body in rows.fetchall():
        chained = sha256(previous + body).digest()
        update = "UPDATE journal SET previous = ?, hash = ? WHERE seq = ?"
        raw.execute(update, (previous, chained, seq))
        previous = chained


def edit(raw: Tampering, seq: int) -> None:
    """Change a word in a journal row."""
    (body,) = raw.execute("SELECT bytes FROM journal WHERE seq = ?", (seq,)).fetchone()
    raw.execute("UPDATE journal SET bytes = ? WHERE seq = ?", (body.replace(b"Ada", b"Eve"), seq))


def edit_and_hash(raw: Tampering) -> None:
    """Change a row together with its own hash."""
    edit(raw, 2)
    previous, body = raw.execute("SELECT previous, bytes FROM journal WHERE seq = 2").fetchone()
    raw.execute("UPDATE journal SET hash = ? WHERE seq = 2", (sha256(previous + body).digest(),))


def insert(raw: Tampering) -> None:
    """Insert a row between the second and the third."""
    raw.execute("UPDATE journal SET seq = seq + 100 WHERE seq >= 3")
    raw.execute("UPDATE journal SET seq = seq - 99 WHERE seq >= 100")
    body = raw.execute("SELECT bytes FROM journal WHERE seq = 2").fetchone()[0]
    previous = raw.execute("SELECT hash FROM journal WHERE seq = 2").fetchone()[0]
    sql = "INSERT INTO journal (seq, previous, bytes, hash) VALUES (3, ?, ?, ?)"
    raw.execute(sql, (previous, body, sha256(previous + body).digest()))


def swap(raw: Tampering) -> None:
    """Swap the second and the third row with their hashes."""
    for old, new in ((2, 100), (3, 2), (100, 3)):
        raw.execute("UPDATE journal SET seq = ? WHERE seq = ?", (new, old))


def renumber_without_the_second(raw: Tampering) -> None:
    """Remove a row and close the gap in the numbers."""
    raw.execute("DELETE FROM journal WHERE seq = 2")
    raw.execute("UPDATE journal SET seq = seq + 100 WHERE seq > 2")
    raw.execute("UPDATE journal SET seq = seq - 101 WHERE seq > 100")


def forge_file(raw: Tampering) -> None:
    """Replace a `.lic` together with its digest."""
    raw.execute(
        "UPDATE licenses SET file = x'00', sha256 = ? WHERE id = ?",
        (sha256(b"\0").hexdigest(), ONE),
    )


NOT_THE_LIC = "the stored license file is not the issued one"
WRONG_KEYS = "customer_names has wrong or missing rows for customers"
DOES_NOT_FOLLOW = "does not follow the row before it: a row was edited, deleted, inserted or moved"


@pytest.mark.parametrize(
    ("tamper", "problems"),
    [
        (lambda raw: edit(raw, 2), ["journal row 2 was edited"]),
        (edit_and_hash, [f"journal row 3 {DOES_NOT_FOLLOW}"]),
        (
            lambda raw: raw.execute("DELETE FROM journal WHERE seq = 2"),
            [
                "journal rows are missing between 1 and 3",
                f"journal row 3 {DOES_NOT_FOLLOW}",
                "about the rows",
            ],
        ),
        (renumber_without_the_second, [f"journal row 2 {DOES_NOT_FOLLOW}", "about the rows"]),
        (insert, [f"journal row 4 {DOES_NOT_FOLLOW}"]),
        (
            swap,
            [f"journal row {seq} {DOES_NOT_FOLLOW}" for seq in (2, 3, 4)] + ["about the rows"],
        ),
        (
            lambda raw: raw.execute("UPDATE journal SET hash = zeroblob(32) WHERE seq = 4"),
            ["journal row 4 was edited"],
        ),
        (
            lambda raw: raw.execute("UPDATE customers SET name = 'Acne' WHERE slug = 'acme'"),
            ["customers/2 was changed outside the journal", f"{WRONG_KEYS}/2"],
        ),
        (
            lambda raw: raw.execute("DELETE FROM customer_names WHERE customer_id = 2"),
            [f"{WRONG_KEYS}/2"],
        ),
        (
            lambda raw: raw.execute("UPDATE customer_names SET customer_id = 1"),
            [f"{WRONG_KEYS}/1", f"{WRONG_KEYS}/2"],
        ),
        (
            lambda raw: raw.execute("UPDATE customer_names SET customer_id = 9 WHERE id = 1"),
            [f"{WRONG_KEYS}/1", "customer_names has rows for customers/9, which does not exist"],
        ),
        (
            lambda raw: raw.execute("UPDATE customers SET crm = NULL WHERE slug = 'globex'"),
            ["customers/1 was changed outside the journal"],
        ),
        (
            lambda raw: raw.execute("UPDATE licenses SET file = x'0a' WHERE id = ?", (ONE,)),
            [f"licenses/{ONE} was changed outside the journal: {NOT_THE_LIC}"],
        ),
        (forge_file, [f"licenses/{ONE} was changed outside the journal"]),
        (
            lambda raw: raw.execute("UPDATE licenses SET replaced_by = NULL"),
            [f"licenses/{ONE} was changed outside the journal"],
        ),
        (
            lambda raw: raw.execute("UPDATE licenses SET expires_at = expires_at + 1"),
            [f"licenses/{number} was changed outside the journal" for number in (ONE, TWO)],
        ),
        (
            lambda raw: raw.execute("DELETE FROM licenses WHERE id = ?", (TWO,)),
            [f"licenses/{TWO} was deleted outside the journal"],
        ),
        (
            lambda raw: raw.execute("INSERT INTO aliases VALUES ('evil\x1b', 1, 'now')"),
            ["aliases/evil\\x1b was added outside the journal"],
        ),
        (
            lambda raw: raw.execute("UPDATE keys SET public_pem = x'00'"),
            ["keys/"],
        ),
        (
            lambda raw: raw.execute("UPDATE machine_identities SET fingerprint = 'x'"),
            ["machine_identities/1 was changed outside the journal"],
        ),
        (
            lambda raw: raw.execute("CREATE TABLE licenses2 (id TEXT)"),
            ["licenses2 is not a table, index or trigger as this tool creates it"],
        ),
        (
            lambda raw: raw.execute("UPDATE about SET value = 'another'"),
            ["about/registry_id was changed outside the journal"],
        ),
    ],
)
def test_tampering_is_found(filled: Path, tamper: Tamper, problems: list[str]) -> None:
    """Each problem names its row, and nothing else is reported."""
    assert check(filled).problems == ()
    with tampering(filled) as raw:
        tamper(raw)
    found = list(check(filled).problems)
    if problems[-1] == "about the rows":
        problems.pop()
        assert all("outside the journal" in extra for extra in found[len(problems) :])
        found = found[: len(problems)]
    assert len(found) == len(problems)
    for problem, expected in zip(found, problems, strict=True):
        assert problem.startswith(expected)
        assert expected in (problem, "keys/")


def test_another_process_reads_all_rows(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process compares the rows, in several parts, and does not read them, too."""
    parts: list[list[tuple[str, str]]] = []

    def noted(ask: processes.Ask) -> processes.Ask:
        def ask_and_note(chunks: Iterable[Any]) -> Iterator[Any]:
            for head, rows in ask(chunks):
                parts.append(rows)
                yield head, rows

        return ask_and_note

    ask_with(monkeypatch, noted)
    assert check(filled).problems == ()
    assert [len(rows) for rows in parts[:-1]] == [3] * (len(parts) - 1)
    with Registry.open(filled) as opened, opened.reading(checked=False) as db:
        (count,) = next(iter(db.execute("SELECT count(*) FROM row_journal")))
    assert sum(map(len, parts)) == count
    parts.clear()
    with tampering(filled) as raw:
        raw.execute("UPDATE customers SET crm = NULL WHERE slug = 'globex'")
    assert check(filled).problems == ("customers/1 was changed outside the journal",)
    assert parts


def test_without_another_process_this_one_reads_the_rows(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may allow no process, and the engine no second connection."""
    ask_with(monkeypatch, lambda _: None)
    assert check(filled).problems == ()
    monkeypatch.setattr(Registry, "again", lambda _: None)
    monkeypatch.delattr(processes, "another")
    assert check(filled).problems == ()


def test_rows_of_another_head_are_not_used(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry may have been replaced before the other process opened it."""

    def older(ask: processes.Ask) -> processes.Ask:
        return lambda chunks: (((1, bytes(32)), rows[:1]) for _, rows in ask(chunks))

    ask_with(monkeypatch, older)
    assert check(filled).problems == ()


def test_a_writer_that_waits_does_not_stop_the_check(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the check to end, and SQLite lets no new reader in meanwhile."""
    refused: list[RegistryLocked] = []

    def noted(results: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from results
        except RegistryLocked as error:
            refused.append(error)
            raise

    def after_a_writer(ask: processes.Ask) -> processes.Ask:
        def ask_later(chunks: Iterable[Any]) -> Iterator[Any]:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO documents VALUES (9, 'x', x'00', 'x', 'x', 'x')")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                writer.execute("COMMIT")
            return noted(ask(chunks))

        return ask_later

    monkeypatch.setattr(processes, "method", lambda: "spawn")  # a fork has this process's locks
    ask_with(monkeypatch, after_a_writer)
    with closing(sqlite3.connect(filled, timeout=0, isolation_level=None)) as writer:
        assert check(filled).problems == ()
    assert refused


def test_each_row_of_row_journal_is_checked(filled: Path) -> None:
    """An older journal row, an additional row and a missing row are reported."""
    with tampering(filled) as raw:
        raw.execute("UPDATE row_journal SET seq = 1 WHERE name = 'customers/1'")
        raw.execute("INSERT INTO row_journal VALUES ('customers/9', 2)")
        raw.execute("DELETE FROM row_journal WHERE name = 'about/registry_id'")
    assert check(filled).problems == (
        "row_journal/customers/1 does not refer to the newest journal row of its row",
        "row_journal/customers/9 does not refer to the newest journal row of its row",
        "row_journal/about/registry_id is missing",
    )


def test_a_row_of_row_journal_without_a_number_is_found(filled: Path) -> None:
    """An edit of the schema can put NULL into a column that excludes it, and then be undone."""
    with closing(sqlite3.connect(filled)) as raw:
        (sql,) = raw.execute("SELECT sql FROM sqlite_schema WHERE name = 'row_journal'").fetchone()
        change = "UPDATE sqlite_schema SET sql = ? WHERE name = 'row_journal'"
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(change, (sql.replace("seq INTEGER NOT NULL", "seq INTEGER"),))
        raw.commit()
        raw.execute("PRAGMA writable_schema = RESET")
        raw.execute("INSERT INTO row_journal VALUES ('customers/9', NULL)")
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(change, (sql,))
        raw.commit()
    assert check(filled).problems == (
        "row_journal/customers/9 does not refer to the newest journal row of its row",
    )


def test_a_dropped_trigger_is_found(filled: Path) -> None:
    """A dropped trigger or changed index is reported; the statistics of ANALYZE are not."""
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute("ANALYZE")
        raw.commit()
        assert check(filled).problems == ()
        raw.execute("DROP TRIGGER journal_rows_stay")
        raw.execute("DROP INDEX licenses_by_kid")
        raw.execute("CREATE INDEX licenses_by_kid ON licenses (kid)")
        raw.commit()
    assert check(filled).problems == (
        "the table, index or trigger journal_rows_stay is missing",
        "licenses_by_kid is not a table, index or trigger as this tool creates it",
    )


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"a":1,"rows":[1]}', b'{"a":1,"rows":', b"\xff\xfe"]
)
def test_a_row_that_cannot_be_read_is_a_problem(filled: Path, body: bytes) -> None:
    """A journal row that cannot be read is reported, and raises nothing."""
    with tampering(filled) as raw:
        raw.execute("UPDATE journal SET bytes = ? WHERE seq = 1", (body,))
    problems = check(filled).problems
    assert problems[0] == "journal row 1 was edited"
    assert "journal row 1 cannot be read" in problems


def test_details_are_not_read_as_digests(registry: Registry) -> None:
    """Details that look like digests do not replace the row's own digests."""
    nested = {"a": 1, "rows": {"customers/1": "00"}, 'x","rows":{"customers/1":"11"': 1}
    with writing(registry) as db:
        customers.add(db, slug="acme", name="Acme")
        db.record("test", reason=',"rows":{"customers/1":"22"}', details=nested)
    with registry.reading() as read:
        assert journal_check.verify(read).problems == ()


def test_removed_rows_are_found_by_an_older_head(filled: Path) -> None:
    """Without rows at the end the chain is intact, but the saved head is missing."""
    noted = check(filled)
    with tampering(filled) as raw:
        raw.execute("DELETE FROM journal WHERE seq = 4")
        raw.execute("UPDATE customers SET crm = NULL WHERE slug = 'globex'")
    assert check(filled).problems == (
        "row_journal/customers/1 does not refer to the newest journal row of its row",
    )
    with tampering(filled) as raw:
        raw.execute("UPDATE row_journal SET seq = 2 WHERE name = 'customers/1'")
    assert check(filled).problems == ()
    (problem,) = check(filled, f"4:{noted.head}").problems
    assert problem == (
        "the journal ends at row 3, but the saved head is row 4: "
        "rows were removed, or an older copy was restored"
    )
    (problem,) = check(filled, noted.head).problems
    assert problem.startswith("the saved head is not in this journal")


def test_a_rewritten_journal_is_found_by_an_older_head(filled: Path) -> None:
    """A forger who chains all rows again cannot keep an old hash."""
    noted = check(filled)
    with tampering(filled) as raw:
        edit(raw, 2)
        rehash(raw, 2)
    assert check(filled).problems == ()
    for against in (f"4:{noted.head}", noted.head):
        (problem,) = check(filled, against).problems
        assert problem.startswith("the saved head is not in this journal")


def test_an_older_head_is_found(filled: Path) -> None:
    """Every earlier head is found, with or without its size."""
    with Registry.open(filled) as opened, opened.reading() as db:
        heads = [(row.seq, row.hash) for row in journal.rows(db)]
    for seq, digest in [(0, "00" * 32), *heads]:
        assert check(filled, f"{seq}:{digest}").problems == ()
        assert check(filled, f" {digest}\n").problems == ()
    (problem,) = check(filled, f"2:{heads[2][1]}").problems
    assert problem.startswith("the saved head is not in this journal")


def test_the_check_returns_the_head(filled: Path) -> None:
    """The result has the head to be noted."""
    with Registry.open(filled) as opened, opened.reading() as db:
        found = journal_check.verify(db)
        assert (found.size, found.head) == journal.head(db)


def test_every_noted_head_is_checked(filled: Path) -> None:
    """Each missing head of several is reported."""
    with Registry.open(filled) as opened, opened.reading() as db:
        heads = [f"{row.seq}:{row.hash}" for row in journal.rows(db)]
    assert check(filled, *heads, heads[0]).problems == ()
    wrong, late = f"2:{'ab' * 32}", f"9:{'cd' * 32}"
    problems = check(filled, heads[0], wrong, late, heads[3]).problems
    assert len(problems) == 2
    assert "is not in this journal" in problems[0]
    assert problems[1].startswith("the journal ends at row 4, but the saved head is row 9")


def restamp(raw: Tampering, seq: int) -> None:
    """Change Globex and the journal rows from `seq` on, without a violation of the chain."""
    raw.execute("UPDATE customers SET name = 'Globe', folded = 'globe' WHERE slug = 'globex'")
    raw.execute("""UPDATE customer_names SET words = 'globe', letters = 'globe',
        letters_reversed = 'ebolg' WHERE letters = 'globex'""")
    cursor = raw.execute("SELECT * FROM customers WHERE slug = 'globex'")
    names = [column[0] for column in cursor.description]
    row = cursor.fetchone()
    (body,) = raw.execute("SELECT bytes FROM journal WHERE seq = ?", (seq,)).fetchone()
    told = json.loads(body)
    told["rows"][f"customers/{row[0]}"] = row_digests(tuple(names))(row)
    forged = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    raw.execute("UPDATE journal SET bytes = ? WHERE seq = ?", (forged.encode(), seq))
    rehash(raw, seq)


def test_rewritten_journal_and_tables_need_a_head(filled: Path) -> None:
    """A forger who changes everything is found only by a head from after the change."""
    with Registry.open(filled) as opened, opened.reading() as db:
        heads = [f"{row.seq}:{row.hash}" for row in journal.rows(db)]
    with tampering(filled) as raw:
        restamp(raw, 4)
    assert check(filled).problems == ()
    assert check(filled, heads[2]).problems == ()
    (problem,) = check(filled, heads[2], heads[3]).problems
    assert problem.startswith("the saved head is not in this journal")


@pytest.mark.parametrize(
    "hide",
    [
        # The trigger is before the table of the same name, which a look-up by name finds last.
        """UPDATE sqlite_schema SET rowid = rowid + 1000 WHERE tbl_name = 'outbox';
        INSERT INTO sqlite_schema (rowid, type, name, tbl_name, rootpage, sql) VALUES
            (500, 'trigger', 'outbox', 'licenses', 0,
            'CREATE TRIGGER outbox AFTER INSERT ON licenses BEGIN SELECT 1; END')""",
        """INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES
            ('trigger', 'sqlite_x', 'licenses', 0,
            'CREATE TRIGGER sqlite_x AFTER INSERT ON licenses BEGIN SELECT 1; END')""",
        """INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES
            ('view', 'sqlite_y', 'sqlite_y', 0, 'CREATE VIEW sqlite_y AS SELECT 1')""",
    ],
)
def test_a_hidden_trigger_is_found(filled: Path, hide: str) -> None:
    """A trigger that a direct edit of the schema hid under another name is found."""
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        raw.executescript(hide)
    (problem,) = check(filled).problems
    assert problem.endswith("is not a table, index or trigger as this tool creates it")


def test_at_most_a_hundred_problems_are_listed(registry: Registry, path: Path) -> None:
    """After 100 problems the list ends."""
    with writing(registry) as db:
        for number in range(150):
            customers.add(db, slug=f"customer-{number}", name=f"Customer {number}")
    for _ in range(150):
        with writing(registry):
            pass
    registry.close()
    with tampering(path) as raw:
        raw.execute("UPDATE customers SET crm = 'x'")
    found = check(path).problems
    assert (len(found), found[-1]) == (101, "and more")
    with tampering(path) as raw:
        raw.execute("UPDATE journal SET hash = zeroblob(32)")
    found = check(path).problems
    assert (len(found), found[-1]) == (101, "and more")


def test_a_recorded_deletion_is_not_a_problem(registry: Registry) -> None:
    """A row that a command deleted is not reported; one that is inserted again is."""
    with writing(registry) as db:
        db.insert("about", name="colour", value="blue")
    with writing(registry) as db:
        db.delete("about", "colour")
    with registry.reading() as read:
        assert journal_check.verify(read).problems == ()
    with registry.writing(now=NOW, actor=db.actor) as db:
        db.execute("INSERT INTO about VALUES ('colour', 'blue')")
    with registry.reading() as read:
        assert journal_check.verify(read).problems == (
            "about/colour was added outside the journal",
        )


def test_columns_of_another_type_are_damage(filled: Path) -> None:
    """A chain with columns of another type is damage."""
    with tampering(filled) as raw:
        sql = raw.execute("SELECT sql FROM sqlite_schema WHERE name = 'journal'").fetchone()[0]
        raw.execute("PRAGMA writable_schema = ON")
        loose = sql.replace(" STRICT", "").replace("CHECK (length(hash) = 32)", "")
        raw.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'journal'", (loose,))
    with tampering(filled) as raw:
        raw.execute("UPDATE journal SET hash = 'text' WHERE seq = 2")
    with pytest.raises(RegistryDamaged):
        check(filled)


DIGEST = "0123456789abcdef" * 4


def test_a_noted_line_is_read_back() -> None:
    """A line has the instant, the head and the registry's id; the head is read from it."""
    line = noted_line(7, DIGEST, now=NOW, registry_id=REGISTRY_ID)
    assert line == f"2026-03-01T09:30:00Z 7:{DIGEST} {REGISTRY_ID}"
    (head,) = parse_noted(f"{line}\n", "heads.txt")
    assert (head.size, head.digest.hex()) == (7, DIGEST)
    assert head.title == "the head saved in line 1 of heads.txt"


def test_comments_in_a_file_of_heads_are_ignored() -> None:
    """Comments, blank lines, CRLF, heads without an instant and hashes alone are accepted."""
    text = f"# mine\r\n\r\n  7:{DIGEST}\r\n{DIGEST}\n"
    heads = parse_noted(text, "f")
    assert [head.size for head in heads] == [7, None]
    assert [head.title for head in heads] == [f"the head saved in line {n} of f" for n in (3, 4)]


@pytest.mark.parametrize("line", ["x", "4:abc", "-1:" + "0" * 64, "2026-03-01T09:30:00Z", "\x1b["])
def test_a_line_without_a_head_is_refused(line: str) -> None:
    """A mistyped or shortened head is refused."""
    with pytest.raises(InputRefused, match="line 2 of f contains no head") as caught:
        parse_noted(f"7:{DIGEST}\n{line}\n", "f")
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n"])
def test_a_file_without_heads_is_refused(text: str) -> None:
    """A file without heads is refused."""
    with pytest.raises(InputRefused, match="contains no head") as caught:
        parse_noted(text, "f")
    assert caught.value.hint == "save one: polygent-issue journal verify --note FILE"


@pytest.mark.parametrize("text", ["", "4", "4:abc", "x" * 64, "-1:" + "0" * 64, "0" * 65])
def test_other_texts_are_not_heads(text: str) -> None:
    """A text that only looks like a head is not accepted."""
    assert parse_head(text) is None


def test_a_printed_head_is_read_back() -> None:
    """A printed head is parsed again."""
    found = parse_head(f" {head_text(4, DIGEST)}\n")
    assert found is not None
    assert (found.size, found.digest) == (4, bytes.fromhex(DIGEST))
