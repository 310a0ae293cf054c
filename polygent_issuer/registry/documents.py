"""The `machine-info.json` documents as they were received, each once."""

from datetime import datetime
from hashlib import sha256

from polygent_issuer.registry.columns import Fields, as_bytes, as_int, moment, moment_text, text
from polygent_issuer.registry.records import Document
from polygent_issuer.registry.transactions import Reading, Writing

_SELECT = "SELECT id, sha256, content, fingerprint, generated_at, received_at FROM documents"


def add(db: Writing, content: bytes, fingerprint: str, generated_at: datetime) -> Document:
    """Keep a document; the same bytes are the same row, and keep the day they first came."""
    digest = sha256(content).hexdigest()
    known = db.one(_document, f"{_SELECT} WHERE sha256 = ?", (digest,))
    if known is not None:
        db.require_recorded("documents", known.id)
        return known
    key = db.insert(
        "documents",
        sha256=digest,
        content=content,
        fingerprint=fingerprint,
        generated_at=moment_text(generated_at),
        received_at=db.at,
    )
    return get(db, as_int(key))


def get(db: Reading, document_id: int) -> Document:
    """The document of a row id.

    Raises:
        RegistryDamaged: (`registry_damaged`) when there is none: only another row names it.
    """
    found = db.one(_document, f"{_SELECT} WHERE id = ?", (document_id,))
    if found is None:
        raise db.damaged(f"lacks the document {document_id}, which another row names")
    db.require_recorded("documents", document_id)
    return found


def _document(row: Fields) -> Document:
    return Document(
        id=as_int(row["id"]),
        sha256=text(row["sha256"]),
        content=as_bytes(row["content"]),
        fingerprint=text(row["fingerprint"]),
        generated_at=moment(row["generated_at"]),
        received_at=moment(row["received_at"]),
    )
