"""A file's key that the registry marks as compromised."""

from support.licenses import Books

from polygent_issuer.registry import keys
from polygent_issuer.registry.keys import CompromisedKey, find_compromised_key


def test_only_a_compromised_key_of_exactly_this_kid(books: Books) -> None:
    """A label or the beginning of a kid, which a forger may write, names no key."""
    kid = books.signer.kid
    with books.reading() as db:
        assert find_compromised_key(db, kid) is None
    with books.writing() as db:
        keys.retire(db, kid, compromised=True)
        db.record("key-compromised", kid=kid)
    with books.reading() as db:
        key = find_compromised_key(db, kid)
        assert key == CompromisedKey(kid=kid, label="main", since=books.desk.now)
        assert key.message.startswith(
            "the file names the key main, which is marked as compromised since 2026-11-30T09:30:00Z"
        )
        for other in ("main", kid[:8], kid.lower()):
            assert find_compromised_key(db, other) is None


def test_a_compromised_key_without_a_time(books: Books) -> None:
    """A key without a retirement, which no command leaves, has no time."""
    kid = books.signer.kid
    with books.writing() as db:
        db.update("keys", kid, compromised=1)
        db.record("test", kid=kid)
    with books.reading() as db:
        key = find_compromised_key(db, kid)
    assert key is not None
    assert "marked as compromised: anyone" in key.message
    assert key.to_json() == {"kid": kid, "label": "main", "since": None}
