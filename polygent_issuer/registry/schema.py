"""The schema as a list of migrations, which are never edited; each is applied in one transaction.

A row's digest in the journal leaves out empty columns (`row_check`). So a later migration may add
an empty column without changing the digests of older rows.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import cache
from itertools import chain
from typing import Final

from polygent_issuer.errors import HomeProblem
from polygent_issuer.text import escape

# "PLGI"; identifies the file, also for file(1).
APPLICATION_ID: Final = 0x504C4749
NAMES: Final = "rows_of_name"
"""The SQL function of a migration: the keys of a customer's name."""
SQLITE_VERSION: Final[tuple[int, ...]] = sqlite3.sqlite_version_info
"""The version of this Python's SQLite library."""
# The first version with STRICT tables.
OLDEST_SQLITE: Final = (3, 37)
Statements = tuple[str, ...]

# The tables whose rows the journal records, each with its key. The outbox is not recorded: it only
# lists pending deliveries.
JOURNALED: Final = {
    "about": "name",
    "aliases": "slug",
    "customers": "id",
    "documents": "id",
    "keys": "kid",
    "licenses": "id",
    "machine_identities": "id",
    "machines": "id",
    "team_settings": "name",
}
# Every table that commands write to, except the journal.
KEYS: Final = {
    **JOURNALED,
    "backup_settings": "name",
    "customer_names": "id",
    "outbox": "license_id",
    "row_journal": "name",
    "seals": "kid",
}


_CUSTOMERS: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # The reversed columns are for the search for names that differ in one letter.
    """CREATE TABLE customers (
        id INTEGER PRIMARY KEY,
        slug TEXT NOT NULL UNIQUE,
        slug_reversed TEXT NOT NULL,
        name TEXT NOT NULL,
        folded TEXT NOT NULL,
        folded_reversed TEXT NOT NULL,
        created_at TEXT NOT NULL,
        archived_at TEXT,
        time_zone TEXT,
        crm TEXT,
        contacts TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX customers_by_slug_reversed ON customers (slug_reversed)",
    "CREATE INDEX customers_by_folded ON customers (folded)",
    "CREATE INDEX customers_by_folded_reversed ON customers (folded_reversed)",
    """CREATE TABLE aliases (
        slug TEXT PRIMARY KEY,
        customer_id INTEGER NOT NULL REFERENCES customers (id),
        created_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX aliases_by_customer ON aliases (customer_id)",
    """CREATE TRIGGER customers_slug_is_no_alias BEFORE INSERT ON customers
        WHEN EXISTS (SELECT 1 FROM aliases WHERE slug = NEW.slug)
        BEGIN SELECT RAISE(ABORT, 'the slug is an alias'); END""",
    """CREATE TRIGGER aliases_slug_is_no_customer BEFORE INSERT ON aliases
        WHEN EXISTS (SELECT 1 FROM customers WHERE slug = NEW.slug)
        BEGIN SELECT RAISE(ABORT, 'the alias is a slug'); END""",
)

_MACHINES: Final = (
    """CREATE TABLE documents (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        content BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        generated_at TEXT NOT NULL,
        received_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE machines (
        id INTEGER PRIMARY KEY,
        customer_id INTEGER NOT NULL REFERENCES customers (id),
        label TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        hostname TEXT,
        components TEXT NOT NULL,
        since TEXT NOT NULL,
        document_id INTEGER REFERENCES documents (id),
        UNIQUE (customer_id, label),
        UNIQUE (customer_id, fingerprint)
    ) STRICT""",
    "CREATE INDEX machines_by_fingerprint ON machines (fingerprint)",
    """CREATE TABLE machine_identities (
        id INTEGER PRIMARY KEY,
        machine_id INTEGER NOT NULL REFERENCES machines (id),
        fingerprint TEXT NOT NULL,
        hostname TEXT,
        components TEXT NOT NULL,
        since TEXT NOT NULL,
        until TEXT NOT NULL,
        document_id INTEGER REFERENCES documents (id)
    ) STRICT""",
    "CREATE INDEX machine_identities_by_machine ON machine_identities (machine_id)",
    "CREATE INDEX machine_identities_by_fingerprint ON machine_identities (fingerprint)",
)

