"""Documents: each kept once, byte for byte."""

from datetime import timedelta
from hashlib import sha256

import pytest
from support.registries import NOW, writing

from polygent_issuer.registry import Registry, machines
from polygent_issuer.registry.errors import RegistryDamaged
from polygent_issuer.registry.records import as_int


def test_a_document_comes_back_byte_for_byte(registry: Registry) -> None:
    """Also what is no UTF-8."""
    content = "\ufeff{}".encode("utf-16")
    with writing(registry) as db:
        document = machines.add_document(db, content, "f" * 64, NOW - timedelta(days=1))
        assert machines.get_document(db, document.id) == document
    assert (document.content, document.sha256) == (content, sha256(content).hexdigest())
    assert (document.fingerprint, document.received_at) == ("f" * 64, NOW)
    assert document.generated_at == NOW - timedelta(days=1)


def test_the_same_bytes_are_one_row(registry: Registry) -> None:
    """It keeps the day on which it came first."""
    with writing(registry) as db:
        first = machines.add_document(db, b"{}", "f" * 64, NOW)
    with registry.reading() as read:
        before = read.value(as_int, "SELECT max(seq) FROM journal")
    with writing(registry, now=NOW + timedelta(days=9)) as db:
        assert machines.add_document(db, b"{}", "f" * 64, NOW) == first
        assert machines.add_document(db, b"{ }", "f" * 64, NOW).id != first.id
    assert before == 2


def test_a_missing_document_is_damage(registry: Registry) -> None:
    """Only another row names a document, so one that is missing is damage."""
    with registry.reading() as db, pytest.raises(RegistryDamaged, match="lacks the document 7"):
        machines.get_document(db, 7)
