"""The journal: record, filter and read rows."""

import json
from datetime import timedelta
from hashlib import sha256

import pytest
from support.registries import ACTOR, NOW, fill, writing

from polygent_issuer.findings import FindingCode
from polygent_issuer.registry import Actor, Registry, customers, journal
from polygent_issuer.registry.change import clock_behind_finding
from polygent_issuer.registry.engine import Params
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.row_check import row_digests
from polygent_issuer.registry.sqlite import SqliteConnection

pytestmark = pytest.mark.both

DAY = timedelta(days=1)


def test_a_row_has_all_recorded_members(registry: Registry) -> None:
    """A row has the event, its subjects, the accepted findings, the reason and the actor."""
    actor = Actor(operator='Zoë "Z"', os_user="zoe", uid=None, host="laptop")
    with registry.writing(now=NOW, actor=actor) as db:
        db.record(
            "license-signed",
            customer="acme",
            license="the-id",
            kid="the-kid",
            accepted=(FindingCode.LONG_TERM, FindingCode.NOT_DUE),
            reason="signed contract\n2026",
            details={"days": 3, "names": ["é"]},
        )
    with registry.reading() as read:
        *_, row = journal.rows(read)
    assert (row.seq, row.at, row.event) == (2, NOW, "license-signed")
    assert (row.customer, row.license, row.kid) == ("acme", "the-id", "the-kid")
    assert (row.operator, row.body["os_user"], row.body["uid"]) == ('Zoë "Z"', "zoe", None)
    assert row.body["host"] == "laptop"
    assert row.accepted == ("long-term", "not-due")
    assert row.reason == "signed contract\n2026"
    assert row.details == {"days": 3, "names": ["é"]}


def test_missing_members_are_empty(registry: Registry) -> None:
    """Members that were not given are empty."""
    with writing(registry):
        pass
    with registry.reading() as read:
        *_, row = journal.rows(read)
    assert (row.customer, row.license, row.kid, row.reason) == (None, None, None, None)
    assert (row.accepted, row.details) == ((), {})


def test_the_stored_bytes_are_canonical_and_chained(registry: Registry) -> None:
    """The bytes are canonical JSON; the hash is SHA-256(previous ‖ bytes), first 32 zero bytes."""
    fill(registry)
    with writing(registry) as db:
        db.record("test", reason="é", details={"b": 1, "a": 2})
    previous = bytes(32)
    with registry.reading() as read:
        for seq, body, before, after in read.execute(
            "SELECT seq, bytes, previous, hash FROM journal ORDER BY seq"
        ):
            assert isinstance(body, bytes)
            loaded = json.loads(body)
            assert loaded["seq"] == seq
            assert (
                body
                == json.dumps(
                    loaded, sort_keys=True, separators=(",", ":"), ensure_ascii=False
                ).encode()
            )
            assert before == previous
            previous = sha256(previous + body).digest()
            assert after == previous
        assert journal.head(read) == (5, previous.hex())


def test_rows_are_filtered_by_customer_and_time(registry: Registry) -> None:
    """`since` is inclusive, `until` exclusive; a customer's aliases count."""
    for day, slug in enumerate(("acme", "globex", "initech", None)):
        with writing(registry, now=NOW + day * DAY) as db:
            if slug:
                customers.add(db, slug=slug, name=slug)
            db.record("made", customer=slug)
    with writing(registry, now=NOW + 9 * DAY) as db:
        acme = customers.get(db, "acme")
        db.insert("aliases", slug="hooli", customer_id=acme.id, created_at=db.at)
        db.record("merged", customer="hooli")
        acme = customers.get(db, "acme")

    def seen(**filters: object) -> list[str | None]:
        with registry.reading() as read:
            rows = journal.rows(read, **filters)  # type: ignore[arg-type]
            return [row.customer for row in rows if row.event in {"made", "merged"}]

    assert seen() == ["acme", "globex", "initech", None, "hooli"]
    assert seen(customer=acme) == ["acme", "hooli"]
    assert seen(since=NOW + DAY) == ["globex", "initech", None, "hooli"]
    assert seen(until=NOW + 2 * DAY) == ["acme", "globex"]
    assert seen(since=NOW + DAY, until=NOW + 2 * DAY) == ["globex"]
    assert seen(customer=acme, since=NOW + DAY) == ["hooli"]