_LICENSES: Final = (
    """CREATE TABLE keys (
        kid TEXT PRIMARY KEY,
        label TEXT NOT NULL UNIQUE,
        public_pem BLOB NOT NULL,
        created_at TEXT NOT NULL,
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        retired_at TEXT,
        compromised INTEGER NOT NULL CHECK (compromised IN (0, 1)),
        backed_up_at TEXT,
        CHECK (active = 0 OR retired_at IS NULL)
    ) STRICT""",
    "CREATE UNIQUE INDEX keys_one_active ON keys (active) WHERE active = 1",
    """CREATE TABLE licenses (
        id TEXT PRIMARY KEY,
        customer_id INTEGER NOT NULL REFERENCES customers (id),
        machine_id INTEGER REFERENCES machines (id),
        kid TEXT NOT NULL REFERENCES keys (kid),
        file BLOB NOT NULL,
        sha256 TEXT NOT NULL,
        tier TEXT NOT NULL CHECK (tier IN ('standard', 'enterprise')),
        issued_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL CHECK (expires_at > issued_at),
        term TEXT,
        plan TEXT,
        document_id INTEGER REFERENCES documents (id),
        replaced_by TEXT REFERENCES licenses (id) DEFERRABLE INITIALLY DEFERRED,
        retired_at TEXT,
        retired_reason TEXT,
        sent_at TEXT,
        CHECK (replaced_by IS NULL OR (replaced_by <> id AND retired_at IS NULL)),
        CHECK ((retired_at IS NULL) = (retired_reason IS NULL))
    ) STRICT""",
    "CREATE INDEX licenses_by_customer ON licenses (customer_id, expires_at, id)",
    "CREATE INDEX licenses_by_kid ON licenses (kid, expires_at, id)",
    "CREATE INDEX licenses_by_expiry ON licenses (expires_at, id)",
    """CREATE INDEX licenses_current_by_customer ON licenses (customer_id, expires_at, id)
        WHERE replaced_by IS NULL AND retired_at IS NULL""",
    """CREATE INDEX licenses_current_by_expiry ON licenses (expires_at, id)
        WHERE replaced_by IS NULL AND retired_at IS NULL""",
    "CREATE INDEX licenses_unsent ON licenses (expires_at, id) WHERE sent_at IS NULL",
    """CREATE TABLE outbox (
        license_id TEXT PRIMARY KEY REFERENCES licenses (id),
        folder TEXT,
        name TEXT,
        at TEXT NOT NULL
    ) STRICT""",
)


def _from_bytes(name: str, end: str = '"') -> str:
    """Define a generated column with a member of the canonical JSON in `bytes`; NULL for null.

    Text functions are used, because SQLite 3.38 to 3.40 refuse JSON functions in an untrusted
    schema. Quotes within a JSON text are escaped, so only a member's name matches. The first match
    is the member of the row itself, because nested objects sort after these members.
    """
    source = "CAST(bytes AS TEXT)"
    place = f"(instr({source}, ',\"{name}\":') + {len(name) + 4})"
    rest = f"substr({source}, {place} + 1)"
    value = (
        f"CASE substr({source}, {place}, 1) WHEN '\"' THEN "
        f"substr({rest}, 1, instr({rest}, '{end}') - 1) END"
    )
    return f"{name} TEXT GENERATED ALWAYS AS ({value}) VIRTUAL"


