"""The registry: customers, machines, licenses and keys in a database, with a journal.

`Registry` opens transactions. The modules `customers`, `machines`, `licenses`, `keys` and `journal`
have functions that take an open one. Commands change rows with `change`. All SQL of this project is
in this folder. `sqlite` is the engine of a file, and `postgres` that of a team's database.
"""

from polygent_issuer.registry.database import REGISTRY_FILE, Registry
from polygent_issuer.registry.reading import Reading
from polygent_issuer.registry.records import (
    Actor,
    Customer,
    Document,
    Identity,
    KeyRecord,
    KeyUse,
    KnownFingerprint,
    LicenseRecord,
    LicenseStatus,
    Machine,
)
from polygent_issuer.registry.writing import Writing

__all__ = [
    "REGISTRY_FILE",
    "Actor",
    "Customer",
    "Document",
    "Identity",
    "KeyRecord",
    "KeyUse",
    "KnownFingerprint",
    "LicenseRecord",
    "LicenseStatus",
    "Machine",
    "Reading",
    "Registry",
    "Writing",
]
