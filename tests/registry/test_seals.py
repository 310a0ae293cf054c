"""A seal shows that the journal was rewritten, and only the newest one of each key is kept."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from support.registries import ACTOR, NOW, fill, new_key, tampering, writing

from polygent_issuer.errors import RegistryChanged
from polygent_issuer.issuing.signing import SignedSeal, seal_journal, sign_seal
from polygent_issuer.keys.signer import SoftwareSigner, generate_private_key
from polygent_issuer.registry import Registry, customers, journal_check, keys, seals
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.journal_check import JournalCheck
from polygent_issuer.registry.row_check import row_digests

SIGNER = SoftwareSigner(generate_private_key())
OTHER = SoftwareSigner(generate_private_key())


@pytest.fixture
def sealed(registry: Registry, path: Path) -> Path:
    """A registry with three sealed rows, closed."""
    with writing(registry) as db:
        keys.add(db, key=SIGNER.public_key, label="desk")
    fill(registry)
    make(registry)
    registry.close()
    return path


def make(
    registry: Registry, signer: SoftwareSigner = SIGNER, *, later: timedelta = timedelta()
) -> SignedSeal | None:
    """Seal the journal."""
    return seal_journal(registry, signer.kid, lambda: signer, now=NOW + later, actor=ACTOR)


def check(path: Path) -> JournalCheck:
    """Check a registry."""
    with Registry.open(path) as registry, registry.reading(checked=False) as db:
        return journal_check.verify(db)


def edit(path: Path, crm: str) -> None:
    """Change a customer, as a command does."""
    with Registry.open(path) as registry, writing(registry) as db:
        customers.edit(db, customers.get(db, "globex"), crm=crm)


def rewrite(path: Path, seq: int) -> None:
    """Change a customer, and chain all journal rows from `seq` on anew: a perfect forgery."""
    with tampering(path) as raw:
        raw.execute("UPDATE customers SET crm = 'forged' WHERE slug = 'globex'")
        cursor = raw.execute("SELECT * FROM customers WHERE slug = 'globex'")
        names = tuple(column[0] for column in cursor.description)
        row = cursor.fetchone()
        name, digest = f"customers/{row[0]}", row_digests(names)(row)
        sql = "SELECT seq, bytes FROM journal WHERE seq >= ? ORDER BY seq"
        for at, body in raw.execute(sql, (seq,)).fetchall():
            members = json.loads(body)
            if name in members["rows"]:
                members["rows"][name] = digest
            text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            before = raw.execute("SELECT hash FROM journal WHERE seq = ?", (at - 1,)).fetchone()
            hashed = sha256(before[0] + text.encode()).digest()
            sql = "UPDATE journal SET bytes = ?, previous = ?, hash = ? WHERE seq = ?"
            raw.execute(sql, (text.encode(), before[0], hashed, at))


def test_a_seal_vouches_for_the_rows_before_it(sealed: Path) -> None:
    """The check reports who sealed which rows and when, and what no seal covers."""
    edit(sealed, "1")
    result = check(sealed)
    (each,) = result.seals
    assert result.problems == ()
    assert each.seal is not None
    assert (each.kid, each.label, each.weak) == (SIGNER.kid, "desk", False)
    assert each.seal.at == NOW.replace(microsecond=0)
    assert (each.seal.seq, result.sealed, result.size) == (4, 4, 5)
    assert result.unsealed_since == NOW


def test_a_rewritten_journal_is_found_without_a_saved_head(sealed: Path) -> None:
    """A consistent forgery from some row on is found by the seal alone."""
    rewrite(sealed, 2)
    (problem,) = check(sealed).problems
    assert problem == (
        "journal row 4 is not the one which the key desk sealed on 2026-03-01T09:30:00Z: "
        "the journal was rewritten from that row or an earlier one on"
    )
    with closing(sqlite3.connect(sealed)) as raw:
        raw.execute("DELETE FROM seals")
        raw.commit()
    assert check(sealed).problems == ()  # nothing else shows it


def test_rows_that_were_cut_off_are_found(sealed: Path) -> None:
    """A journal that ends before its sealed row is reported."""
    with tampering(sealed) as raw:
        raw.execute("DELETE FROM journal WHERE seq = 4")
    assert any(
        "the journal ends at row 3 and lacks row 4, which the key desk sealed" in problem
        for problem in check(sealed).problems
    )


def test_no_seal_replaces_an_invalid_one(sealed: Path) -> None:
    """After a rewriting nothing is sealed, so the next license does not hide it."""
    rewrite(sealed, 2)
    message = "journal row 4 is not the one"
    with Registry.open(sealed) as registry, pytest.raises(RegistryDamaged, match=message):
        make(registry)
    assert check(sealed).problems


def other_token(change: Callable[[seals.Seal], seals.Seal], signer: SoftwareSigner = SIGNER) -> str:
    """Return a seal with another claim, signed."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    plain = seals.Seal(kid=signer.kid, registry="r", seq=1, head="0" * 64, at=at)
    return sign_seal(change(plain), signer)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "is not a token of the type polygent-journal-seal+jwt"),
        ("é", "is not a token of the type polygent-journal-seal+jwt"),
        ("a" * 16385, "is larger than 16384 bytes"),
        (other_token(lambda seal: seal), "belongs to the registry r"),
        (other_token(lambda seal: seal, OTHER), "names another key"),
        (
            f"{other_token(lambda seal: seal).rpartition('.')[0]}.{'A' * 86}",
            "has an invalid signature",
        ),
    ],
    ids=["empty", "not ASCII", "long", "of another registry", "of another key", "changed"],
)
def test_a_foreign_token_is_a_problem(sealed: Path, token: str, problem: str) -> None:
    """A token that is not the key's seal of this registry is reported with the reason."""
    with closing(sqlite3.connect(sealed)) as raw:
        raw.execute("UPDATE seals SET token = ?", (token,))
        raw.commit()
    result = check(sealed)
    assert [each for each in result.problems if f"the seal of the key desk {problem}" in each]
    assert result.sealed == 0


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("UPDATE seals SET kid = ?", ("unknown",)),
        ("UPDATE keys SET public_pem = ?", (OTHER.public_key.to_pem(),)),
        ("UPDATE keys SET public_pem = ?", (b"",)),
    ],
)
def test_a_seal_needs_the_pinned_public_key(
    sealed: Path, sql: str, params: tuple[object, ...]
) -> None:
    """A seal whose key is missing or was replaced counts for nothing."""
    with closing(sqlite3.connect(sealed)) as raw:
        raw.execute(sql, params)
        raw.commit()
    result = check(sealed)
    lack = "cannot be checked, because the registry lacks its public key"
    assert [problem for problem in result.problems if lack in problem]
    assert result.sealed == 0