_JOURNAL: Final = (
    f"""CREATE TABLE journal (
        seq INTEGER PRIMARY KEY,
        previous BLOB NOT NULL CHECK (length(previous) = 32),
        bytes BLOB NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        {_from_bytes("at")},
        {_from_bytes("event")},
        {_from_bytes("operator", '","os_user":')},
        {_from_bytes("customer")},
        {_from_bytes("license")},
        {_from_bytes("kid")}
    ) STRICT""",
    "CREATE INDEX journal_by_at ON journal (at)",
    "CREATE INDEX journal_by_customer ON journal (customer) WHERE customer IS NOT NULL",
    # REPLACE does not fire DELETE triggers; therefore the place in the chain is checked.
    """CREATE TRIGGER journal_grows_at_its_end BEFORE INSERT ON journal
        WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal)
        OR NEW.previous IS NOT coalesce(
            (SELECT hash FROM journal ORDER BY seq DESC LIMIT 1), zeroblob(32))
        BEGIN SELECT RAISE(ABORT, 'the journal grows at its end'); END""",
    """CREATE TRIGGER journal_rows_stay_as_they_are BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER journal_rows_stay BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
)

_COPIES: Final = (
    # Few rows record a copy, and `doctor` reads the last of them.
    """CREATE INDEX journal_of_copies ON journal (event, seq)
        WHERE event IN ('registry-backed-up', 'head-noted')""",
)

_ROW_JOURNAL: Final = (
    "CREATE TABLE row_journal (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID, STRICT",
    # `journal verify` reports a journal row that cannot be read.
    """INSERT INTO row_journal (name, seq) SELECT written.key, max(journal.seq) FROM journal,
        json_each(CASE WHEN json_valid(CAST(bytes AS TEXT)) THEN CAST(bytes AS TEXT) ELSE '{}' END,
        '$.rows') AS written WHERE typeof(written.key) = 'text' GROUP BY written.key""",
    # Few rows are only about keys, and each decision compares the keys with them.
    """CREATE INDEX journal_about_keys ON journal (seq)
        WHERE license IS NULL AND kid IS NOT NULL""",
)

_DESK: Final = (
    # The forms of a customer's name for comparison. The journal does not record them: whoever finds
    # a customer by them compares the name in its recorded row.
    """CREATE TABLE customer_names (
        id INTEGER PRIMARY KEY,
        customer_id INTEGER NOT NULL REFERENCES customers (id),
        words TEXT NOT NULL,
        legal_form TEXT NOT NULL,
        letters TEXT NOT NULL,
        letters_reversed TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX customer_names_by_customer ON customer_names (customer_id)",
    "CREATE INDEX customer_names_by_words ON customer_names (words)",
    "CREATE INDEX customer_names_by_letters ON customer_names (letters)",
    "CREATE INDEX customer_names_by_letters_reversed ON customer_names (letters_reversed)",
    """INSERT INTO customer_names (customer_id, words, legal_form, letters, letters_reversed)
        SELECT customers.id, json_extract(key.value, '$[0]'), json_extract(key.value, '$[1]'),
            json_extract(key.value, '$[2]'), json_extract(key.value, '$[3]')
        FROM customers, json_each(rows_of_name(CAST(name AS BLOB))) AS key ORDER BY customers.id""",
    "ALTER TABLE customers ADD COLUMN notes TEXT",
    "ALTER TABLE customers ADD COLUMN held_at TEXT",
    "ALTER TABLE customers ADD COLUMN held_until TEXT",
    "ALTER TABLE customers ADD COLUMN held_reason TEXT",
    "ALTER TABLE licenses ADD COLUMN order_id TEXT",
    "ALTER TABLE licenses ADD COLUMN note TEXT",
    "CREATE INDEX licenses_by_order ON licenses (order_id) WHERE order_id IS NOT NULL",
    # Filled only in a backup, with the settings that the next operator needs.
    "CREATE TABLE backup_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)

_SEALS: Final = (
    # The newest seal of each key. The journal does not record a seal, which seals the journal.
    """CREATE TABLE seals (
        kid TEXT PRIMARY KEY REFERENCES keys (kid),
        token TEXT NOT NULL
    ) STRICT""",
)

_TEAM: Final = (
    # The user of the session at a database server. It is in no digest, and SQLite leaves it empty.
    "ALTER TABLE journal ADD COLUMN server_user TEXT",
    # The home that delivers the file.
    "ALTER TABLE outbox ADD COLUMN home TEXT",
    # The settings that all homes of a registry share.
    "CREATE TABLE team_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)

# A file has one user: only the tables in a database change.
_HASHES: Final[Statements] = ()

MIGRATIONS: Final[tuple[Statements, ...]] = (
    _CUSTOMERS + _MACHINES + _LICENSES + _JOURNAL,
    _COPIES,
    _ROW_JOURNAL,
    _DESK,
    _SEALS,
    _TEAM,
    _HASHES,
)
"""The migration at index N changes the tables from `user_version` N to N + 1."""


def require_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite library that is too old for the tables (`sqlite_too_old`)."""
    if version < OLDEST_SQLITE:
        raise HomeProblem(
            f"this Python has SQLite {'.'.join(map(str, version))}, but the registry needs 3.37",
            hint="use a Python with a newer SQLite (python3 -m sqlite3 --version prints it)",
            code="sqlite_too_old",
        )


def create(connection: sqlite3.Connection, migrations: tuple[Statements, ...]) -> None:
    """Create the tables in an empty database, whose customers have no names to be migrated."""
    connection.create_function(NAMES, 1, lambda _: "[]")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in chain.from_iterable(migrations):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(migrations)}")


def migrate(execute: Callable[[str], object], version: int) -> None:
    """Migrate the tables from `version` to the next one; `execute` runs one statement."""
    for statement in MIGRATIONS[version]:
        execute(statement)
    execute(f"PRAGMA user_version = {version + 1}")


# Only the statistics tables of ANALYZE are left out. Nothing is left out by its name, because a
# direct edit of the schema can give a trigger the name of a table, or one of SQLite's own names.
STATEMENTS: Final = """SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE (type, sql) IS NOT ('table', 'CREATE TABLE sqlite_stat1(tbl,idx,stat)')
    AND (type, sql) IS NOT ('table', 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)')"""


@cache
def _made_by(migrations: tuple[Statements, ...]) -> tuple[tuple[object, ...], ...]:
    with closing(sqlite3.connect(":memory:")) as blank:
        create(blank, migrations)
        return tuple(blank.execute(STATEMENTS).fetchall())


def differences(
    present: Iterable[tuple[object, ...]], version: int | None = None
) -> tuple[str, ...]:
    """Return one line for each table, index, view or trigger that is missing, changed or added.

    A dropped trigger would allow edits of the journal; an added one would run with each write.

    Args:
        present: the result of `STATEMENTS` in a file whose `user_version` is `version`.
    """
    foreign, missing = list(present), []
    for row in _made_by(MIGRATIONS[:version]):
        if row in foreign:
            foreign.remove(row)  # a second, equal row counts as added
        else:
            missing.append(row)
    changed = {str(row[1]) for row in foreign}
    return tuple(
        f"{escape(name)} is not a table, index or trigger as this tool creates it"
        if name in changed
        else f"the table, index or trigger {name} is missing"
        for name in sorted(changed | {str(row[1]) for row in missing})
    )
