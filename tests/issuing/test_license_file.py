"""Keys that are marked as compromised, as a license file names them."""

from support.licenses import Books

from polygent_issuer.issuing import license_file
from polygent_issuer.registry import keys


def test_only_a_compromised_key_of_exactly_this_kid(books: Books) -> None:
    """A forger may write a label there, or the beginning of a kid: that names no key."""
    kid = books.signer.kid
    with books.reading() as db:
        assert license_file.find_compromised_key(db, kid) is None
    with books.writing() as db:
        keys.retire(db, kid, compromised=True)
        db.record("key-compromised", kid=kid)
    with books.reading() as db:
        found = license_file.find_compromised_key(db, kid)
        assert found == license_file.CompromisedKey(kid=kid, label="main", since=books.desk.now)
        assert found.message.startswith(
            "it names the key main, which is marked as compromised since 2026-11-30T09:30:00Z: "
        )
        for other in ("main", kid[:8], kid.lower()):
            assert license_file.find_compromised_key(db, other) is None


def test_where_nothing_tells_since_when(books: Books) -> None:
    """A row that was never retired, as no command of ours leaves it, is not made up for."""
    kid = books.signer.kid
    with books.writing() as db:
        db.update("keys", kid, compromised=1)
        db.record("test", kid=kid)
    with books.reading() as db:
        found = license_file.find_compromised_key(db, kid)
    assert found is not None
    assert "marked as compromised: whoever" in found.message
    assert found.to_json() == {"kid": kid, "label": "main", "since": None}
