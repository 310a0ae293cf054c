"""Documents: each kept once, byte for byte."""

from datetime import timedelta
from hashlib import sha256

import pytest
from support.registries import NOW, writing

from polygent_issuer.registry import Registry, documents
from polygent_issuer.registry.columns import as_int
from polygent_issuer.registry.errors import RegistryDamaged


def test_a_document_comes_back_byte_for_byte(registry: Registry) -> None:
    """Also what is no UTF-8."""
    content = "\ufeff{}".encode("utf-16")
    with writing(registry) as db:
        document = documents.add(db, content, "f" * 64, NOW - timedelta(days=1))
        assert documents.get(db, document.id) == document
    assert (document.content, document.sha256) == (content, sha256(content).hexdigest())
    assert (document.fingerprint, document.received_at) == ("f" * 64, NOW)
    assert document.generated_at == NOW - timedelta(days=1)


def test_the_same_bytes_are_one_row(registry: Registry) -> None:
    """It keeps the day on which it came first."""
    with writing(registry) as db:
        first = documents.add(db, b"{}", "f" * 64, NOW)
    with registry.reading() as read:
        before = read.value(as_int, "SELECT max(seq) FROM journal")
    with writing(registry, now=NOW + timedelta(days=9)) as db:
        assert documents.add(db, b"{}", "f" * 64, NOW) == first
        assert documents.add(db, b"{ }", "f" * 64, NOW).id != first.id
    assert before == 2


def test_a_missing_document_is_damage(registry: Registry) -> None:
    """Only another row names a document, so one that is missing is damage."""
    with registry.reading() as db, pytest.raises(RegistryDamaged, match="lacks the document 7"):
        documents.get(db, 7)