def test_the_newest_row_is_the_last_one(registry: Registry) -> None:
    """The newest row is the last one, even if its clock was behind."""
    with writing(registry, now=NOW + 400 * DAY):
        pass
    with registry.reading() as read:
        assert read.newest_at() == NOW + 400 * DAY
    with writing(registry, now=NOW + DAY):
        pass
    with registry.reading() as read:
        assert read.newest_at() == NOW + DAY


def test_the_newest_copy_and_the_rows_after_it(registry: Registry) -> None:
    """Rows that only record a copy do not count as lost acts."""
    noted, backed_up = journal.HEAD_NOTED, journal.BACKED_UP
    with registry.reading() as read:
        assert journal.newest_copy(read, noted) is None
    for event in (noted, "made", noted, "made", backed_up, "made"):
        with registry.writing(now=NOW, actor=ACTOR) as db:
            db.record(event)
    with registry.reading() as read:
        found = journal.newest_copy(read, noted)
        assert found is not None
        assert (found.seq, found.event) == (4, noted)
        assert journal.acts_since(read, found.seq) == 2
        assert journal.copies_since(read, found.seq) == 1
        assert journal.copies_since(read, found.seq - 1) == 2


def test_copies_are_found_by_an_index(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queries for copies do not read the whole journal."""
    asked: list[str] = []
    real = SqliteConnection.first

    def first(self: SqliteConnection, sql: str, params: Params = ()) -> object:
        asked.append(sql)
        return real(self, sql, params)

    monkeypatch.setattr(SqliteConnection, "first", first)
    with registry.reading() as read:
        journal.newest_copy(read, journal.BACKED_UP)
        journal.copies_since(read, 1)
        for sql in asked:
            plan = read.execute(f"EXPLAIN QUERY PLAN {sql}", ("?",) * sql.count("?"))
            steps = " / ".join(str(row[3]) for row in plan)
            assert "journal_of_copies" in steps
            assert "TEMP B-TREE" not in steps


def test_the_head_is_the_last_rows_number_and_hash(registry: Registry) -> None:
    """The head is the number and the hash of the last row."""
    with writing(registry):
        pass
    with registry.reading() as read:
        *_, last = journal.rows(read)
        assert journal.head(read) == (last.seq, last.hash) == (2, last.hash)


@pytest.mark.sqlite("PostgreSQL cannot store it")
def test_an_invalid_journal_row_is_damage(registry: Registry) -> None:
    """A journal row with an invalid body raises `registry_damaged`."""
    for seq, body in enumerate((b"[]", b"{}", b"\xff", b'{"at":1}'), 2):
        with registry.writing(now=NOW, actor=ACTOR) as db:
            (found,) = db.execute("SELECT hash FROM journal ORDER BY seq DESC LIMIT 1")
            sql = "INSERT INTO journal (seq, previous, bytes, hash) VALUES (?, ?, ?, ?)"
            db.execute(sql, (seq, found[0], body, sha256(body).digest()))
        with registry.reading() as read, pytest.raises(RegistryDamaged):
            list(journal.rows(read))


def test_a_digest_leaves_out_empty_columns_only() -> None:
    """An empty new column does not change a digest; emptying, filling or renaming one does."""
    plain = row_digests(("a", "b"))(("x", 1))
    assert row_digests(("b", "c", "a"))((1, None, "x")) == plain
    assert plain == sha256(b'{"a":"x","b":1}').hexdigest()
    for names, row in ((("a", "b"), (None, 1)), (("a", "c"), ("x", 1)), (("a", "b"), ("x", "1"))):
        assert row_digests(tuple(names))(row) != plain
    assert row_digests(("a",))((b"\xff",)) != row_digests(("a",))((b"\xfe",))


LATER = NOW + timedelta(days=1)


def test_the_finding_of_a_clock_that_is_behind(registry: Registry) -> None:
    """More than 5 minutes behind the newest row is a finding, which names both instants."""
    with writing(registry, now=LATER):
        pass
    edge = LATER - timedelta(minutes=5)
    with registry.reading() as db:
        assert clock_behind_finding(db, LATER) == clock_behind_finding(db, edge) == ()
        (finding,) = clock_behind_finding(db, edge - timedelta(seconds=1))
    assert finding.code is FindingCode.CLOCK_BEHIND
    assert "2026-03-02T09:24:59Z" in finding.message
    assert "2026-03-02T09:30:00Z" in finding.message
    assert finding.hint == "correct the clock"
