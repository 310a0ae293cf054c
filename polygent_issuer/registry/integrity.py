"""Is a registry's file whole, beneath what the journal vouches for? SQLite's own checks."""

from collections.abc import Iterator
from itertools import islice

from polygent_issuer.registry.columns import text
from polygent_issuer.registry.transactions import Reading
from polygent_issuer.text import escape

_MOST = 100


def sqlite_problems(db: Reading) -> tuple[str, ...]:
    """What `integrity_check` and `foreign_key_check` find, one line each; empty when all is well.

    Raises:
        RegistryDamaged: (`registry_damaged`) when the file cannot be read to its end.
    """
    return tuple(islice(_found(db), _MOST))


def _found(db: Reading) -> Iterator[str]:
    for told in db.values(text, f"PRAGMA integrity_check({_MOST})"):
        if told != "ok":
            # It may quote stored text.
            yield "SQLite finds the file damaged: a page, a row or an index is not as it should be"
            break
    for table in db.values(text, "PRAGMA foreign_key_check"):
        yield f"a row of {escape(table)} refers to one that is not there"