def test_the_newest_seal_of_each_key_is_kept(sealed: Path) -> None:
    """A key's seal replaces its earlier one; that of another key stays."""
    with Registry.open(sealed) as registry:
        with writing(registry) as db:
            keys.add(db, key=OTHER.public_key, label="second")
        assert make(registry, OTHER) is not None
        assert make(registry, SIGNER) is None  # the other seal covers everything
        edit(sealed, "1")
        second = make(registry, OTHER)
        assert second is not None
    result = check(sealed)
    assert {each.label: each.sealed for each in result.seals} == {"desk": 4, "second": 6}
    assert [each.token for each in result.seals if each.label == "second"] == [second.token]


def test_an_older_seal_never_replaces_a_newer_one(sealed: Path) -> None:
    """Two commands may seal in any order; the journal may grow between signing and writing."""
    with Registry.open(sealed) as registry:
        edit(sealed, "1")
        with registry.reading() as db:
            older = seals.due(db, SIGNER.kid, now=NOW)
        assert older is not None
        edit(sealed, "2")
        assert make(registry) is not None
        with registry.writing(now=NOW, actor=ACTOR) as db:
            seals.keep(db, older.seal, sign_seal(older.seal, SIGNER))
    assert (check(sealed).sealed, check(sealed).problems) == (6, ())


def test_a_seal_of_a_row_that_is_gone_is_not_written(sealed: Path) -> None:
    """A head that the journal no longer has is refused within the transaction."""
    edit(sealed, "1")
    with Registry.open(sealed) as registry:
        with registry.reading() as db:
            due = seals.due(db, SIGNER.kid, now=NOW)
        assert due is not None
        gone = replace(due.seal, head="0" * 64)
        with (
            pytest.raises(RegistryChanged, match="the journal was not sealed"),
            registry.writing(now=NOW, actor=ACTOR) as db,
        ):
            seals.keep(db, gone, sign_seal(gone, SIGNER))


def test_the_seal_of_a_retired_key_stays_valid(sealed: Path) -> None:
    """Its rows stay sealed."""
    with Registry.open(sealed) as registry, writing(registry) as db:
        keys.retire(db, SIGNER.kid)
    assert (check(sealed).sealed, check(sealed).problems) == (4, ())


def test_the_seal_of_a_compromised_key_is_weak(sealed: Path) -> None:
    """It vouches for nothing, but is not a problem of the journal."""
    with Registry.open(sealed) as registry, writing(registry) as db:
        keys.retire(db, SIGNER.kid, compromised=True)
    result = check(sealed)
    assert ([each.weak for each in result.seals], result.sealed) == ([True], 0)
    assert result.problems == ()


def test_a_key_that_signed_but_has_no_seal_is_noticed(sealed: Path) -> None:
    """A removed seal shows at the next one; the first seal of a key without licenses does not."""
    edit(sealed, "1")
    tomorrow = NOW + timedelta(days=1)
    with Registry.open(sealed) as registry, registry.reading() as db:
        late = {key.label: seals.due(db, key.kid, now=tomorrow) for key in keys.every(db)}
        same = seals.due(db, new_key(7).kid, now=NOW)
    assert {label: due and due.is_late for label, due in late.items()} == {
        "desk": False,
        "main": True,
    }
    assert same is not None
    assert not same.is_late  # the licenses are those of this command


def test_the_payload_is_canonical(sealed: Path) -> None:
    """The bytes are those of FORMAT §7: sorted names, no white space."""
    seal = check(sealed).seals[0].seal
    assert seal is not None
    iat = int(seal.at.timestamp())
    assert seal.to_payload().decode() == (
        f'{{"head":"{seal.head}","iat":{iat},"registry":"{seal.registry}","seq":4,"ver":1}}'
    )
