"""What was issued, to whom, by whom: one SQLite file and its journal.

`Registry` gives transactions; the modules `customers`, `machines`, `licenses`, `keys`,
`journal` and `outbox` are functions of an open one; commands change rows by `change`. All SQL of
this project is in this folder.
"""

from polygent_issuer.registry.database import REGISTRY_FILE, Registry
from polygent_issuer.registry.records import (
    Actor,
    Customer,
    Document,
    Identity,
    JournalRow,
    KeyRecord,
    KeyUse,
    KnownFingerprint,
    LicenseRecord,
    LicenseStatus,
    Machine,
    OutboxRow,
)
from polygent_issuer.registry.transactions import Reading, Writing

__all__ = [
    "REGISTRY_FILE",
    "Actor",
    "Customer",
    "Document",
    "Identity",
    "JournalRow",
    "KeyRecord",
    "KeyUse",
    "KnownFingerprint",
    "LicenseRecord",
    "LicenseStatus",
    "Machine",
    "OutboxRow",
    "Reading",
    "Registry",
    "Writing",
]
